"""What the company promised to spend: a Compute Savings Plan and reserved databases, hour by hour, used or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from examples.bill import STRING_MAP
from examples.company import ACCOUNTS, FIRST_MONTH
from examples.meters import RDS, Meter, arn, aws

_PLANS: Final = aws("ComputeSavingsPlans", "Savings Plans for AWS Compute usage")

RECURRING: Final = 18.0
"""Dollars an hour billed as they fall due: the half of the plan that was not paid on the first day."""
UPFRONT: Final = 18.0
"""Dollars an hour paid on the first day, for a year."""
COMMITMENT: Final = RECURRING + UPFRONT

PLAN_ARN: Final = f"arn:aws:savingsplans::{ACCOUNTS['platform'].id}:savingsplan/7f2b9c41-5d0e-4a86-b3f7-1c9e8d6a5042"
_HOURS_OF_TERM: Final = 365 * 24

_RESERVED: Final = 3
"""Databases reserved; one fewer runs."""
_DATABASE: Final = "db.r6g.4xlarge"
_HOURLY_FEE: Final = 0.5931
_HOURLY_UPFRONT: Final = 0.5848
_DATABASES: Final = Meter(
    account="platform",
    product=RDS,
    usage_type=f"InstanceUsage:{_DATABASE}",
    operation="CreateDBInstance:0014",
    description=f"RDS {_DATABASE} reserved instance applied",
    family="Database Instance",
    instance=_DATABASE,
    rate=0.0,
    on_demand_rate=1.829,
    line_type="DiscountedUsage",
    reservation=arn("rds", "platform", "ri:ri-2026-07-01-orders"),
    workload="not_ai",
    team="platform",
)


def meters(month: date) -> Iterator[Meter]:
    """Meter the fees of both commitments, and the databases that the reservation covers."""
    yield _fee("SavingsPlanRecurringFee", RECURRING, "1 year Partial Upfront Compute Savings Plan")
    for number in range(1, _RESERVED):
        yield replace(_DATABASES, resource=arn("rds", "platform", f"db:orders-{number}"))
    yield replace(
        _DATABASES,
        line_type="RIFee",
        usage_type=f"HeavyUsage:{_DATABASE}",
        rate=_HOURLY_FEE,
        quantity=float(_RESERVED),
        grain="month",
        description=f"USD {_HOURLY_FEE} hourly fee per RDS {_DATABASE} reserved instance",
        workload="shared",
        team=None,
    )
    if month == FIRST_MONTH:
        yield _fee("SavingsPlanUpfrontFee", UPFRONT * _HOURS_OF_TERM, "Upfront fee of the Compute Savings Plan")
        yield replace(
            _DATABASES,
            line_type="Fee",
            usage_type=f"HeavyUsage:{_DATABASE}",
            rate=_HOURLY_UPFRONT * _HOURS_OF_TERM * _RESERVED,
            unit="Quantity",
            shape="once",
            grain="month",
            description=f"Sign up charge for {_RESERVED} reserved {_DATABASE}",
            workload="shared",
            team=None,
        )


def settle(lines: pl.DataFrame) -> pl.DataFrame:
    """Let the commitments cover what they can reach, and write on the fees how much of them was used."""
    return _settle_reservation(_settle_plan(lines))


def _settle_plan(lines: pl.DataFrame) -> pl.DataFrame:
    """Cover, each tick, the usage with the deepest saving first, until the commitment is used up.

    Usage that is covered in part becomes two lines. Sharing is switched off in this company: the plan reaches only the
    account that bought it, which is why it can run dry at night beside a floor of GPU nodes at full price.
    """
    is_reached = pl.col("savings_ratio").is_not_null()
    cost, amount = pl.col("line_item_unblended_cost"), pl.col("line_item_usage_amount")
    wanted = cost * pl.col("savings_ratio")
    before = (wanted.cum_sum() - wanted).over("tick")
    reached = (
        lines.filter(is_reached)
        .sort("tick", "savings_ratio", "meter")
        .with_columns(share=((pl.lit(COMMITMENT) * pl.col("grain") - before).clip(0) / wanted).clip(upper_bound=1))
    )
    covered = reached.filter(pl.col("share") > 0).with_columns(
        cost * pl.col("share"),
        amount * pl.col("share"),
        pl.col("pricing_public_on_demand_cost") * pl.col("share"),
        line_item_line_item_type=pl.lit("SavingsPlanCoveredUsage"),
        pricing_term=pl.lit("OnDemand"),
        savings_plan_savings_plan_effective_cost=wanted * pl.col("share"),
        savings_plan_savings_plan_rate=pl.col("rate") * pl.col("savings_ratio"),
        **_plan_terms(),
    )
    rest = reached.filter(pl.col("share") < 1).with_columns(
        cost * (1 - pl.col("share")),
        amount * (1 - pl.col("share")),
        pl.col("pricing_public_on_demand_cost") * (1 - pl.col("share")),
    )
    used = covered.group_by("tick", maintain_order=True).agg(
        used=pl.col("savings_plan_savings_plan_effective_cost").sum()
    )
    is_fee = pl.col("line_item_line_item_type") == "SavingsPlanRecurringFee"
    fees = (
        lines.filter(is_fee)
        .join(used, on="tick", how="left", maintain_order="left")
        .with_columns(
            savings_plan_recurring_commitment_for_billing_period=cost,
            savings_plan_amortized_upfront_commitment_for_billing_period=amount * UPFRONT,
            savings_plan_total_commitment_to_date=amount * COMMITMENT,
            savings_plan_used_commitment=pl.col("used").fill_null(0.0),
            idle_reason=pl.lit("unused_commitment"),
            **_plan_terms(),
        )
    )
    others = lines.filter(~is_reached & ~is_fee)
    return pl.concat([others, covered, _negations(covered), rest, fees], how="diagonal")


def _negations(covered: pl.DataFrame) -> pl.DataFrame:
    """Take back the on-demand price of covered usage: a line per tick, account and usage type, of no resource."""
    keys = ("tick", "line_item_usage_account_id", "line_item_usage_type")
    summed = ("line_item_unblended_cost", "line_item_usage_amount")
    shared = pl.lit(None, dtype=pl.String)
    return (
        covered.group_by(keys, maintain_order=True)
        .agg(pl.exclude(*keys, *summed).first(), pl.col(summed[0]).sum() * -1, pl.col(summed[1]).sum())
        .with_columns(
            line_item_line_item_type=pl.lit("SavingsPlanNegation"),
            line_item_line_item_description=pl.lit("SavingsPlanNegation used by a Compute Savings Plan"),
            line_item_resource_id=pl.lit(""),
            line_item_availability_zone=pl.lit(""),
            resource_tags=pl.lit(pl.Series([{}], dtype=STRING_MAP)).first(),
            savings_plan_savings_plan_effective_cost=pl.lit(0.0),
            savings_plan_savings_plan_rate=pl.lit(0.0),
            pricing_public_on_demand_cost=pl.lit(0.0),
            workload=pl.lit("shared"),
            team=shared,
            llm_model=shared,
            evidence_possible=pl.lit(value=True),
        )
    )


def _settle_reservation(lines: pl.DataFrame) -> pl.DataFrame:
    """Price the covered databases at their share of the reservation, and put what is left on the fee."""
    is_fee = pl.col("line_item_line_item_type") == "RIFee"
    is_covered = pl.col("line_item_line_item_type") == "DiscountedUsage"
    amount = pl.col("line_item_usage_amount")
    unused = amount - amount.filter(is_covered).sum()

    def on(row: pl.Expr, value: pl.Expr) -> pl.Expr:
        return pl.when(row).then(value).otherwise(0.0)

    return lines.with_columns(
        reservation_reservation_a_r_n=pl.col("reserved_under"),
        reservation_effective_cost=on(is_covered, amount * (_HOURLY_FEE + _HOURLY_UPFRONT)),
        reservation_recurring_fee_for_usage=on(is_covered, amount * _HOURLY_FEE),
        reservation_amortized_upfront_cost_for_usage=on(is_covered, amount * _HOURLY_UPFRONT),
        reservation_amortized_upfront_fee_for_billing_period=on(is_fee, amount * _HOURLY_UPFRONT),
        reservation_unused_quantity=on(is_fee, unused),
        reservation_unused_recurring_fee=on(is_fee, unused * _HOURLY_FEE),
        reservation_unused_amortized_upfront_fee_for_billing_period=on(is_fee, unused * _HOURLY_UPFRONT),
        idle_reason=pl.when(is_fee).then(pl.lit("unused_commitment")).otherwise(pl.col("idle_reason")),
    )


def _plan_terms() -> dict[str, pl.Expr]:
    terms = {
        "savings_plan_savings_plan_a_r_n": PLAN_ARN,
        "savings_plan_offering_type": "ComputeSavingsPlans",
        "savings_plan_payment_option": "Partial Upfront",
        "savings_plan_purchase_term": "1yr",
        "savings_plan_start_time": "2026-07-01T00:00:00.000Z",
        "savings_plan_end_time": "2027-07-01T00:00:00.000Z",
    }
    return {column: pl.lit(value) for column, value in terms.items()}


def _fee(line_type: str, rate: float, description: str) -> Meter:
    is_upfront = line_type == "SavingsPlanUpfrontFee"
    return Meter(
        account="platform",
        product=_PLANS,
        usage_type="ComputeSP:1yrPartialUpfront",
        description=description,
        rate=rate,
        line_type=line_type,
        resource=PLAN_ARN,
        shape="once" if is_upfront else "always",
        grain="month" if is_upfront else "hour",
        extra={"savings_plan_savings_plan_a_r_n": PLAN_ARN},
        workload="shared",
    )
