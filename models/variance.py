"""Why this month cost more or less than the last: price, volume, mix, what is new and what is gone.

An item is one usage type of one service for one workload. For an item billed in both months, with cost c and quantity
q, and Q the quantity of all such items of the same service, workload and unit:

    volume = c₀·Q₁/Q₀ − c₀           more or less of everything, in last month's proportions and at its prices
    mix    = c₀·q₁/q₀ − c₀·Q₁/Q₀     other proportions
    price  = c₁ − c₀·q₁/q₀           other prices

The three are differences of the same rounded amounts, so they sum to c₁ − c₀ to the last digit. An item without
quantity, or with parts of divided rows, cannot be split: its change is `unexplained`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from models.facts import Schema
from models.money import MONEY, from_units, to_units

ITEM: Final = ("provider_name", "workload", "service_name", "usage_type", "pricing_unit")
EFFECTS: Final = ("price", "volume", "mix", "new", "gone", "unexplained")
VARIANCE: Final[Schema] = {
    "usage_period": pl.Date,
    **dict.fromkeys(ITEM, pl.String),
    "previous_cost": MONEY,
    "current_cost": MONEY,
    **{f"{effect}_cost": MONEY for effect in EFFECTS},
}
_UNIT_GROUP: Final = ("provider_name", "workload", "service_name", "pricing_unit")


def vary(costs: pl.DataFrame) -> pl.DataFrame:
    """Explain each month's change against the calendar month before it, if that has any cost.

    Args:
        costs: `usage_period`, the columns of `ITEM`, `effective_cost`, and `quantity`: null where a split by quantity
            would say nothing. One row per combination.
    """
    months: dict[Any, dict[tuple[Any, ...], tuple[int, int | None]]] = {}
    for row in costs.sort("usage_period", *ITEM).iter_rows(named=True):
        quantity = None if row["quantity"] is None else to_units(row["quantity"])
        items = months.setdefault(row["usage_period"], {})
        items[tuple(row[name] for name in ITEM)] = (to_units(row["effective_cost"]), quantity)
    rows = []
    for month, current in months.items():
        before = month.replace(year=month.year - (month.month == 1), month=(month.month - 2) % 12 + 1)
        if before in months:
            rows += [(month, *row) for row in _changes(months[before], current)]
    return pl.DataFrame(rows, schema=VARIANCE, orient="row")


def _changes(
    before: Mapping[tuple[Any, ...], tuple[int, int | None]], after: Mapping[tuple[Any, ...], tuple[int, int | None]]
) -> list[tuple[Any, ...]]:
    totals: dict[tuple[Any, ...], tuple[int, int]] = {}
    for item in before.keys() & after.keys():
        old, new = before[item][1], after[item][1]
        if old and new and old > 0 and new > 0:
            group = _group(item)
            sums = totals.get(group, (0, 0))
            totals[group] = (sums[0] + old, sums[1] + new)
    rows = []
    for item in [*before, *(item for item in after if item not in before)]:
        effects = dict.fromkeys(EFFECTS, 0)
        cost, quantity = before.get(item, (0, None))
        now, quantity_now = after.get(item, (0, None))
        if item not in before:
            effects["new"] = now
        elif item not in after:
            effects["gone"] = -cost
        elif quantity and quantity_now and quantity > 0 and quantity_now > 0:
            total, total_now = totals[_group(item)]
            in_proportion, at_old_price = cost * total_now // total, cost * quantity_now // quantity
            effects["volume"] = in_proportion - cost
            effects["mix"] = at_old_price - in_proportion
            effects["price"] = now - at_old_price
        else:
            effects["unexplained"] = now - cost
        if cost or now:
            rows.append((*item, from_units(cost), from_units(now), *map(from_units, effects.values())))
    return rows


def _group(item: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value for name, value in zip(ITEM, item, strict=True) if name in _UNIT_GROUP)
