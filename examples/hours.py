"""When things run: every meter's month, hour by hour, gathered into the intervals that the bill prints."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache
from typing import Final

import polars as pl

from examples.company import hours_in

_GOLDEN: Final = (math.sqrt(5) - 1) / 2


def level(shape: str, hour: datetime) -> float:
    """Say how much of a meter's quantity is used in an hour: `always`, `daytime`, or days of the month as `3..12`."""
    at, workday = hour.hour, hour.weekday() < 5  # noqa: PLR2004 - Saturday
    if ".." in shape:
        first, last = map(int, shape.split(".."))
        return float(first <= hour.day <= last)
    if shape.startswith("first "):
        return float((hour.day - 1) * 24 + at < int(shape.removeprefix("first ")))
    return {
        "always": 1.0,
        "diurnal": 1.0 + 0.5 * math.sin((at - 9) * math.tau / 24),
        "daytime": float(7 <= at < 23),  # noqa: PLR2004 - hours of the day
        "evening": float(14 <= at < 23),  # noqa: PLR2004
        "nights": float(at < 6),  # noqa: PLR2004
        "office": float(workday and 8 <= at < 18),  # noqa: PLR2004
        "weekdays": float(workday),
        "weekends": float(not workday),
        "once": float(hour.day == 1 and at == 0),
    }[shape]


@cache
def _curve(month: date, shape: str) -> tuple[tuple[str, int, float], ...]:
    start = datetime(month.year, month.month, 1)  # noqa: DTZ001 - bills are naive UTC
    levels = ((hour, level(shape, start + timedelta(hours=hour))) for hour in range(hours_in(month)))
    return tuple((shape, hour, on) for hour, on in levels if on)


def curves(month: date, shapes: Iterable[str]) -> pl.DataFrame:
    """Tabulate the shapes over a month: one row per shape and hour that it is on."""
    rows = [row for shape in sorted(set(shapes)) for row in _curve(month, shape)]
    return pl.DataFrame(rows, schema={"shape": pl.String, "hour": pl.Int64, "level": pl.Float64}, orient="row")


def intervals(month: date, grains: Iterable[int]) -> pl.DataFrame:
    """Tabulate the intervals that the bill prints: one row per grain in hours and tick."""
    start = datetime(month.year, month.month, 1)  # noqa: DTZ001 - bills are naive UTC
    total = hours_in(month)
    rows = []
    for grain in sorted(set(grains)):
        for first in range(0, total, grain):
            begin, end = (start + timedelta(hours=at) for at in (first, min(first + grain, total)))
            rows.append((grain, first // grain, begin, end, f"{begin.isoformat()}Z/{end.isoformat()}Z"))
    moment = pl.Datetime("ms")
    return pl.DataFrame(
        rows,
        schema={
            "grain": pl.Int64,
            "tick": pl.Int64,
            "line_item_usage_start_date": moment,
            "line_item_usage_end_date": moment,
            "identity_time_interval": pl.String,
        },
        orient="row",
    )


def run(meters: pl.DataFrame, month: date) -> pl.DataFrame:
    """Run every meter through a month: its columns again for each interval in which it counted something.

    The noise is a Weyl sequence, the fractional parts of the golden ratio's multiples: even over 0 to 1, without state,
    and the same on every machine.
    """
    strayed = (pl.col("phase") + pl.col("hour") * _GOLDEN) % 1.0 * 2 - 1
    used = (
        meters.select("meter", "grain", "shape", "phase", "jitter", "hourly")
        .join(curves(month, meters["shape"]), on="shape", maintain_order="left_right")
        .select(
            "meter",
            "grain",
            tick=pl.col("hour") // pl.col("grain"),
            line_item_usage_amount=pl.col("hourly") * pl.col("level") * (1 + pl.col("jitter") * strayed),
        )
        .group_by("meter", "grain", "tick", maintain_order=True)
        .agg(pl.col("line_item_usage_amount").sum().round(9))
    )
    return used.join(intervals(month, meters["grain"]), on=["grain", "tick"], maintain_order="left").join(
        meters.drop("grain", "shape", "phase", "jitter", "hourly"), on="meter", maintain_order="left"
    )
