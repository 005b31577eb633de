from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.facts import Schema
from models.money import MONEY, from_units
from models.sharing import Method, Pool, Sharing, share

JANUARY = date(2026, 1, 1)
SCHEMA: Schema = {
    "source": pl.String,
    "billing_period": pl.Date,
    "usage_period": pl.Date,
    "team": pl.String,
    "workload": pl.String,
    "pool": pl.String,
    "billed_cost": MONEY,
    "effective_cost": MONEY,
    "net_cost": MONEY,
}


def costs(*rows: tuple[str | None, str, str | None, object], source: str = "aws") -> pl.DataFrame:
    """Give rows of team, workload, pool and amount."""
    return pl.DataFrame(
        [
            (source, JANUARY, JANUARY, team, workload, pool, *[Decimal(str(amount))] * 3)
            for team, workload, pool, amount in rows
        ],
        schema=SCHEMA,
        orient="row",
    )


def shared(frame: pl.DataFrame, method: Method = Method.PROPORTIONAL, **more: Any) -> dict[tuple[Any, ...], Decimal]:
    found = share(frame, Sharing(method, **({"pools": frozenset(Pool), "weights": {}} | more)))
    return {row[:-1]: row[-1] for row in found.select("team", "pool", "effective_cost").iter_rows()}


OWN = [("search", "training", None, 60), ("chat", "inference", None, 40)]


def test_a_pool_is_divided_in_proportion_to_what_teams_cost() -> None:
    found = shared(costs(*OWN, (None, "shared", "tax", 10)))
    assert found == {("search", "tax"): 6, ("chat", "tax"): 4, (None, "tax"): -10}


def test_what_has_no_team_and_is_no_ai_keeps_its_part_of_tax_but_not_of_idle_ai() -> None:
    found = shared(
        costs(*OWN, (None, "not_ai", None, 100), (None, "shared", "tax", 10), (None, "training", "idle", 10))
    )
    assert found == {
        ("search", "tax"): 3,
        ("chat", "tax"): 2,
        (None, "tax"): -5,
        ("search", "idle"): 6,
        ("chat", "idle"): 4,
        (None, "idle"): -10,
    }


def test_a_team_without_ai_owes_tax_and_no_idle_ai() -> None:
    frame = costs(("web", "not_ai", None, 50), ("chat", "inference", None, 50), (None, "inference", "unallocated", 8))
    assert shared(frame) == {("chat", "unallocated"): 8, (None, "unallocated"): -8}


def test_even_and_fixed_parts_are_what_they_say() -> None:
    frame = costs(*OWN, (None, "shared", "support", 10))
    assert shared(frame, Method.EVEN)["search", "support"] == 5
    fixed = shared(frame, Method.FIXED, weights={"search": 1, "chat": 3, "gone": 0})
    assert [fixed["search", "support"], fixed["chat", "support"]] == [Decimal("2.5"), Decimal("7.5")]


def test_pools_that_are_not_asked_for_and_bills_without_teams_stay() -> None:
    frame = costs(*OWN, (None, "shared", "tax", 10))
    assert shared(frame, pools=frozenset({Pool.SUPPORT})) == {}
    assert shared(costs((None, "not_ai", None, 5), (None, "shared", "tax", 10))) == {}


def test_each_bill_s_shared_money_goes_to_that_bill_s_teams() -> None:
    other = costs(("ops", "inference", None, 1), (None, "shared", "tax", 7), source="gcp")
    found = shared(pl.concat([costs(*OWN, (None, "shared", "tax", 10)), other]))
    assert found["ops", "tax"] == 7
    assert found["search", "tax"] == 6


@pytest.mark.parametrize("method", Method)
@given(own=st.lists(st.integers(-(10**14), 10**14), min_size=1, max_size=6), whole=st.integers(-(10**14), 10**14))
def test_what_teams_get_is_what_the_pool_gives(method: Method, own: list[int], whole: int) -> None:
    rows = [(f"team{number}", "inference", None, from_units(units)) for number, units in enumerate(own)]
    found = share(
        costs(*rows, (None, "not_ai", None, 3), (None, "shared", "credit", from_units(whole))),
        Sharing(method, frozenset(Pool), {"team0": 2, "team1": 5} if method is Method.FIXED else {}),
    )
    assert found["effective_cost"].sum() == 0
    given_away = found.filter(pl.col("team").is_not_null())["effective_cost"]
    assert all(abs(part) <= abs(from_units(whole)) and part * whole >= 0 for part in given_away)
