from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.focus import Focus
from connectors.focus_columns import FocusColumns
from connectors.source import Totals
from models import focus
from models.errors import BadInput
from models.facts import CHARGES, Fact, schema
from tests.connectors.focus_files import export, json_cell, line, write

Read = Callable[[Path], tuple[pl.DataFrame, Totals]]


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Focus]:
    def make(location: object, **options: Any) -> Focus:
        return Focus("bill", Focus.Options(location=str(location), **options), tmp_path / "landing", lambda _: None)

    return make


@pytest.fixture
def read(source: Callable[..., Focus]) -> Read:
    def read_all(location: Path) -> tuple[pl.DataFrame, Totals]:
        bill = source(location)
        (version,) = bill.versions()
        landed = bill.fetch(version)
        frames = [frame.collect(engine="streaming") for frame in bill.read(landed)[Fact.CHARGES]]
        return pl.concat([pl.DataFrame(schema=schema(CHARGES)), *frames], how="diagonal"), bill.totals(landed)

    return read_all


@pytest.mark.parametrize("version", focus.VERSIONS)
@pytest.mark.parametrize("name", ["bill.csv", "bill.csv.gz", "bill.parquet"])
def test_every_version_reads_alike_in_every_format(tmp_path: Path, read: Read, version: str, name: str) -> None:
    charges, totals = read(write(tmp_path / name, line(version)))
    row = charges.row(0, named=True)
    assert row["provider_name"] == "Cumulus"
    assert row["billed_cost"] == totals.quantized["billed_cost"] == 4
    assert (row["effective_cost"], row["net_cost"], row["list_cost"], row["contracted_cost"]) == (3.5, 3.5, 5, 4)
    assert (row["consumed_quantity"], row["pricing_unit"]) == (2, "Hours")
    assert row["charge_period_start"] == datetime(2026, 1, 10, tzinfo=UTC)
    assert row["usage_period"] == date(2026, 1, 1)
    assert dict(row["tags"]) == {"team": "search"}
    assert (row["service_category"], row["sub_account_id"]) == ("Compute", "team-1")
    assert (row["source_file"], row["source_row"]) == (name, 1)


@pytest.mark.parametrize("version", focus.VERSIONS)
def test_the_version_is_recognized_by_the_columns(version: str) -> None:
    names = dict.fromkeys(line(version), pl.String())
    assert FocusColumns(names, "bill.csv").version == version


def test_extra_columns_and_snake_case_are_no_trouble(tmp_path: Path, read: Read) -> None:
    one = {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_"): cell
        for name, cell in line().items()
    }
    charges, _ = read(write(tmp_path / "bill.csv", {"Id": "7", **one, "x_Whatever": "1"}))
    assert charges["billed_cost"].to_list() == [4]


def test_the_amazon_layout_reads_only_what_the_manifest_lists(tmp_path: Path, read: Read) -> None:
    export(tmp_path, [line()], [line(), line()])
    write(tmp_path / "data" / "billing_period=2026-01" / "stale-00001.snappy.parquet")
    charges, totals = read(tmp_path)
    assert (len(charges), totals.lines) == (3, 3)


def test_a_listed_file_may_bill_no_other_month(tmp_path: Path, source: Callable[..., Focus]) -> None:
    other = datetime(2026, 2, 1)  # noqa: DTZ001
    export(tmp_path, [line(), line(BillingPeriodStart=other)])
    bill = source(tmp_path)
    (version,) = bill.versions()
    with pytest.raises(BadInput, match=r"row 2, column BillingPeriodStart: '2026-02-01.* is not of 2026-01"):
        bill.totals(bill.fetch(version))


def test_a_plain_file_of_two_months_is_a_version_of_each(tmp_path: Path, source: Callable[..., Focus]) -> None:
    february = datetime(2026, 2, 1)  # noqa: DTZ001
    write(tmp_path / "bill.csv", line(), line(BillingPeriodStart=february, BilledCost=1.0), line())
    bill = source(tmp_path)
    versions = list(bill.versions())
    assert [version.billing_period for version in versions] == [date(2026, 1, 1), date(2026, 2, 1)]
    assert len({version.fingerprint for version in versions}) == 2
    totals = [bill.totals(bill.fetch(version)) for version in versions]
    assert [total.lines for total in totals] == [2, 1]
    assert [total.quantized["billed_cost"] for total in totals] == [Decimal(8), Decimal(1)]
    frames = [bill.read(bill.fetch(version))[Fact.CHARGES][0].collect() for version in versions]
    assert [frame["source_row"].to_list() for frame in frames] == [[1, 3], [2]]


def test_the_word_null_is_null(tmp_path: Path, read: Read) -> None:
    charges, _ = read(write(tmp_path / "bill.csv", line(ResourceId="NULL", Tags="NULL", ListCost="NULL", SkuId="")))
    assert charges.select("resource_id", "tags", "list_cost", "sku_id").row(0) == (None, None, None, None)


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-10 00:00:00",
        "2026-01-10T00:00:00",
        "2026-01-10T00:00:00Z",
        "2026-01-10T00:00:00.000Z",
        "2026-01-10 00:00:00 UTC",
        "2026-01-10T02:00:00+02:00",
        "2026-01-09T19:00:00-0500",
        "2026-01-10",
    ],
)
def test_a_time_without_a_zone_is_utc_and_one_with_is_converted(tmp_path: Path, read: Read, written: str) -> None:
    charges, _ = read(write(tmp_path / "bill.csv", line(ChargePeriodStart=written)))
    assert charges["charge_period_start"].to_list() == [datetime(2026, 1, 10, tzinfo=UTC)]


def test_words_come_in_the_case_of_the_specification(tmp_path: Path, read: Read) -> None:
    cells = {"ChargeCategory": "usage", "ChargeFrequency": "Usage-based", "PricingCategory": "STANDARD"}
    charges, _ = read(write(tmp_path / "bill.csv", line(**cells, ServiceCategory="AI And Machine learning")))
    said = charges.select("charge_category", "charge_frequency", "pricing_category", "service_category").row(0)
    assert said == ("Usage", "Usage-Based", "Standard", "AI and Machine Learning")


HOSTILE = {
    'quo"te': 'said "hi"',
    "new\nline": "a\r\nb\\",
    "script": "<script>alert(1)</script>",
    "formula": '=cmd("calc")',
    "right-to-left": "\u202eabc\u202c",
    "long": "x" * 10_000,
    "emoji": "\U0001f600é",
    "brace": "}{",
}


@pytest.mark.parametrize("name", ["bill.csv", "bill.parquet"])
def test_tags_come_out_as_they_were_written(tmp_path: Path, read: Read, name: str) -> None:
    charges, _ = read(write(tmp_path / name, line(Tags=HOSTILE)))
    assert dict(charges["tags"][0]) == HOSTILE


def test_escaped_tags_and_numbers_are_text(tmp_path: Path, read: Read) -> None:
    cell = '{ "a\\u00e9\\ud83d\\ude00" : 1 , "b":true,"c":null,"d":-1.5e3 }'
    charges, _ = read(write(tmp_path / "bill.csv", line(Tags=cell), line(Tags="{}"), line(Tags="null")))
    first, second, third = charges["tags"].to_list()
    assert dict(first) == {"aé😀": "1", "b": "true", "c": None, "d": "-1500"}
    assert (dict(second), third) == ({}, None)


def test_tags_in_a_struct_leave_out_what_is_null(tmp_path: Path, read: Read) -> None:
    path = write(tmp_path / "bill.parquet", line(), line())
    tags = pl.Series("Tags", [{"team": "search", "env": None}, None])
    pl.read_parquet(path).with_columns(tags).write_parquet(path)
    charges, _ = read(path)
    assert dict(charges["tags"][0]) == {"team": "search"}
    assert charges["tags"][1] is None


@pytest.mark.parametrize(
    ("column", "cell", "problem"),
    [
        ("BilledCost", "1,5", "'1,5' is no amount"),
        ("EffectiveCost", "nan", "'nan' is no amount"),
        ("BilledCost", "NULL", "'NULL' is blank"),
        ("ChargePeriodStart", "01/02/2026", "'01/02/2026' is no date and time"),
        ("ChargePeriodEnd", "", "None is no date and time"),
        ("BillingPeriodStart", "soon", "'soon' is no date and time"),
        ("ChargeCategory", "Gift", "'Gift' is none of Adjustment, Credit"),
        ("BillingCurrency", "", "None is blank"),
        ("Tags", "{'team': 'x'}", "is no flat JSON object"),
        ("Tags", json_cell({"team": ["x"]}), "is no flat JSON object"),
        ("Tags", '{"team": "x"', "is no flat JSON object"),
        ("ProviderName", "NULL", "'NULL' is blank"),
    ],
)
def test_a_bad_cell_is_named(
    tmp_path: Path, source: Callable[..., Focus], column: str, cell: str, problem: str
) -> None:
    write(tmp_path / "bill.csv", line(), line(**{column: cell}))
    bill = source(tmp_path / "bill.csv")
    with pytest.raises(BadInput) as raised:
        [bill.totals(bill.fetch(version)) for version in bill.versions()]
    assert f"bill.csv, row 2, column {column}: " in str(raised.value)
    assert problem in str(raised.value)


def test_a_missing_column_is_named_with_what_was_taken_for_the_version(
    tmp_path: Path, source: Callable[..., Focus]
) -> None:
    one = {name: cell for name, cell in line("1.1").items() if name != "EffectiveCost"}
    write(tmp_path / "bill.csv", one)
    with pytest.raises(BadInput, match=r"column 'EffectiveCost' is missing \(read as FOCUS 1.1\); found: BilledCost, "):
        source(tmp_path).versions()


def test_a_bill_is_final_once_every_line_has_an_invoice(tmp_path: Path, read: Read) -> None:
    assert read(write(tmp_path / "all" / "bill.csv", line(), line()))[1].is_final
    assert not read(write(tmp_path / "some" / "bill.csv", line(), line(InvoiceId="NULL")))[1].is_final
    assert not read(write(tmp_path / "none" / "bill.csv", line("1.1")))[1].is_final


def test_what_amazon_adds_fills_what_its_other_bills_say(tmp_path: Path, read: Read) -> None:
    said = {"x_ServiceCode": "AmazonEC2", "x_UsageType": "USE1-BoxUsage:p5.48xlarge", "x_Operation": "RunInstances"}
    row = read(write(tmp_path / "bill.csv", line("1.0", ProviderName="AWS", **said)))[0].row(0, named=True)
    assert (row["service_code"], row["usage_type"], row["operation"]) == tuple(said.values())
    assert row["instance_type"] == "p5.48xlarge"


def test_without_what_amazon_adds_names_and_texts_say_it(tmp_path: Path, read: Read) -> None:
    arn = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/chat"
    machine = line(
        "1.0",
        ProviderName="AWS",
        ServiceName="Amazon Elastic Compute Cloud",
        ChargeDescription="$1.624 per On Demand Linux g5.4xlarge Instance Hour",
    )
    endpoint = line(ProviderName="AWS", ServiceName="Amazon SageMaker", SkuMeter="Host:ml.g5.xlarge", ResourceId=arn)
    bucket = line(ProviderName="AWS", ServiceName="Amazon Simple Storage Service", ResourceId="arn:aws:s3:::acme-llm")
    charges, _ = read(write(tmp_path / "bill.csv", endpoint, {**endpoint, **machine, "SkuMeter": None}, bucket))
    columns = ("service_code", "usage_type", "instance_type", "resource_name")
    assert charges.select(columns).rows() == [
        ("AmazonSageMaker", "Host:ml.g5.xlarge", "g5.xlarge", "chat"),
        ("AmazonEC2", None, "g5.4xlarge", "chat"),
        ("AmazonS3", "GPU hours", None, "acme-llm"),
    ]


def test_a_shape_comes_from_the_details_of_the_price(tmp_path: Path, read: Read) -> None:
    charges, _ = read(write(tmp_path / "bill.csv", line(SkuPriceDetails={"InstanceType": "BM.GPU.H100.8"})))
    assert charges["instance_type"].to_list() == ["BM.GPU.H100.8"]


def test_what_a_commitment_left_unused_has_cost_and_no_quantity(tmp_path: Path, read: Read) -> None:
    held: dict[str, Any] = {"CommitmentDiscountId": "sp-1", "CommitmentDiscountType": "Plan", "BilledCost": 0.0}
    used = line(**held, CommitmentDiscountStatus="Used", PricingCategory="Committed")
    unused = line(**held, CommitmentDiscountStatus="unused", ConsumedQuantity=None, EffectiveCost=1.5)
    charges, _ = read(write(tmp_path / "bill.csv", used, unused))
    columns = ("commitment_discount_status", "consumed_quantity", "effective_cost")
    assert charges.select(columns).rows() == [("Used", 2, Decimal("3.5")), ("Unused", None, Decimal("1.5"))]


TOP_UP = {
    "ProviderName": "OpenAI",
    "ServiceName": "OpenAI API",
    "ChargeCategory": "Purchase",
    "ChargeDescription": "API credit top-up",
    "ConsumedQuantity": None,
    "BilledCost": 100.0,
    "EffectiveCost": 100.0,
}
TOKENS = {"ProviderName": "OpenAI", "ServiceName": "OpenAI API", "ChargeDescription": "gpt-4o, output"}


@pytest.mark.parametrize(
    ("bought", "used"),
    [
        (TOP_UP, TOKENS),
        (TOP_UP | {"ChargeDescription": "Order 17", "ServiceName": "Order"}, TOKENS | {"BilledCost": 0.0}),
    ],
    ids=["says that it is of credits", "usage was billed as nothing"],
)
def test_what_is_paid_in_advance_counts_once(
    tmp_path: Path, read: Read, bought: dict[str, Any], used: dict[str, Any]
) -> None:
    path = tmp_path / "bill.csv"
    said = (
        r"bill.csv, row 2, column EffectiveCost: '100.0' is paid in advance for usage of OpenAI .* count twice.*0, as"
    )
    with pytest.raises(BadInput, match=said):
        read(write(path, line(**used), line(**bought)))
    charges, _ = read(write(path, line(**used), line(**bought | {"EffectiveCost": 0.0})))
    assert charges["effective_cost"].sum() == Decimal("3.5")


@pytest.mark.parametrize(
    ("bought", "used"),
    [
        (TOP_UP, {"BillingAccountId": "another"}),
        (TOP_UP, TOKENS | {"EffectiveCost": 0.0}),
        (TOP_UP | {"ChargeDescription": "Seats", "ServiceName": "Seats"}, TOKENS),
        (TOP_UP | {"ProviderName": "AWS"}, TOKENS | {"ProviderName": "AWS"}),
        (TOP_UP | {"CommitmentDiscountId": "plan-1"}, TOKENS | {"CommitmentDiscountId": "plan-1", "BilledCost": 0.0}),
    ],
    ids=["another account", "usage without a cost", "seats beside usage", "a cloud's marketplace", "a commitment"],
)
def test_a_purchase_that_nobody_counts_twice_is_a_cost(
    tmp_path: Path, read: Read, bought: dict[str, Any], used: dict[str, Any]
) -> None:
    charges, _ = read(write(tmp_path / "bill.csv", line(**used), line(**bought)))
    assert charges.filter(pl.col("charge_category") == "Purchase")["effective_cost"].to_list() == [100]


@pytest.mark.parametrize("dropped", [(), ("BillingPeriodStart", "BillingPeriodEnd")])
def test_litellms_export_is_no_bill_and_told_who_reads_its_logs(
    tmp_path: Path, source: Callable[..., Focus], dropped: tuple[str, ...]
) -> None:
    model = {"ChargeDescription": "gpt-4o", "ResourceId": "gpt-4o", "ServiceSubcategory": "Generative AI"}
    requests = {"ConsumedUnit": "Requests", "PricingUnit": "Requests", "ProviderName": "openai"}
    one = {name: cell for name, cell in line(**model, **requests).items() if name not in dropped}
    bill = source(write(tmp_path / "bill.parquet", one))
    with pytest.raises(BadInput, match=r"bill.parquet, row 1: is of LiteLLM's FOCUS export.* spend logs by `litellm`"):
        bill.versions()


def test_credits_and_taxes_keep_their_amounts(tmp_path: Path, read: Read) -> None:
    credit = line(ChargeCategory="Credit", BilledCost=-2.0, EffectiveCost=-2.0, ConsumedQuantity=None)
    tax = line(ChargeCategory="Tax", BilledCost=0.4, EffectiveCost=0.4)
    charges, totals = read(write(tmp_path / "bill.csv", credit, tax))
    assert charges["net_cost"].to_list() == [-2, Decimal("0.4")]
    assert charges["consumed_quantity"].null_count() == 2
    assert totals.quantized == {"billed_cost": Decimal("-1.6"), "effective_cost": Decimal("-1.6"), "list_cost": 10}


def test_money_as_decimals_floats_and_text_is_the_same_money(tmp_path: Path, read: Read) -> None:
    text = read(write(tmp_path / "text" / "bill.csv", line(BilledCost="0.1", ListCost="1E-7")))[0]
    path = write(tmp_path / "decimal" / "bill.parquet", line(BilledCost=0.1, ListCost=1e-7))
    floats = read(path)[0]
    pl.read_parquet(path).with_columns(pl.col("BilledCost").cast(pl.Decimal(20, 10))).write_parquet(path)
    decimals = read(path)[0]
    for charges in (text, floats, decimals):
        assert charges.select("billed_cost", "list_cost").row(0) == (Decimal("0.1"), Decimal("1E-7"))


def test_focus_comes_from_a_bucket(
    tmp_path: Path,
    source: Callable[..., Focus],
    s3_server: str,
    upload: Callable[[Path], None],
) -> None:
    export(tmp_path / "made", [line(), line()])
    upload(tmp_path / "made")
    bill = source("s3://acme-billing/exports", endpoint_url=s3_server)
    (version,) = bill.versions()
    landed = bill.fetch(version)
    assert bill.totals(landed).lines == 2
    assert bill.read(landed)[Fact.CHARGES][0].collect().height == 2
