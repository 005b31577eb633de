"""From bills, metrics and job records to the tables of accelerators: frames in, frames out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from models.capacity_blocks import followed
from models.facts import GPU_UTILIZATION, Schema, schema
from models.gpu_division import ROW, divide, follow, weights
from models.gpu_hours_held import held, split_shares
from models.gpu_machines import NAMED, matched
from models.idle import HOUR, device_time, waterfall
from models.idle_settings import Idle
from models.machines import OWNER
from models.money import MONEY
from pipelines.warehouse.gpu_tables import GPU_TABLES

_ON: Final = ["machine", "hour"]
_TIMES: Final = ("measured", "idle", "busy", "idle_busy")
_UTILIZATION: Final = schema(GPU_UTILIZATION)
_FEES: Final[Schema] = {
    "block": pl.Int64,
    "hour": pl.Datetime("us"),
    "effective_cost": MONEY,
    "is_billed": pl.Boolean,
    "is_told": pl.Boolean,
}
_IN_BLOCKS: Final[Schema] = {
    "block": pl.Int64,
    "machine": pl.Int64,
    "hour": pl.Datetime("us"),
    "gpu_hours": MONEY,
    "is_unused": pl.Boolean,
}
_ADJUSTED: Final = ("charge_source", "usage_period", "accelerator")


@dataclass(frozen=True)
class GpuTables:
    """What becomes of them: the tables of the same names."""

    utilization: pl.DataFrame
    jobs: pl.DataFrame
    allocations: pl.DataFrame


@dataclass(frozen=True)
class Evidence:
    """What is known beside the bill.

    Attributes:
        samples: `gpu_utilization` with `source` and `billing_period`, one frame per partition.
        jobs: `gpu_jobs` likewise, all in one.
        split: a bill's division of nodes among pods, as `gpu_hours_held.SPLIT` has it.
    """

    samples: Sequence[pl.LazyFrame]
    jobs: pl.DataFrame
    split: pl.DataFrame


@dataclass(frozen=True)
class Bill:
    """What bills say of machines with accelerators.

    Attributes:
        machines: their number `machine`, `charge_source`, `resource_id`, `resource_name`, `sub_account_id`; a machine
            may stand in several rows.
        hours: `ledger.gpu_hours` of these machines: `ROW`, `hour`, `gpu_hours`, `effective_cost`, `list_cost`, and of
            their attribution `idle_reason` and `accelerator_count`.
        owned: daily rows with an accelerator, or their parts in `computed.allocations`: `ROW`, `charge_source`,
            `billing_period`, `daily_id`, `own_part`, `usage_period`, `OWNER` and `COST_COLUMNS`.
        fees: hours that fees of Capacity Blocks lie on, as `capacity_blocks.followed` takes them; a `block` is the
            number of a machine.
        in_blocks: what was billed in these blocks, likewise.
    """

    machines: pl.DataFrame
    hours: pl.DataFrame
    owned: pl.DataFrame
    fees: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_FEES))
    in_blocks: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_IN_BLOCKS))


def gpu_tables(evidence: Evidence, bill: Bill, idle: Idle) -> GpuTables:
    """Join metrics and job records to billed machine-hours, and divide the money of their rows."""
    sources = bill.machines.select("machine", "charge_source").unique()
    capacity = billed_time(bill.hours, sources, idle.grace_hours)
    counted, said = _measured(evidence.samples, bill.machines, capacity, idle)
    records = _records(evidence.jobs, bill.machines)
    by_job, holders = held(records.filter(pl.col("machine").is_not_null()), capacity, idle.prefer)
    by_split, of_split = split_shares(evidence.split, capacity, holders.height)
    by_split = by_split.join(by_job, on="slot", how="anti")
    holders = pl.concat([holders, of_split], how="diagonal")
    pool, own = _by_holder(counted, by_job)
    who = pl.concat([by_job.select("slot", "holder", "held"), by_split])
    who = who.group_by("slot", "holder").agg(pl.col("held").sum())
    steps = waterfall(capacity.select("slot", "billed", "in_grace"), pool, own, who)
    blocks, in_blocks = followed(bill.fees, bill.in_blocks, capacity, steps)
    steps = pl.concat([steps.with_columns(unused_reservation=pl.lit(0, pl.Int64)), in_blocks], how="diagonal")
    slots = pl.concat([capacity.select("slot", *_ON), blocks])
    hours = bill.hours.join(slots, on=_ON, how="left")
    return GpuTables(
        said,
        records.select(*GPU_TABLES["ledger.gpu_jobs"][1]),
        allocate(hours, bill.owned, steps, holders),
    )


def billed_time(hours: pl.DataFrame, sources: pl.DataFrame, grace_hours: int) -> pl.DataFrame:
    """Count the accelerator time that each machine was billed for, hour by hour.

    Machines whose lines are longer than an hour are left out: nobody can say in which of their hours they did what. So
    is what the bill itself calls idle. The hours after a start are in grace, unless the bill begins with them.

    Returns:
        One row per machine-hour: its number `slot`, `machine`, `hour`, `billed` > 0 in device-microseconds,
        `device_count` and `in_grace`.
    """
    units = pl.col("gpu_hours").to_physical().cast(pl.Int128)
    counted = (
        hours.filter(pl.col("gpu_hours").is_not_null() & pl.col("idle_reason").is_null())
        .group_by(_ON)
        .agg(
            billed=(units.sum() * (HOUR // 10**4) // 10**8).cast(pl.Int64),
            per_machine=pl.col("accelerator_count").max().cast(pl.Float64),
        )
        .filter(pl.col("billed") > 0)
        .sort(_ON)
    )
    same = pl.col("machine") == pl.col("machine").shift(1)
    gap = pl.when(same).then((pl.col("hour") - pl.col("hour").shift(1)).dt.total_hours())
    counted = counted.with_columns(gap=gap, ratio=pl.col("billed") / (HOUR * pl.col("per_machine")))
    coarse = (pl.col("ratio").max() > 1.01) & (pl.col("gap").min().fill_null(999) > 1)  # noqa: PLR2004 - rounding
    too_coarse = counted.group_by("machine").agg(is_coarse=coarse).filter("is_coarse")
    counted = counted.join(too_coarse, on="machine", how="anti").join(sources, on="machine", how="left")
    counted = counted.sort(_ON).with_columns(run=(pl.col("gap") != 1).fill_null(value=True).cum_sum())
    began = pl.col("hour").first().over("run")
    first = pl.col("hour").min().over("charge_source")
    return counted.select(
        pl.int_range(pl.len()).alias("slot"),
        *_ON,
        "billed",
        device_count=pl.col("per_machine") * pl.max_horizontal(pl.col("ratio").ceil(), 1),
        in_grace=(began > first) & ((pl.col("hour") - began).dt.total_hours() < grace_hours),
    )


def _measured(
    samples: Sequence[pl.LazyFrame], machines: pl.DataFrame, capacity: pl.DataFrame, idle: Idle
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sum devices to machine-hours: those that count, and all with what becomes of them."""
    summed = [_summed(partition, idle) for partition in samples]
    if not summed:
        summed = [_summed(pl.LazyFrame(schema={"source": pl.String, "billing_period": pl.Date, **_UTILIZATION}), idle)]
    measured = pl.concat(summed)
    named = matched(measured.select(NAMED).unique(), machines).with_row_index("named_as")
    measured = measured.join(named.select(*NAMED, "named_as", "machine"), on=NAMED, how="left", nulls_equal=True)
    return _chosen(measured.drop("sub_account_id"), named, machines, capacity, idle)


def _summed(samples: pl.LazyFrame, idle: Idle) -> pl.DataFrame:
    """Sum devices to machines by hour; columns that say nothing in the partition would double the time of grouping."""
    said = ["resource_id", "resource_name", "sub_account_id", "pod", "device", "device_count"]
    counts = samples.select(pl.len().alias("rows"), *(pl.col(name).count() for name in said)).collect(
        engine="streaming"
    )
    rows = counts["rows"].item()
    by = [name for name in (*NAMED, "pod") if counts[name].item()]
    averaged = {"is_averaged": pl.col("device").is_null()}
    whole = {"is_whole": pl.col("device").is_null() & pl.col("device_count").is_null()}
    flags = {} if counts["device"].item() == rows else {**averaged, **whole}
    found = device_time(
        samples.with_columns(pl.col("hour").dt.replace_time_zone(None), **flags), [*by, "hour", *flags], idle
    ).collect(engine="streaming")
    where = samples.select("source", "billing_period").head(1).collect()
    source, month = where.row(0) if where.height else (None, None)
    return found.select(
        pl.lit(source, pl.String).alias("source"),
        pl.lit(month, pl.Date).alias("billing_period"),
        *(pl.col(name) if name in by else pl.lit(None, pl.String).alias(name) for name in (*NAMED, "pod")),
        "hour",
        *(pl.col(name) if name in flags else pl.lit(value=False).alias(name) for name in ("is_averaged", "is_whole")),
        *_TIMES,
        "memory",
        "invocations",
        "samples",
        "devices",
    )


def _chosen(
    measured: pl.DataFrame, named: pl.DataFrame, machines: pl.DataFrame, capacity: pl.DataFrame, idle: Idle
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep one source per machine-hour, and tell of every row what it counts as."""
    found = measured.join(capacity.select("slot", *_ON, "device_count"), on=_ON, how="left")
    kinds = _ordered(found.select("source", "is_averaged").unique(), idle)
    found = found.join(kinds, on=["source", "is_averaged"], how="left")
    if kinds.height > 1:
        found = found.with_columns(best=pl.col("order").min().over("slot"))
    else:
        found = found.with_columns(best="order")
    found = found.with_columns(
        counts_as=pl.when(pl.col("machine").is_null())
        .then(pl.lit("unmatched"))
        .when(pl.col("slot").is_null())
        .then(pl.lit("not_billed"))
        .when(pl.col("order") == pl.col("best"))
        .then(pl.lit("counted"))
        .otherwise(pl.lit("superseded"))
    )
    if found["is_whole"].any():
        # An average over all of a machine's accelerators that does not say how many they are stands for those billed.
        times = pl.when("is_whole").then(pl.col("device_count")).otherwise(1.0).fill_null(1.0)
        found = found.with_columns((pl.col(name) * times).round().cast(pl.Int64) for name in (*_TIMES, "memory"))
    counted = found.filter(pl.col("counts_as") == "counted").select("slot", "pod", *_TIMES)
    billed = machines.select("machine", "charge_source", billed_id="resource_id").unique()
    names = named.join(billed, on="machine", how="left").select(
        "named_as", "charge_source", "billed_id", "match", named_id="resource_id", named="resource_name"
    )
    said = (
        found.drop("resource_id", "resource_name")
        .join(names, on="named_as", how="left")
        .select(
            "source",
            "billing_period",
            "charge_source",
            pl.col("billed_id").alias("resource_id"),
            "named_id",
            "named",
            "match",
            pl.col("hour").alias("usage_hour"),
            "pod",
            "counts_as",
            "devices",
            measured_hours=pl.col("measured") / HOUR,
            busy_hours=(pl.col("busy") + pl.col("idle_busy")) / HOUR,
            idle_hours=pl.col("idle") / HOUR,
            memory_hours=pl.col("memory") / HOUR,
            invocations="invocations",
            samples="samples",
        )
    )
    return counted, said


def _ordered(kinds: pl.DataFrame, idle: Idle) -> pl.DataFrame:
    """Say in which order sources count: those preferred, then those of single devices, then by name."""
    rows = sorted(
        kinds.rows(),
        key=lambda row: (idle.prefer.index(row[0]) if row[0] in idle.prefer else len(idle.prefer), row[1], str(row[0])),
    )
    schema = {**kinds.schema, "order": pl.Int64()}
    return pl.DataFrame([(*row, place) for place, row in enumerate(rows)], schema=schema, orient="row")


def _records(jobs: pl.DataFrame, machines: pl.DataFrame) -> pl.DataFrame:
    asked = jobs.with_columns(sub_account_id=pl.lit(None, pl.String), project="project_id", month="billing_period")
    named = matched(asked.select(NAMED).unique(), machines)
    billed = machines.select("machine", "charge_source", billed_id="resource_id").unique()
    return (
        asked.join(named.join(billed, on="machine", how="left"), on=NAMED, how="left", nulls_equal=True)
        .rename({"resource_id": "named_id", "resource_name": "named"})
        .rename({"billed_id": "resource_id"})
    )


def _by_holder(counted: pl.DataFrame, by_job: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give measured time to the holder whose pod the metric names; the rest is the machine's."""
    pods = by_job.filter(pl.col("pod").is_not_null()).unique(["slot", "pod"], keep="first", maintain_order=True)
    named = counted.join(pods.select("slot", "pod", "holder"), on=["slot", "pod"], how="left")
    sums = [pl.col(name).sum() for name in _TIMES]
    pool = named.filter(pl.col("holder").is_null()).group_by("slot").agg(sums)
    own = named.filter(pl.col("holder").is_not_null()).group_by("slot", "holder").agg(sums)
    return pool, own


def allocate(hours: pl.DataFrame, owned: pl.DataFrame, steps: pl.DataFrame, holders: pl.DataFrame) -> pl.DataFrame:
    """Divide the daily rows whose hours the waterfall knows, and the refunds and discounts that belong to them.

    Returns:
        `computed.gpu_allocations`.
    """
    counts = hours.filter(pl.col("gpu_hours").is_not_null()).group_by(ROW).agg(pl.col("gpu_hours").sum())
    owned = _with_hours(owned.with_row_index("owned_id").cast({"owned_id": pl.Int64}), counts)
    weighed = weights(hours, steps)
    parts = divide(owned, weighed, holders)
    refunds = owned.filter(pl.col("effective_cost") < 0, pl.col("accelerator").is_not_null())
    refunds = refunds.filter(pl.col("idle_reason").is_null()).join(
        parts.filter(pl.col("step").is_not_null()), on="owned_id", how="anti"
    )
    if refunds.height:
        paid = (
            parts.with_columns(step=pl.when(pl.col("accelerator").is_not_null()).then(_step()))
            .join(owned.select("owned_id", "charge_source", "usage_period"), on="owned_id")
            .filter((pl.col("effective_cost") > 0) & pl.col("step").is_not_null())
            .group_by(*_ADJUSTED, "step")
            .agg(units=pl.col("effective_cost").sum().to_physical().cast(pl.Int128))
        )
        adjusted = follow(refunds.select("owned_id", *_ADJUSTED), paid, _ADJUSTED).with_columns(
            holder=pl.lit(0, pl.Int64)
        )
        like = divide(refunds, adjusted, holders, ["owned_id"]).filter(pl.col("step").is_not_null())
        like = like.with_columns(method=pl.lit("like_the_money_it_adjusts"))
        parts = pl.concat([parts.join(like, on="owned_id", how="anti"), like])
    return _numbered(parts, owned)


def _step() -> pl.Expr:
    """Name the step of a part: `busy` only where metrics say so."""
    return pl.coalesce("step", "idle_reason", pl.lit("unmeasured"))


def _with_hours(owned: pl.DataFrame, counts: pl.DataFrame) -> pl.DataFrame:
    """Give each row's accelerator-hours to its first daily row, and there to its parts by their money."""
    from models.token_allocation import shares

    keyed = owned.join(counts, on=ROW, how="left")
    first = pl.col("daily_id") == pl.col("daily_id").min().over(ROW)
    keyed = keyed.with_columns(pl.when(first).then("gpu_hours").alias("gpu_hours"))
    weight = keyed["effective_cost"].to_physical().abs().cast(pl.Int128)
    row = keyed.select(
        pl.struct("charge_source", "billing_period", "daily_id").rank("dense").cast(pl.Int64)
    ).to_series()
    scaled = keyed.select(weight=pl.max_horizontal(weight // 10**3, 1)).to_series()
    return keyed.with_columns(shares(row, keyed["gpu_hours"], scaled).alias("gpu_hours"))


def _numbered(parts: pl.DataFrame, owned: pl.DataFrame) -> pl.DataFrame:
    """Number the parts of each daily row that anything was found out about."""
    row = ["charge_source", "billing_period", "daily_id"]
    placed = parts.join(owned.select("owned_id", *row, "own_part"), on="owned_id")
    touched = placed.filter(pl.col("step").is_not_null()).select(row).unique()
    order = [*row, "own_part", *OWNER, "namespace", "outcome", "step"]
    return (
        placed.join(touched, on=row, how="semi")
        .sort(order, nulls_last=True)
        .with_columns(
            part=(pl.int_range(pl.len()).over(row) + 1).cast(pl.Int32),
            is_busy=(pl.col("step") == "busy").fill_null(value=False),
            method=pl.col("method").fill_null("like_the_rest_of_the_row"),
            source="charge_source",
        )
        .select(*GPU_TABLES["computed.gpu_allocations"][1])
    )
