"""Capacity Blocks: machines with accelerators, reserved for some days and paid in advance by one line of the bill.

Its fee belongs to all hours of the block. A block always ends at 11:30 UTC (EC2's own documentation), so a fee whose
period ends then states the block's own start and end. Any other period is that of the purchase or of the invoice: when
the block was is unknown, and the fee stays on the day that the bill gives it.

The lines of the instances that ran in the block name its reservation where the bill carries that (CUR 2.0 with capacity
reservation data, FOCUS). Then the fee's money does what they did, and what nobody ran in is an unused reservation.
"""

from __future__ import annotations

from datetime import time
from typing import Final

import polars as pl

from models.facts import COST_COLUMNS
from models.idle import HOUR, OWNER_OF_KEY, STEPS
from models.money import units_to_money

USAGE_TYPE: Final = "CapacityBlockFee:"
_ENDS: Final = time(11, 30)
_LONGEST: Final = pl.duration(days=183)  # 26 weeks, and a day for one that was extended.
_START, _END = pl.col("charge_period_start"), pl.col("charge_period_end")


def _is_of_known_hours() -> pl.Expr:
    """Tell the fees whose block's start and end the bill states."""
    span = _END - _START
    stated = (_END.dt.time() == _ENDS) & (span >= pl.duration(hours=1)) & (span <= _LONGEST)
    return (pl.col("usage_type").str.contains(USAGE_TYPE, literal=True) & stated).fill_null(value=False)


def by_hour(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Put one line per hour of the block in the place of each such fee; their money sums to it to the last digit.

    Returns:
        The lines' own columns and `is_line`: false for all parts of a fee but the first, which has its quantity too.
    """
    known = _is_of_known_hours()
    hour = pl.col("block_hour")
    parts = (
        lines.filter(known)
        .with_columns(block_hour=pl.datetime_ranges(_START.dt.truncate("1h"), _END, "1h", closed="left"))
        .explode("block_hour")
        .with_columns(
            block_start=pl.max_horizontal(_START, hour), block_end=pl.min_horizontal(_END, hour + pl.duration(hours=1))
        )
    )
    since, until = ((pl.col(name) - _START).dt.total_seconds() for name in ("block_start", "block_end"))
    whole = (_END - _START).dt.total_seconds()
    is_first = pl.col("block_start") == _START
    costs = [(_up_to(name, until, whole) - _up_to(name, since, whole)).alias(name) for name in COST_COLUMNS]
    divided = parts.with_columns(
        *costs,
        consumed_quantity=pl.when(is_first).then("consumed_quantity"),
        usage_period=pl.col("block_start").dt.date().dt.month_start(),
        is_line=is_first,
    ).with_columns(charge_period_start="block_start", charge_period_end="block_end")
    others = lines.filter(~known).with_columns(is_line=pl.lit(value=True))
    return pl.concat([others, divided.drop("block_hour", "block_start", "block_end")])


def _up_to(cost: str, seconds: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Give what of a cost falls to the first seconds of a block, in whole units: differences of it sum to the cost."""
    units = pl.col(cost).to_physical().cast(pl.Int128)
    return units_to_money(units * seconds.cast(pl.Int128) // whole.cast(pl.Int128))


def followed(
    fees: pl.DataFrame, used: pl.DataFrame, capacity: pl.DataFrame, steps: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Let the hours of each block do what the instances in it did; what no instance ran in was not used.

    How many accelerators a block has no line says: at least as many as were ever used or unused in one hour, and blocks
    do not change their size. A fee whose hours are not known is divided over all hours that instances ran in, and only
    the hours that the bill itself calls unused are.

    Args:
        fees: one row per `block` and `hour` that its fees lie on: `effective_cost`; `is_billed` where other lines of
            that hour are on a bill by now; `is_told` where the bill of its month names reservations of instances.
        used: what was billed in each block: `block`, `machine`, `hour`, `gpu_hours`, `is_unused`.
        capacity: machine-hours: `slot`, `machine`, `hour`, `billed`.
        steps: the waterfall of these (`models.idle.waterfall`).

    Returns:
        New slots (`slot`, `machine`, `hour`), and their rows of the waterfall: `STEPS` and `unused_reservation`.
        Block-hours about which no line says anything are left out.
    """
    on = ["block", "hour"]
    fees = fees.with_columns(is_spread=pl.len().over("block") > 1, fee_hour="hour")
    sole = fees.filter(~pl.col("is_spread")).select("block", "fee_hour")
    time = (pl.col("gpu_hours").to_physical().cast(pl.Int128) * (HOUR // 10**4) // 10**8).cast(pl.Int64)
    used = (
        used.with_columns(time=time)
        .join(sole, on="block", how="left")
        .with_columns(own_hour="hour", hour=pl.coalesce("fee_hour", "hour"))
        .drop("fee_hour")
    )
    ran, unused = ~pl.col("is_unused"), pl.col("is_unused")
    sums = used.group_by(on).agg(
        ran=pl.col("time").filter(ran).sum(), unused=pl.col("time").filter(unused).sum(), stated=pl.col("time").sum()
    )
    blocks = fees.join(sums, on=on, how="left").with_columns(pl.col("ran", "unused", "stated").fill_null(0))
    cost = pl.col("effective_cost").to_physical().cast(pl.Int128)
    peak, dearest = pl.col("stated").max().over("block").cast(pl.Int128), cost.max().over("block")
    # All time of a block costs the same, so an hour with half the money of the others is half an hour of it.
    size = pl.when("is_spread", "is_billed", dearest > 0).then(peak * cost // dearest).otherwise(0).cast(pl.Int64)
    blocks = blocks.with_columns(
        billed=pl.max_horizontal("stated", size), anybody=pl.col("ran").sum().over("block") > 0
    )
    # A whole block that nobody ran in has no size; one hour stands for it.
    empty = ~pl.col("anybody") & pl.col("is_spread") & pl.col("is_billed") & pl.col("is_told")
    blocks = (
        blocks.with_columns(billed=pl.when(empty).then(HOUR).otherwise("billed"))
        .filter((pl.col("billed") > 0) & (pl.col("anybody") | empty))
        .sort(on)
        .with_columns(slot=pl.int_range(pl.len()) + pl.lit(capacity["slot"].max()).fill_null(-1) + 1)
    )
    nobody = blocks.select(
        "slot",
        "billed",
        holder=pl.lit(OWNER_OF_KEY, pl.Int64),
        unused_reservation=pl.col("billed") - pl.col("ran"),
        **{step: pl.lit(0, pl.Int64) for step in STEPS},
    ).filter(pl.col("unused_reservation") > 0)
    instances = used.filter(ran).join(blocks.select(*on, "slot", "billed"), on=on)
    slots = capacity.select("machine", own_hour="hour", own_slot="slot", own_billed="billed")
    instances = instances.join(slots, on=["machine", "own_hour"], how="left")
    did = instances.join(steps.drop("billed").rename({"slot": "own_slot"}), on="own_slot", how="left").with_columns(
        (pl.col(step).cast(pl.Int128) * pl.col("time") // pl.col("own_billed")).cast(pl.Int64).fill_null(0)
        for step in STEPS
    )
    parts = did.group_by("slot", "billed", holder=pl.col("holder").fill_null(OWNER_OF_KEY)).agg(pl.col(STEPS).sum())
    told = parts.group_by("slot").agg(told=pl.sum_horizontal(STEPS).sum())
    rest = (
        blocks.join(told, on="slot", how="left")
        .with_columns(unmeasured=pl.col("ran") - pl.col("told").fill_null(0))
        .filter(pl.col("unmeasured") > 0)
        .select("slot", "billed", "unmeasured", holder=pl.lit(OWNER_OF_KEY, pl.Int64))
    )
    made = pl.concat([parts, rest, nobody], how="diagonal").group_by("slot", "billed", "holder")
    return blocks.select("slot", machine="block", hour="hour"), made.agg(
        pl.col(*STEPS, "unused_reservation").fill_null(0).sum()
    ).sort("slot", "holder")
