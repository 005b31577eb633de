"""What the company's accelerators did: hourly metrics, job records of the shared cluster, and the truth of both.

Some machines have no metrics, one loses half of its, one is described by two sources, and one metric is of a machine
that no bill has: all of it must be told, none of it guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from examples.company import SHAPES, hours_in, months_since_start
from examples.compute import FLEETS, Fleet, node_id
from examples.hours import level

_IDLE_BELOW: Final = 5
_STRAY: Final = "i-0dead0beef0dead00"
_STEPS: Final = ("unallocated", "idle", "underutilized", "unmeasured", "busy")
# Fleet → percent busy by day and by night; `None` is not measured. What is not named here has no metrics at all.
_BUSY: Final[dict[str, tuple[int, int]]] = {
    "llm-serving": (28, 9),
    "llm-reserved": (21, 2),
    "pretrain": (97, 96),
    "tuning": (88, 0),
    "bench": (3, 3),
    "shared-a": (93, 93),
    "shared-b": (34, 12),
    "shared-c": (31, 8),
    "shared-d": (81, 0),
}
_LOSSY: Final = "tuning"
"""Its exporter is down every second day."""


class _Job(NamedTuple):
    name: str
    fleet: str
    days: tuple[int, int]
    hours: tuple[int, int]
    gpus: int
    workload: str
    team: str
    outcome: str


_JOBS: Final = (
    _Job("pretrain-70b-ablation", "shared-a", (1, 27), (0, 24), 8, "training", "research", "completed"),
    _Job("chat-70b-canary", "shared-b", (1, 32), (0, 24), 4, "inference", "assistant", "completed"),
    _Job("eval-nightly", "shared-b", (1, 32), (0, 6), 2, "development", "research", "completed"),
    _Job("ranker-serve", "shared-c", (1, 32), (0, 24), 6, "inference", "search", "completed"),
    _Job("ranker-ft", "shared-c", (8, 12), (0, 24), 2, "fine_tuning", "search", "failed"),
    _Job("adapters-sft", "shared-d", (1, 32), (7, 23), 8, "fine_tuning", "applied-ml", "completed"),
    _Job("sweep-gap-filler", "shared-d", (1, 32), (0, 4), 4, "training", "research", "preempted"),
)


def write(folder: Path, *, seed: int, months: Sequence[date]) -> None:
    """Write metrics and job records under `folder/gpu`, and their truth as `folder/truth/gpu/hours.parquet`."""
    metrics, second, truth = [], [], []
    begin = datetime(months[0].year, months[0].month, 1)  # noqa: DTZ001 - bills are naive UTC
    for fleet in FLEETS:
        for machine in _machines(fleet, seed, months):
            samples, steps = _ran(fleet, machine, begin)
            metrics += samples
            truth += steps
            if fleet.name == "shared-c":  # two exporters on one machine; the other averages and lags behind
                second += [(at, name, 50.0) for at, name, *_ in samples[:: machine.gpus]]
    metrics.append((begin, _STRAY, "GPU-0", 55.0, 10.0))
    (folder / "gpu").mkdir(parents=True, exist_ok=True)
    columns = ["hour", "instance", "gpu", "busy", "memory"]
    pl.DataFrame(metrics, schema=columns, orient="row").write_parquet(folder / "gpu" / "metrics.parquet")
    averages = pl.DataFrame(second, schema=[*columns[:2], "busy"], orient="row")
    averages.write_parquet(folder / "gpu" / "second_exporter.parquet")
    pl.DataFrame(list(_records(seed, months)), orient="row", schema=list(_RECORD)).write_csv(
        folder / "gpu" / "jobs.csv"
    )
    (folder / "truth" / "gpu").mkdir(parents=True, exist_ok=True)
    names = ["resource_id", "usage_period", "fleet", *_STEPS]
    pl.DataFrame(truth, schema=names, orient="row").write_parquet(folder / "truth" / "gpu" / "hours.parquet")


class _Machine(NamedTuple):
    resource: str
    gpus: int
    hours: tuple[datetime, ...]


def _machines(fleet: Fleet, seed: int, months: Sequence[date]) -> Iterator[_Machine]:
    """Give each node of a fleet with the hours it is billed for, if its whole hours can be told."""
    if not SHAPES[fleet.instance].gpus or fleet.jitter:
        return
    nodes: dict[int, list[datetime]] = defaultdict(list)
    for month in months:
        index = months_since_start(month)
        start = datetime(month.year, month.month, 1)  # noqa: DTZ001 - bills are naive UTC
        shape = (fleet.shape, *fleet.later_shapes)[min(index, len(fleet.later_shapes))]
        on = [start + timedelta(hours=at) for at in range(hours_in(month)) if level(shape, start + timedelta(hours=at))]
        for node in range(fleet.nodes + fleet.added * index):
            nodes[node] += on
    for node, hours in nodes.items():
        yield _Machine(node_id(seed, fleet.name, node), SHAPES[fleet.instance].gpus, tuple(hours))


def _ran(
    fleet: Fleet, machine: _Machine, begin: datetime
) -> tuple[list[tuple[datetime, str, str, float, float]], list[tuple[object, ...]]]:
    """Say what each accelerator did in each hour, and sum what is true of them by month."""
    samples: list[tuple[datetime, str, str, float, float]] = []
    sums: dict[date, list[float]] = defaultdict(lambda: [0.0] * len(_STEPS))
    # What the bills begin with may have run before.
    gap = timedelta(hours=1)
    starts = {later for sooner, later in pairwise([begin - gap, *machine.hours]) if later - sooner > gap}
    for at in machine.hours:
        steps = sums[at.date().replace(day=1)]
        held = _held(fleet.name, at)
        in_use = machine.gpus if held is None else min(held, machine.gpus)
        steps[0] += machine.gpus - in_use
        if not _is_measured(fleet.name, at):
            steps[3] += in_use
            continue
        for gpu in range(machine.gpus):
            busy = _busy(fleet.name, at, gpu) if gpu < in_use else 0
            samples.append((at, machine.resource, f"GPU-{gpu}", float(busy), busy * 0.8))
            if gpu < in_use:
                is_idle = busy < _IDLE_BELOW and at not in starts
                for step, part in ((1, is_idle), (2, not is_idle and 1 - busy / 100), (4, not is_idle and busy / 100)):
                    steps[step] += float(part)
    return samples, [(machine.resource, month, fleet.name, *steps) for month, steps in sums.items()]


def _is_measured(fleet: str, at: datetime) -> bool:
    return fleet in _BUSY and not (fleet == _LOSSY and at.day % 2 == 0)


def _busy(fleet: str, at: datetime, gpu: int) -> int:
    """Say how busy an accelerator was: a whole percent, steady, without chance."""
    by_day, by_night = _BUSY[fleet]
    usual = by_day if 8 <= at.hour < 20 else by_night  # noqa: PLR2004 - hours of the day
    return max(0, min(100, usual + (at.day * 7 + at.hour * 3 + gpu * 5) % 5 - 2)) if usual else 0


def _held(fleet: str, at: datetime) -> int | None:
    """Count the accelerators that jobs held; None where nobody keeps records."""
    if fleet == "adapters":
        return 3  # the bill itself divides these nodes among pods: `examples.pods`
    jobs = [job for job in _JOBS if job.fleet == fleet]
    if not jobs:
        return None
    return sum(
        job.gpus for job in jobs if job.days[0] <= at.day < job.days[1] and job.hours[0] <= at.hour < job.hours[1]
    )


_RECORD: Final = ("job", "name", "node", "started", "ended", "gpus", "kind", "team", "state")


def _records(seed: int, months: Sequence[date]) -> Iterator[tuple[object, ...]]:
    """Write one record per job and day, or one for days that follow each other without a break."""
    for month in months:
        last = hours_in(month) // 24
        for job in _JOBS:
            days = range(job.days[0], min(job.days[1], last + 1))
            whole = job.hours == (0, 24)
            for day in [days[0]] if whole else days:
                first = datetime(month.year, month.month, day)  # noqa: DTZ001
                length = timedelta(days=len(days)) if whole else timedelta(hours=job.hours[1])
                yield (
                    f"{job.name}-{month:%m}{day:02}",
                    job.name,
                    node_id(seed, job.fleet, 0),
                    f"{first + timedelta(hours=0 if whole else job.hours[0]):%Y-%m-%dT%H:%M:%SZ}",
                    f"{first + length:%Y-%m-%dT%H:%M:%SZ}",
                    job.gpus,
                    job.workload,
                    job.team,
                    job.outcome,
                )
