"""What series of metrics say of accelerators: samples of any API, as one row per device and hour.

A connector tells for each series which device it is about and what it says of it (`Reading`); everything after that is
the same for all of them: what is preferred, what stands twice, what is blank.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from connectors import samples, tabular
from models.errors import BadInput
from models.facts import GPU_UTILIZATION, declared

HOUR: Final = 3600
# Exporters overshoot by a little; more is another unit or a broken exporter.
TOLERANCE: Final = 1.005
DECIMALS: Final = 9
# What DCGM writes where it has no value, as 64-bit and 32-bit integers and as floats; each in four kinds of "none".
_BLANKS: Final = ((2.0**63 - 2**11, 2.0**64), (2**31 - 16, 2**31 - 1), (2.0**47, 2.0**47 + 15))


class Role(StrEnum):
    """What a series says."""

    BUSY = "busy"
    MEMORY = "memory"
    MEMORY_USED = "memory_used"
    MEMORY_FREE = "memory_free"
    MEMORY_TOTAL = "memory_total"
    TENSOR = "tensor"
    INVOCATIONS = "invocations"
    DEVICES = "devices"
    RUNNING = "running"
    WAITING = "waiting"


FRACTIONS: Final = (Role.BUSY, Role.MEMORY, Role.TENSOR)


@dataclass(frozen=True)
class Device:
    """An accelerator, a slice of one, or all of a resource's together.

    Attributes:
        whole: what this is a part of; where parts are measured, the whole's own figure is left out.
        facts: columns of `GPU_UTILIZATION` that do not tell devices apart: share, count, accelerator.
    """

    resource_kind: str
    resource_id: str | None = None
    resource_name: str | None = None
    sub_account_id: str | None = None
    region_id: str | None = None
    cluster: str | None = None
    device: str | None = None
    whole: Device | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Reading:
    """What one series says.

    Attributes:
        device: of which device; None for a server's queue, which goes by its pod.
        metric: as `GPU_UTILIZATION.metric` names it.
        scale: what a value is multiplied with to be a fraction of 1.
        rank: the lowest is preferred where several series say the same.
    """

    role: Role
    metric: str
    device: Device | None
    scale: float = 1.0
    rank: int = 0
    namespace: str | None = None
    pod: str | None = None


class Readings:
    """The series of one file, numbered as in the file, and their devices, numbered here."""

    def __init__(self, name: str, of_series: Sequence[Reading | None]) -> None:
        self.name = name
        self.of_series = of_series
        self.devices: dict[Device, int] = {}
        for reading in of_series:
            for device in (reading and reading.device, reading and reading.device and reading.device.whole):
                if device:
                    self.devices.setdefault(device, len(self.devices))

    def number(self, device: Device | None) -> int | None:
        """Give a device's number."""
        return None if device is None else self.devices[device]

    @cached_property
    def keys(self) -> list[tuple[Any, ...] | None]:
        """Give what each series measures: device, role, rank and metric; a queue's series measures only itself."""
        return [
            (self.number(one.device), one.role, one.rank, one.metric, None if one.device else number) if one else None
            for number, one in enumerate(self.of_series)
        ]

    @cached_property
    def repeated(self) -> list[bool]:
        """Tell the series that measure what another one measures too: pods that share a device, two scrapers."""
        times = Counter(self.keys)
        return [key is not None and times[key] > 1 for key in self.keys]

    def series(self) -> pl.DataFrame:
        """Give one row per series that says something."""
        rows = [
            (number, one.role, one.metric, self.number(one.device), one.scale, one.rank, one.namespace, one.pod, again)
            for (number, one), again in zip(enumerate(self.of_series), self.repeated, strict=True)
            if one
        ]
        types = {
            "series": pl.Int32,
            "role": pl.String,
            "metric": pl.String,
            "number": pl.Int32,
            "scale": pl.Float64,
            "rank": pl.Int32,
            "namespace": pl.String,
            "pod": pl.String,
            "repeated": pl.Boolean,
        }
        return pl.DataFrame(rows, schema=types, orient="row")

    def identities(self) -> pl.DataFrame:
        """Give one row per device."""
        types = {"number": pl.Int32, "whole": pl.Int32}
        columns = [
            *("resource_kind", "resource_id", "resource_name", "sub_account_id", "region_id", "cluster", "device"),
            *("device_share", "device_count", "accelerator"),
        ]
        rows = []
        for device, number in self.devices.items():
            said = {**asdict(device), **device.facts}
            rows.append(
                {"number": number, "whole": self.number(device.whole), **{name: said.get(name) for name in columns}}
            )
        return pl.DataFrame(rows, schema={**types, **{name: GPU_UTILIZATION[name].dtype for name in columns}})


def utilization(path: Path, readings: Readings) -> pl.LazyFrame:
    """Give one row per device and hour of a file."""
    sampled = samples.scan(path).filter(valid()).with_columns(hour=pl.col("at").dt.truncate("1h"))
    meaning = readings.series().lazy()
    found = _by_hour(sampled, "series").join(meaning, on="series")
    found = found.with_columns(pl.col("mean", "total", "largest") * pl.col("scale"))
    hours = found.filter(~pl.col("repeated") & pl.col("number").is_not_null())
    if any(readings.repeated):
        hours = pl.concat([hours, _once(sampled.join(meaning, on="series"))], how="diagonal")
    busy = _preferred(hours.filter(pl.col("role") == Role.BUSY), readings)
    idle = _without_calls(hours, busy, readings)
    measured = pl.concat([busy, idle], how="diagonal")
    for role, column in _COLUMNS.items():
        measured = measured.join(_means(hours, role, column), on=["number", "hour"], how="left")
    free, total = pl.col("memory_used") + pl.col("memory_free"), pl.col("memory_total")
    used = pl.col("memory_used") / pl.coalesce(total, free)
    rows = (
        measured.join(_pods(found), on=["number", "hour"], how="left")
        .join(_queues(found), on=["number", "hour"], how="left")
        .join(readings.identities().lazy(), on="number", how="left")
        .with_columns(
            source_file=pl.lit(readings.name),
            busy_fraction=pl.col("busy_fraction").round(DECIMALS).clip(0, 1),
            memory_fraction=pl.coalesce("memory", pl.when(used.is_finite()).then(used)).round(DECIMALS).clip(0, 1),
            tensor_fraction=pl.col("tensor").round(DECIMALS).clip(0, 1),
            measured_seconds=pl.col("measured_seconds").clip(0, HOUR),
            device_count=pl.coalesce(
                (pl.col("devices") * pl.col("device_count").fill_null(1)).round().cast(pl.Int64), pl.col("device_count")
            ),
            invocations=pl.col("invocations").round(DECIMALS),
        )
        .sort("source_row")
    )
    return declared(rows.select([column for column in GPU_UTILIZATION if column in _FILLED]), GPU_UTILIZATION)


_COLUMNS: Final = {
    Role.MEMORY: "memory",
    Role.MEMORY_USED: "memory_used",
    Role.MEMORY_FREE: "memory_free",
    Role.MEMORY_TOTAL: "memory_total",
    Role.TENSOR: "tensor",
    Role.INVOCATIONS: "invocations",
    Role.DEVICES: "devices",
}
_FILLED: Final = set(GPU_UTILIZATION)


def valid() -> pl.Expr:
    """Tell samples from blanks: what is no number or one of DCGM's words for none was not measured."""
    value = pl.col("value")
    blank = pl.any_horizontal(*[(value >= low) & (value <= high) for low, high in _BLANKS])
    return value.is_finite() & ~blank


def _by_hour(found: pl.LazyFrame, *keys: str) -> pl.LazyFrame:
    return found.group_by(*keys, "hour").agg(
        mean=(pl.col("value") * pl.col("seconds")).sum() / pl.col("seconds").sum(),
        total=pl.col("value").sum(),
        largest=pl.col("value").max(),
        measured_seconds=pl.col("seconds").sum().cast(pl.Int64),
        sample_count=pl.len().cast(pl.Int64),
        source_row=pl.col(tabular.ROW).min(),
    )


def _once(found: pl.LazyFrame) -> pl.LazyFrame:
    """Give the hours of what several series measure, each instant counted once.

    Time-slicing repeats a device's value for every pod on it, and two scrapers see it twice.
    """
    keys = ("number", "role", "rank", "metric")
    instants = (
        found.filter(pl.col("repeated") & pl.col("number").is_not_null())
        .group_by(*keys, "hour", "at")
        .agg((pl.col("value") * pl.col("scale")).mean(), pl.col("seconds").max(), pl.col(tabular.ROW).min())
    )
    return _by_hour(instants, *keys)


def _first(found: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the preferred series of each device and hour."""
    return found.sort("rank", "metric").unique(["number", "hour"], keep="first", maintain_order=True)


def _preferred(found: pl.LazyFrame, readings: Readings) -> pl.LazyFrame:
    """Keep one row per device and hour, and no whole whose parts are measured."""
    wholes = readings.identities().lazy().select("number", "whole")
    parts = found.join(wholes, on="number").filter(pl.col("whole").is_not_null())
    return (
        _first(found)
        .join(parts.select(number="whole", hour="hour").unique(), on=["number", "hour"], how="anti")
        .select("number", "hour", "metric", "measured_seconds", "sample_count", "source_row", busy_fraction="mean")
    )


def _without_calls(hours: pl.LazyFrame, busy: pl.LazyFrame, readings: Readings) -> pl.LazyFrame:
    """Give the hours without one call of endpoints whose accelerators nobody measured: those did nothing."""
    wholes = readings.identities().lazy().select("number", "whole")
    measured = (
        busy.select("number", "hour").join(wholes, on="number").select("hour", pl.col("whole").fill_null(-1), "number")
    )
    told = pl.concat(
        [measured.select("number", "hour"), measured.select("hour", number="whole").select("number", "hour")]
    )
    return (
        hours.filter((pl.col("role") == Role.INVOCATIONS) & (pl.col("largest") == 0))
        .join(told.unique(), on=["number", "hour"], how="anti")
        .select(
            *("number", "hour", "metric", "measured_seconds", "sample_count", "source_row"),
            busy_fraction=pl.lit(0.0),
        )
    )


def _means(hours: pl.LazyFrame, role: Role, column: str) -> pl.LazyFrame:
    kept = _first(hours.filter(pl.col("role") == role))
    return kept.select(
        "number", "hour", (pl.col("total") if role == Role.INVOCATIONS else pl.col("mean")).alias(column)
    )


def _holders(found: pl.LazyFrame) -> pl.LazyFrame:
    held = (pl.col("role") == Role.BUSY) & pl.col("pod").is_not_null()
    return found.filter(held).select("number", "hour", "namespace", "pod").unique()


def _pods(found: pl.LazyFrame) -> pl.LazyFrame:
    """Give the pods that held a device within the hour; several share one by time-slicing or one after another."""
    return (
        _holders(found)
        .group_by("number", "hour")
        .agg(*[pl.col(name).drop_nulls().unique().sort().str.join(",") for name in ("namespace", "pod")])
    )


def _queues(found: pl.LazyFrame) -> pl.LazyFrame:
    """Give the requests that the servers on a device had in work and waiting, the engines of a server added up."""
    roles = {Role.RUNNING: "requests_running", Role.WAITING: "requests_waiting"}
    servers = (
        found.filter(pl.col("role").is_in(list(roles)))
        .group_by("namespace", "pod", "hour")
        .agg(
            **{
                column: pl.when((pl.col("role") == role).any()).then(
                    pl.col("mean").filter(pl.col("role") == role).sum()
                )
                for role, column in roles.items()
            }
        )
    )
    return (
        _holders(found)
        .join(servers, on=["namespace", "pod", "hour"])
        .group_by("number", "hour")
        .agg(*[pl.col(column).sum().round(DECIMALS) for column in roles.values()])
    )


def counted(path: Path, readings: Readings) -> dict[str, int]:
    """Count rows, samples and seconds with Arrow and Python alone, and check every value on the way.

    Raises:
        BadInput: a fraction is negative or more than 1; names file, row and metric.
    """
    native = samples.table(path, readings.name)
    _check(native, readings)
    roles = [one.role if one else "" for one in readings.of_series]
    wanted = pa.array([role in {Role.BUSY, Role.INVOCATIONS} for role in roles], pa.bool_())
    kept = native.filter(pc.and_(pc.take(wanted, native["series"]), _is_valid(native["value"])))
    if not kept.num_rows:
        return {"rows": 0, "measured_seconds": 0, "sample_count": 0}
    keys = [key and (key[1], key[2], key[3], key[0]) for key in readings.keys]
    numbered = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    key_of = pa.array([numbered[key] for key in keys], pa.int32())
    kept = kept.append_column("hour", pc.divide(kept["at"].cast("int64"), HOUR * samples.SECOND))
    kept = kept.append_column("key", pc.take(key_of, kept["series"]))
    again = pc.take(pa.array(readings.repeated, pa.bool_()), kept["series"])
    instants = kept.filter(again).group_by(["key", "hour", "at"]).aggregate([("seconds", "max"), ("value", "max")])
    instants = instants.rename_columns(["key", "hour", "at", "seconds", "value"])
    sums = [("seconds", "sum"), ("seconds", "count"), ("value", "max")]
    hours = [one.group_by(["key", "hour"]).aggregate(sums) for one in (kept.filter(pc.invert(again)), instants)]
    by_number = list(numbered)
    busy: dict[Any, Any] = {}
    calls: dict[Any, Any] = {}
    for row in (row for one in hours for row in one.to_pylist()):
        role, rank, metric, device = by_number[row["key"]]
        said = (rank, metric, min(row["seconds_sum"], HOUR), row["seconds_count"])
        if role == Role.BUSY:
            busy[device, row["hour"]] = min(busy.get((device, row["hour"]), said), said)
        elif row["value_max"] == 0:
            calls[device, row["hour"]] = said
    return _tally(readings, busy, calls)


def _tally(readings: Readings, busy: dict[Any, Any], calls: dict[Any, Any]) -> dict[str, int]:
    whole_of = {number: readings.number(device.whole) for device, number in readings.devices.items()}
    in_parts = {(whole_of[device], hour) for device, hour in busy if whole_of[device] is not None}
    rows = [said for key, said in busy.items() if key not in in_parts]
    rows += [said for key, said in calls.items() if key not in busy and key not in in_parts]
    return {
        "rows": len(rows),
        "measured_seconds": sum(said[2] for said in rows),
        "sample_count": sum(said[3] for said in rows),
    }


def _is_valid(value: Any) -> Any:
    good = pc.is_finite(value)
    for low, high in _BLANKS:
        good = pc.and_(good, pc.or_(pc.less(value, low), pc.greater(value, high)))
    return good


def _check(native: Any, readings: Readings) -> None:
    # More than any fraction where a value is none, so that one comparison serves all series.
    highest = pa.array(
        [TOLERANCE / one.scale if one and one.role in FRACTIONS else float("inf") for one in readings.of_series],
        pa.float64(),
    )
    value = native["value"]
    told = pa.array([one is not None for one in readings.of_series], pa.bool_())
    wrong = pc.or_(pc.less(value, 0), pc.greater(value, pc.take(highest, native["series"])))
    bad = pc.and_(pc.and_(wrong, pc.take(told, native["series"])), _is_valid(value))
    if not pc.any(bad).as_py():
        return
    row = pc.index(bad, value=True).as_py()
    reading = readings.of_series[native["series"][row].as_py()]
    if reading is None:
        raise TypeError(row)
    at, found = native["at"][row].as_py(), value[row].as_py()
    problem = f"{found:g} at {at:%Y-%m-%d %H:%M} is no share of time or memory: 0 to {1 / reading.scale:g} was expected"
    if reading.role not in FRACTIONS:
        problem = f"{found:g} at {at:%Y-%m-%d %H:%M} is less than nothing"
    fix = "Correct what exports the metric, or leave the series out of what is asked for"
    raise BadInput(readings.name, problem, fix, f"row {row + 1}, column {reading.metric}")


def added(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Add up what files hold."""
    total: dict[str, int] = defaultdict(int, rows=0)
    for part in parts:
        for name, value in part.items():
            total[name] += value
    return dict(total)
