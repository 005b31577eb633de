from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models.facts import Schema
from models.money import MONEY, from_units
from models.variance import EFFECTS, ITEM, vary

JANUARY, FEBRUARY, APRIL = date(2026, 1, 1), date(2026, 2, 1), date(2026, 4, 1)
COLUMNS = [f"{effect}_cost" for effect in EFFECTS]


def costs(*rows: tuple[date, str, object, object]) -> pl.DataFrame:
    """Give rows of month, usage type, cost and quantity."""

    def money(value: object) -> Decimal | None:
        return None if value is None else value if isinstance(value, Decimal) else Decimal(str(value))

    schema: Schema = {
        "usage_period": pl.Date,
        **dict.fromkeys(ITEM, pl.String),
        "effective_cost": MONEY,
        "quantity": MONEY,
    }
    return pl.DataFrame(
        [
            (month, "AWS", "inference", "Bedrock", usage_type, "1K tokens", money(cost), money(quantity))
            for month, usage_type, cost, quantity in rows
        ],
        schema=schema,
        orient="row",
    )


def effects(frame: pl.DataFrame) -> dict[str, tuple[Any, ...]]:
    found = vary(frame)
    return {row[0]: row[1:] for row in found.select("usage_type", *COLUMNS).iter_rows()}


def test_price_volume_and_mix_are_those_computed_by_hand() -> None:
    # Together 10 units become 20. At double volume a would cost 20 and b 80; in the new proportions (15 and 5) a costs
    # 30 and b 50 at old prices; new prices make that 33 and 45.
    frame = costs((JANUARY, "a", 10, 5), (JANUARY, "b", 50, 5), (FEBRUARY, "a", 33, 15), (FEBRUARY, "b", 45, 5))
    assert effects(frame) == {"a": (3, 10, 10, 0, 0, 0), "b": (-5, 50, -50, 0, 0, 0)}


def test_new_gone_and_unexplained_stand_apart() -> None:
    frame = costs((JANUARY, "gone", 7, 1), (JANUARY, "fee", 5, None), (FEBRUARY, "new", 3, 1), (FEBRUARY, "fee", 4, 2))
    assert effects(frame) == {
        "gone": (0, 0, 0, 0, -7, 0),
        "new": (0, 0, 0, 3, 0, 0),
        "fee": (0, 0, 0, 0, 0, -1),
    }


def test_a_month_is_compared_with_the_calendar_month_before() -> None:
    assert vary(costs((JANUARY, "a", 1, 1), (APRIL, "a", 2, 1))).height == 0
    december = date(2025, 12, 1)
    assert vary(costs((december, "a", 1, 1), (JANUARY, "a", 2, 1)))["usage_period"].to_list() == [JANUARY]


amounts = st.integers(-(10**16), 10**16).map(from_units)
quantities = st.none() | st.integers(0, 10**18).map(from_units)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([JANUARY, FEBRUARY]), st.sampled_from("abcde")),
        st.tuples(amounts, quantities),
        min_size=1,
    )
)
def test_effects_sum_to_the_change_to_the_last_digit(items: dict[tuple[date, str], tuple[Decimal, Any]]) -> None:
    items.setdefault((JANUARY, "a"), (Decimal(1), None))
    found = vary(costs(*((month, name, *values) for (month, name), values in items.items())))
    for row in found.iter_rows(named=True):
        assert sum(row[name] for name in COLUMNS) == row["current_cost"] - row["previous_cost"]
    change = sum(cost if month == FEBRUARY else -cost for (month, _), (cost, _) in items.items())
    if any(month == FEBRUARY for month, _ in items):
        assert sum(row["current_cost"] - row["previous_cost"] for row in found.iter_rows(named=True)) == change
