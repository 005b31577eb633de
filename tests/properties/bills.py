"""Any small AWS bill: what it says is drawn, how it is written (format, files, order) is chosen apart."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

import polars as pl
from hypothesis import strategies as st

from models.money import QUANTUM

Format: TypeAlias = Literal["parquet", "csv"]
Line: TypeAlias = dict[str, Any]

MONTH = datetime(2026, 7, 1)  # noqa: DTZ001 - CUR timestamps have no zone
TEXTS = ("bill_invoice_id", "bill_payer_account_id", "line_item_resource_id", "pricing_unit")
AMOUNTS = (
    "line_item_unblended_cost",
    "line_item_usage_amount",
    "pricing_public_on_demand_cost",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
    "reservation_effective_cost",
    "reservation_unused_recurring_fee",
)
# Usage type, product and operation of ordinary and of AI services; none of them is a rule's literal example.
WHAT = (
    ("BoxUsage:m7i.large", "AmazonEC2", "RunInstances"),
    ("BoxUsage:p5.48xlarge", "AmazonEC2", "RunInstances"),
    ("USE1-Train:ml.g5.2xlarge", "AmazonSageMaker", "RunInstance"),
    ("EU-Host:ml.inf2.xlarge", "AmazonSageMaker", "RunInstance"),
    ("USE1-Claude4.5Sonnet-input-tokens", "AmazonBedrock", "InvokeModelInference"),
    ("TimedStorage-ByteHrs", "AmazonS3", "StandardStorage"),
    ("USE1-Invented:x9", "AmazonSageMaker", "Unheard"),
)
KINDS = (
    *(["Usage"] * 4),
    *(["SavingsPlanCoveredUsage", "SavingsPlanNegation"] * 2),
    "SavingsPlanRecurringFee",
    "DiscountedUsage",
    "RIFee",
    "Fee",
    "Tax",
    "Credit",
    "Refund",
    "EdpDiscount",
)
PLANS = ("", "arn:aws:savingsplans::1:savingsplan/a", "arn:aws:savingsplans::1:savingsplan/b")
ACCOUNTS = ("111122223333", "444455556666", "777788889999")
TAG_KEYS = ("user_team", "user_workload", "user_env", 'user_"odd"', "user_Team")

# Parquet has doubles, CSV has text with more decimals than money keeps. Both are exact once written.
amounts = st.one_of(
    st.just("0"),
    st.decimals(min_value=-10, max_value=10, places=16).map(lambda value: f"{value:f}"),
    st.decimals(min_value=-(10**6), max_value=10**6, places=10).map(lambda value: f"{value:f}"),
    st.decimals(min_value=0, max_value=Decimal("1e-9"), places=20).map(lambda value: f"{value:f}"),
)
texts = st.one_of(
    st.sampled_from(
        ["training", "Inference", "", "it's", 'say "no"', "two\nlines", "a,b;c", "😀 ü", "[red]", "-", "null"]
    ),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=8),
)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Draw one line of a bill; amounts are decimal text."""
    kind = draw(st.sampled_from(KINDS))
    usage_type, product, operation = draw(st.sampled_from(WHAT))
    # A split row repeats another line's money, so its own must not count.
    split = kind == "Usage" and draw(st.integers(0, 9)) == 0
    start = MONTH + timedelta(hours=draw(st.integers(-30, 31 * 24 - 1)))
    line: Line = {name: draw(amounts) for name in AMOUNTS}
    return line | {
        "bill_billing_entity": "AWS",
        "bill_billing_period_start_date": MONTH,
        "bill_invoice_id": draw(st.sampled_from(["", "17"])),
        "bill_payer_account_id": "100000000000",
        "line_item_currency_code": "USD",
        "line_item_line_item_description": draw(texts),
        "line_item_line_item_type": kind,
        "line_item_operation": "EKSPod-EC2" if split else operation,
        "line_item_product_code": product,
        "line_item_resource_id": draw(
            st.sampled_from(["", "i-01", "i-02", "arn:aws:sagemaker:us-east-1:1:endpoint/x"])
        ),
        "line_item_usage_account_id": draw(st.sampled_from(ACCOUNTS)),
        "line_item_usage_end_date": start + timedelta(hours=1),
        "line_item_usage_start_date": start,
        "line_item_usage_type": usage_type,
        "pricing_unit": draw(st.sampled_from(["Hrs", "GB-Mo", ""])),
        "product": {"product_name": draw(texts)},
        "resource_tags": draw(st.dictionaries(st.sampled_from(TAG_KEYS), texts, max_size=3)),
        "savings_plan_savings_plan_a_r_n": draw(st.sampled_from(PLANS)),
    }


bills = st.lists(lines(), min_size=1, max_size=30)


@dataclass(frozen=True)
class Said:
    """What a bill says by plain decimal arithmetic on what was drawn."""

    lines: int
    split_lines: int
    billed_cost: Decimal
    list_cost: Decimal


def said(bill: Sequence[Line], written_as: Format) -> Said:
    """Sum a bill as its readers should."""
    own = [line for line in bill if line["line_item_operation"] != "EKSPod-EC2"]

    def total(column: str) -> Decimal:
        return sum((_rounded(line[column], written_as) for line in own), Decimal(0))

    split = len(bill) - len(own)
    return Said(len(own), split, total("line_item_unblended_cost"), total("pricing_public_on_demand_cost"))


def _rounded(amount: str, written_as: Format) -> Decimal:
    read = Decimal(repr(float(amount))) if written_as == "parquet" else Decimal(amount)
    return read.quantize(QUANTUM, ROUND_HALF_EVEN)


def write(folder: Path, bill: Sequence[Line], written_as: Format, files: int = 1) -> None:
    """Write a bill into so many files of a folder, in the order given."""
    folder.mkdir(parents=True)
    size = -(-len(bill) // files)
    for number in range(files):
        part = bill[number * size : (number + 1) * size]
        if part:
            (_parquet if written_as == "parquet" else _csv)(folder / f"bill-{number}", part)


def _parquet(path: Path, bill: Sequence[Line]) -> None:
    maps = {name: pl.List(pl.Struct({"key": pl.String, "value": pl.String})) for name in ("product", "resource_tags")}
    rows = [{name: _pairs(value) if name in maps else value for name, value in line.items()} for line in bill]
    frame = pl.DataFrame(rows, schema_overrides=maps, infer_schema_length=None)
    frame.with_columns(
        pl.col(AMOUNTS).cast(pl.Float64), *(pl.col(name).cast(pl.Map(pl.String, pl.String)) for name in maps)
    ).write_parquet(path.with_suffix(".snappy.parquet"))


def _pairs(value: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": text} for key, text in value.items()]


def _csv(path: Path, bill: Sequence[Line]) -> None:
    rows = [{name: _cell(value) for name, value in line.items()} for line in bill]
    text = io.StringIO()
    pl.DataFrame(rows).write_csv(text)
    path.with_suffix(".csv.gz").write_bytes(gzip.compress(text.getvalue().encode()))


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.000Z}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
