"""What the days to come will cost, from the days before: weekday pattern, robust level, damped trend.

The method, in the order it runs on the last eight weeks:

1. Weekday effect: the median, over the weeks, of what a day differs from the mean of the seven days around it.
2. Level: the mean of the last four weeks without that effect. Up to one day in ten that lies far outside is pulled in
   first, so that one odd day does not move the month; where more lie outside, that is how the series behaves.
3. Trend: the median slope between the weekly means (Theil-Sen), used only over six weeks or more of which at least
   three in four pairs agree on its sign, and fading by a twentieth a week: growth rarely goes on forever.
4. Interval: 80 %, from how far days lie from 1-3, how long such distances last, how few days the level stands on, how
   far weekly means wander, and from half the trend: whether it goes on, nobody knows. It is at least as wide as the
   largest relative error of the last four held-out months: four of five months lie within that.

`backtest` holds out each past month and sets this beside seasonal-naive (last week again). A forecast is an estimate
and no money: it is computed as float and rounded by whoever stores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, combinations, pairwise
from math import sqrt
from statistics import fmean, median
from typing import Final

from models.months import next_month

MIN_HISTORY: Final = 14
"""Days below which nothing is forecast."""
_WINDOW: Final = 56
_LEVEL_DAYS: Final = 28
_DAMPING: Final = 0.95 ** (1 / 7)
_Z80: Final = 1.2816
_MAD_TO_SIGMA: Final = 1.4826
_OUTLIER: Final = 4.0
_TREND_AGREEMENT: Final = 0.5
_MIN_TREND_PAIRS: Final = 15  # six weeks: the weeks of a single month are its rhythm, not a trend
_MAX_AUTOCORRELATION: Final = 0.6
_CALIBRATION: Final = 4
_MOST_ERROR: Final = 1.0


@dataclass(frozen=True)
class Forecast:
    """The days after a history; `low` and `high` bound the sum up to and including each day."""

    days: list[float]
    low: list[float]
    high: list[float]

    @property
    def total(self) -> float:
        """Sum of all days."""
        return sum(self.days)


@dataclass(frozen=True)
class HeldOut:
    """One month as it was and as two methods would have foreseen it on the evening before it began."""

    month: date
    actual: float
    forecast: float
    low: float
    high: float
    naive: float
    error: float
    """Distance from forecast to actual as a share of the forecast, at most 1; 0 where nothing was foreseen."""


def forecast(history: Sequence[float], horizon: int) -> Forecast | None:
    """Foresee the days after a history.

    Args:
        history: cost per day, oldest first, without gaps; a day without cost is 0.
        horizon: number of days.

    Returns:
        The forecast, or None where the history is shorter than `MIN_HISTORY`.
    """
    if len(history) < MIN_HISTORY:
        return None
    recent = list(history[-_WINDOW:])
    effect = _weekday_effects(recent)
    # Position from the end decides the weekday: recent[-1] is position 0 of `effect`.
    flat = _pulled_in([value - effect[(index - len(recent)) % 7] for index, value in enumerate(recent)])
    slope = _slope(flat)
    base = flat[-_LEVEL_DAYS:]
    level = fmean(base) + slope * (len(base) - 1) / 2
    reach = list(accumulate(_DAMPING**day for day in range(1, horizon + 1)))
    floor = 0.0 if min(recent) >= 0 else float("-inf")
    days = [max(floor, level + slope * reach[day] + effect[day % 7]) for day in range(horizon)]
    totals = list(accumulate(days))
    widths = _widths(flat, slope, horizon)
    return Forecast(
        days,
        [max(floor, total - width) for total, width in zip(totals, widths, strict=True)],
        [total + width for total, width in zip(totals, widths, strict=True)],
    )


def seasonal_naive(history: Sequence[float], horizon: int) -> list[float]:
    """Repeat the last week."""
    week = list(history[-7:])
    return [week[day % 7] for day in range(horizon)]


def backtest(history: Sequence[float], first: date) -> list[HeldOut]:
    """Hold out each whole month that has four weeks before it, and foresee it from them.

    Args:
        history: cost per day, without gaps.
        first: day of `history[0]`.
    """
    found: list[HeldOut] = []
    month = first if first.day == 1 else next_month(first)
    while (end := next_month(month)) <= first + timedelta(days=len(history)):
        begin, stop = (month - first).days, (end - first).days
        known = history[:begin]
        foreseen = forecast(known, stop - begin) if begin >= _LEVEL_DAYS else None
        if foreseen:
            actual, total = sum(history[begin:stop]), foreseen.total
            shown = widened(foreseen, found)
            naive = sum(seasonal_naive(known, stop - begin))
            error = min(abs((actual - total) / total), _MOST_ERROR) if total else 0.0
            found.append(HeldOut(month, actual, total, shown.low[-1], shown.high[-1], naive, error))
        month = end
    return found


def widened(foreseen: Forecast, held_out: Sequence[HeldOut]) -> Forecast:
    """Widen an interval to the largest relative error of the last held-out months."""
    error = max([0.0, *(each.error for each in held_out[-_CALIBRATION:])])
    totals = list(accumulate(foreseen.days))
    floor = 0.0 if min([*foreseen.low, *foreseen.days]) >= 0 else float("-inf")
    # The upper half is whole: the lower may have been cut off at nothing.
    widths = [max(high - total, error * abs(total)) for high, total in zip(foreseen.high, totals, strict=True)]
    return Forecast(
        foreseen.days,
        [max(floor, total - width) for total, width in zip(totals, widths, strict=True)],
        [total + width for total, width in zip(totals, widths, strict=True)],
    )


def _weekday_effects(values: Sequence[float]) -> list[float]:
    """Give the effect of each weekday, the first for the day after the last value; they sum to 0."""
    differences: list[list[float]] = [[] for _ in range(7)]
    for index in range(3, len(values) - 3):
        differences[(index - len(values)) % 7].append(values[index] - fmean(values[index - 3 : index + 4]))
    effects = [median(each) if each else 0.0 for each in differences]
    middle = fmean(effects)
    return [effect - middle for effect in effects]


def _pulled_in(values: list[float]) -> list[float]:
    center = median(values)
    reach = _OUTLIER * _MAD_TO_SIGMA * median(abs(value - center) for value in values)
    outside = sum(abs(value - center) > reach for value in values)
    if not reach or outside > len(values) / 10:
        return values
    return [min(max(value, center - reach), center + reach) for value in values]


def _slope(flat: Sequence[float]) -> float:
    """Give the trend per day, 0 where the weeks do not agree on one."""
    slopes = [
        (later - earlier) / (7 * (after - before))
        for (before, earlier), (after, later) in combinations(enumerate(_weeks(flat)), 2)
    ]
    signs = sum((slope > 0) - (slope < 0) for slope in slopes)
    agreed = len(slopes) >= _MIN_TREND_PAIRS and abs(signs) >= _TREND_AGREEMENT * len(slopes)
    return median(slopes) if agreed else 0.0


def _weeks(flat: Sequence[float]) -> list[float]:
    """Give the means of the whole weeks up to the end, oldest first."""
    return [fmean(flat[end - 7 : end]) for end in range(len(flat), 6, -7)][::-1]


def _widths(flat: Sequence[float], slope: float, horizon: int) -> list[float]:
    """Give half the width of the interval around the sum of the next 1, 2, … days."""
    middle = (len(flat) - 1) / 2
    center = fmean(flat)
    residuals = [value - center - slope * (index - middle) for index, value in enumerate(flat)]
    squares = sum(each * each for each in residuals)
    variance = squares / max(1, len(flat) - 8)  # seven weekdays and a level were taken from them
    products = sum(earlier * later for earlier, later in pairwise(residuals))
    lasting = min(max(products / squares if squares else 0.0, 0.0), _MAX_AUTOCORRELATION)
    inflated = variance * (1 + lasting) / (1 - lasting)
    level_days = min(len(flat), _LEVEL_DAYS)
    steps = [later - earlier - 7 * slope for earlier, later in pairwise(_weeks(flat))]
    # Two weekly means of mere noise differ by two sevenths of a day's variance; what is more is wandering.
    wandering = max(0.0, fmean(step * step for step in steps) - 2 * inflated / 7) / 7 if steps else 0.0
    widths = []
    for days in range(1, horizon + 1):
        noise = inflated * (days + days * days / level_days)
        trend = slope * days * days / 4
        widths.append(_Z80 * sqrt(noise + wandering * days**3 / 3 + trend * trend))
    return widths
