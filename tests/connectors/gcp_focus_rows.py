"""Rows of Google's FOCUS export as BigQuery has them, and a BigQuery that holds some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from tests.connectors.fake_bigquery import FakeBigQuery
from tests.connectors.gcp_rows import INSTANT, NEWEST, Row, described

NUMERIC: Final = pa.decimal128(38, 9)
TEXTS: Final = (
    "AvailabilityZone",
    "BillingAccountId",
    "BillingCurrency",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ConsumedUnit",
    "PricingCategory",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "PricingCurrency",
    "BillingAccountType",
    "x_CostType",
    "x_Location",
    "x_ServiceId",
    "x_SubscriptionInstanceId",
    "x_ConsumptionModelId",
    "x_ConsumptionModelDescription",
)
AMOUNTS: Final = (
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
    "ConsumedQuantity",
    "PricingQuantity",
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCurrencyEffectiveCost",
    "x_CostAtEffectivePriceDefault",
)
TIMES: Final = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd", "x_ExportTime")
PAIRS: Final = pa.list_(pa.struct([("Key", pa.string()), ("Value", pa.string())]))
CREDIT: Final = pa.struct(
    [("Id", pa.string()), ("FullName", pa.string()), ("Type", pa.string()), ("Name", pa.string()), ("Amount", NUMERIC)]
)
TAG: Final = pa.struct(
    [("Key", pa.string()), ("Value", pa.string()), ("x_Inherited", pa.bool_()), ("x_Namespace", pa.string())]
)
SCHEMA: Final = pa.schema(
    {
        **dict.fromkeys(TEXTS, pa.string()),
        **dict.fromkeys(AMOUNTS, NUMERIC),
        **dict.fromkeys(TIMES, INSTANT),
        "x_CurrencyConversionRate": pa.float64(),
        "x_Credits": pa.list_(CREDIT),
        "x_Labels": PAIRS,
        "x_ProjectLabels": PAIRS,
        "x_SystemLabels": PAIRS,
        "x_Tags": pa.list_(TAG),
        "x_Project": pa.struct([("Id", pa.string()), ("Name", pa.string())]),
    }
)
USAGE: Final[Mapping[str, Any]] = {
    "BilledCost": "2.5",
    "EffectiveCost": "2.5",
    "ListCost": "3.0",
    "ContractedCost": "2.75",
    "ConsumedQuantity": "7200",
    "ConsumedUnit": "seconds",
    "PricingQuantity": "2",
    "PricingUnit": "hour",
    "AvailabilityZone": "us-central1-a",
    "BillingAccountId": "0123AB-456789-CDEF01",
    "BillingCurrency": "USD",
    # Midnight in California.
    "BillingPeriodStart": "2026-01-01T08:00:00Z",
    "BillingPeriodEnd": "2026-02-01T08:00:00Z",
    "ChargePeriodStart": "2026-01-10T08:00:00Z",
    "ChargePeriodEnd": "2026-01-10T09:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeDescription": "A3 Instance Core running in Americas",
    "PricingCategory": "Standard",
    "ProviderName": "Google Cloud",
    "PublisherName": "Google",
    "RegionId": "us-central1",
    "ResourceId": "//compute.googleapis.com/projects/acme-train/zones/us-central1-a/instances/1",
    "ResourceName": "gke-prod-a3-1f2e3d4c-x7k2",
    "ServiceName": "Compute Engine",
    "SkuId": "CORE",
    "SubAccountId": "acme-train",
    "SubAccountName": "Acme Train",
    "x_CostType": "regular",
    "x_ServiceId": "6F81-5844-456A",
    "x_CurrencyConversionRate": 1.0,
    "x_ExportTime": "2026-01-10T15:00:00Z",
    "x_Credits": [],
    "x_Labels": [],
    "x_ProjectLabels": [],
    "x_SystemLabels": [],
    "x_Tags": [],
}


def row(**columns: Any) -> Row:
    """Make a row of usage that says otherwise only what a test is about."""
    return {**USAGE, **columns}


def pairs(**labels: str) -> list[Row]:
    """Make labels."""
    return [{"Key": key, "Value": value} for key, value in labels.items()]


def credit(amount: str, kind: str) -> Row:
    """Make a credit."""
    return {"Name": kind.lower(), "Amount": amount, "Type": kind}


def table(rows: Sequence[Row], drop: Sequence[str] = ()) -> pa.Table:
    """Give rows their types; columns in `drop` are left out."""
    schema = pa.schema([field for field in SCHEMA if field.name not in drop])
    return pa.Table.from_pylist([_typed(row(**one)) for one in rows], schema)


def fake_table(name: str, rows: Sequence[Row], drop: Sequence[str] = ()) -> FakeBigQuery:
    """Give a BigQuery that holds rows of January in one partition of one table."""
    held = table(rows, drop)
    resource = {
        "tableReference": dict(zip(("projectId", "datasetId", "tableId"), name.split("."), strict=True)),
        "type": "TABLE",
        "location": "EU",
        "schema": {"fields": [described(field) for field in held.schema]},
    }
    return FakeBigQuery(resource, held, [("2026-01-30", "202601", str(NEWEST), held.num_rows)])


def _typed(one: Row) -> Row:
    typed = dict(one)
    for name in AMOUNTS:
        typed[name] = None if one.get(name) is None else Decimal(one[name])
    for name in TIMES:
        typed[name] = None if one.get(name) is None else pa.scalar(one[name]).cast(INSTANT).as_py()
    typed["x_Credits"] = [{**given, "Amount": Decimal(given["Amount"])} for given in one["x_Credits"]]
    return typed
