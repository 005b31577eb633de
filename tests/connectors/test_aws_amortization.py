from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import aws_charges, tabular
from connectors.aws_amortization import effective_cost
from connectors.aws_columns import AwsColumns
from connectors.source import Totals
from models.money import EXACT
from tests.connectors.bills import Line, data_export, line, table

DOCUMENTED = yaml.safe_load(Path(__file__).with_name("aws_documented_lines.yaml").read_text())
PLAN = "arn:aws:savingsplans::5555555555555:savingsplan/bc1d08fd"
Read = Callable[..., tuple[pl.DataFrame, Totals]]


@pytest.mark.parametrize("document", DOCUMENTED, ids=lambda document: document["source"])
@pytest.mark.parametrize("suffix", ["snappy.parquet", "csv.gz"])
def test_effective_cost_is_what_aws_documents(tmp_path: Path, read: Read, document: Any, suffix: str) -> None:
    data_export(tmp_path, [line(**one) for one in document["lines"]], suffix=suffix)
    charges, _ = read(tmp_path)
    assert charges["billed_cost"].to_list() == [Decimal(cost) for cost in document["billed"]]
    assert charges["effective_cost"].to_list() == [Decimal(cost) for cost in document["effective"]]


def a_month_of_a_savings_plan() -> list[Line]:
    """Bill 744 hours of AWS's documented plan: $43.80 upfront a year, $0.01 an hour, covering five t3.nano at $0.0026.

    https://docs.aws.amazon.com/cur/latest/userguide/cur-sp.html; $43.80 over 8,760 hours is $0.005 an hour.
    """
    plan = {"savings_plan_savings_plan_a_r_n": PLAN}
    whole = {
        "savings_plan_amortized_upfront_commitment_for_billing_period": 3.72,
        "savings_plan_recurring_commitment_for_billing_period": 7.44,
    }
    lines: list[Line] = []
    for _ in range(744):
        lines += [
            line(
                line_item_line_item_type="SavingsPlanCoveredUsage",
                line_item_unblended_cost=0.0052,
                savings_plan_savings_plan_effective_cost=0.0026,
                **plan,
            )
            for _ in range(5)
        ]
        lines.append(line(line_item_line_item_type="SavingsPlanNegation", line_item_unblended_cost=-0.026, **plan))
        lines.append(
            line(
                line_item_line_item_type="SavingsPlanRecurringFee",
                line_item_unblended_cost=0.01,
                savings_plan_total_commitment_to_date=0.015,
                savings_plan_used_commitment=0.013,
                **whole,
                **plan,
            )
        )
    lines.append(line(line_item_line_item_type="SavingsPlanUpfrontFee", line_item_unblended_cost=43.8, **plan))
    return lines


def test_covered_and_unused_are_the_amortized_commitment_of_the_month(tmp_path: Path, read: Read) -> None:
    data_export(tmp_path, a_month_of_a_savings_plan())
    charges, totals = read(tmp_path)
    by_status = dict(charges.group_by("commitment_discount_status").agg(pl.col("effective_cost").sum()).iter_rows())
    assert by_status == {"Used": Decimal("9.672"), "Unused": Decimal("1.488"), None: 0}
    assert by_status["Used"] + by_status["Unused"] == Decimal("3.72") + Decimal("7.44")
    # What is billed in the month is the fees: covered usage and its negation cancel.
    assert totals.quantized["billed_cost"] == Decimal("43.8") + Decimal("7.44")
    assert charges["commitment_discount_id"].unique().to_list() == [PLAN]


def test_a_commitment_used_up_leaves_nothing_but_noise(tmp_path: Path, read: Read) -> None:
    fee = line(
        line_item_line_item_type="SavingsPlanRecurringFee",
        savings_plan_total_commitment_to_date=120000.00000000001,
        savings_plan_used_commitment=120000.00000000003,
    )
    data_export(tmp_path, [fee])
    assert read(tmp_path)[0]["effective_cost"].to_list() == [0]


def test_a_net_column_of_zeros_is_no_discount(tmp_path: Path, read: Read) -> None:
    data_export(tmp_path, [line(line_item_unblended_cost=5.0, line_item_net_unblended_cost=0.0)])
    assert read(tmp_path)[0]["effective_cost"].to_list() == [5]


def test_net_columns_in_one_file_are_net_columns_of_the_bill(tmp_path: Path, read: Read) -> None:
    discounted = line(line_item_unblended_cost=10.0, line_item_net_unblended_cost=9.0)
    discount = line(line_item_line_item_type="EdpDiscount", line_item_unblended_cost=-1.0)
    data_export(tmp_path, [discounted], [discount])
    assert read(tmp_path)[0]["effective_cost"].to_list() == [9, 0]


def test_split_rows_carry_shares_and_no_money(tmp_path: Path, read: Read) -> None:
    node = line(line_item_resource_id="i-1", line_item_unblended_cost=10.0)
    pod = line(
        line_item_operation="EKSPod-EC2",
        line_item_product_code="AmazonEKS",
        line_item_resource_id="arn:aws:eks:us-east-1:111100000000:pod/prod/search/rerank-7f/0f1e",
        line_item_unblended_cost=None,
        line_item_usage_amount=3.0,
        pricing_public_on_demand_cost=8.0,
        split_line_item_parent_resource_id="i-1",
        split_line_item_split_cost=6.0,
        split_line_item_unused_cost=2.0,
    )
    data_export(tmp_path, [node, pod])
    charges, totals = read(tmp_path)
    assert (totals.lines, totals.split_lines) == (1, 1)
    assert totals.quantized["billed_cost"] == 10
    columns = ["split_parent_resource_id", "split_cost", "split_unused_cost", "billed_cost", "list_cost"]
    assert charges.select(columns).row(1) == ("i-1", 6, 2, 0, 0)
    assert charges["consumed_quantity"].to_list() == [1, None]
    assert charges["resource_name"].to_list() == [None, "prod"]
    assert charges["split_parent_resource_id"][0] is None


KINDS = [
    "Usage", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "SavingsPlanRecurringFee", "DiscountedUsage", "RIFee",
    "Fee", "Refund", "Credit", "Tax", "EdpDiscount", "Unknown",
]  # fmt: skip
AMOUNT = st.floats(-1e6, 1e6, allow_nan=False).map(lambda amount: round(amount, 15))


@st.composite
def lines_of_a_bill(draw: st.DrawFn) -> Line:
    return line(
        line_item_line_item_type=draw(st.sampled_from(KINDS)),
        line_item_unblended_cost=draw(AMOUNT),
        pricing_public_on_demand_cost=draw(AMOUNT),
        savings_plan_savings_plan_effective_cost=draw(AMOUNT),
        savings_plan_total_commitment_to_date=draw(AMOUNT),
        savings_plan_used_commitment=draw(AMOUNT),
        reservation_effective_cost=draw(AMOUNT),
        reservation_unused_recurring_fee=draw(AMOUNT),
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(lines_of_a_bill(), min_size=1, max_size=12), st.integers(0, 12))
def test_any_split_into_files_gives_the_same_sums(lines: list[Line], cut: int) -> None:
    def sums(part: list[Line]) -> pl.DataFrame:
        frame = table(part)
        bill = AwsColumns(frame.schema, "a file")
        charges = aws_charges.charges(frame.lazy().with_row_index(tabular.ROW), bill, net=False)
        return charges.select(pl.col("billed_cost", "effective_cost", "list_cost").sum()).collect()

    files = [part for part in (lines[:cut], lines[cut:]) if part]
    assert pl.concat([sums(part) for part in files]).sum().equals(sums(lines))


def test_rounding_happens_once_and_is_half_to_even() -> None:
    frame = table([line(line_item_unblended_cost=amount) for amount in (1.5e-12, 2.5e-12, 0.1, 1e-7)])
    bill = AwsColumns(frame.schema, "a file")
    costs = frame.select(effective_cost(bill, net=False).alias("cost"))["cost"]
    assert costs.cast(EXACT).to_list() == [Decimal("2e-12"), Decimal("2e-12"), Decimal("0.1"), Decimal("1e-7")]
