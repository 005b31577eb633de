"""Turn attributed charges into rows of FOCUS: which column says what, and what stands where the bill is silent.

FOCUS forbids null where bills have nothing to say. What then stands there, and why it invents no money:

| column | where the bill does not say |
|---|---|
| `ListCost`, `ContractedCost` | the effective cost: no discount is claimed |
| `ListUnitPrice`, `ContractedUnitPrice` | cost ÷ `PricingQuantity`, to twelve decimals |
| `PricingQuantity`, `PricingUnit` | 1 Unit: a fee, or the unused part of a commitment, is bought once |
| `PricingCategory` | Committed with a commitment, else Standard |
| `SkuId`, `SkuPriceId` | usage type, description or service: what the provider calls the thing it sells |
| `ServiceCategory`, `ServiceSubcategory` | by product code (`CATEGORIES`), else Other |
| `ServiceName`, `InvoiceIssuerName`, `PublisherName` | product code or `Other`; the provider |
| `ChargeFrequency` | Usage-Based for usage, Recurring for the monthly fees of commitments, else One-Time |
| `ChargeClass` | Correction where usage or a purchase has a negative price, else null |
| `CommitmentDiscountStatus`, `CapacityReservationStatus` | Used, on usage that names one |
| `RegionId`, `RegionName` | each other |
| `ResourceType` | the service's name |

A fee whose commitment stood partly unused has its unused cost on itself in an AWS bill. FOCUS wants that on a usage row
of its own, so such a line becomes two: the purchase keeps what was billed, the second row what was unused.

A line that the report divides among several owners becomes one row for each, with `x_AllocatedPart`: `focus_parts`; one
of shared money a row for each team it is shown to, `x_ShowbackTeam`: `focus_showback`. What FOCUS asks about either
stands in `focus_allocated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from models import focus
from models.attribution import COLUMNS as TAGGED
from models.money import MONEY
from pipelines.reports.focus_allocated import allocated, json_text

ZERO: Final = pl.lit("0").cast(MONEY)
ONE: Final = pl.lit("1").cast(MONEY)
RECURRING: Final = ("SavingsPlanRecurringFee", "RIFee")
# Start of the product code → category and subcategory; the first that fits.
CATEGORIES: Final[Mapping[str, tuple[str, str]]] = {
    "AmazonSageMaker": ("AI and Machine Learning", "Machine Learning"),
    "AmazonBedrock": ("AI and Machine Learning", "Generative AI"),
    "AmazonQ": ("AI and Machine Learning", "Generative AI"),
    "AmazonLex": ("AI and Machine Learning", "Bots"),
    "comprehend": ("AI and Machine Learning", "Natural Language Processing"),
    "translate": ("AI and Machine Learning", "Natural Language Processing"),
    "AmazonEC2": ("Compute", "Virtual Machines"),
    "AmazonECR": ("Compute", "Containers"),
    "AmazonECS": ("Compute", "Containers"),
    "AmazonEKS": ("Compute", "Containers"),
    "AWSLambda": ("Compute", "Serverless Compute"),
    "AmazonS3": ("Storage", "Object Storage"),
    "AmazonGlacier": ("Storage", "Backup Storage"),
    "AmazonEFS": ("Storage", "File Storage"),
    "AmazonFSx": ("Storage", "File Storage"),
    "AmazonRDS": ("Databases", "Relational Databases"),
    "AmazonDynamoDB": ("Databases", "NoSQL Databases"),
    "AmazonElastiCache": ("Databases", "Caching"),
    "AmazonRedshift": ("Databases", "Data Warehouses"),
    "AmazonVPC": ("Networking", "Network Infrastructure"),
    "AWSDataTransfer": ("Networking", "Network Connectivity"),
    "AmazonCloudFront": ("Networking", "Content Delivery"),
    "AWSELB": ("Networking", "Application Networking"),
    "AmazonCloudWatch": ("Management and Governance", "Observability"),
    "AWSSupport": ("Management and Governance", "Support"),
    "awskms": ("Security", "Secret Management"),
}
OTHER: Final = ("Other", "Other (Other)")
# FOCUS columns that carry a charge's own column as it is.
SAME: Final = {
    "AvailabilityZone": "availability_zone",
    "BilledCost": "billed_cost",
    "BillingAccountId": "billing_account_id",
    "BillingAccountName": "billing_account_name",
    "BillingCurrency": "billing_currency",
    "CapacityReservationId": "capacity_reservation_id",
    "ChargeCategory": "charge_category",
    "ChargeDescription": "charge_description",
    "ChargePeriodEnd": "charge_period_end",
    "ChargePeriodStart": "charge_period_start",
    "CommitmentDiscountId": "commitment_discount_id",
    "EffectiveCost": "effective_cost",
    "InvoiceId": "invoice_id",
    "ProviderName": "provider_name",
    "ResourceId": "resource_id",
    "ResourceName": "resource_name",
    "ServiceProviderName": "provider_name",
    "SubAccountId": "sub_account_id",
}
# What FOCUS has no word for.
OWN: Final = {
    "x_Workload": "workload",
    "x_AttributionRuleId": "attribution_rule_id",
    "x_AllocatedPart": "part",
    "x_AllocationMethod": "method",
    "x_Evidence": "evidence",
    "x_LlmModel": "llm_model",
    "x_TokenBucket": "token_bucket",
    "x_Accelerator": "accelerator",
    "x_AcceleratorCount": "accelerator_count",
    "x_IdleReason": "idle_reason",
    "x_Team": "team",
    "x_ShowbackTeam": "showback_team",
    "x_SharingPool": "sharing_pool",
    "x_Environment": "environment",
    "x_Project": "project",
    "x_Customer": "customer",
    "x_NetCost": "net_cost",
    "x_LineItemType": "line_item_type",
    "x_ServiceCode": "service_code",
    "x_UsageType": "usage_type",
    "x_Operation": "operation",
    "x_InstanceType": "instance_type",
    "x_Source": "source",
    "x_SourceFile": "source_file",
    "x_SourceRow": "source_row",
}


def rows(charges: pl.LazyFrame, version: str) -> pl.LazyFrame:
    """Give FOCUS rows of a version, its columns in alphabetical order and ours after them.

    Args:
        charges: ledger columns, those of `TAGGED`, and what `focus_parts` and `focus_showback` add;
            split-cost rows left out, for they repeat other rows' money.
        version: one of `models.focus.VERSIONS`.
    """
    bought = (pl.col("charge_category") == "Purchase") & pl.col("commitment_discount_id").is_not_null()
    parted = bought & (pl.col("effective_cost") != 0)
    fees = charges.with_columns(
        pl.when(parted).then(ZERO).otherwise(pl.col(name)).alias(name) for name in ("effective_cost", "net_cost")
    ).with_columns(
        pl.when(bought).then(pl.coalesce(name, ZERO)).otherwise(pl.col(name)).alias(name)
        for name in ("list_cost", "contracted_cost")
    )
    unused = charges.filter(parted).with_columns(
        charge_category=pl.lit("Usage"),
        commitment_discount_status=pl.lit("Unused"),
        charge_frequency=pl.lit(None, pl.String),
        consumed_quantity=pl.lit(None, MONEY),
        pricing_category=pl.lit("Committed"),
        billed_cost=ZERO,
        list_cost=ZERO,
        contracted_cost=ZERO,
    )
    known = focus.columns(version)
    cells = {**_said(), **_money(), **_commitments(), **_things(), **allocated()}
    whole = pl.concat([fees, unused]).with_columns(**_priced()).with_columns(**_corrected())
    own = {name: pl.col(column) for name, column in OWN.items()}
    maps = {"x_Dimensions": json_text("dimensions"), "x_CostCategories": json_text("cost_categories")}
    said = {name: cells[name].cast(focus.dtype(column.kind)) for name, column in known.items() if name in cells}
    return whole.select(**said, **own, **maps)


def _is(category: str) -> pl.Expr:
    return pl.col("charge_category") == category


def _priced() -> dict[str, pl.Expr]:
    """Give quantities and costs that are never null where FOCUS asks for them."""
    needed = _is("Usage") | _is("Purchase")
    counted = pl.col("consumed_quantity").is_not_null()
    return {
        "quantity": pl.when(needed).then(pl.coalesce("consumed_quantity", ONE)),
        "unit": pl.when(needed).then(
            pl.when(counted).then(pl.coalesce("pricing_unit", pl.lit("Units"))).otherwise(pl.lit("Units"))
        ),
        "list_cost": pl.coalesce("list_cost", "effective_cost"),
        "contracted_cost": pl.coalesce("contracted_cost", "effective_cost"),
    }


def _price(cost: str) -> pl.Expr:
    quantity = pl.col("quantity").cast(pl.Float64)
    price = pl.when(quantity == 0).then(0.0).otherwise(pl.col(cost).cast(pl.Float64) / quantity)
    return (price + 0.0).cast(pl.String).cast(MONEY)


def _corrected() -> dict[str, pl.Expr]:
    lists, contracted = _price("list_cost"), _price("contracted_cost")
    negative = (lists < ZERO) | (contracted < ZERO)
    return {
        "charge_class": pl.coalesce("charge_class", pl.when(negative).then(pl.lit("Correction"))),
        "list_price": pl.when(~(lists < ZERO)).then(lists),
        "contracted_price": pl.when(~(contracted < ZERO)).then(contracted),
    }


def _said() -> dict[str, pl.Expr]:
    start = pl.col("billing_period").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    frequency = (
        pl.when(_is("Usage"))
        .then(pl.lit("Usage-Based"))
        .when(pl.col("line_item_type").is_in(RECURRING))
        .then(pl.lit("Recurring"))
        .otherwise(pl.lit("One-Time"))
    )
    return {
        **{name: pl.col(column) for name, column in SAME.items()},
        "BillingPeriodStart": start,
        "BillingPeriodEnd": start.dt.offset_by("1mo"),
        "ChargeClass": pl.col("charge_class"),
        "ChargeFrequency": pl.coalesce("charge_frequency", frequency),
        "HostProviderName": pl.lit(None, pl.String),
        "InvoiceIssuerName": pl.coalesce("invoice_issuer_name", "provider_name"),
        "PublisherName": pl.coalesce("publisher_name", "provider_name"),
        "SubAccountName": pl.when(pl.col("sub_account_id").is_not_null()).then("sub_account_name"),
        "Tags": json_text("tags"),
    }


def _money() -> dict[str, pl.Expr]:
    tax = _is("Tax")
    category = pl.when(pl.col("commitment_discount_id").is_not_null()).then(pl.lit("Committed"))
    asked = _is("Usage") | _is("Purchase")
    return {
        "ConsumedQuantity": pl.when(_is("Usage")).then("consumed_quantity"),
        "ConsumedUnit": pl.when(_is("Usage") & pl.col("consumed_quantity").is_not_null()).then("unit"),
        "ContractedCost": pl.col("contracted_cost"),
        "ContractedUnitPrice": pl.when(asked).then("contracted_price"),
        "ListCost": pl.col("list_cost"),
        "ListUnitPrice": pl.when(asked).then("list_price"),
        "PricingCategory": pl.when(~tax).then(
            pl.coalesce("pricing_category", pl.when(asked).then(pl.coalesce(category, pl.lit("Standard"))))
        ),
        "PricingQuantity": pl.col("quantity"),
        "PricingUnit": pl.col("unit"),
    }


def _commitments() -> dict[str, pl.Expr]:
    commitment = pl.col("commitment_discount_id")
    plan = commitment.str.contains("savingsplan")
    held = pl.when(commitment.is_not_null())
    of_plan = pl.when(plan)
    used = pl.lit("Used")
    return {
        "CapacityReservationStatus": pl.when(_is("Usage") & pl.col("capacity_reservation_id").is_not_null()).then(
            pl.coalesce("capacity_reservation_status", used)
        ),
        "CommitmentDiscountCategory": held.then(
            pl.coalesce("commitment_discount_category", of_plan.then(pl.lit("Spend")).otherwise(pl.lit("Usage")))
        ),
        "CommitmentDiscountName": pl.lit(None, pl.String),
        "CommitmentDiscountStatus": pl.when(_is("Usage") & commitment.is_not_null()).then(
            pl.coalesce("commitment_discount_status", used)
        ),
        "CommitmentDiscountType": held.then(
            pl.coalesce(
                "commitment_discount_type", of_plan.then(pl.lit("Savings Plan")).otherwise(pl.lit("Reservation"))
            )
        ),
    }


def _things() -> dict[str, pl.Expr]:
    """Say what was sold: service, SKU, region, resource."""
    sold = _is("Usage") | _is("Purchase")
    sku = pl.coalesce("sku_id", "usage_type", "charge_description", "service_name", "service_code", pl.lit("Other"))
    priced = pl.coalesce("sku_price_id", sku)
    code = pl.coalesce("service_code", pl.lit(""))
    category, subcategory = pl.lit(None, pl.String), pl.lit(None, pl.String)
    for start, (name, sub) in CATEGORIES.items():
        fits = code.str.starts_with(start)
        category = pl.coalesce(category, pl.when(fits).then(pl.lit(name)))
        subcategory = pl.coalesce(subcategory, pl.when(fits).then(pl.lit(sub)))
    unsaid = pl.col("service_category").is_null()
    by_category = {name: f"Other ({name})" for name in focus.subcategories()}
    details = pl.when(pl.col("instance_type").is_not_null() & sold)
    resource = pl.coalesce("resource_id", "resource_name").is_not_null()
    return {
        "RegionId": pl.coalesce("region_id", "region_name"),
        "RegionName": pl.coalesce("region_name", "region_id"),
        "ResourceType": pl.when(resource).then(pl.coalesce("resource_type", "service_name", pl.lit("Other"))),
        "ServiceCategory": pl.coalesce("service_category", category, pl.lit(OTHER[0])),
        "ServiceName": pl.coalesce("service_name", "service_code", pl.lit("Other")),
        "ServiceSubcategory": pl.coalesce(
            "service_subcategory",
            pl.when(unsaid).then(pl.coalesce(subcategory, pl.lit(OTHER[1]))),
            pl.col("service_category").replace_strict(by_category, default=OTHER[1], return_dtype=pl.String),
        ),
        "SkuId": pl.when(sold).then(sku),
        "SkuMeter": pl.when(sold).then("usage_type"),
        "SkuPriceDetails": details.then(pl.struct(InstanceType="instance_type").struct.json_encode()),
        "SkuPriceId": pl.when(sold).then(priced),
    }


def needs() -> list[str]:
    """Name the columns of an attribution that a row shows."""
    return [name for name in TAGGED if name in OWN.values() or name == "dimensions"]
