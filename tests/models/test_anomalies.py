from __future__ import annotations

import random
from datetime import date, timedelta
from math import exp

import pytest

from models.anomalies import MIN_HISTORY, find

MONDAY = date(2026, 1, 5)


def costs(rng: random.Random, days: int, *, sigma: float, growth: float = 0.0, weekend: float = 0.5) -> list[float]:
    """Costs from a Monday on that grow by a share a month, are lower at weekends, vary, and remember yesterday."""
    found, drift = [], 0.0
    for day in range(days):
        drift = 0.3 * drift + rng.gauss(0, sigma) * 0.954
        found.append(1000 * (1 + growth) ** (day / 30) * (weekend if day % 7 >= 5 else 1) * exp(drift))
    return found


def test_clean_months_raise_at_most_one_false_alarm_per_hundred_series() -> None:
    # 300 series of 150 days: measured 0.70 a month per 100 series.
    rng = random.Random(5)  # noqa: S311 - no secret
    alarms, months = 0, 0.0
    for number in range(300):
        sigma = (0.03, 0.08, 0.15, 0.25, 0.4)[number % 5]
        growth = (-0.1, 0.0, 0.1, 0.3)[number % 4]
        weekend = (1.0, 0.3, 0.6)[number % 3]
        alarms += len(find(costs(rng, 150, sigma=sigma, growth=growth, weekend=weekend), MONDAY, MONDAY, 10))
        months += (150 - MIN_HISTORY) / 30
    assert 100 * alarms / months <= 1


@pytest.mark.parametrize("sigma", [0.03, 0.08, 0.12])
def test_a_planted_day_of_three_times_its_cost_is_caught(sigma: float) -> None:
    rng = random.Random(6)  # noqa: S311 - no secret
    for number in range(20):
        values = costs(rng, 120, sigma=sigma, growth=0.1)
        day = 60 + 3 * number
        values[day] *= 3
        found = find(values, MONDAY, MONDAY, 10)
        assert MONDAY + timedelta(days=day) in [odd.day for odd in found]
        (odd,) = [odd for odd in found if odd.day == MONDAY + timedelta(days=day)]
        assert odd.actual == values[day]
        assert odd.expected == pytest.approx(values[day] / 3, rel=0.5)
        assert odd.score > 0


def test_a_working_day_s_cost_on_a_sunday_is_odd_and_on_a_monday_is_not() -> None:
    values = costs(random.Random(7), 70, sigma=0.05, weekend=0.2)  # noqa: S311 - no secret
    assert find(values, MONDAY, MONDAY, 10) == []
    values[62] = 1000.0  # a Sunday
    assert [odd.day.isoweekday() for odd in find(values, MONDAY, MONDAY, 10)] == [7]


def test_a_day_without_cost_is_odd_in_a_busy_series_only() -> None:
    rng = random.Random(8)  # noqa: S311 - no secret
    busy = costs(rng, 70, sigma=0.1)
    busy[60] = 0.0
    (odd,) = find(busy, MONDAY, MONDAY, 10)
    assert (odd.day, odd.score < 0) == (MONDAY + timedelta(days=60), True)
    resting = [value if rng.random() < 0.5 else 0.0 for value in costs(rng, 120, sigma=0.1, weekend=1)]
    assert find(resting, MONDAY, MONDAY, 10) == []


def test_a_run_far_larger_than_earlier_runs_is_odd() -> None:
    rng = random.Random(9)  # noqa: S311 - no secret
    resting = [value if day % 2 else 0.0 for day, value in enumerate(costs(rng, 120, sigma=0.1, weekend=1))]
    resting[101] *= 3
    assert [odd.day for odd in find(resting, MONDAY, MONDAY, 10)] == [MONDAY + timedelta(days=101)]


def test_what_is_too_small_too_early_or_before_the_days_asked_for_is_not_told() -> None:
    values = costs(random.Random(10), 80, sigma=0.05)  # noqa: S311 - no secret
    values[70] *= 3
    odd_day = MONDAY + timedelta(days=70)
    assert find(values, MONDAY, MONDAY, 1_000_000) == []
    assert find(values[70 - MIN_HISTORY + 1 :], MONDAY, MONDAY, 10) == []
    assert find(values, MONDAY, odd_day + timedelta(days=1), 10) == []
    assert [odd.day for odd in find(values, MONDAY, odd_day, 10)] == [odd_day]


def test_no_cost_at_all_is_no_anomaly() -> None:
    assert find([0.0] * 100, MONDAY, MONDAY, 0) == []
    assert find([], MONDAY, MONDAY, 0) == []
