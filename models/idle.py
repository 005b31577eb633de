"""The waterfall of one machine-hour: what of the accelerator time that was billed was held, measured, idle and busy.

Time is whole microseconds of one accelerator (device-microseconds), so that sums do not depend on their order. Money
comes later (`models.gpu_division`): here only its weights are made, and those of an hour always sum to what was billed.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from models.idle_settings import Idle
from models.money import known_sum

MICROSECONDS: Final = 1_000_000
HOUR: Final = 3600 * MICROSECONDS
# Steps that hours decide, in the order in which they take time; what a bill itself calls idle comes before them.
STEPS: Final = ("unallocated", "idle", "underutilized", "unmeasured", "busy")
# What is taken first for accelerators that nobody held: idle ones, then those nobody measured, then used ones.
_TAKEN: Final = ("idle", "unmeasured", "underutilized", "busy")
_MEASURED: Final = ("idle", "underutilized", "busy")
NOBODY: Final = -1
OWNER_OF_KEY: Final = 0


def device_time(samples: pl.LazyFrame, by: list[str], settings: Idle) -> pl.LazyFrame:
    """Sum devices to rows of `by`: how long they were measured, idle and busy.

    Args:
        samples: rows of `gpu_utilization`.
        by: columns that tell machine, hour and holder; `hour` and what names the device's machine are among them.
        settings: what counts as idle.

    Returns:
        Per group: `measured`, `idle`, `busy` and `idle_busy` (the busy part of what is idle) in device-microseconds,
        `memory` likewise (null where nobody measured memory), `invocations`, `samples`, `devices`.
    """
    devices = pl.col("device_share").fill_null(1.0) * pl.col("device_count").fill_null(1)
    measured = (pl.col("measured_seconds") * devices * MICROSECONDS).round().cast(pl.Int64)
    below = pl.col("busy_fraction") < settings.idle_below
    if settings.idle_hours > 1:
        samples = _with_run_length(samples, below, by)
        below &= pl.col("run_length") >= settings.idle_hours
    timed = samples.with_columns(
        measured=measured,
        is_idle=below,
        used=(pl.col("busy_fraction").cast(pl.Float64) * measured).round().cast(pl.Int64),
        kept=(pl.col("memory_fraction") * measured).round().cast(pl.Int64),
    )
    there = pl.col("is_idle")
    return timed.group_by(by).agg(
        pl.col("measured").sum(),
        idle=pl.when(there).then("measured").otherwise(0).sum(),
        busy=pl.when(there).then(0).otherwise("used").sum(),
        idle_busy=pl.when(there).then("used").otherwise(0).sum(),
        memory=known_sum("kept"),
        invocations=known_sum("invocations"),
        samples=pl.col("sample_count").sum(),
        devices=pl.len().cast(pl.Int64),
    )


def _with_run_length(samples: pl.LazyFrame, below: pl.Expr, by: list[str]) -> pl.LazyFrame:
    """Add how many hours in a row a device has been below, the gap of an hour ends a row."""
    device = [*(name for name in by if name not in {"hour", "pod"}), "device"]
    follows = (pl.col("hour") - pl.col("hour").shift(1).over(device)) == pl.duration(hours=1)
    same = below == below.shift(1).over(device)
    return (
        samples.sort(*device, "hour", nulls_last=True)
        .with_columns(run=(~(follows & same).fill_null(value=False)).cum_sum())
        .with_columns(run_length=pl.len().over("run"))
        .drop("run")
    )


def waterfall(capacity: pl.DataFrame, pool: pl.DataFrame, own: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Divide the accelerator time that was billed in each machine-hour.

    Held time is what jobs asked for; without records of jobs all of it counts as held by whom the bill names. Time that
    nobody held is taken from what metrics found idle first, then from what nobody measured, and only then from what was
    used: metrics that are missing never make time idle. Measured time beyond what was billed (another clock, a machine
    that stopped early) is scaled down to it.

    Args:
        capacity: one row per machine-hour that was billed: its number `slot`, `billed` > 0 and `in_grace`.
        pool: measured time of devices that no holder is known of: `slot`, and the times that `device_time` gives.
        own: measured time of a holder's own devices: the same and `holder`.
        held: records of jobs: `slot`, `holder` and `held`; a machine-hour that records cover and in which nobody held
            anything has one row with `held` 0. Others are not covered.

    Returns:
        One row per `slot` and `holder` (`NOBODY` for what was not held, `OWNER_OF_KEY` without records): `billed` and
        `STEPS`, in device-microseconds ≥ 0 that sum to `billed` per slot. Machine-hours without any record or metric
        are left out.
    """
    shared = pl.concat([held.select("slot"), own.select("slot")]).unique()
    alone = pool.join(shared, on="slot", how="anti").join(capacity, on="slot").pipe(_in_grace)
    alone = _scaled(alone, "billed", "", "own_").select(
        "slot",
        "billed",
        holder=pl.lit(OWNER_OF_KEY, pl.Int64),
        unallocated=pl.lit(0, pl.Int64),
        idle="own_idle",
        underutilized="own_underutilized",
        unmeasured=pl.col("billed") - pl.min_horizontal("measured", "billed"),
        busy="own_busy",
    )
    if shared.is_empty():
        return alone
    return pl.concat([alone, _shared(capacity.join(shared, on="slot", how="semi"), pool, own, held)])


def _shared(capacity: pl.DataFrame, pool: pl.DataFrame, own: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Divide machine-hours that job records or the metrics of pods speak of."""
    holders = held.join(capacity.select("slot", "billed"), on="slot")
    records = holders.group_by("slot").agg(asked=pl.col("held").sum())
    hours = capacity.join(records, on="slot", how="left")
    holders = _holders(hours, holders, own)
    claimed = holders.group_by("slot").agg(
        claimed=pl.sum_horizontal(f"own_{step}" for step in _MEASURED).sum(), free=pl.col("free").sum()
    )
    hours = _pooled(hours.join(claimed, on="slot", how="left"), pool)
    parts = holders.join(hours.select("slot", *(f"left_{step}" for step in _TAKEN)), on="slot")
    parts = parts.sort("slot", "holder").with_columns(
        _spread(f"left_{step}", "free").alias(f"left_{step}") for step in _TAKEN
    )
    nobody = hours.filter(pl.col("nobody") > 0).select(
        "slot",
        "billed",
        holder=pl.lit(NOBODY, pl.Int64),
        unallocated="nobody",
        **{step: pl.lit(0, pl.Int64) for step in STEPS[1:]},
    )
    named = parts.select(
        "slot",
        "billed",
        "holder",
        unallocated=pl.lit(0, pl.Int64),
        **{
            step: pl.col(f"left_{step}") + (pl.col(f"own_{step}") if step in _MEASURED else pl.lit(0))
            for step in STEPS[1:]
        },
    )
    return pl.concat([nobody, named]).filter(pl.sum_horizontal(STEPS) > 0)


def _in_grace(frame: pl.DataFrame) -> pl.DataFrame:
    """Name what was measured by its step; in the hours after a start nothing is idle."""
    grace = pl.col("in_grace")
    return frame.with_columns(
        idle=pl.when(grace).then(0).otherwise("idle"),
        busy=pl.when(grace).then(pl.col("busy") + pl.col("idle_busy")).otherwise("busy"),
    ).with_columns(underutilized=pl.col("measured") - pl.col("idle") - pl.col("busy"))


def _holders(hours: pl.DataFrame, held: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Give each holder's time: what its own devices were measured to do, and what is `free` for the pool."""
    total = pl.col("held").sum().over("slot")
    fitting = held.sort("slot", "holder").with_columns(
        held=pl.when(total > pl.col("billed")).then(_spread("billed", "held")).otherwise("held")
    )
    without = hours.filter(pl.col("asked").is_null()).select(
        "slot", holder=pl.lit(OWNER_OF_KEY, pl.Int64), held="billed", billed="billed"
    )
    holders = pl.concat([fitting.select(without.columns), without])
    measured = own.join(hours.select("slot", "in_grace"), on="slot").pipe(_in_grace)
    seen = measured.select("slot", "holder", "measured", *(pl.col(step).alias(f"seen_{step}") for step in _MEASURED))
    known = holders.join(seen, on=["slot", "holder"], how="left").with_columns(
        pl.col("measured").fill_null(0), *(pl.col(f"seen_{step}").fill_null(0) for step in _MEASURED)
    )
    return _scaled(known, "held", "seen_", "own_").with_columns(
        free=pl.col("held") - pl.sum_horizontal(f"own_{step}" for step in _MEASURED)
    )


def _pooled(hours: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
    """Give what the pool says of the time no holder's own devices account for, less what nobody held."""
    measured = pool.join(hours.select("slot", "in_grace"), on="slot").pipe(_in_grace)
    seen = measured.select("slot", "measured", *(pl.col(step).alias(f"seen_{step}") for step in _MEASURED))
    rest = hours.join(seen, on="slot", how="left").with_columns(
        pl.col("measured").fill_null(0),
        *(pl.col(f"seen_{step}").fill_null(0) for step in _MEASURED),
        rest=pl.col("billed") - pl.col("claimed").fill_null(0),
        nobody=pl.col("billed") - pl.col("claimed").fill_null(0) - pl.col("free").fill_null(0),
    )
    rest = _scaled(rest, "rest", "seen_", "left_").with_columns(
        left_unmeasured=pl.col("rest") - pl.sum_horizontal(f"left_{step}" for step in _MEASURED),
        wanted=pl.col("nobody"),
    )
    for step in _TAKEN:
        taken = pl.min_horizontal("wanted", f"left_{step}")
        rest = rest.with_columns(taken=taken).with_columns(
            (pl.col(f"left_{step}") - pl.col("taken")).alias(f"left_{step}"), wanted=pl.col("wanted") - pl.col("taken")
        )
    return rest


def _scaled(frame: pl.DataFrame, limit: str, seen: str, named: str) -> pl.DataFrame:
    """Scale measured time down to a limit where it is more; the remainder of the division goes to what was not used."""
    over = pl.col("measured") > pl.col(limit)
    if not frame.select(over.any()).item():
        return frame.with_columns(pl.col(f"{seen}{step}").alias(f"{named}{step}") for step in _MEASURED)
    ratio = {
        step: (pl.col(f"{seen}{step}").cast(pl.Int128) * pl.col(limit) // pl.col("measured")).cast(pl.Int64)
        for step in ("idle", "busy")
    }
    fitted = {step: pl.when(over).then(ratio[step]).otherwise(f"{seen}{step}") for step in ratio}
    within = pl.min_horizontal("measured", limit)
    return frame.with_columns(**{f"{named}{step}": fitted[step] for step in fitted}).with_columns(
        (within - pl.col(f"{named}idle") - pl.col(f"{named}busy")).alias(f"{named}underutilized")
    )


def _spread(amount: str, weight: str) -> pl.Expr:
    """Divide an amount that stands on each row of a slot by weights: whole parts that sum to it."""
    up_to = pl.col(weight).cast(pl.Int128).cum_sum().over("slot")
    total = pl.col(weight).cast(pl.Int128).sum().over("slot")
    whole = pl.col(amount).cast(pl.Int128)
    part = whole * up_to // total - whole * (up_to - pl.col(weight)) // total
    return pl.when(total > 0).then(part).otherwise(0).cast(pl.Int64)
