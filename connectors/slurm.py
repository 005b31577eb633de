"""Slurm: who held which accelerators, from `sacct --parsable2`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AfterValidator, BaseModel

from connectors import job_records, monthly_files
from connectors.job_records import Job, short
from connectors.job_words import OUTCOME_OF, WAITING, workload_of
from connectors.monthly_files import FileOptions, MonthlyFiles
from connectors.source import Landed, Totals
from models.errors import BadInput
from models.facts import Fact

NEEDED: Final = ("JobID", "State", "Start", "End", "AllocTRES", "NodeList")
ASK: Final = (
    "Export with: sacct --allusers --parsable2 --duplicates --allocations "
    "--format=JobID,JobName,User,Account,Partition,Cluster,QOS,State,Start,End,AllocTRES,NodeList,Comment"
)
_GPUS: Final = re.compile(r"^gres/gpu=(\d+)$")
_TYPED: Final = re.compile(r"^gres/gpu:([^=]+)=(\d+)$")
_NEVER: Final = frozenset({"", "Unknown", "None", "N/A"})
_KEPT: Final = ("QOS", "Comment", "WCKey", "Reservation")


def zone(text: str) -> str:
    """Check that there is such a time zone."""
    try:
        ZoneInfo(text)
    except (OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {text!r}; write one like Europe/Berlin") from error
    return text


class SlurmOptions(FileOptions):
    """Say where the exports are and whose clock they follow."""

    timezone: Annotated[str, AfterValidator(zone)] = "UTC"
    """Time zone of the cluster: sacct writes local times without saying which."""
    cluster: str | None = None
    """Name of the cluster, where the export has no Cluster column."""
    workload_column: str | None = None
    """Column that says training, fine_tuning, inference or development, for example Comment or QOS."""


class Slurm(MonthlyFiles):
    """Read sacct's records of jobs that held accelerators."""

    Options: type[BaseModel] = SlurmOptions

    _options: SlurmOptions

    def months_in(self, path: Path, name: str) -> Collection[date]:
        """Read the months that jobs ran in."""
        return job_records.months(self._jobs([(path, name)]), self._now())

    def totals(self, landed: Landed) -> Totals:
        """Read every record and count what touches the month."""
        usage = job_records.counted(
            job_records.once(self._jobs(monthly_files.files(landed))), landed.version.billing_period
        )
        return Totals(0, 0, {}, {}, is_final=bool(landed.version.is_final), usage={Fact.GPU_JOBS: usage})

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give the month's jobs: one frame of all files, since exports overlap."""
        build = partial(self._frame, monthly_files.files(landed), landed.version.billing_period)
        return {Fact.GPU_JOBS: [pl.defer(build, schema=job_records.columns())]}

    def _frame(self, files: Sequence[tuple[Path, str]], month: date) -> pl.DataFrame:
        return job_records.frame(job_records.once(self._jobs(files)), month, self._now())

    def _jobs(self, files: Sequence[tuple[Path, str]]) -> Iterator[Job]:
        for path, name in files:
            for number, row in monthly_files.rows(path, name, separator="|"):
                if number == 1:
                    self._require(row, name)
                if job := self._job(name, number, row):
                    job_records.check_times(job, self._now(), ("Start", "End"), "Check `timezone`")
                    yield job

    def _require(self, row: Mapping[str, Any], name: str) -> None:
        for column in (*NEEDED, *([self._options.workload_column] if self._options.workload_column else [])):
            monthly_files.need(row, column, name, ASK)

    def _job(self, name: str, number: int, row: Mapping[str, str]) -> Job | None:
        """Read one record; None for steps, jobs without accelerators, and those that never ran."""
        gpus, accelerator = _gpus(name, number, row["AllocTRES"])
        # `123.batch` and `123.0` are steps: the job's own record holds all its accelerators.
        if "." in row["JobID"] or not gpus or row["Start"] in _NEVER:
            return None
        word = row["State"].split()[0].rstrip("+").lower() if row["State"] else ""
        if word in WAITING:
            return None
        if word not in OUTCOME_OF:
            raise BadInput(name, f"{short(row['State'])} is no state of a job", ASK, f"row {number}, column State")
        try:
            nodes = job_records.nodes(row["NodeList"])
        except ValueError:
            found = f"{short(row['NodeList'])} is no list of nodes"
            raise BadInput(name, found, ASK, f"row {number}, column NodeList") from None
        ended = None if row["End"] in _NEVER else self._instant(name, number, row, "End")
        facts = {
            "job_name": row.get("JobName") or None,
            "accelerator": accelerator,
            "workload": workload_of(row.get(self._options.workload_column or "")),
            "team": row.get("Account") or None,
            "user_id": row.get("User") or None,
            "cluster": row.get("Cluster") or self._options.cluster,
            "namespace": row.get("Partition") or None,
            "outcome": OUTCOME_OF[word],
            "tags": {key: row[key] for key in _KEPT if row.get(key)},
        }
        started = self._instant(name, number, row, "Start")
        return Job(name, number, row["JobID"], started, ended, nodes, gpus / len(nodes), facts)

    def _instant(self, name: str, number: int, row: Mapping[str, str], column: str) -> datetime:
        found = job_records.instant(row[column], ZoneInfo(self._options.timezone))
        if found is None:
            raise BadInput(name, f"{short(row[column])} is no time", ASK, f"row {number}, column {column}")
        return found


def _gpus(name: str, number: int, tres: str) -> tuple[int, str | None]:
    """Read `billing=96,cpu=96,gres/gpu:a100=8,gres/gpu=8,node=2`: all nodes' accelerators together, and their kind."""
    parts = tres.split(",") if tres else []
    if odd := [part for part in parts if "=" not in part]:
        raise BadInput(name, f"{short(odd[0])} is no resource and its count", ASK, f"row {number}, column AllocTRES")
    total = [int(match[1]) for part in parts if (match := _GPUS.match(part))]
    typed = [(match[1], int(match[2])) for part in parts if (match := _TYPED.match(part))]
    kinds = sorted({kind for kind, _ in typed})
    return total[0] if total else sum(count for _, count in typed), kinds[0] if len(kinds) == 1 else None
