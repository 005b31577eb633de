"""Days that cost far more or less than their weekday lets expect.

A day is set against the days before it, on the logarithm, because costs grow and shrink by factors:

- expected: the median of the last two weeks without the weekday effects, plus the effect of the day's own weekday (the
  median, over eight weeks, of what that weekday differs from the median of the seven days around it);
- distance: how far the day lies from that, in robust standard deviations: the median absolute distance that the eight
  weeks before lay from what was expected of *them*, at least 5 %. A series hard to foresee so judges its days mildly.

A series that is busy on fewer than seven days in ten (training runs) has no weekday pattern: its busy days are compared
with its busy days, and a day without cost means nothing. A day counts only if it also differs by a quarter of what was
expected and by a least amount. Medians, so that an odd day in the past does not hide the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import exp, log
from statistics import median
from typing import Final

MIN_HISTORY: Final = 35
"""Days (busy days of a series that is often at rest) before a day can be judged."""
THRESHOLD: Final = 4.25
"""Robust standard deviations; tests measure the false alarms this lets through."""
_WINDOW: Final = 56
_LEVEL_DAYS: Final = 14
_MIN_ERRORS: Final = 21
_BUSY_SHARE: Final = 0.7
_MAD_TO_SIGMA: Final = 1.4826
_LEAST_SIGMA: Final = 0.05
_LEAST_CHANGE: Final = 0.25
# What counts as nothing, as a share of the median: the logarithm of 0 is no number.
_NOTHING: Final = 0.01


@dataclass(frozen=True)
class Anomaly:
    """A day, what it cost, what was expected, and how many robust standard deviations lie between."""

    day: date
    actual: float
    expected: float
    score: float


def is_often_at_rest(values: Sequence[float]) -> bool:
    """Tell a series whose busy days are compared with its busy days only."""
    return sum(value > 0 for value in values) < _BUSY_SHARE * len(values)


def find(values: Sequence[float], first: date, tested_from: date, least: float) -> list[Anomaly]:
    """Find the odd days of a series.

    Args:
        values: cost per day, oldest first, without gaps.
        first: day of `values[0]`.
        tested_from: first day to judge.
        least: smallest difference worth telling.
    """
    resting = is_often_at_rest(values)
    positions = [index for index, value in enumerate(values) if value > 0 or not resting]
    if len(positions) <= MIN_HISTORY:
        return []
    nothing = _NOTHING * median(value for value in values if value > 0)
    logs = [log(max(values[index], nothing)) for index in positions]
    differences = [] if resting else _differences(logs)
    errors: list[float] = []
    found = []
    for number in range(_LEVEL_DAYS, len(logs)):
        effects = [0.0] * 7 if resting else _effects(differences, number)
        expected = median(logs[back] - effects[back % 7] for back in range(number - _LEVEL_DAYS, number))
        expected += effects[number % 7]
        error = logs[number] - expected
        day, actual = first + timedelta(days=positions[number]), values[positions[number]]
        if number >= MIN_HISTORY and day >= tested_from:
            recent = errors[-_WINDOW:]
            score = error / max(_LEAST_SIGMA, _MAD_TO_SIGMA * median(abs(each) for each in recent))
            change = abs(actual - exp(expected))
            if abs(score) >= THRESHOLD and change >= max(least, _LEAST_CHANGE * exp(expected)):
                found.append(Anomaly(day, actual, exp(expected), score))
        errors.append(error)
    return found


def _differences(logs: Sequence[float]) -> list[float]:
    """Give what each day differs from the seven days around it; the first and last three have no such days."""
    return [logs[index] - median(logs[index - 3 : index + 4]) for index in range(3, len(logs) - 3)]


def _effects(differences: Sequence[float], number: int) -> list[float]:
    """Give the effect of each weekday as known on the evening before day `number`."""
    effects = []
    for weekday in range(7):
        # Day `index` stands at `differences[index - 3]`, and its seven days end three days later.
        known = [
            differences[index - 3]
            for index in range(number - 7 + (weekday - number) % 7, max(2, number - _WINDOW - 7), -7)
            if index <= number - 4
        ]
        effects.append(median(known) if known else 0.0)
    return effects
