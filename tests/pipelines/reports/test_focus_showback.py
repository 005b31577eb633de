"""Lines in shared pools, divided among teams as the report shows them."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models.facts import COST_COLUMNS
from models.money import MONEY, from_units
from models.sharing import Method, Pool, Sharing, share
from pipelines.reports.focus_showback import divide

JULY = date(2026, 7, 1)
COSTS = ("billed_cost", "effective_cost", "net_cost")
TEXT = dict.fromkeys(("source_file", "workload", "team", "sharing_pool", "method"), pl.String())
MONEYS = dict.fromkeys((*COST_COLUMNS, "contracted_cost", "consumed_quantity", "ratio"), MONEY)
LINES = {**TEXT, "source_row": pl.Int64(), "part": pl.Int32(), "usage_period": pl.Date(), **MONEYS}
POOL = ["usage_period", "workload", "sharing_pool"]


def line(row: int, cost: Decimal, pool: str | None = "tax", team: str | None = None, **more: Any) -> dict[str, Any]:
    costs = {**dict.fromkeys(COSTS, cost), "contracted_cost": cost}
    return {"source_file": "a", "source_row": row, "usage_period": JULY, "workload": "shared", **costs} | {
        "sharing_pool": pool, "team": team, **more
    }  # fmt: skip


def lines(*rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=LINES)


def teams_of(frame: pl.LazyFrame, weights: dict[str | None, int], rate: int = 1) -> pl.DataFrame:
    """Give what `TEAMS` gives of these lines, by way of what the report does with them."""
    own = [
        {"team": team, "workload": "inference", **dict.fromkeys(COSTS, from_units(weight))}
        for team, weight in weights.items()
    ]
    pools = frame.filter(pl.col("sharing_pool").is_not_null()).group_by(POOL).agg(pl.col(COSTS).sum() * rate).collect()
    schema = {
        "usage_period": pl.Date(),
        **dict.fromkeys(("team", "workload", "pool"), pl.String()),
        **dict.fromkeys(COSTS, MONEY),
    }
    costs = pl.concat(
        [pl.DataFrame(own, schema=schema), pools.rename({"sharing_pool": "pool"}).cast(dict.fromkeys(COSTS, MONEY))],
        how="diagonal",
    ).with_columns(source=pl.lit("aws"), billing_period=JULY, usage_period=JULY)
    shared = share(costs, Sharing(Method.PROPORTIONAL, frozenset(Pool), {})).rename(
        {"pool": "sharing_pool", "team": "showback_team", "method": "sharing_method"}
    )
    kept = pl.col("showback_team").is_null()
    whole = shared.join(pools, on=POOL, suffix=" of pool")
    return whole.select(
        *POOL, "showback_team", "sharing_method", "share",
        *(pl.when(kept).then(pl.col(name) + pl.col(f"{name} of pool")).otherwise(name).alias(name) for name in COSTS),
    ).sort(*POOL, "showback_team", nulls_last=True)  # fmt: skip


def test_a_line_in_a_pool_becomes_a_row_for_each_team_and_one_for_what_stays() -> None:
    bill = lines(line(1, Decimal(8), list_cost=None, consumed_quantity=Decimal(4)), line(2, Decimal(5), None, "chat"))
    rows = divide(bill, teams_of(bill, {"chat": 2, "search": 1, None: 1})).collect()
    assert rows.select("source_row", "part", "showback_team", "sharing_pool", "method", "effective_cost").rows() == [
        (1, 1, "chat", "tax", "showback_proportional", 4),
        (1, 1, "search", "tax", "showback_proportional", 2),
        (1, 1, None, "tax", "showback_proportional", 2),
        (2, None, "chat", None, None, 5),
    ]
    assert rows["consumed_quantity"].to_list() == [2, 1, 1, None]
    assert rows["ratio"].to_list() == [Decimal("0.5"), Decimal("0.25"), Decimal("0.25"), None]
    assert rows["list_cost"].null_count() == 4


def test_a_part_of_a_line_is_divided_further_and_says_both_methods() -> None:
    bill = lines(
        line(1, Decimal(6), part=1, ratio=Decimal("0.75"), method="by_use"),
        line(1, Decimal(2), None, "chat", part=2, ratio=Decimal("0.25"), method="by_use"),
    )
    rows = divide(bill, teams_of(bill, {"chat": 1, "search": 2})).collect()
    assert rows.select("part", "showback_team", "method", "ratio", "billed_cost").rows() == [
        (1, "chat", "by_use+showback_proportional", Decimal("0.25"), 2),
        (1, "search", "by_use+showback_proportional", Decimal("0.5"), 4),
        (2, "chat", "by_use", Decimal("0.25"), 2),
    ]


def test_pools_of_other_months_uses_and_kinds_are_apart_and_what_no_team_takes_stays_whole() -> None:
    bill = lines(line(1, Decimal(6)), line(2, Decimal(6), "support"), line(3, Decimal(6), workload="inference"))
    shares = teams_of(bill, {"chat": 1, "search": 2}).filter(pl.col("sharing_pool") == "tax", workload="shared")
    rows = divide(bill, shares).collect()
    assert rows.select("source_row", "showback_team", "billed_cost").rows() == [
        (1, "chat", 2), (1, "search", 4), (2, None, 6), (3, None, 6)
    ]  # fmt: skip
    assert divide(bill, shares.clear()).collect().select("source_row", "part", "sharing_pool").rows() == [
        (1, None, None), (2, None, None), (3, None, None)
    ]  # fmt: skip


def test_a_report_in_another_currency_lends_its_shares_and_no_digit() -> None:
    bill = lines(line(1, Decimal("0.000000000001")), line(2, Decimal(3)))
    rows = divide(bill, teams_of(bill, {"chat": 1, "search": 2}, rate=3)).collect()
    # Each row ends where its share does; nothing is settled, for the report shows three times as much.
    thirds = [
        Decimal("0.000000000000"),
        Decimal("0.000000000001"),
        Decimal("0.999999999999"),
        Decimal("2.000000000001"),
    ]
    assert rows["billed_cost"].to_list() == thirds


AMOUNT = st.decimals(-1000, 1000, places=12)
POOLS = st.sampled_from(["tax", "idle", None])


@given(
    st.lists(st.tuples(AMOUNT, AMOUNT, POOLS), min_size=1, max_size=8),
    st.lists(st.integers(1, 10**15), min_size=1, max_size=4),
    st.integers(0, 10**15),
    st.sampled_from([1, 2]),
)
def test_rows_sum_to_the_line_and_to_what_each_team_is_shown(
    costs: list[tuple[Decimal, Decimal, str | None]], weights: list[int], rest: int, rate: int
) -> None:
    bill = lines(*(line(row, cost, pool, net_cost=net) for row, (cost, net, pool) in enumerate(costs, 1)))
    shares = teams_of(bill, {**{f"team{number}": weight for number, weight in enumerate(weights)}, None: rest}, rate)
    rows = divide(bill, shares).collect()
    amounts = [*COSTS, "contracted_cost"]
    assert (
        rows.group_by("source_row")
        .agg(pl.col(amounts).sum())
        .sort("source_row")
        .equals(bill.select("source_row", *amounts).collect())
    )
    shared = rows.filter(pl.col("sharing_pool").is_not_null())
    assert set(shared.group_by("source_row").agg(pl.col("ratio").sum())["ratio"]) <= {Decimal(1)}
    shown = {
        row[:2]: row[2:] for row in shared.group_by("sharing_pool", "showback_team").agg(pl.col(COSTS).sum()).rows()
    }
    reported = {row[:2]: row[2:] for row in shares.select("sharing_pool", "showback_team", *COSTS).rows()}
    if rate == 1:
        # Who neither has a share nor is shown anything has no rows.
        assert shown == {place: costs for place, costs in reported.items() if place in shown or any(costs)}
    # A row is a unit off its share, and a unit of the share itself at most; settling moves as much for each row.
    limit = Decimal("1e-12") * 2 * len(costs) * (1 + 1000 * len(costs))
    for place, found in shown.items():
        assert all(abs(one - other / rate) <= limit for one, other in zip(found, reported[place], strict=True))
