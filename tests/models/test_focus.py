from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from models.focus import VERSIONS, columns, dtype, subcategories, violations
from models.money import MONEY

USAGE: dict[str, Any] = {
    "BilledCost": "4",
    **dict.fromkeys(f"Allocated{name}" for name in ("MethodDetails", "MethodId", "ResourceId", "ResourceName", "Tags")),
    "BillingAccountId": "payer",
    "BillingAccountName": None,
    "BillingCurrency": "USD",
    "BillingPeriodEnd": datetime(2026, 2, 1, tzinfo=UTC),
    "BillingPeriodStart": datetime(2026, 1, 1, tzinfo=UTC),
    "CapacityReservationId": None,
    "CapacityReservationStatus": None,
    "ChargeCategory": "Usage",
    "ChargeClass": None,
    "ChargeDescription": "An hour",
    "ChargeFrequency": "Usage-Based",
    "ChargePeriodEnd": datetime(2026, 1, 2, tzinfo=UTC),
    "ChargePeriodStart": datetime(2026, 1, 1, tzinfo=UTC),
    "CommitmentDiscountCategory": None,
    "CommitmentDiscountId": None,
    "CommitmentDiscountName": None,
    "CommitmentDiscountQuantity": None,
    "CommitmentDiscountStatus": None,
    "CommitmentDiscountType": None,
    "CommitmentDiscountUnit": None,
    "ConsumedQuantity": "2",
    "ConsumedUnit": "Hours",
    "ContractedCost": "4",
    "ContractedUnitPrice": "2",
    "EffectiveCost": "4",
    "HostProviderName": None,
    "InvoiceIssuerName": "Acme",
    "ListCost": "5",
    "ListUnitPrice": "2.5",
    "PricingCategory": "Standard",
    "PricingQuantity": "2",
    "PricingUnit": "Hours",
    "RegionId": "eu-1",
    "RegionName": "Europe",
    "ResourceId": None,
    "ResourceName": None,
    "ResourceType": None,
    "ServiceCategory": "Compute",
    "ServiceName": "Machines",
    "ServiceProviderName": "Acme",
    "ServiceSubcategory": "Virtual Machines",
    "SkuId": "sku",
    "SkuMeter": "hours",
    "SkuPriceDetails": None,
    "SkuPriceId": "sku.1",
    "SubAccountId": "team",
    "SubAccountName": "Team",
    "Tags": '{"a": "b"}',
    "x_Own": "anything",
}
HELD = {
    "CommitmentDiscountId": "sp-1",
    "CommitmentDiscountCategory": "Spend",
    "CommitmentDiscountType": "Savings Plan",
    "CommitmentDiscountStatus": "Used",
}
TAX = {
    **dict.fromkeys(("ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit", "PricingCategory")),
    **dict.fromkeys(("ListUnitPrice", "ContractedUnitPrice", "SkuId", "SkuPriceId", "SkuMeter")),
    "ChargeCategory": "Tax",
    "ChargeFrequency": "One-Time",
}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    known = columns("1.4")
    typed = {name: dtype(known[name].kind) if name in known else pl.String() for name in USAGE}
    texts = {name: pl.String() if kind == MONEY else kind for name, kind in typed.items()}
    return pl.DataFrame([{**USAGE, **row} for row in rows], schema=texts).cast(typed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "row",
    [
        {},
        TAX,
        HELD,
        {**HELD, "CommitmentDiscountStatus": "Unused", "ConsumedQuantity": None, "ConsumedUnit": None},
        {"ChargeClass": "Correction", "PricingQuantity": None, "PricingUnit": None, "ListUnitPrice": None},
        {"CapacityReservationId": "cr-1", "CapacityReservationStatus": "Unused"},
        {"ResourceId": "i-1", "ResourceType": "instance"},
        {"AllocatedMethodId": "by_use"},
        {"AllocatedMethodId": "by_use", "AllocatedResourceId": "pod-1", "AllocatedResourceName": "chat"},
    ],
)
def test_a_row_that_keeps_every_rule_is_not_reported(row: dict[str, Any]) -> None:
    assert violations(frame(row), "1.4").rows() == []


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ({"BilledCost": None}, "BilledCost", "must not be null"),
        ({"ServiceName": None}, "ServiceName", "must not be null"),
        ({"ServiceName": ""}, "ServiceName", "must not be empty text; nothing is null"),
        ({"ChargeCategory": "usage"}, "ChargeCategory", "must be an allowed value"),
        ({"ChargeClass": "Refund"}, "ChargeClass", "must be an allowed value"),
        ({"ChargeFrequency": "Usage-based"}, "ChargeFrequency", "must be an allowed value"),
        ({"PricingCategory": "On demand"}, "PricingCategory", "must be an allowed value"),
        ({"ServiceCategory": "AI"}, "ServiceCategory", "must be an allowed value"),
        ({"ServiceSubcategory": "Bots"}, "ServiceSubcategory", "must be of its ServiceCategory"),
        ({"BillingCurrency": "US dollars"}, "BillingCurrency", "must be a currency code"),
        ({"ListUnitPrice": "-2.5"}, "ListUnitPrice", "must not be negative"),
        ({"ListUnitPrice": "3"}, "ListCost", "must be ListUnitPrice × PricingQuantity"),
        ({"ContractedUnitPrice": "1"}, "ContractedCost", "must be ContractedUnitPrice × PricingQuantity"),
        ({"Tags": "a=b"}, "Tags", "must be a JSON object"),
        ({"ConsumedQuantity": None, "ConsumedUnit": None}, "ConsumedQuantity", "must not be null on usage"),
        ({"ConsumedUnit": None}, "ConsumedUnit", "must not be null beside ConsumedQuantity"),
        ({"PricingUnit": None}, "PricingUnit", "must not be null beside PricingQuantity"),
        ({"AllocatedResourceId": "a", "AllocatedResourceName": "a"}, "AllocatedResourceId", "must be null without "),
        ({"AllocatedMethodId": "a", "AllocatedResourceId": "b"}, "AllocatedResourceName", "must not be null beside "),
        ({"AllocatedMethodDetails": "{}"}, "AllocatedMethodDetails", "must be null without AllocatedMethodId"),
        ({"AllocatedTags": "{}"}, "AllocatedTags", "must be null without AllocatedMethodId"),
        ({"PricingCategory": None}, "PricingCategory", "must not be null on usage and purchases"),
        ({"ListUnitPrice": None}, "ListUnitPrice", "must not be null on usage and purchases"),
        ({"ContractedUnitPrice": None}, "ContractedUnitPrice", "must not be null on usage and purchases"),
        ({"SkuPriceId": None}, "SkuPriceId", "must not be null on usage and purchases"),
        ({**TAX, "ListUnitPrice": "1"}, "ListUnitPrice", "must be null on tax"),
        ({**TAX, "ConsumedQuantity": "1"}, "ConsumedQuantity", "must be null where nothing was used"),
        ({"ChargeCategory": "Purchase"}, "ChargeFrequency", "must not be Usage-Based on a purchase"),
        ({**HELD, "CommitmentDiscountStatus": None}, "CommitmentDiscountStatus", "must not be null on usage with "),
        ({"CommitmentDiscountStatus": "Used"}, "CommitmentDiscountStatus", "is only for usage with "),
        ({**HELD, **TAX}, "CommitmentDiscountStatus", "is only for usage with "),
        ({**HELD, "ChargeCategory": "Purchase"}, "EffectiveCost", "must be 0 where a commitment is bought"),
        ({**HELD, "CommitmentDiscountType": None}, "CommitmentDiscountType", "must not be null beside "),
        ({"CommitmentDiscountCategory": "Spend"}, "CommitmentDiscountCategory", "must be null without "),
        ({"CapacityReservationId": "cr-1"}, "CapacityReservationStatus", "must not be null on usage with "),
        ({"CapacityReservationStatus": "Used"}, "CapacityReservationStatus", "is only for usage with "),
        ({"RegionName": None}, "RegionName", "must not be null beside RegionId"),
        ({"ResourceId": "i-1"}, "ResourceType", "must not be null beside a resource"),
        ({"ResourceType": "instance"}, "ResourceType", "must be null without a resource"),
        ({"SubAccountId": None}, "SubAccountName", "must be null without SubAccountId"),
        ({"ChargePeriodEnd": USAGE["ChargePeriodStart"]}, "ChargePeriodEnd", "must be after ChargePeriodStart"),
    ],
)
def test_the_row_that_breaks_a_rule_is_found(row: dict[str, Any], column: str, rule: str) -> None:
    found = violations(frame({}, row, {}), "1.4").rows(named=True)
    assert {one["row"] for one in found} == {2}
    assert any(one["column"] == column and one["rule"].startswith(rule) for one in found)


def test_a_file_is_judged_by_the_columns_of_its_version() -> None:
    whole = {(row["column"], row["rule"]) for row in violations(frame({}), "1.2").rows(named=True) if row["row"] == 0}
    no_column = "is not a column of this version, and has no x_"
    assert whole == {
        ("ProviderName", "is mandatory"),
        ("PublisherName", "is mandatory"),
        ("ServiceProviderName", no_column),
        ("HostProviderName", no_column),
        *((name, no_column) for name in USAGE if name.startswith("Allocated")),
    }


def test_money_as_text_is_a_wrong_type_and_nothing_more() -> None:
    found = violations(frame({}).with_columns(pl.lit("4").alias("BilledCost")), "1.4")
    assert found.select("column", "rule").rows() == [("BilledCost", "is a String, not a Decimal")]


@pytest.mark.parametrize(("version", "count"), [("1.0", 43), ("1.1", 50), ("1.2", 57), ("1.3", 65), ("1.4", 65)])
def test_every_version_has_its_number_of_columns(version: str, count: int) -> None:
    assert len(columns(version)) == count


def test_every_category_has_a_subcategory_for_what_is_left() -> None:
    assert set(subcategories()) == set(columns(VERSIONS[-1])["ServiceCategory"].allowed)
    assert all(f"Other ({category})" in names for category, names in subcategories().items())
