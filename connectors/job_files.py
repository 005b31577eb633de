"""Records of jobs in files of any scheduler or tracker, by a mapping of columns: Ray, Kueue, MLflow, W&B and others."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AfterValidator, BaseModel, Field

from connectors import job_records, monthly_files
from connectors.job_records import Job, short
from connectors.job_words import OUTCOME_OF, WAITING, workload_of
from connectors.monthly_files import FileOptions, MonthlyFiles, of_known
from connectors.slurm import zone
from connectors.source import Landed, Totals
from models.errors import BadInput
from models.facts import GPU_JOBS, Fact

KNOWN: Final = tuple(name for name in GPU_JOBS if name not in {"source_file", "source_row", "tags"})
REQUIRED: Final = (("job_id",), ("started_at",), ("accelerator_count",))
FIX: Final = "Correct the file, or `columns` in the configuration"
_TEXTS: Final = tuple(
    name
    for name in KNOWN
    if name not in {"job_id", "started_at", "ended_at", "accelerator_count", "resource_name", "workload", "outcome"}
)
_NOTHING: Final = frozenset({"", "null", "none", "nan", "n/a", "unknown"})


class JobFileOptions(FileOptions):
    """Say which column is what."""

    columns: Annotated[dict[str, str], of_known(KNOWN)]
    """Column of `gpu_jobs` → column of the files; a dot steps into an object: `status.startTime`."""
    values: Annotated[dict[str, str], of_known(KNOWN)] = Field(default_factory=dict)
    """Column of `gpu_jobs` → what it is in every row, for example `cluster: prod`."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tag → column of the files."""
    workloads: dict[str, Literal["training", "fine_tuning", "inference", "development"]] = Field(default_factory=dict)
    """Word in the column of `workload` → what it means."""
    outcomes: dict[str, Literal["completed", "failed", "preempted", "cancelled", "running"]] = Field(
        default_factory=dict
    )
    """Word in the column of `outcome` → what it means, beside those known."""
    count_is: Literal["per_node", "total"] = "per_node"
    """Whether `accelerator_count` is of each node, or of all nodes in `resource_name` together."""
    timezone: Annotated[str, AfterValidator(zone)] = "UTC"
    """Time zone of times that do not say theirs."""


class JobFiles(MonthlyFiles):
    """Read records of jobs."""

    Options: type[BaseModel] = JobFileOptions

    _options: JobFileOptions

    def check(self) -> None:
        """Check that what no record can do without is mapped."""
        monthly_files.check_columns({**self._options.columns, **self._options.values}, KNOWN, REQUIRED)

    def months_in(self, path: Path, name: str) -> Collection[date]:
        """Read the months that jobs ran in."""
        return job_records.months(self._jobs([(path, name)]), self._now())

    def totals(self, landed: Landed) -> Totals:
        """Read every record and count what touches the month."""
        jobs = job_records.once(self._jobs(monthly_files.files(landed)))
        usage = {Fact.GPU_JOBS: job_records.counted(jobs, landed.version.billing_period)}
        return Totals(0, 0, {}, {}, is_final=bool(landed.version.is_final), usage=usage)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give the month's jobs: one frame of all files, since exports overlap."""
        build = partial(self._frame, monthly_files.files(landed), landed.version.billing_period)
        return {Fact.GPU_JOBS: [pl.defer(build, schema=job_records.columns())]}

    def _frame(self, files: Sequence[tuple[Path, str]], month: date) -> pl.DataFrame:
        return job_records.frame(job_records.once(self._jobs(files)), month, self._now())

    def _jobs(self, files: Sequence[tuple[Path, str]]) -> Iterator[Job]:
        names = self._options.columns
        ends = names.get("started_at", "started_at"), names.get("ended_at", "ended_at")
        for path, name in files:
            for number, row in monthly_files.rows(path, name):
                if number == 1 and not monthly_files.is_json(name):
                    self._require(row, name)
                if job := self._job(_Row(name, number, row, names, self._options.values)):
                    job_records.check_times(job, self._now(), ends, FIX)
                    yield job

    def _require(self, row: Mapping[str, Any], name: str) -> None:
        for column in (*self._options.columns.values(), *self._options.tags.values()):
            if _deep(row, column) is None:
                monthly_files.need(row, column, name, FIX)

    def _job(self, row: _Row) -> Job | None:
        """Read one record; None for those that never ran or held no accelerators."""
        outcome = self._outcome(row)
        started = row.text("started_at")
        if outcome in WAITING or started is None:
            return None
        count = row.number("accelerator_count")
        if not count:
            return None
        zone_of = ZoneInfo(self._options.timezone)
        nodes = row.nodes()
        if self._options.count_is == "total":
            count /= max(1, len(nodes))
        word = row.text("workload")
        known = self._options.workloads.get(word or "") or workload_of(word)
        facts: dict[str, Any] = {name: row.text(name) for name in _TEXTS}
        tags = {tag: str(value) for tag, key in self._options.tags.items() if (value := row.cell(key)) is not None}
        facts |= {"workload": known, "outcome": outcome, "tags": tags or None}
        ended = row.instant("ended_at", zone_of) if row.text("ended_at") else None
        begun = row.instant("started_at", zone_of)
        return Job(row.file, row.number_in_file, row.needed("job_id"), begun, ended, nodes, count, facts)

    def _outcome(self, row: _Row) -> str | None:
        word = row.text("outcome")
        if word is None:
            return None
        plain = word.strip().lower()
        found = self._options.outcomes.get(word) or OUTCOME_OF.get(plain) or (plain if plain in WAITING else None)
        if found is None:
            raise row.bad("outcome", "is no known outcome", "Say what it means in `outcomes`")
        return found


class _Row:
    """One row of a file, by the columns of `gpu_jobs`."""

    def __init__(
        self, file: str, number: int, row: Mapping[str, Any], columns: Mapping[str, str], values: Mapping[str, str]
    ) -> None:
        self.file = file
        self.number_in_file = number
        self._row = row
        self._columns = columns
        self._values = values

    def cell(self, column: str) -> Any:
        """Give a cell of the file; blank ones are None."""
        found = _deep(self._row, column)
        if isinstance(found, str) and found.strip().lower() in _NOTHING:
            return None
        if isinstance(found, float) and found != found:  # noqa: PLR0124 - what is no number differs from itself
            return None
        return json.dumps(found) if isinstance(found, dict) else found

    def value(self, name: str) -> Any:
        """Give what a column of ours is."""
        return self._values[name] if name in self._values else self.cell(self._columns.get(name, ""))

    def text(self, name: str) -> str | None:
        """Give it as text."""
        found = self.value(name)
        return None if found is None else str(found)

    def needed(self, name: str) -> str:
        """Give it as text, which every row must have."""
        found = self.text(name)
        if found is None:
            raise self.bad(name, "is blank", FIX)
        return found

    def number(self, name: str) -> float:
        """Give a count."""
        found = self.value(name)
        try:
            count = float(found if found is not None else 0)
        except (TypeError, ValueError):
            raise self.bad(name, "is no number", FIX) from None
        if not 0 <= count < 1e6:  # noqa: PLR2004 - no job holds a million
            raise self.bad(name, "is no count of accelerators", FIX)
        return count

    def instant(self, name: str, zone_of: ZoneInfo) -> datetime:
        """Give a time."""
        try:
            found = job_records.instant(self.value(name), zone_of)
        except (OverflowError, OSError, ValueError):
            found = None
        if found is None:
            raise self.bad(name, "is no time", FIX)
        return found

    def nodes(self) -> tuple[str, ...]:
        """Give the nodes: a list, or text such as `gpu[01-03]` or `a,b`."""
        found = self.value("resource_name")
        if found is None:
            return ()
        try:
            return job_records.nodes(",".join(map(str, found)) if isinstance(found, list) else str(found))
        except ValueError:
            raise self.bad("resource_name", "is no list of nodes", FIX) from None

    def bad(self, name: str, problem: str, fix: str) -> BadInput:
        """Name the cell."""
        column = self._columns.get(name, name)
        place = f"row {self.number_in_file}, column {column}"
        return BadInput(self.file, f"{short(self.value(name))} {problem}", fix, place)


def _deep(row: Mapping[str, Any], column: str) -> Any:
    """Give a cell by its name, or step into objects by dots."""
    if column in row:
        return row[column]
    found: Any = row
    for part in column.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
