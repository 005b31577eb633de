"""What a line of an AWS bill effectively cost: amortized commitments and negotiated discounts, per kind of line.

A commitment's money stands on the usage it covers plus the unused part on its fee line; what only moves money
(negations, upfront fees) counts 0. Where the bill has net columns the discounts are inside them, and the discount
lines count 0. https://docs.aws.amazon.com/cur/latest/userguide/cur-sp.html and …/amortized-reservation.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from connectors.aws_columns import SPLIT_OPERATIONS, AwsColumns
from connectors.tabular import scan
from models.money import MONEY, quantize

# Amounts that a kind of line must carry: one column of each group, else its effective cost is unknown.
NEEDED: Final = {
    "SavingsPlanCoveredUsage": (("savings_plan_savings_plan_effective_cost",),),
    "SavingsPlanRecurringFee": (("savings_plan_total_commitment_to_date",), ("savings_plan_used_commitment",)),
    "DiscountedUsage": (("reservation_effective_cost",),),
    "RIFee": (
        (
            "reservation_unused_amortized_upfront_fee_for_billing_period",
            "reservation_unused_recurring_fee",
        ),
    ),
}
NET: Final = "line_item_net_unblended_cost"
# Both sides of an unused commitment are sums of doubles: used may exceed committed by their noise, and nothing else.
NOISE: Final = 1e-6
ZERO: Final = pl.lit("0").cast(MONEY)


def is_split(bill: AwsColumns) -> pl.Expr:
    """Tell the rows of split cost allocation: they repeat the cost of an instance that has its own line."""
    return bill.text("line_item_operation").is_in(SPLIT_OPERATIONS).fill_null(value=False)


def is_net(path: Path, bill: AwsColumns) -> bool:
    """Tell whether the file fills its net columns; a column of zeros would make the whole bill cost nothing."""
    if not bill.has(NET):
        return False
    net = bill.amount(NET).cast(pl.Float64, strict=False)
    # Most bills answer by their first lines.
    return not scan(path).filter(net != 0).select(net).head(1).collect(engine="streaming").is_empty()


def effective_cost(bill: AwsColumns, *, net: bool) -> pl.Expr:
    """Give the effective cost as `MONEY`.

    Each amount is rounded once, as it is read. Which amount counts is picked before it is rounded, because rounding ten
    million doubles costs more than picking them, and rounding nulls next to nothing.
    """
    kind = bill.text("line_item_line_item_type")
    nothing = is_split(bill) | _moves_money_only(bill, kind) | (is_discount(kind) & net)
    used = (
        pl.when(kind == "SavingsPlanCoveredUsage")
        .then(_net_else_gross(bill, "savings_plan_{}savings_plan_effective_cost", net=net))
        .when(kind == "DiscountedUsage")
        .then(_net_else_gross(bill, "reservation_{}effective_cost", net=net))
        .otherwise(_net_else_gross(bill, "line_item_{}unblended_cost", net=net))
    )
    return (
        pl.when(nothing)
        .then(ZERO)
        .when(kind == "SavingsPlanRecurringFee")
        .then(_discounted(bill, kind, _unused_of_plan(bill, kind), net=net))
        .when(kind == "RIFee")
        .then(_unused_of_reservation(bill, kind, net=net))
        .otherwise(quantize(used))
    )


def _unused_of_plan(bill: AwsColumns, kind: pl.Expr) -> pl.Expr:
    """Give what was committed and not used, null on all lines but a Savings Plan's fee."""
    total = bill.amount("savings_plan_total_commitment_to_date")
    used = bill.amount("savings_plan_used_commitment")
    excess = used.cast(pl.Float64, strict=False) - total.cast(pl.Float64, strict=False)
    is_fee = kind == "SavingsPlanRecurringFee"
    committed = pl.when(is_fee).then(total)
    return quantize(committed) - quantize(
        pl.when(is_fee & excess.is_between(0, NOISE)).then(total).when(is_fee).then(used)
    )


def _unused_of_reservation(bill: AwsColumns, kind: pl.Expr, *, net: bool) -> pl.Expr:
    """Give the upfront share and the recurring fee of what stood unused, null on all lines but a reservation's fee."""
    columns = ("reservation_{}unused_amortized_upfront_fee_for_billing_period", "reservation_{}unused_recurring_fee")
    parts = (pl.when(kind == "RIFee").then(_net_else_gross(bill, column, net=net)) for column in columns)
    return pl.sum_horizontal(quantize(part) for part in parts)


def _net_else_gross(bill: AwsColumns, column: str, *, net: bool) -> pl.Expr:
    gross = column.format("")
    return bill.amount(column.format("net_"), gross) if net else bill.amount(gross)


def is_discount(kind: pl.Expr) -> pl.Expr:
    """Tell discount lines of any name; reservations call the usage they cover discounted."""
    return kind.str.contains("Discount", literal=True) & (kind != "DiscountedUsage")


def _moves_money_only(bill: AwsColumns, kind: pl.Expr) -> pl.Expr:
    upfront_of_reservation = (kind == "Fee") & bill.text("reservation_reservation_arn").is_not_null()
    refund_of_upfront = (
        (kind == "Refund")
        & (bill.text("line_item_product_code") == "ComputeSavingsPlans")
        & bill.text("line_item_line_item_description").str.starts_with("Refund for one-time fee for Savings Plan ID")
    )
    moved = kind.is_in(("SavingsPlanNegation", "SavingsPlanUpfrontFee"))
    return moved | upfront_of_reservation | refund_of_upfront.fill_null(value=False)


def _discounted(bill: AwsColumns, kind: pl.Expr, unused: pl.Expr, *, net: bool) -> pl.Expr:
    """Scale the unused part of a Savings Plan to the plan's net fee, where the bill says both.

    AWS has no net column for committed and used; net ÷ gross of the period's whole commitment (upfront share +
    recurring) is the plan's discount, also where all was paid upfront and the line itself bills 0. The ratio is a float
    and the product is rounded once.
    """
    parts = ("amortized_upfront_commitment_for_billing_period", "recurring_commitment_for_billing_period")
    if not net or not bill.has(*(f"savings_plan_net_{part}" for part in parts)):
        return unused

    def whole(prefix: str) -> pl.Expr:
        amounts = (bill.amount(f"{prefix}{part}").cast(pl.Float64, strict=False) for part in parts)
        return pl.when(kind == "SavingsPlanRecurringFee").then(pl.sum_horizontal(amounts))

    gross, discounted = whole("savings_plan_"), whole("savings_plan_net_")
    ratio = discounted / gross
    scaled = quantize(unused.cast(pl.Float64) * ratio)
    return pl.when((gross != 0) & (discounted != 0) & (ratio != 1)).then(scaled).otherwise(unused)
