"""Turn the rows of one Google Cloud billing export into charges, by row-local expressions that stream.

Money. `cost` stands before credits, and credits hang on the row they reduce. What Google asks for is cost plus every
credit: that is `billed_cost`, and over every cost_type of an invoice month it ties to the invoice. `effective_cost` is
cost plus what was negotiated or committed (sustained and committed use, contract discounts, reseller margin,
subscription benefits, fee offsets), before gifts (`GIFTS`); `net_cost` is after them and so equals `billed_cost`.

Commitments. In the newer model covered usage carries its discounted price and the subscription, and what is left of a
fee row after its `FEE_UTILIZATION_OFFSET` was used by nobody. In the older one covered usage is credited, and the fee
row that paid for it names only the SKU: `commitment_discount_id` is then that SKU on both sides, which is what
allocation needs to bring them together. https://docs.cloud.google.com/docs/cuds-multiprice-datamodel
"""

from __future__ import annotations

from typing import Final

import polars as pl

from connectors.gcp_columns import LINES, GcpColumns, field
from connectors.gcp_labels import tags
from connectors.tabular import ROW
from models.facts import CHARGES, declared
from models.money import MONEY, quantize

PROVIDER: Final = "Google Cloud"
# Credits that are not earned by a contract or a commitment.
GIFTS: Final = ("PROMOTION", "FREE_TIER")
# What commitment ids of the older model start with; a SKU follows.
BY_SKU: Final = "originating-sku/"
DEFAULT_MODEL: Final = ("7754-699E-0EBF", "Default")
# Columns that only the expressions here see.
OFFSETS, SPEND_BASED, RESOURCE_BASED, LABELLED, DISCOUNTED, FEE = (f"__mark_{number}" for number in range(6))
ZERO: Final = pl.lit("0").cast(MONEY)
# Every resource of a group would be a key of its own: a node is known by its pool (`gke-prod-a3-1f2e3d4c-x7k2`), a run
# by its job, a volume by what claimed it.
CHANGING: Final = (
    r"(?:[-_][0-9a-f]{8}-[0-9a-z]{4}|[-_]?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    # four characters with a digit: an instance of a managed group
    r"|-(?:\d[0-9a-z]{3}|[a-z]\d[0-9a-z]{2}|[a-z]{2}\d[0-9a-z]|[a-z]{3}\d)|[-_]\d{8}[-_T]?\d*|[-_]\d+)$"
)
BUCKETS: Final = "95FF-2EF5-5EA1"


def charges(frame: pl.LazyFrame, bill: GcpColumns, month: str) -> pl.LazyFrame:
    """Give the charges of one file that one invoice asks for.

    Args:
        frame: the native file with `ROW`.
        bill: its columns.
        month: the invoice month as the bill writes it, for example 202601.
    """
    columns = {**_where(bill), **_what(bill), **commitment(bill), **capacity_reservation(bill), **_how_much(bill)}
    asked = frame.filter(bill.text("invoice.month") == month)
    return declared(marked(asked, bill).select(**columns), CHARGES)


def marked(frame: pl.LazyFrame, bill: GcpColumns) -> pl.LazyFrame:
    """Add what commitments and categories are told by."""
    return frame.with_columns(**_marks(bill)).with_columns(**{FEE: _is_fee(bill)})


def _marks(bill: GcpColumns) -> dict[str, pl.Expr]:
    """Find once what several columns depend on."""

    def has(*kinds: str) -> pl.Expr:
        return bill.cell("credits").list.agg(field("type").is_in(kinds).any()).fill_null(value=False)

    model = pl.coalesce(bill.text("consumption_model.id"), bill.text("consumption_model.description"))
    return {
        OFFSETS: has("FEE_UTILIZATION_OFFSET"),
        SPEND_BASED: has("COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE"),
        RESOURCE_BASED: has("COMMITTED_USAGE_DISCOUNT"),
        LABELLED: bill.values("labels", "goog-originating-sku-id", "goog_originating_sku_id"),
        DISCOUNTED: (model.is_not_null() & ~model.is_in(DEFAULT_MODEL)).fill_null(value=False),
    }


def _is_fee(bill: GcpColumns) -> pl.Expr:
    """Tell the fee of a commitment."""
    named = bill.text("sku.description").str.contains(r"^(?i)commitment\b").fill_null(value=False)
    return named | pl.col(LABELLED).is_not_null() | pl.col(OFFSETS)


def _where(bill: GcpColumns) -> dict[str, pl.Expr]:
    """Say where the row came from, who is billed and who used it."""
    partner = bill.text("invoice.publisher_type") == "PARTNER"
    columns = {
        "source_file": pl.lit(bill.name),
        "source_row": pl.col(ROW).cast(pl.Int64),
        "provider_name": pl.lit(PROVIDER),
        "invoice_issuer_name": pl.when(partner).then(pl.lit(f"{PROVIDER} Marketplace")).otherwise(pl.lit(PROVIDER)),
        "billing_account_id": bill.text("billing_account_id"),
        "sub_account_id": bill.text("project.id"),
        "sub_account_name": bill.text("project.name"),
        "billing_currency": bill.text("currency"),
        "region_id": pl.coalesce(bill.text("location.region"), bill.text("location.location")),
        "availability_zone": bill.text("location.zone"),
        "tags": tags(bill),
    }
    if bill.has("currency_conversion_rate"):
        converted = pl.when(bill.text("currency") != "USD").then(bill.cell("currency_conversion_rate"))
        columns["currency_conversion_rate"] = quantize(converted)
    if bill.has(LINES):
        columns["line_count"] = bill.cell(LINES).cast(pl.Int64)
    if bill.has("resource"):
        name = bill.text("resource.name").str.split("/").list.last()
        subscription = pl.when(pl.col(FEE)).then(bill.text("subscription.instance_id"))
        columns["resource_id"] = pl.coalesce(
            bill.text("resource.global_name"), bill.text("resource.name"), subscription
        )
        columns["resource_name"] = steady_name(name, bill.text("service.id"))
    return columns


def steady_name(name: pl.Expr, service: pl.Expr) -> pl.Expr:
    """Drop what changes in a resource's name with every node, run or volume; a bucket's name is its own."""
    return pl.when(service == BUCKETS).then(name).otherwise(name.str.replace(CHANGING, ""))


def machine(bill: GcpColumns) -> pl.Expr:
    """Name the shape of the machine a row is part of."""
    return bill.values("system_labels", "compute.googleapis.com/machine_spec")


def _what(bill: GcpColumns) -> dict[str, pl.Expr]:
    """Say what was used and when; the month of use is that of UTC, the invoice month that of Pacific time."""
    start, kind, sku = bill.instant("usage_start_time"), bill.text("cost_type"), bill.text("sku.description")
    usage = (kind == "regular") & ~pl.col(FEE)
    covered = pl.col(DISCOUNTED) | pl.col(SPEND_BASED) | pl.col(RESOURCE_BASED)
    return {
        "usage_period": start.dt.date().dt.month_start(),
        "charge_period_start": start,
        "charge_period_end": bill.instant("usage_end_time"),
        "charge_category": pl.when(usage)
        .then(pl.lit("Usage"))
        .when(kind == "regular")
        .then(pl.lit("Purchase"))
        .when(kind == "tax")
        .then(pl.lit("Tax"))
        .otherwise(pl.lit("Adjustment")),
        "charge_description": pl.coalesce(bill.text("adjustment_info.description"), sku),
        "line_item_type": kind,
        "service_name": bill.text("service.description"),
        "service_code": bill.text("service.id"),
        "usage_type": sku,
        "sku_id": bill.text("sku.id"),
        "instance_type": machine(bill),
        # A fee that paid for usage is no idle money, and a rule sees that here.
        "pricing_category": pl.when((kind == "regular") & (covered | _paid_for().is_not_null()))
        .then(pl.lit("Committed"))
        .when(usage & sku.str.contains("Spot|Preemptible"))
        .then(pl.lit("Dynamic"))
        .when(kind == "regular")
        .then(pl.lit("Standard")),
    }


def _paid_for() -> pl.Expr:
    """Name the SKU whose usage a fee paid for, in the older model."""
    return pl.when(~pl.col(OFFSETS)).then(pl.col(LABELLED))


def commitment(bill: GcpColumns) -> dict[str, pl.Expr]:
    """Say which commitment a row belongs to, and whether its money bought anything.

    The fee of a resource-based commitment (`Commitment v1: …`) does not say how much of it was used.
    """
    fee, covered = pl.col(FEE), pl.col(SPEND_BASED)
    paid_for = _paid_for()
    subscription = bill.text("subscription.instance_id")
    by_sku = pl.lit(BY_SKU) + pl.when(fee).then(paid_for).when(covered).then(bill.text("sku.id"))
    used = paid_for.is_not_null() | covered | pl.col(DISCOUNTED)
    spend_based = ~bill.text("sku.description").str.contains(r"^(?i)commitment v\d").fill_null(value=False)
    regular = pl.when(bill.text("cost_type") == "regular")
    return {
        "commitment_discount_id": regular.then(
            pl.coalesce(by_sku, pl.when(fee | pl.col(DISCOUNTED)).then(subscription))
        ),
        "commitment_discount_status": regular.then(
            pl.when(used).then(pl.lit("Used")).when(fee & spend_based).then(pl.lit("Unused"))
        ),
    }


def capacity_reservation(bill: GcpColumns) -> dict[str, pl.Expr]:
    """Say which reservation a row belongs to, and whether anything ran in it."""
    prefix = "compute.googleapis.com/"
    name = bill.values("system_labels", f"{prefix}reservation_name")
    unused = bill.values("system_labels", f"{prefix}is_unused_reservation").str.to_lowercase() == "true"
    return {
        "capacity_reservation_id": name,
        "capacity_reservation_status": pl.when(unused)
        .then(pl.lit("Unused"))
        .when(name.is_not_null())
        .then(pl.lit("Used")),
    }


def _how_much(bill: GcpColumns) -> dict[str, pl.Expr]:
    """Say quantity, in the unit that prices are in where the bill has it, and cost; each amount is rounded once."""
    priced, used = bill.cell("usage.amount_in_pricing_units"), bill.cell("usage.amount")
    counts = (bill.cell("cost_type") != "tax") & ~pl.col(FEE)
    # Rounding nulls costs nothing, so the few are picked out first.
    quantity = pl.coalesce(
        quantize(pl.when(counts).then(priced)), quantize(pl.when(counts & priced.is_null()).then(used))
    )
    unit = pl.when(priced.is_not_null()).then(bill.text("usage.pricing_unit")).otherwise(bill.text("usage.unit"))
    amount = quantize(field("amount"))
    earned = ~field("type").is_in(GIFTS).fill_null(value=False)
    cost = quantize(bill.cell("cost"))
    billed = cost + bill.cell("credits").list.agg(amount.sum()).fill_null(ZERO)
    columns = {
        "pricing_unit": unit,
        "consumed_quantity": quantity,
        "billed_cost": billed,
        "effective_cost": cost + bill.cell("credits").list.agg(amount.filter(earned).sum()).fill_null(ZERO),
        "net_cost": billed,
    }
    if bill.has("cost_at_list"):
        columns["list_cost"] = quantize(bill.cell("cost_at_list"))
    return columns
