"""Lines of a divided daily row, divided as the row is."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models.facts import COST_COLUMNS
from models.money import MONEY
from pipelines.reports.focus_parts import divide

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
GROUP = ("billing_currency", "invoice_id", "region_id", "commitment_discount_id", "capacity_reservation_id")
OWNERS = ("workload", "evidence", "llm_model", "accelerator", "idle_reason", "team", "environment", "project")
TEXT = dict.fromkeys(("key_id", *GROUP, "resource_id", "source_file", *OWNERS, "customer", "sharing_pool"), pl.String())
MONEYS = dict.fromkeys((*COST_COLUMNS, "contracted_cost", "consumed_quantity"), MONEY)
INSTANT = pl.Datetime("us", "UTC")


def lines(*costs: Decimal, **more: Any) -> pl.LazyFrame:
    rows = [
        {"key_id": "fee", "workload": "shared", "source_file": "a", "source_row": row, "charge_period_start": NOON}
        | {**dict.fromkeys(COST_COLUMNS, cost), "list_cost": None, **more}
        for row, cost in enumerate(costs, 1)
    ]
    return pl.LazyFrame(rows, schema={**TEXT, "source_row": pl.Int64(), "charge_period_start": INSTANT, **MONEYS})


def owned(**shares: Decimal) -> pl.DataFrame:
    rows = [
        {"key_id": "fee", "usage_date": NOON.date(), "workload": workload, "method": "by_use", "team": workload[:1]}
        | {**dict.fromkeys(COST_COLUMNS, cost), "list_cost": None}
        for workload, cost in shares.items()
    ]
    return pl.DataFrame(rows, schema={**TEXT, "usage_date": pl.Date(), "method": pl.String(), **MONEYS})


def by(frame: pl.DataFrame, name: str) -> dict[Any, Decimal]:
    return dict(frame.group_by(name).agg(pl.col("billed_cost").sum()).iter_rows())


def test_a_line_becomes_a_part_for_each_owner() -> None:
    found = divide(
        lines(Decimal(3), Decimal(6), consumed_quantity=Decimal(1)), owned(training=Decimal(6), inference=Decimal(3))
    )
    parts = found.collect()
    assert parts.select("source_row", "part", "workload", "team", "method", "billed_cost").rows() == [
        (1, 1, "training", "t", "by_use", 2),
        (1, 2, "inference", "i", "by_use", 1),
        (2, 1, "training", "t", "by_use", 4),
        (2, 2, "inference", "i", "by_use", 2),
    ]
    assert parts["list_cost"].null_count() == 4
    assert parts.group_by("source_row").agg(pl.col("consumed_quantity").sum())["consumed_quantity"].to_list() == [1, 1]


def test_a_line_of_another_day_or_key_stays_whole() -> None:
    later = lines(Decimal(3), charge_period_start=NOON.replace(day=2))
    for whole in (later, lines(Decimal(3), key_id="other"), lines(Decimal(3), invoice_id="1")):
        (row,) = divide(whole, owned(training=Decimal(3))).collect().rows(named=True)
        assert (row["part"], row["method"], row["workload"], row["billed_cost"]) == (None, None, "shared", 3)


def test_a_row_with_a_resource_divides_its_lines_and_no_others() -> None:
    shares = [
        owned(training=Decimal(3)).with_columns(resource_id=pl.lit("i-1")),
        owned(inference=Decimal(3)).with_columns(resource_id=pl.lit("i-2")),
    ]
    both = pl.concat([lines(Decimal(3), resource_id="i-1"), lines(Decimal(3), resource_id="i-2", source_file="b")])
    parts = divide(both, pl.concat(shares)).collect()
    assert parts.select("resource_id", "workload").rows() == [("i-1", "training"), ("i-2", "inference")]


def test_a_report_in_another_currency_only_lends_its_proportions() -> None:
    parts = divide(lines(Decimal(3)), owned(training=Decimal(8), inference=Decimal(4))).collect()
    assert parts["billed_cost"].to_list() == [2, 1]


AMOUNT = st.decimals(-1000, 1000, places=12)


@given(st.lists(AMOUNT, min_size=1, max_size=6), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_parts_sum_to_the_line_and_to_what_each_owner_owes(costs: list[Decimal], weights: list[int]) -> None:
    whole = sum(costs, Decimal(0))
    quantum = Decimal("1e-12")
    dues = [(whole * weight / sum(weights)).quantize(quantum) for weight in weights[1:]]
    shares = {f"owner{number}": due for number, due in enumerate([whole - sum(dues, Decimal(0)), *dues])}
    parts = divide(lines(*costs), owned(**shares)).collect()
    assert by(parts, "source_row") == dict(enumerate(costs, 1))
    assert by(parts, "workload") == shares
