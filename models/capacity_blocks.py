"""Capacity Blocks: machines with accelerators, reserved for some days and paid in advance by one line of the bill.

Its fee belongs to all hours of the block. A block always ends at 11:30 UTC (EC2's own documentation), so a fee whose
period ends then states the block's own start and end. Any other period is that of the purchase or of the invoice: when
the block was is unknown, and the fee stays on the day that the bill gives it.
"""

from __future__ import annotations

from datetime import time
from typing import Final

import polars as pl

from models.facts import COST_COLUMNS
from models.money import units_to_money

USAGE_TYPE: Final = "CapacityBlockFee:"
_ENDS: Final = time(11, 30)
_LONGEST: Final = pl.duration(days=183)  # 26 weeks, and a day for one that was extended.
_START, _END = pl.col("charge_period_start"), pl.col("charge_period_end")


def is_of_known_hours() -> pl.Expr:
    """Tell the fees whose block's start and end the bill states."""
    span = _END - _START
    stated = (_END.dt.time() == _ENDS) & (span >= pl.duration(hours=1)) & (span <= _LONGEST)
    return (pl.col("usage_type").str.contains(USAGE_TYPE, literal=True) & stated).fill_null(value=False)


def by_hour(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Put one line per hour of the block in the place of each such fee; their money sums to it to the last digit.

    Returns:
        The lines' own columns and `is_line`: false for all parts of a fee but the first, which has its quantity too.
    """
    known = is_of_known_hours()
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
