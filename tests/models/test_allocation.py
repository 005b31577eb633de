from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models.allocation import allocate
from models.facts import COST_COLUMNS, Schema
from models.machines import OWNER
from models.money import MONEY

SCHEMA: Schema = {
    "daily_id": pl.Int64,
    "charge_category": pl.String,
    "line_item_type": pl.String,
    "service_code": pl.String,
    "usage_type": pl.String,
    "sub_account_id": pl.String,
    "usage_date": pl.Date,
    "commitment_discount_id": pl.String,
    "commitment_discount_status": pl.String,
    **dict.fromkeys(OWNER, pl.String),
    **dict.fromkeys(COST_COLUMNS, MONEY),
}


def daily(*rows: dict[str, Any]) -> pl.DataFrame:
    base = {
        "charge_category": "Usage",
        "service_code": "AmazonEC2",
        "usage_type": "BoxUsage:p5.48xlarge",
        "sub_account_id": "1",
        "usage_date": date(2026, 7, 1),
        "commitment_discount_id": "sp-1",
        "workload": "shared",
        "evidence": "none",
        **dict.fromkeys(COST_COLUMNS, Decimal(0)),
    }
    return pl.DataFrame([{**base, "daily_id": number, **row} for number, row in enumerate(rows, 1)], schema=SCHEMA)


def used(workload: str, on_demand: str, effective: str = "1", **more: Any) -> dict[str, Any]:
    costs = {"billed_cost": Decimal(on_demand), "effective_cost": Decimal(effective)}
    return {"workload": workload, "evidence": "declared", "accelerator": "H100", **costs, **more}


def negation(amount: str, **more: Any) -> dict[str, Any]:
    return {"charge_category": "Adjustment", "billed_cost": Decimal(amount), **more}


def fee(billed: str, unused: str, **more: Any) -> dict[str, Any]:
    costs = {"billed_cost": Decimal(billed), "effective_cost": Decimal(unused)}
    return {"charge_category": "Purchase", "idle_reason": "unused_commitment", **costs, **more}


def by_workload(parts: pl.DataFrame, column: str) -> dict[str, Decimal]:
    return dict(parts.group_by("workload").agg(pl.col(column).sum()).iter_rows())


def test_a_negation_is_divided_like_the_usage_it_cancels() -> None:
    parts = allocate(daily(used("training", "30"), used("inference", "10"), negation("-40")))
    assert by_workload(parts, "billed_cost") == {"training": Decimal(-30), "inference": Decimal(-10)}
    assert set(parts["evidence"]) == {"declared"}


def test_a_negation_looks_at_its_own_day_and_usage_type_first() -> None:
    parts = allocate(
        daily(
            used("training", "30"),
            used("inference", "30", usage_date=date(2026, 7, 2)),
            used("inference", "30", usage_type="BoxUsage:m5.large"),
            negation("-30"),
        )
    )
    assert by_workload(parts, "billed_cost") == {"training": Decimal(-30)}


def test_a_negation_without_usage_that_day_follows_the_month() -> None:
    parts = allocate(daily(used("training", "30", usage_date=date(2026, 7, 9)), negation("-30")))
    assert parts["method"].to_list() == ["usage_it_cancels_that_month"]


def test_a_fee_is_divided_by_effective_cost_and_stays_unused_commitment() -> None:
    parts = allocate(daily(used("training", "9", "3"), used("not_ai", "9", "1"), fee("8", "4")))
    assert by_workload(parts, "effective_cost") == {"training": Decimal(3), "not_ai": Decimal(1)}
    assert by_workload(parts, "billed_cost") == {"training": Decimal(6), "not_ai": Decimal(2)}
    assert set(parts["idle_reason"]) == {"unused_commitment"}
    assert set(parts["evidence"]) == {"inferred"}


def test_accelerators_bear_as_much_of_a_plans_waste_as_they_used_of_it() -> None:
    none = {"accelerator": None, "workload": "not_ai"}
    parts = allocate(daily(used("training", "9", "3"), {**used("", "90", "7"), **none}, fee("100", "4")))
    waste = dict(
        parts.filter(pl.col("idle_reason") == "unused_commitment").select("accelerator", "effective_cost").rows()
    )
    assert waste == {"H100": Decimal("1.2"), None: Decimal("2.8")}
    assert set(parts["evidence"]) == {"inferred"}


def test_an_unused_part_billed_as_usage_is_divided_like_a_fee_and_covers_nothing() -> None:
    unused = {**fee("4", "4"), "charge_category": "Usage", "commitment_discount_status": "Unused"}
    parts = allocate(daily(used("inference", "9", "3"), unused))
    assert by_workload(parts, "effective_cost") == {"inference": Decimal(4)}
    assert set(parts["idle_reason"]) == {"unused_commitment"}


def discount(amount: str, **more: Any) -> dict[str, Any]:
    return negation(
        amount, **{"line_item_type": "EdpDiscount", "commitment_discount_id": None, "usage_type": None, **more}
    )


def test_a_discount_line_is_divided_like_the_use_of_its_account_and_service() -> None:
    parts = allocate(
        daily(
            used("training", "30"),
            used("inference", "10"),
            used("not_ai", "50", sub_account_id="2"),
            used("inference", "50", service_code="AmazonS3"),
            discount("-4"),
        )
    )
    assert by_workload(parts, "billed_cost") == {"training": Decimal(-3), "inference": Decimal(-1)}


def test_a_discount_on_an_account_without_use_follows_the_service() -> None:
    parts = allocate(daily(used("training", "30"), discount("-3", sub_account_id="payer")))
    assert parts["method"].to_list() == ["usage_it_discounts"]


def test_a_refund_is_nobodys_and_stays_whole() -> None:
    assert allocate(daily(used("training", "30"), discount("-3", line_item_type="Refund"))).height == 0


def test_a_commitment_that_covered_nothing_stays_whole() -> None:
    assert allocate(daily(fee("8", "8"))).height == 0


def test_another_commitments_usage_does_not_count() -> None:
    rows = daily(used("training", "9", commitment_discount_id="sp-2"), fee("8", "8"))
    assert allocate(rows).height == 0


amounts = st.decimals(min_value=-1000, max_value=1000, places=12)


@given(
    st.lists(st.tuples(st.sampled_from(["training", "inference", "not_ai"]), amounts, amounts), max_size=6),
    amounts,
    amounts,
)
def test_parts_sum_to_the_row_in_every_cost(
    usage: list[tuple[str, Decimal, Decimal]], billed: Decimal, effective: Decimal
) -> None:
    rows = daily(
        *(used(workload, str(first), str(second)) for workload, first, second in usage),
        negation(str(billed)),
        fee(str(billed), str(effective)),
        discount(str(billed), effective_cost=effective),
    )
    parts = allocate(rows)
    sums = parts.group_by("daily_id").agg(pl.col(COST_COLUMNS).sum())
    both = sums.join(rows, on="daily_id", suffix="_whole")
    assert sums.height == both.height
    for column in COST_COLUMNS:
        assert both[column].to_list() == both[f"{column}_whole"].to_list()
    assert parts.select("daily_id", "part").is_duplicated().any() is False
