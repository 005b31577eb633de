"""A Capacity Block's one fee belongs to the block's hours, where the bill says which they are."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.capacity_blocks import by_hour
from models.facts import CHARGES, COST_COLUMNS, schema

START = datetime(2026, 7, 30, 4, 55, tzinfo=UTC)
END = datetime(2026, 8, 2, 11, 30, tzinfo=UTC)
CENT = Decimal("0.000000000001")


def fee(start: datetime = START, end: datetime = END, cost: Decimal = Decimal(1000), **changed: Any) -> dict[str, Any]:
    """Give the fee of a block, as the ledger holds it."""
    return {
        **dict.fromkeys(CHARGES),
        "usage_type": "USE2-CapacityBlockFee:p5.48xlarge",
        "usage_period": start.date().replace(day=1),
        "charge_period_start": start,
        "charge_period_end": end,
        "tags": {"team": "research"},
        **dict.fromkeys(COST_COLUMNS, cost),
        **changed,
    }


def spread(*lines: dict[str, Any]) -> pl.DataFrame:
    return by_hour(pl.LazyFrame(lines, schema=schema(CHARGES))).collect()


def test_a_fee_lies_on_the_hours_of_its_block_by_their_length() -> None:
    found = spread(fee(cost=Decimal("78.583333333333")))
    assert found.height == 80
    whole = Decimal("78.583333333333")
    assert found["effective_cost"].sum() == whole
    assert abs(found["effective_cost"][0] - Decimal(5) / 60) < 2 * CENT
    assert abs(found["effective_cost"][-1] - Decimal("0.5")) < 2 * CENT
    assert abs(found["effective_cost"][40] - 1) < 2 * CENT
    assert found["charge_period_start"].to_list()[:2] == [START, datetime(2026, 7, 30, 5, tzinfo=UTC)]
    assert found["charge_period_end"][-1] == END


def test_hours_of_the_next_month_are_use_of_the_next_month() -> None:
    months = dict(spread(fee()).group_by("usage_period").agg(pl.len()).iter_rows())
    assert months == {date(2026, 7, 1): 44, date(2026, 8, 1): 36}


def test_a_fee_stays_one_line() -> None:
    found = spread(fee(consumed_quantity=Decimal(4)))
    assert found["is_line"].sum() == 1
    assert found["consumed_quantity"].drop_nulls().to_list() == [4]


@pytest.mark.parametrize(
    "unknown",
    [
        fee(datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)),
        fee(START, START + timedelta(seconds=1)),
        fee(END, END),
        fee(END - timedelta(days=400), END),
        fee(usage_type="USE2-BoxUsage:p5.48xlarge"),
        fee(usage_type=None),
    ],
    ids=["month of the invoice", "moment of purchase", "no time", "longer than any block", "no fee", "nothing"],
)
def test_what_states_no_block_stays_as_it_is(unknown: dict[str, Any]) -> None:
    found = spread(unknown)
    assert found.drop("is_line").equals(pl.DataFrame([unknown], schema=schema(CHARGES)))
    assert found["is_line"].all()


@given(
    st.integers(-(10**24), 10**24).map(lambda units: CENT * units),
    st.integers(60, 60 * 24 * 182),
    st.one_of(st.none(), st.decimals(-1000, 10**9, places=12)),
)
def test_hours_sum_to_the_fee_to_the_last_digit(cost: Decimal, minutes: int, listed: Decimal | None) -> None:
    found = spread(fee(END - timedelta(minutes=minutes), END, cost, list_cost=listed))
    assert {name: found[name].sum() for name in COST_COLUMNS[:3]} == dict.fromkeys(COST_COLUMNS[:3], cost)
    assert found["list_cost"].null_count() == (found.height if listed is None else 0)
    assert found["list_cost"].sum() == (listed or 0)
    apart = (found["effective_cost"] < 0).any() and (found["effective_cost"] > 0).any()
    assert not apart, "no hour is paid for by another"
