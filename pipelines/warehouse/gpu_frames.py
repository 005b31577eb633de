"""From bills, metrics and job records to the tables of accelerators: frames in, frames out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from models.gpu_division import ROW, divide, follow, weights
from models.gpu_hours_held import held, split_shares
from models.gpu_machines import NAMED, matched
from models.idle import HOUR, MACHINE, device_time, waterfall
from models.idle_settings import Idle
from models.machines import OWNER
from pipelines.warehouse.gpu_tables import GPU_TABLES

_ON: Final = [*MACHINE, "hour"]
_TIMES: Final = ("measured", "idle", "busy", "idle_busy")
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
        samples: `gpu_utilization` with `source` and `billing_period`.
        jobs: `gpu_jobs` likewise.
        split: a bill's division of nodes among pods: `MACHINE`, `hour`, `used_cost`, `unused_cost` in 10⁻¹².
    """

    samples: pl.LazyFrame
    jobs: pl.DataFrame
    split: pl.DataFrame


def gpu_tables(evidence: Evidence, hours: pl.DataFrame, owned: pl.DataFrame, idle: Idle) -> GpuTables:
    """Join metrics and job records to billed machine-hours, and divide the money of their rows.

    Args:
        evidence: what is known beside the bill.
        hours: `ledger.gpu_hours` with a resource: `ROW`, `hour`, `gpu_hours`, `effective_cost`, `list_cost`, and of
            their attribution `idle_reason`, `accelerator_count`, `sub_account_id`, `resource_name`.
        owned: daily rows with an accelerator, or their parts in `computed.allocations`: `ROW`, `daily_id`,
            `own_part`, `usage_period`, `OWNER` and `COST_COLUMNS`.
        idle: what counts as idle.
    """
    capacity = billed_time(hours, idle.grace_hours)
    machines = hours.select(*MACHINE, "resource_name", "sub_account_id").unique()
    measured = _measured(evidence.samples, machines, idle)
    counted, measured = _chosen(measured, capacity, idle)
    records = _records(evidence.jobs, machines)
    by_job, holders = held(records.filter(pl.col("resource_id").is_not_null()), capacity, idle.prefer)
    by_split = split_shares(evidence.split, capacity).join(by_job, on=_ON, how="anti")
    by_split = by_split.with_columns(pod=pl.lit(None, pl.String)).select(by_job.columns)
    who = pl.concat([by_job, by_split])
    pool, own = _by_holder(counted, by_job)
    steps = waterfall(capacity, pool, own, who.group_by(*_ON, "holder").agg(pl.col("held").sum()))
    allocations = allocate(hours, owned, steps, holders)
    return GpuTables(measured, records.select(*GPU_TABLES["ledger.gpu_jobs"][1]), allocations)


def billed_time(hours: pl.DataFrame, grace_hours: int) -> pl.DataFrame:
    """Count the accelerator time that each machine was billed for, hour by hour.

    Machines whose lines are longer than an hour are left out: nobody can say in which of their hours they did what. So
    is what the bill itself calls idle. The hours after a start are in grace, unless the bill begins with them.

    Returns:
        `MACHINE`, `hour`, `billed` > 0 in device-microseconds, `device_count` and `in_grace`.
    """
    units = pl.col("gpu_hours").to_physical().cast(pl.Int128)
    counted = (
        hours.filter(pl.col("gpu_hours").is_not_null() & pl.col("idle_reason").is_null())
        .group_by(_ON)
        .agg(
            billed=(units.sum() * (HOUR // 10**4) // 10**8).cast(pl.Int64),
            per_machine=pl.col("accelerator_count").cast(pl.Float64).max(),
        )
        .filter(pl.col("billed") > 0)
        .sort(_ON)
    )
    gap = (pl.col("hour") - pl.col("hour").shift(1).over(MACHINE)).dt.total_hours()
    ratio = pl.col("billed") / (HOUR * pl.col("per_machine"))
    counted = counted.with_columns(gap=gap, ratio=ratio)
    coarse = (pl.col("ratio").max() > 1.01) & (pl.col("gap").min().fill_null(999) > 1)  # noqa: PLR2004 - rounding
    lasting = counted.join(counted.group_by(MACHINE).agg(is_coarse=coarse).filter(~pl.col("is_coarse")), on=MACHINE)
    lasting = lasting.sort(_ON).with_columns(run=(pl.col("gap") != 1).fill_null(value=True).cum_sum())
    began = pl.col("hour").min().over("run")
    first = pl.col("hour").min().over("charge_source")
    return lasting.select(
        *_ON,
        "billed",
        device_count=pl.col("per_machine") * pl.max_horizontal(pl.col("ratio").ceil(), 1),
        in_grace=(began > first) & ((pl.col("hour") - began).dt.total_hours() < grace_hours),
    )


def _measured(samples: pl.LazyFrame, machines: pl.DataFrame, idle: Idle) -> pl.DataFrame:
    """Sum devices to machines and find the machines on the bills."""
    whole = pl.col("device").is_null() & pl.col("device_count").is_null()
    by = ["source", "billing_period", *NAMED, "hour", "pod", "is_whole", "is_averaged"]
    summed = device_time(
        samples.with_columns(
            pl.col("hour").dt.replace_time_zone(None), is_whole=whole, is_averaged=pl.col("device").is_null()
        ),
        by,
        idle,
    ).collect(engine="streaming")
    named = matched(summed.select(NAMED).unique(), machines)
    named = named.rename({"charge_resource_id": "billed_id"})
    return (
        summed.join(named, on=NAMED, how="left", nulls_equal=True)
        .rename({"resource_id": "named_id", "resource_name": "named"})
        .rename({"billed_id": "resource_id"})
    )


def _chosen(measured: pl.DataFrame, capacity: pl.DataFrame, idle: Idle) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep one source per machine-hour, and tell of every row what it counts as."""
    places = {name: f"0{place:06}" for place, name in enumerate(idle.prefer)}
    order = pl.concat_str(
        pl.col("source").replace_strict(places, default=pl.lit("1")),
        pl.when("is_averaged").then(pl.lit("2")).otherwise(pl.lit("1")),
        "source",
    )
    found = (
        measured.with_row_index("row")
        .join(capacity.select(*_ON, "device_count"), on=_ON, how="left")
        .with_columns(order=order)
        .with_columns(best=pl.col("order").min().over(_ON))
        .with_columns(
            counts_as=pl.when(pl.col("resource_id").is_null())
            .then(pl.lit("unmatched"))
            .when(pl.col("device_count").is_null())
            .then(pl.lit("not_billed"))
            .when(pl.col("order") == pl.col("best"))
            .then(pl.lit("counted"))
            .otherwise(pl.lit("superseded"))
        )
    )
    # An average over all of a machine's accelerators that does not say how many they are stands for those billed.
    times = pl.when("is_whole").then(pl.col("device_count")).otherwise(1.0).fill_null(1.0)
    whole = [(pl.col(name) * times).round().cast(pl.Int64).alias(name) for name in (*_TIMES, "memory")]
    found = found.with_columns(whole)
    counted = found.filter(pl.col("counts_as") == "counted")
    said = found.select(
        "source",
        "billing_period",
        "charge_source",
        "resource_id",
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
    return counted, said


def _records(jobs: pl.DataFrame, machines: pl.DataFrame) -> pl.DataFrame:
    asked = jobs.with_columns(sub_account_id=pl.lit(None, pl.String), project="project_id", month="billing_period")
    named = matched(asked.select(NAMED).unique(), machines).rename({"charge_resource_id": "billed_id"})
    return (
        asked.join(named, on=NAMED, how="left", nulls_equal=True)
        .rename({"resource_id": "named_id", "resource_name": "named"})
        .rename({"billed_id": "resource_id"})
    )


def _by_holder(counted: pl.DataFrame, by_job: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give measured time to the holder whose pod the metric names; the rest is the machine's."""
    pods = by_job.filter(pl.col("pod").is_not_null()).unique([*_ON, "pod"], keep="first", maintain_order=True)
    named = counted.join(pods.select(*_ON, "pod", "holder"), on=[*_ON, "pod"], how="left")
    sums = [pl.col(name).sum() for name in _TIMES]
    pool = named.filter(pl.col("holder").is_null()).group_by(_ON).agg(sums)
    own = named.filter(pl.col("holder").is_not_null()).group_by(*_ON, "holder").agg(sums)
    return pool, own


def allocate(hours: pl.DataFrame, owned: pl.DataFrame, steps: pl.DataFrame, holders: pl.DataFrame) -> pl.DataFrame:
    """Divide the daily rows whose hours the waterfall knows, and the refunds and discounts that belong to them.

    Returns:
        `computed.gpu_allocations`.
    """
    counts = hours.group_by(ROW).agg(pl.col("gpu_hours").sum() if "gpu_hours" in hours.columns else pl.lit(None))
    has_count = hours.filter(pl.col("gpu_hours").is_not_null()).select(ROW).unique()
    counts = counts.join(has_count, on=ROW, nulls_equal=True, how="semi")
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

    keyed = owned.join(counts, on=ROW, how="left", nulls_equal=True)
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
