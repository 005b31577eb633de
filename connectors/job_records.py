"""Records of jobs, whoever wrote them: one row per job, node and month, clipped to the month."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import product
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from models.errors import BadInput
from models.facts import GPU_JOBS, Schema, declared, schema
from models.months import next_month

# An export may be written a little before this machine's clock gets there.
SKEW: Final = 300
MOST_NODES: Final = 100_000
_BRACKETS: Final = re.compile(r"\[([0-9,\-]+)\]")
_EARLIEST: Final = datetime(2015, 1, 1, tzinfo=UTC)
_EPOCH: Final = re.compile(r"-?\d+(\.\d+)?")
_LONG: Final = 80


@dataclass(frozen=True)
class Job:
    """One record: who held how many accelerators of which nodes when.

    Attributes:
        nodes: node names; empty where none is said.
        count: accelerators held on each node.
        facts: other columns of `GPU_JOBS`.
    """

    file: str
    row: int
    job_id: str
    started_at: datetime
    ended_at: datetime | None
    nodes: tuple[str, ...]
    count: float
    facts: Mapping[str, Any] = field(default_factory=dict)


def months(jobs: Iterable[Job], now: datetime) -> list[date]:
    """Give the months that jobs ran in, up to now for those that still run."""
    found: set[date] = set()
    for job in jobs:
        month = job.started_at.date().replace(day=1)
        ended = job.ended_at or now
        while datetime(month.year, month.month, 1, tzinfo=UTC) < max(ended, job.started_at):
            found.add(month)
            month = next_month(month)
    return sorted(found)


def once(jobs: Iterable[Job]) -> list[Job]:
    """Keep one record of each holding: exports overlap, and a later one knows the end of what an earlier saw running.

    A job that was put back and ran again has another start, so both its runs stay.
    """
    kept: dict[Any, Job] = {}
    for job in jobs:
        key = (job.job_id, job.nodes, job.facts.get("resource_id"), job.started_at)
        before = kept.get(key)
        if before is None or before.ended_at is None or (job.ended_at and job.ended_at > before.ended_at):
            kept[key] = job
    return list(kept.values())


def clipped(jobs: Iterable[Job], month: date) -> Iterator[tuple[Job, datetime, datetime | None]]:
    """Give the part of each job that lies in a month; what still runs at its end ended with it."""
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    following = next_month(month)
    last = datetime(following.year, following.month, 1, tzinfo=UTC)
    for job in jobs:
        start, end = max(job.started_at, first), job.ended_at
        if start < last and (end is None or end > start):
            yield job, start, min(end, last) if end else None


def frame(jobs: Sequence[Job], month: date, now: datetime) -> pl.DataFrame:
    """Give one row per job and node."""
    following = next_month(month)
    last = datetime(following.year, following.month, 1, tzinfo=UTC)
    rows = [
        {
            **job.facts,
            "source_file": job.file,
            "source_row": job.row,
            "job_id": job.job_id,
            "resource_name": node,
            "started_at": start,
            "ended_at": end or (last if last <= now else None),
            "accelerator_count": job.count,
        }
        for job, start, end in clipped(jobs, month)
        for node in job.nodes or (None,)
    ]
    return declared(pl.LazyFrame(rows, schema=columns()), GPU_JOBS).collect()


def columns() -> Schema:
    """Give the columns of a frame of jobs."""
    return schema(GPU_JOBS)


def counted(jobs: Sequence[Job], month: date) -> dict[str, int]:
    """Count job and node pairs that touch the month."""
    first, following = month, next_month(month)
    rows = 0
    for job in jobs:
        is_before = job.started_at.date() < following
        is_after = job.ended_at is None or (
            job.ended_at.date() >= first and job.ended_at > datetime(first.year, first.month, 1, tzinfo=UTC)
        )
        is_long = job.ended_at is None or job.ended_at > job.started_at
        rows += max(1, len(job.nodes)) * (is_before and is_after and is_long)
    return {"rows": rows}


def instant(value: Any, zone: ZoneInfo) -> datetime | None:
    """Read a time: a datetime, ISO text with or without an offset, or seconds or milliseconds since 1970.

    None where it is none, or too early to be one of a job: a job since 1970 would be read for hundreds of months.
    """
    found: datetime
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, int | float) or _EPOCH.fullmatch(str(value)):
        number = float(value)
        while abs(number) > 1e11:  # noqa: PLR2004 - seconds reach that in the year 5138
            number /= 1000
        found = datetime.fromtimestamp(number, UTC)
    else:
        try:
            found = datetime.fromisoformat(str(value).strip().removesuffix(" UTC"))
        except ValueError:
            return None
        if str(value).endswith(" UTC"):
            found = found.replace(tzinfo=UTC)
    found = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    return found if found >= _EARLIEST else None


def nodes(text: str) -> tuple[str, ...]:
    """Spell out a list of nodes: `gpu[01-03,7],login` is gpu01, gpu02, gpu03, gpu7 and login.

    Raises:
        ValueError: it is no such list.
    """
    found: list[str] = []
    for part in re.split(r",(?![^\[]*\])", text.strip()):
        pieces = _BRACKETS.split(part)
        if set("[]") & set("".join(pieces[::2])) or not part:
            raise ValueError(text)
        choices = [[piece] if index % 2 == 0 else list(_numbers(piece)) for index, piece in enumerate(pieces)]
        found += ["".join(choice) for choice in product(*choices)]
        if len(found) > MOST_NODES:
            raise ValueError(text)
    return tuple(found)


def _numbers(ranges: str) -> Iterator[str]:
    for one in ranges.split(","):
        first, _, last = one.partition("-")
        if not 0 <= int(last or first) - int(first) <= MOST_NODES:
            raise ValueError(ranges)
        for number in range(int(first), int(last or first) + 1):
            yield f"{number:0{len(first)}d}"


def check_times(job: Job, now: datetime, columns_of: tuple[str, str], fix: str) -> None:
    """Check that a job ran forwards, and not in the future.

    Raises:
        BadInput: it did not; names file, row and column.
    """
    start, end = columns_of
    for at, column in ((job.started_at, start), (job.ended_at, end)):
        if at and (at - now).total_seconds() > SKEW:
            raise BadInput(
                job.file, f"{at:%Y-%m-%d %H:%M} UTC lies in the future", fix, f"row {job.row}, column {column}"
            )
    if job.ended_at and job.ended_at < job.started_at:
        problem = f"the job ends at {job.ended_at:%Y-%m-%d %H:%M}, before it starts"
        raise BadInput(job.file, problem, fix, f"row {job.row}, column {end}")


def short(value: Any) -> str:
    """Show a cell in an error: one line, not too long, nothing that moves a cursor."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return repr(text if len(text) <= _LONG else f"{text[:_LONG]}…")
