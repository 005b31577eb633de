"""Turn the lines of one FOCUS file into charges, by row-local expressions that stream."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

import polars as pl

from connectors.aws_charges import NAMED, SHAPE, STAMP
from connectors.focus_columns import PROVIDERS, FocusColumns
from connectors.tabular import ROW
from models import focus
from models.facts import CHARGES, declared
from models.money import quantize

# Our column → the FOCUS column whose words are a closed list: writers differ in case (`Usage-based`).
WORDS: Final = {
    "charge_category": "ChargeCategory",
    "charge_class": "ChargeClass",
    "charge_frequency": "ChargeFrequency",
    "pricing_category": "PricingCategory",
    "commitment_discount_category": "CommitmentDiscountCategory",
    "commitment_discount_status": "CommitmentDiscountStatus",
    "capacity_reservation_status": "CapacityReservationStatus",
    "service_category": "ServiceCategory",
}
CHARGE_CATEGORIES: Final = focus.columns("1.4")["ChargeCategory"].allowed
# Our column → FOCUS columns, or their `x_` forms, the first that is filled.
TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "provider_name": PROVIDERS,
    "publisher_name": ("PublisherName",),
    "invoice_issuer_name": ("InvoiceIssuerName",),
    "invoice_id": ("InvoiceId",),
    "billing_account_id": ("BillingAccountId",),
    "billing_account_name": ("BillingAccountName",),
    "sub_account_id": ("SubAccountId",),
    "sub_account_name": ("SubAccountName",),
    "billing_currency": ("BillingCurrency",),
    "charge_description": ("ChargeDescription",),
    "line_item_type": ("x_LineItemType",),
    "service_name": ("ServiceName",),
    "service_subcategory": ("ServiceSubcategory",),
    "usage_type": ("x_UsageType", "SkuMeter"),
    "operation": ("x_Operation",),
    "sku_id": ("SkuId",),
    "sku_price_id": ("SkuPriceId",),
    "region_id": ("RegionId",),
    "region_name": ("RegionName",),
    "availability_zone": ("AvailabilityZone",),
    "resource_id": ("ResourceId",),
    "resource_type": ("ResourceType",),
    "commitment_discount_id": ("CommitmentDiscountId",),
    "commitment_discount_type": ("CommitmentDiscountType",),
    "capacity_reservation_id": ("CapacityReservationId",),
}
# How AWS names in FOCUS what its other bills name by code; rules know the codes.
# https://docs.aws.amazon.com/cur/latest/userguide/table-dictionary-focus-1-2-aws-columns.html
AWS_CODES: Final = {
    "Amazon Bedrock": "AmazonBedrock",
    "Amazon Bedrock AgentCore": "AmazonBedrockAgentCore",
    "Amazon Bedrock Foundation Models": "AmazonBedrockFoundationModels",
    "Amazon Bedrock Service": "AmazonBedrockService",
    "Amazon Comprehend": "comprehend",
    "Amazon EC2 Container Registry (ECR)": "AmazonECR",
    "Amazon Elastic Compute Cloud": "AmazonEC2",
    "Amazon Elastic Container Registry": "AmazonECR",
    "Amazon Elastic Container Service": "AmazonECS",
    "Amazon Elastic Container Service for Kubernetes": "AmazonEKS",
    "Amazon Elastic File System": "AmazonEFS",
    "Amazon FSx": "AmazonFSx",
    "Amazon Forecast": "AmazonForecast",
    "Amazon Glacier": "AmazonGlacier",
    "Amazon Kendra": "AmazonKendra",
    "Amazon Lex": "AmazonLex",
    "Amazon Personalize": "AmazonPersonalize",
    "Amazon Polly": "AmazonPolly",
    "Amazon Q": "AmazonQ",
    "Amazon Rekognition": "AmazonRekognition",
    "Amazon SageMaker": "AmazonSageMaker",
    "Amazon Simple Storage Service": "AmazonS3",
    "Amazon Textract": "AmazonTextract",
    "Amazon Transcribe": "transcribe",
    "Amazon Translate": "translate",
    "AWS Batch": "AWSBatch",
    "AWS Lambda": "AWSLambda",
    "Savings Plans for AWS Compute usage": "ComputeSavingsPlans",
    "Savings Plans for AWS Machine Learning usage": "MachineLearningSavingsPlans",
}
# `Standard_ND96isr_H100_v5`, `BM.GPU.H100.8`, `a3-highgpu-8g`: a shape where a provider has a column for it.
SHAPE_KEYS: Final = ("InstanceType", "x_InstanceType", "VMSize")


def charges(frame: pl.LazyFrame, bill: FocusColumns, period: date) -> pl.LazyFrame:
    """Give the charges of one month in one file, without the columns the file never fills.

    Args:
        frame: the native file with `ROW`.
        bill: its columns.
        period: the billing period; a file without a manifest may hold several.
    """
    columns = {
        **_texts(bill),
        **_words(bill),
        **_when_and_where(bill),
        **_what(bill),
        **_how_much(bill),
    }
    lines = frame.filter(bill.month() == pl.lit(period))
    return declared(lines.select(**{name: cell for name, cell in columns.items() if cell is not None}), CHARGES)


def word(bill: FocusColumns, name: str) -> pl.Expr:
    """Give a column of closed words in FOCUS's own case; an unknown word stays as it is."""
    text = bill.text(WORDS[name])
    known = {one.lower(): one for one in focus.columns("1.4")[WORDS[name]].allowed}
    folded = text.str.strip_chars().str.to_lowercase()
    return pl.coalesce(folded.replace_strict(known, default=None, return_dtype=pl.String), text)


def _texts(bill: FocusColumns) -> dict[str, pl.Expr | None]:
    required = {name for name in TEXTS if CHARGES[name].required}
    return {name: bill.text(*of) for name, of in TEXTS.items() if name in required or bill.has(*of)}


def _words(bill: FocusColumns) -> dict[str, pl.Expr | None]:
    return {name: word(bill, name) for name, column in WORDS.items() if bill.has(column)}


def _when_and_where(bill: FocusColumns) -> dict[str, pl.Expr | None]:
    start = bill.instant("ChargePeriodStart")
    return {
        "source_file": pl.lit(bill.name),
        "source_row": pl.col(ROW).cast(pl.Int64),
        "usage_period": start.dt.date().dt.month_start(),
        "charge_period_start": start,
        "charge_period_end": bill.instant("ChargePeriodEnd"),
        "tags": bill.tags("Tags"),
        "cost_categories": bill.tags("x_CostCategories"),
    }


def _what(bill: FocusColumns) -> dict[str, pl.Expr | None]:
    """Say what was used: the product's code, the machine's shape and the resource's name, as rules look for them."""
    is_aws = bill.text(*PROVIDERS).str.contains(r"^(?i:AWS$|Amazon Web Services)").fill_null(value=False)
    code = pl.when(is_aws).then(
        bill.text("ServiceName").replace_strict(AWS_CODES, default=None, return_dtype=pl.String)
    )
    resource = bill.text("ResourceId")
    arn = pl.when(is_aws & resource.str.starts_with("arn:")).then(resource)
    # An S3 bucket's id is its name; elsewhere in AWS the name stands in the ARN.
    name = (
        pl.when(is_aws & (bill.text("ServiceName") == "Amazon Simple Storage Service"))
        .then(resource.str.strip_prefix("arn:aws:s3:::"))
        .otherwise(arn.str.extract(NAMED).str.replace(STAMP, ""))
    )
    shape = pl.coalesce(
        *_shapes(bill),
        pl.when(is_aws).then(bill.text("x_UsageType", "SkuMeter").str.extract(SHAPE)),
        # "$1.624 per On Demand Linux g5.4xlarge Instance Hour"; other lines name a machine they only stand beside.
        pl.when(is_aws).then(bill.text("ChargeDescription").str.extract(r"\b([a-z]+\d\S*\.\w+) Instance Hour")),
    )
    return {
        "service_code": pl.coalesce(bill.text("x_ServiceCode"), code),
        "instance_type": shape,
        "resource_name": pl.coalesce(bill.text("ResourceName"), name),
    }


def _shapes(bill: FocusColumns) -> Iterable[pl.Expr]:
    details = bill.tags("SkuPriceDetails")
    if details is not None:
        for key in SHAPE_KEYS:
            yield pl.coalesce(details.map.get(key), details.map.get(f"x_{key}"))
    yield bill.text("x_InstanceType", "x_SkuInstanceType")


def _how_much(bill: FocusColumns) -> dict[str, pl.Expr | None]:
    """Say quantity and cost. FOCUS amortizes by itself: a covered line's effective cost is its share of the commitment.

    Credits are lines of their own and keep their amounts, so the cost after credits is the effective cost summed over
    all lines. What is unused has no quantity.
    """
    uses = word(bill, "charge_category") == "Usage"
    unused = (word(bill, "commitment_discount_status") == "Unused").fill_null(value=False)
    consumed, priced = _amount(bill, "ConsumedQuantity"), _amount(bill, "PricingQuantity")
    effective = _amount(bill, "EffectiveCost")
    is_consumed = consumed.is_not_null()
    unit = bill.text("PricingUnit")
    return {
        "consumed_quantity": pl.when(uses & ~unused).then(pl.coalesce(consumed, priced)),
        "pricing_unit": pl.when(is_consumed).then(bill.text("ConsumedUnit", "PricingUnit")).otherwise(unit),
        "billed_cost": _amount(bill, "BilledCost"),
        "effective_cost": effective,
        "net_cost": effective,
        "list_cost": _amount(bill, "ListCost") if bill.has("ListCost") else None,
        "contracted_cost": _amount(bill, "ContractedCost") if bill.has("ContractedCost") else None,
        "currency_conversion_rate": _conversion_rate(bill) if bill.has("x_CurrencyConversionRate") else None,
    }


def _conversion_rate(bill: FocusColumns) -> pl.Expr:
    """Give Google's rate from US dollars; of a bill in dollars it says nothing."""
    return quantize(pl.when(bill.text("BillingCurrency") != "USD").then(bill.cell("x_CurrencyConversionRate")))


def _amount(bill: FocusColumns, column: str) -> pl.Expr:
    return quantize(bill.cell(column) if bill.has(column) else pl.lit(None, pl.String))
