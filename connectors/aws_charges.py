"""Turn the lines of one AWS bill file into charges, by row-local expressions that stream."""

from __future__ import annotations

from typing import Final

import polars as pl

from connectors.aws_amortization import ZERO, effective_cost, is_split
from connectors.aws_columns import AwsColumns
from connectors.tabular import ROW
from models.facts import CHARGES, TAGS, declared
from models.money import quantize

PROVIDER: Final = "AWS"
# Lines whose quantity is use; a negation or discount repeats the quantity of the line it refers to.
USAGE: Final = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage", "FlatRateSubscription")
SPOT: Final = ("Spot", "TrSpt")
COVERED: Final = ("DiscountedUsage", "SavingsPlanCoveredUsage")
PURCHASES: Final = ("RIFee", "Fee", "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee")
UNUSED_FEES: Final = ("RIFee", "SavingsPlanRecurringFee")
# `BoxUsage:p5.48xlarge`, `USE1-Train:ml.p4d.24xlarge`, `Studio:JupyterLab-ml.g6.24xlarge`, and SageMaker's own column,
# which says `ml.p4d.24xlarge-Training`. A family has a digit and sizes are spelt out, so that
# `mistral.mistral-large` is no machine.
FAMILY_AND_SIZE: Final = (
    r"(?:u-\d|[a-z]+\d)[a-z0-9]*(?:-[a-z0-9]+)?\.(?:nano|micro|small|medium|large|\d*xlarge|metal(?:-\d+xl)?)"
)
SHAPE: Final = rf"(?:^|[:/-])(?:[a-z]+\.)?({FAMILY_AND_SIZE})"
# The name in an ARN that a person chose. The SageMaker SDK appends a timestamp to a job's: cut off, or every run would
# be a key of its own. A pod's name changes with every restart, so a pod goes by its cluster.
NAMED: Final = (
    r"^arn:[^:]+:(?:"
    r"sagemaker:[^:]*:\d*:(?:endpoint|cluster|training-job|processing-job|transform-job|notebook-instance)/"
    r"|(?:eks|ecs):[^:]*:\d*:(?:cluster|pod|task)/)([^/]+)"
)
STAMP: Final = r"-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d(-\d+)?$"


def charges(frame: pl.LazyFrame, bill: AwsColumns, *, net: bool) -> pl.LazyFrame:
    """Give the charges of one file, without the columns its bill never fills.

    Args:
        frame: the native file with `ROW`.
        bill: its columns.
        net: the bill, in any of its files, has net columns.
    """
    columns = {**_where(bill), **_what(bill), **_which(bill), **_how_much(bill, net=net)}
    filled = frame.select(**{name: cell for name, cell in columns.items() if cell is not None})
    # AWS's promotional credits are lines of their own.
    return declared(filled.with_columns(net_cost=pl.col("effective_cost")), CHARGES)


def _text(bill: AwsColumns, *columns: str) -> pl.Expr | None:
    return bill.text(*columns) if bill.has(*columns) else None


def _where(bill: AwsColumns) -> dict[str, pl.Expr | None]:
    """Say where the line came from, who is billed and who used it."""
    return {
        "source_file": pl.lit(bill.name),
        "source_row": pl.col(ROW).cast(pl.Int64),
        "provider_name": pl.lit(PROVIDER),
        "invoice_issuer_name": bill.text("bill_billing_entity"),
        "invoice_id": _text(bill, "bill_invoice_id"),
        "billing_account_id": bill.text("bill_payer_account_id"),
        "billing_account_name": _text(bill, "bill_payer_account_name"),
        "sub_account_id": bill.text("line_item_usage_account_id"),
        "sub_account_name": _text(bill, "line_item_usage_account_name"),
        "billing_currency": bill.text("line_item_currency_code"),
        "region_id": _text(bill, "product_region_code" if bill.has("product_region_code") else "product_region"),
        "availability_zone": _text(bill, "line_item_availability_zone"),
        "tags": _tags(bill),
        "cost_categories": bill.tags("cost_category"),
    }


def _tags(bill: AwsColumns) -> pl.Expr | None:
    """Give the resource's tags and, with keys like `accountTag/team`, those of its account and user."""
    maps = [tags for group in ("resource_tags", "tags") if (tags := bill.tags(group)) is not None]
    if len(maps) < 2:  # noqa: PLR2004 - nothing to join
        return maps[0] if maps else None
    return pl.concat_list(tags.map.entries().fill_null([]) for tags in maps).cast(TAGS)


def _what(bill: AwsColumns) -> dict[str, pl.Expr | None]:
    """Say what was used and when.

    The service is the product code, which is what people see in the console: data transfer out of an EC2 instance has
    the service code AWSDataTransfer and the product code AmazonEC2. A Marketplace product's code is a hash, so there
    only a service code counts.
    """
    kind = bill.text("line_item_line_item_type")
    start = bill.instant("line_item_usage_start_date")
    from_aws = ~is_marketplace(bill)
    code = pl.when(from_aws).then(bill.text("line_item_product_code"))
    usage_type = bill.text("line_item_usage_type")
    return {
        "usage_period": _month(start),
        "charge_period_start": start,
        "charge_period_end": bill.instant("line_item_usage_end_date"),
        "charge_category": pl.when(kind.is_in(USAGE))
        .then(pl.lit("Usage"))
        .when(kind.is_in(PURCHASES))
        .then(pl.lit("Purchase"))
        .when(kind.is_in(("Tax", "Credit")))
        .then(kind)
        .otherwise(pl.lit("Adjustment")),
        "charge_description": bill.text("line_item_line_item_description"),
        "line_item_type": kind,
        "service_name": bill.text("product_product_name", "line_item_product_code"),
        "service_code": pl.coalesce(code, bill.text("product_servicecode")),
        "usage_type": usage_type,
        "operation": bill.text("line_item_operation"),
        "sku_id": _text(bill, "product_sku"),
        "instance_type": _machine(bill),
        "pricing_category": pl.when(kind.is_in(COVERED))
        .then(pl.lit("Committed"))
        .when(_is_spot(kind, usage_type))
        .then(pl.lit("Dynamic"))
        .when(kind.is_in((*USAGE, *PURCHASES)))
        .then(pl.lit("Standard")),
        "pricing_unit": _text(bill, "pricing_unit"),
    }


def _month(start: pl.Expr) -> pl.Expr:
    """Give the first day of the month, in half the time of `month_start`."""
    day = start.dt.date()
    return (day.cast(pl.Int32) - day.dt.day() + 1).cast(pl.Date)


def _is_spot(kind: pl.Expr, usage_type: pl.Expr) -> pl.Expr:
    """Tell use of spot capacity; two letters, which hardly another usage type has, are found in a third of the time."""
    perhaps = pl.when((kind == "Usage") & usage_type.str.contains("Sp", literal=True)).then(usage_type)
    return perhaps.str.contains_any(list(SPOT))


def _machine(bill: AwsColumns) -> pl.Expr:
    """Find the machine's shape; most lines of EC2 say it plainly, and searching all costs twice as much."""
    said = bill.text("product_instance_type")
    plain = said.str.contains(f"^{FAMILY_AND_SIZE}$").fill_null(value=False)
    text = pl.coalesce(said, bill.text("line_item_usage_type"))
    searched = pl.when(~plain & text.str.contains(".", literal=True)).then(text)
    return pl.when(plain).then(said).otherwise(searched.str.extract(SHAPE))


def is_marketplace(bill: AwsColumns) -> pl.Expr:
    """Tell what others sell through AWS."""
    return bill.text("bill_billing_entity").str.contains("Marketplace", literal=True).fill_null(value=False)


def _which(bill: AwsColumns) -> dict[str, pl.Expr | None]:
    """Say which resource, commitment and reservation the line belongs to."""
    kind = bill.text("line_item_line_item_type")
    commitments = ("savings_plan_savings_plan_arn", "reservation_reservation_arn")
    status = pl.when(kind.is_in(COVERED)).then(pl.lit("Used")).when(kind.is_in(UNUSED_FEES)).then(pl.lit("Unused"))
    commitment = _text(bill, *commitments)
    columns: dict[str, pl.Expr | None] = {
        "commitment_discount_id": commitment,
        # Only beside an id: a line must read alike whatever the other lines of its file fill in.
        "commitment_discount_status": None if commitment is None else pl.when(commitment.is_not_null()).then(status),
    }
    if bill.has("line_item_resource_id"):
        resource = bill.text("line_item_resource_id")
        columns["resource_id"] = resource
        arn = _arn(bill)
        columns["resource_name"] = (
            pl.when(bill.text("line_item_product_code") == "AmazonS3")
            .then(resource)
            .otherwise(arn.str.extract(NAMED).str.replace(STAMP, ""))
        )
    return {**columns, **_capacity_reservation(bill)}


def _arn(bill: AwsColumns) -> pl.Expr:
    """Give the resource where it is an ARN: an expression over nulls costs next to nothing, a search of all does."""
    resource = bill.text("line_item_resource_id")
    return pl.when(resource.str.starts_with("arn:")).then(resource)


def _capacity_reservation(bill: AwsColumns) -> dict[str, pl.Expr | None]:
    """Say which reserved capacity the line used or left unused; FOCUS has no word for AWS's `Reserved`, so null.

    Exports without capacity reservation data still name the reservation where it stood unused. Both are asked of every
    line: whether the column is there depends on the other lines of the file.
    """
    prefix = "capacity_reservation_capacity_reservation_"
    ids, statuses = [], []
    if bill.has(f"{prefix}arn"):
        status = bill.text(f"{prefix}status")
        ids.append(bill.text(f"{prefix}arn"))
        statuses.append(pl.when(status.is_in(("Used", "Unused"))).then(status))
    if bill.has("line_item_resource_id"):
        resource = _arn(bill)
        reserved = pl.when(resource.str.contains(":capacity-reservation/", literal=True))
        unused = reserved.then(bill.text("line_item_usage_type")).str.contains("Unused(?:Box|Ded):")
        ids.append(reserved.then(resource))
        statuses.append(pl.when(unused).then(pl.lit("Unused")))
    if not ids:
        return {}
    return {
        "capacity_reservation_id": pl.coalesce(ids),
        "capacity_reservation_status": pl.coalesce(statuses),
    }


def _how_much(bill: AwsColumns, *, net: bool) -> dict[str, pl.Expr | None]:
    """Say quantity and cost; split-cost rows have none of their own, only a share of their node's."""
    kind, split = bill.text("line_item_line_item_type"), is_split(bill)
    public = bill.amount("pricing_public_on_demand_cost")
    unknown = is_marketplace(bill) & (public == bill.nothing)
    node = pl.coalesce(bill.text("split_line_item_parent_resource_id", "line_item_resource_id"), pl.lit("unknown"))

    def share(column: str) -> pl.Expr | None:
        gross, discounted = f"split_line_item_{column}", f"split_line_item_net_{column}"
        columns = (discounted, gross) if net else (gross,)
        return quantize(pl.when(split).then(bill.amount(*columns))) if bill.has(*columns) else None

    return {
        "consumed_quantity": quantize(pl.when(kind.is_in(USAGE) & ~split).then(bill.amount("line_item_usage_amount"))),
        "split_parent_resource_id": pl.when(split).then(node),
        "split_cost": share("split_cost"),
        "split_unused_cost": share("unused_cost"),
        "billed_cost": pl.when(split).then(ZERO).otherwise(quantize(bill.amount("line_item_unblended_cost"))),
        "effective_cost": effective_cost(bill, net=net),
        "list_cost": pl.when(split).then(ZERO).when(~unknown).then(quantize(public))
        if bill.has("pricing_public_on_demand_cost")
        else None,
    }
