from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.source import Totals
from tests.connectors.bills import data_export, legacy_report, line, table, write

Read = Callable[..., tuple[pl.DataFrame, Totals]]


@pytest.mark.parametrize(
    ("own", "usage_type", "shape"),
    [
        (None, "BoxUsage:p5.48xlarge", "p5.48xlarge"),
        (None, "USE1-Train:ml.p4d.24xlarge", "p4d.24xlarge"),
        ("ml.p4d.24xlarge-Training", "USE1-Train:ml.p4d.24xlarge", "p4d.24xlarge"),
        (None, "Studio:JupyterLab-ml.g6.24xlarge", "g6.24xlarge"),
        (None, "USE2-CapacityBlockFee:p5.48xlarge", "p5.48xlarge"),
        (None, "AFS1-UnusedBox:c5ad.2xlarge", "c5ad.2xlarge"),
        (None, "USW2-BoxUsage:p6-b200.48xlarge", "p6-b200.48xlarge"),
        (None, "USW2-BoxUsage:u7i-12tb.224xlarge", "u7i-12tb.224xlarge"),
        (None, "BoxUsage:u-6tb1.metal", "u-6tb1.metal"),
        (None, "USE1-BoxUsage:g6e.metal-48xl", "g6e.metal-48xl"),
        ("db.r5.large", "InstanceUsage:db.r5.large", "r5.large"),
        (None, "USE1-TimedStorage-ByteHrs", None),
        (None, "Studio:VolumeUsage.gp3", None),
        (None, "USW2-anthropic.claude-opus-4-8-mantle-input-tokens-global-standard", None),
        (None, "USE1-mistral.mistral-large-input-tokens", None),
    ],
)
def test_the_machine_is_found_in_the_column_or_the_usage_type(
    tmp_path: Path, read: Read, own: str | None, usage_type: str, shape: str | None
) -> None:
    data_export(tmp_path, [line(product_instance_type=own, line_item_usage_type=usage_type)])
    assert read(tmp_path)[0]["instance_type"].to_list() == [shape]


@pytest.mark.parametrize(
    ("product", "resource", "name"),
    [
        ("AmazonS3", "meridian-lake", "meridian-lake"),
        ("AmazonEC2", "i-0123456789abcdef0", None),
        ("AmazonSageMaker", "arn:aws:sagemaker:us-east-1:111100000000:endpoint/chat-70b", "chat-70b"),
        ("AmazonSageMaker", "arn:aws:sagemaker:us-east-1:111100000000:cluster/hyperpod-a", "hyperpod-a"),
        ("AmazonSageMaker", "arn:aws:sagemaker:us-east-1:111100000000:training-job/sft-7b-2026-01-10-08-00-00-123",
         "sft-7b"),
        ("AmazonEKS", "arn:aws:eks:us-east-1:111100000000:cluster/prod", "prod"),
        ("AmazonEKS", "arn:aws-cn:eks:cn-north-1:111100000000:pod/prod/ns/pod-1/uid", "prod"),
        ("AmazonEC2", "arn:aws:ec2:us-east-1:111100000000:capacity-reservation/cr-1", None),
    ],
)  # fmt: skip
def test_the_name_a_person_chose_is_found_in_the_resource(
    tmp_path: Path, read: Read, product: str, resource: str, name: str | None
) -> None:
    data_export(tmp_path, [line(line_item_product_code=product, line_item_resource_id=resource)])
    assert read(tmp_path)[0]["resource_name"].to_list() == [name]


@pytest.mark.parametrize(
    ("kind", "usage_type", "focus"),
    [
        ("Usage", "BoxUsage:t3.nano", ("Usage", "Standard", 2)),
        ("Usage", "USE1-SpotUsage:g5.xlarge", ("Usage", "Dynamic", 2)),
        ("Usage", "USE1-TrSpt:ml.g5.xlarge", ("Usage", "Dynamic", 2)),
        ("SavingsPlanCoveredUsage", "BoxUsage:t3.nano", ("Usage", "Committed", 2)),
        ("DiscountedUsage", "BoxUsage:t3.nano", ("Usage", "Committed", 2)),
        ("FlatRateSubscription", "", ("Usage", "Standard", 2)),
        ("SavingsPlanNegation", "BoxUsage:t3.nano", ("Adjustment", None, None)),
        ("SavingsPlanRecurringFee", "", ("Purchase", "Standard", None)),
        ("SavingsPlanUpfrontFee", "", ("Purchase", "Standard", None)),
        ("RIFee", "HeavyUsage:t3.nano", ("Purchase", "Standard", None)),
        ("Fee", "CapacityBlockFee:p5.48xlarge", ("Purchase", "Standard", None)),
        ("Tax", "", ("Tax", None, None)),
        ("Credit", "", ("Credit", None, None)),
        ("Refund", "", ("Adjustment", None, None)),
        ("EdpDiscount", "", ("Adjustment", None, None)),
        ("SomethingNew", "", ("Adjustment", None, None)),
    ],
)
def test_kinds_of_lines_become_focus_categories(
    tmp_path: Path, read: Read, kind: str, usage_type: str, focus: tuple[str, str | None, int | None]
) -> None:
    one = line(
        line_item_line_item_type=kind,
        line_item_usage_type=usage_type,
        line_item_usage_amount=2.0,
        savings_plan_savings_plan_effective_cost=1.0,
        savings_plan_total_commitment_to_date=1.0,
        savings_plan_used_commitment=1.0,
        reservation_effective_cost=1.0,
        reservation_unused_recurring_fee=1.0,
    )
    data_export(tmp_path, [one])
    charges = read(tmp_path)[0]
    assert charges.select("charge_category", "pricing_category", "consumed_quantity").row(0) == focus


@pytest.mark.parametrize(
    ("columns", "name", "code"),
    [
        ({"product_servicecode": "AWSDataTransfer", "product": {"product_name": "Amazon Elastic Compute Cloud"}},
         "Amazon Elastic Compute Cloud", "AmazonEC2"),
        ({"product_servicecode": "", "product": {}}, "AmazonEC2", "AmazonEC2"),
        ({"bill_billing_entity": "AWS Marketplace", "line_item_product_code": "1a2b3c", "product_servicecode": "",
          "product": {"product_name": "Claude Haiku 4.5 (Amazon Bedrock Edition)"}},
         "Claude Haiku 4.5 (Amazon Bedrock Edition)", None),
    ],
)  # fmt: skip
def test_a_service_goes_by_product_code_and_a_marketplace_product_by_name(
    tmp_path: Path, read: Read, columns: dict[str, Any], name: str, code: str | None
) -> None:
    data_export(tmp_path, [line(**columns)])
    assert read(tmp_path)[0].select("service_name", "service_code").row(0) == (name, code)


def test_a_list_cost_of_zero_is_unknown_on_marketplace_rows_only(tmp_path: Path, read: Read) -> None:
    free = line(pricing_public_on_demand_cost=0.0)
    data_export(tmp_path, [free, free | {"bill_billing_entity": "AWS Marketplace"}])
    assert read(tmp_path)[0]["list_cost"].to_list() == [0, None]


def test_reserved_capacity_is_used_unused_or_neither(tmp_path: Path, read: Read) -> None:
    prefix = "capacity_reservation_capacity_reservation_"
    states = ("Used", "Unused", "Reserved", "")
    data_export(tmp_path, [line(**{f"{prefix}arn": "cr-1", f"{prefix}status": state}) for state in states])
    charges = read(tmp_path)[0]
    assert charges["capacity_reservation_status"].to_list() == ["Used", "Unused", None, None]
    assert charges["capacity_reservation_id"].to_list() == ["cr-1"] * 4


def test_without_capacity_columns_an_unused_box_names_its_reservation(tmp_path: Path, read: Read) -> None:
    reservation = "arn:aws:ec2:us-east-1:111100000000:capacity-reservation/cr-1"
    unused = line(line_item_usage_type="USE1-UnusedBox:p5.48xlarge", line_item_resource_id=reservation)
    data_export(tmp_path, [unused, line(line_item_resource_id="i-1")])
    charges = read(tmp_path)[0]
    assert charges["capacity_reservation_status"].to_list() == ["Unused", None]
    assert charges["capacity_reservation_id"].to_list() == [reservation, None]


@pytest.mark.parametrize("suffix", ["snappy.parquet", "csv.gz"])
def test_tags_and_cost_categories_keep_their_keys(tmp_path: Path, read: Read, suffix: str) -> None:
    tagged = line(resource_tags={"user_team": "search", "user_env": "prod"}, cost_category={"unit": "ai"})
    data_export(tmp_path, [tagged], suffix=suffix)
    charges = read(tmp_path)[0]
    assert charges["tags"].to_list() == [{"user_team": "search", "user_env": "prod"}]
    assert charges["cost_categories"].to_list() == [{"unit": "ai"}]


@pytest.mark.parametrize("suffix", ["snappy.parquet", "csv.gz"])
def test_tags_of_the_account_stand_beside_the_resource_s(tmp_path: Path, read: Read, suffix: str) -> None:
    both = line(resource_tags={"user_team": "search"}, tags={"accountTag/owner": "ml"})
    data_export(tmp_path, [both, line(tags={"accountTag/owner": "ml"})], suffix=suffix)
    assert read(tmp_path)[0]["tags"].to_list() == [
        {"user_team": "search", "accountTag/owner": "ml"},
        {"accountTag/owner": "ml"},
    ]


def test_legacy_tags_stand_in_columns_of_their_own(tmp_path: Path, read: Read) -> None:
    tags = {"resourceTags/user:Team": "search", "resourceTags/aws:createdBy": "", "costCategory/Unit": "ai"}
    legacy_report(tmp_path / "csv", [line(**tags), line(**dict.fromkeys(tags, ""))], suffix="csv.gz")
    charges = read(tmp_path / "csv")[0]
    assert charges["tags"].to_list() == [{"user:Team": "search"}, {}]
    assert charges["cost_categories"].to_list() == [{"Unit": "ai"}, {}]
    flat = {"resource_tags_user_team": "search", "cost_category_unit": "ai"}
    charges = read(write(tmp_path / "flat.parquet", [line(**flat)]))[0]
    assert charges["tags"].to_list() == [{"user_team": "search"}]


def test_hostile_tags_are_only_data(tmp_path: Path, read: Read) -> None:
    hostile = {"user_<script>": "=1+1", "a'; drop table charges; --": "../../etc", "user_naïve 🚀": "\t{{7*7}}"}
    data_export(tmp_path, [line(resource_tags=hostile)], suffix="csv.gz")
    assert read(tmp_path)[0]["tags"].to_list() == [hostile]


@pytest.mark.parametrize(
    "text", ["2026-01-10T01:00:00Z", "2026-01-10T01:00:00.000Z", "2026-01-10 01:00:00", "2026-01-10 01:00:00.000 UTC"]
)
def test_every_way_aws_writes_time_is_utc(tmp_path: Path, read: Read, text: str) -> None:
    bill = write(tmp_path / "bill.csv", [line(line_item_usage_start_date=text)])
    assert read(bill)[0]["charge_period_start"].to_list() == [datetime(2026, 1, 10, 1, tzinfo=UTC)]


def test_late_usage_keeps_the_month_of_use(tmp_path: Path, read: Read) -> None:
    data_export(tmp_path, [line(line_item_usage_start_date=datetime(2025, 12, 31, 23))])  # noqa: DTZ001 - as Parquet says it
    assert read(tmp_path)[0]["usage_period"].to_list() == [date(2025, 12, 1)]


def test_a_blank_is_null_whatever_the_format_calls_it(tmp_path: Path, read: Read) -> None:
    blank = line(bill_invoice_id="", line_item_resource_id="", product_sku="")
    for name in ("bill.csv", "bill.parquet"):
        charges, totals = read(write(tmp_path / name, [blank, line(line_item_resource_id="i-1", product_sku="S")]))
        assert charges.select("invoice_id", "resource_id", "sku_id").row(0) == (None, None, None)
        assert not totals.is_final


def test_a_blank_is_null_also_where_a_stretch_of_the_file_holds_nothing_else(tmp_path: Path, read: Read) -> None:
    lines = [line(product_sku="S"), *[line(product_sku="", bill_invoice_id="")] * 2, *[line(product_sku=None)] * 2]
    table(lines).write_parquet(tmp_path / "bill.parquet", row_group_size=1)
    charges, totals = read(tmp_path / "bill.parquet")
    assert charges["sku_id"].to_list() == ["S", None, None, None, None]
    assert not totals.is_final


def test_columns_the_bill_never_fills_are_left_out(tmp_path: Path, source: Any) -> None:
    data_export(tmp_path, [line(product_sku="", reservation_effective_cost=None, resource_tags={})])
    aws = source(tmp_path)
    (version,) = aws.versions()
    (frame,) = next(iter(aws.read(aws.fetch(version)).values()))
    assert not {"sku_id", "tags", "list_cost", "resource_id"} & set(frame.collect_schema())


def test_every_line_invoiced_makes_the_bill_final(tmp_path: Path, read: Read) -> None:
    data_export(tmp_path, [line()], [line()])
    assert read(tmp_path)[1].is_final
    data_export(tmp_path, [line()], [line(bill_invoice_id=None)])
    assert not read(tmp_path)[1].is_final
    data_export(tmp_path, [line(bill_invoice_id="")])
    assert not read(tmp_path)[1].is_final
