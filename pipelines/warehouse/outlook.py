"""Daily cost series, the days to come and the days that were odd, by `models/forecast.py` and `models/anomalies.py`.

Forecasts and expectations are estimates: computed as float and rounded to cents where they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from models.anomalies import MIN_HISTORY, Anomaly, find
from models.forecast import backtest, forecast, widened
from models.months import next_month
from pipelines.warehouse.database import replace_rows

if TYPE_CHECKING:
    import duckdb

# Days that are judged each run, and how many days before them a judgment can look back on.
_JUDGED_DAYS: Final = 92
_LOOK_BACK: Final = 112
# Series of a kind, the largest first: past that, a table of series helps nobody and a run takes seconds longer.
_MOST: Final = 100
_WEEKS_BEFORE: Final = 4

_SERIES: Final = """
with costs as (
    select * from intermediate.int_costs_by_day
    where usage_date <= (select reported_until_date from intermediate.int_reported_until)
),
every as (
    select 'all_ai' as kind, 'all_ai' as name, usage_date, effective_cost from costs where is_ai
    union all select 'workload', workload, usage_date, effective_cost from costs where is_ai
    union all select 'team', team, usage_date, effective_cost from costs where is_ai and team is not null
    union all select 'llm_model', llm_model, usage_date, effective_cost from costs where is_ai and llm_model is not null
    union all
    select 'budget', budget_name, usage_date, effective_cost from intermediate.int_budget_days
    where usage_date <= (select reported_until_date from intermediate.int_reported_until)
),
days as (
    select kind, name, usage_date, sum(effective_cost)::double as cost from every group by all
),
largest as (
    select kind, name, row_number() over (partition by kind order by sum(cost) desc, name) as place
    from days group by kind, name
)
select kind, name, usage_date, cost from days inner join largest using (kind, name)
where kind = 'budget' or place <= $most order by all
"""

# The rows behind `int_costs_by_day`, of the few days asked for; usage that no bill covers has no key.
_DRIVERS: Final = """
with charges as (
    select * from intermediate.int_charges_allocated
    union all by name
    select usage_date, workload, team, llm_model, effective_cost from intermediate.int_estimated_charges
)
select
    usage_date, workload, team, llm_model, service_name, usage_type, sub_account_id, key_id,
    sum(effective_cost)::decimal(38, 12) as cost
from charges
where coalesce(charge_category, '') not in ('Credit', 'Tax') and workload not in ('not_ai', 'shared')
    and list_contains($days, usage_date)
group by all order by all
"""
_DRIVER: Final = ("sub_account_id", "service_name", "usage_type")


@dataclass(frozen=True)
class Series:
    """What one thing cost per day, from its first day with cost to the last whole day reported."""

    kind: str
    name: str
    first: date
    values: list[float]

    @property
    def last(self) -> date:
        """Last whole day reported."""
        return self.first + timedelta(days=len(self.values) - 1)


def refresh_outlook(connection: duckdb.DuckDBPyConnection, least: Decimal) -> None:
    """Foresee every series to the end of next month, hold out past months, and find odd days.

    Args:
        connection: the warehouse, its intermediate tables built.
        least: smallest difference of a day worth telling.
    """
    every = list(_series(connection))
    found = [(series, odd) for series in every if series.kind != "budget" for odd in _odd_days(series, float(least))]
    replace_rows(
        connection,
        "computed.cost_series",
        (
            (
                series.kind,
                series.name,
                series.first,
                len(series.values),
                busy := sum(value > 0 for value in series.values),
                series.kind != "budget" and busy > MIN_HISTORY,
            )
            for series in every
        ),
    )
    replace_rows(connection, "computed.cost_forecasts", (row for series in every for row in _days_to_come(series)))
    replace_rows(connection, "computed.backtests", (row for series in every for row in _held_out(series)))
    replace_rows(connection, "computed.cost_anomalies", _explained(connection, found))


def _series(connection: duckdb.DuckDBPyConnection) -> Iterator[Series]:
    reported = connection.sql("select reported_until_date from intermediate.int_reported_until").fetchall()
    days = connection.sql(_SERIES, params={"most": _MOST}).pl()
    for (kind, name), frame in days.group_by("kind", "name", maintain_order=True):
        cost = dict(frame.select("usage_date", "cost").iter_rows())
        first = min(cost)
        length = (reported[0][0] - first).days + 1
        yield Series(str(kind), str(name), first, [cost.get(first + timedelta(days=day), 0.0) for day in range(length)])


def _days_to_come(series: Series) -> Iterator[tuple[Any, ...]]:
    this_month = (series.last + timedelta(days=1)).replace(day=1)
    end = next_month(next_month(this_month))
    foreseen = forecast(series.values, (end - series.last).days - 1)
    if foreseen is None:
        return
    foreseen = widened(foreseen, backtest(series.values, series.first))
    reported = series.values[max(0, (this_month - series.first).days) :] if this_month <= series.last else []
    # Rounded first and added then, so that what is stored adds up.
    month_cost, total = _cents(sum(reported)), 0.0
    for number, (cost, low, high) in enumerate(zip(foreseen.days, foreseen.low, foreseen.high, strict=True), 1):
        day = series.last + timedelta(days=number)
        month_cost = _cents(cost) + (Decimal(0) if day.day == 1 else month_cost)
        total += cost
        # What is uncertain about a sum from now on bounds what is uncertain about any later part of it.
        low_end = max(month_cost - _cents(total - low), min(Decimal(0), month_cost))
        high_end = month_cost + _cents(high - total)
        yield series.kind, series.name, day, _cents(cost), month_cost, low_end, high_end


def _held_out(series: Series) -> Iterator[tuple[Any, ...]]:
    for month in backtest(series.values, series.first):
        amounts = (month.actual, month.forecast, month.low, month.high, month.naive)
        yield series.kind, series.name, month.month, *map(_cents, amounts)


def _odd_days(series: Series, least: float) -> list[Anomaly]:
    values = series.values[-_JUDGED_DAYS - _LOOK_BACK :]
    first = series.last - timedelta(days=len(values) - 1)
    return find(values, first, series.last - timedelta(days=_JUDGED_DAYS - 1), least)


def _explained(
    connection: duckdb.DuckDBPyConnection, found: Iterable[tuple[Series, Anomaly]]
) -> Iterator[tuple[Any, ...]]:
    """Add to each odd day the key whose cost moved most in the day's direction."""
    found = list(found)
    days = {odd.day - timedelta(weeks=week) for _, odd in found for week in range(_WEEKS_BEFORE + 1)}
    costs = connection.sql(_DRIVERS, params={"days": sorted(days)}).pl() if days else pl.DataFrame()
    for series, odd in found:
        own = costs if series.kind == "all_ai" else costs.filter(pl.col(series.kind) == series.name)
        by_day = {
            week: _by_driver(own.filter(usage_date=odd.day - timedelta(weeks=week)))
            for week in range(_WEEKS_BEFORE + 1)
        }
        today = by_day.pop(0)
        moved = [
            (cost - expected, driver, cost, expected)
            for driver in sorted({driver for day in [today, *by_day.values()] for driver in day}, key=repr)
            for cost in [today.get(driver, Decimal(0))]
            for expected in [median(day.get(driver, Decimal(0)) for day in by_day.values())]
        ]
        most = max if odd.actual > odd.expected else min
        _, driver, cost, expected = most(moved, key=lambda each: each[0])
        keys = own.filter(pl.col(name).eq_missing(pl.lit(value)) for name, value in zip(_DRIVER, driver, strict=True))
        key = keys.sort(pl.col("usage_date") == odd.day, "cost", "key_id", descending=True)["key_id"][0]
        account, service, usage_type = driver
        yield (
            *(series.kind, series.name, odd.day, _cents(odd.actual), _cents(odd.expected), odd.score),
            *(key, service, usage_type, account, cost, expected.quantize(Decimal("0.01"))),
        )


def _by_driver(costs: pl.DataFrame) -> dict[tuple[Any, ...], Decimal]:
    return {row[:-1]: row[-1] for row in costs.group_by(_DRIVER).agg(pl.col("cost").sum()).iter_rows()}


def _cents(estimate: float) -> Decimal:
    return Decimal(f"{estimate:.2f}")
