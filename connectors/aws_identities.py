"""What AWS promises of its own amounts, asked of every bill; a broken promise is shown and refuses nothing.

A commitment's month costs what it covered plus what stood unused; discounts inside the net columns are the discount
lines beside them. AWS rounds amounts to ten decimals and adds doubles, so that both sides may part by a tolerance.
https://docs.aws.amazon.com/cur/latest/userguide/cur-sp.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors.aws_amortization import NET, is_discount
from connectors.aws_columns import AwsColumns
from connectors.source import Identity
from models.money import MONEY

KIND: Final = "line_item_line_item_type"
COMMITMENT: Final = ("savings_plan_savings_plan_arn", "reservation_reservation_arn")
STARTS: Final = ("savings_plan_start_time", "reservation_start_time")
ENDS: Final = ("savings_plan_end_time", "reservation_end_time")
DISCOUNT: Final = "discount_total_discount"
UPFRONT_SHARE: Final = "reservation_amortized_upfront_fee_for_billing_period"
KNOWN: Final = (
    "Usage", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee",
    "DiscountedUsage", "RIFee", "Fee", "Refund", "Credit", "Tax", "FlatRateSubscription",
)  # fmt: skip
COVERED: Final = ("SavingsPlanCoveredUsage", "DiscountedUsage")
FEES: Final = ("SavingsPlanRecurringFee", "RIFee")
# Sums of a month: a cent, and what ten decimals leave of each line. A single line: a millionth.
CENT: Final = Decimal("0.01")
PER_LINE: Final = Decimal("0.000000001")
OF_A_LINE: Final = Decimal("0.000001")
# Name of a sum → kinds of line and the column it adds.
AMOUNTS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "covered by plan": (("SavingsPlanCoveredUsage",), "savings_plan_savings_plan_effective_cost"),
    "covered by reservation": (("DiscountedUsage",), "reservation_effective_cost"),
    "committed": (("SavingsPlanRecurringFee",), "savings_plan_total_commitment_to_date"),
    "used": (("SavingsPlanRecurringFee",), "savings_plan_used_commitment"),
    "upfront share": (("RIFee",), UPFRONT_SHARE),
    "unused upfront share": (("RIFee",), "reservation_unused_amortized_upfront_fee_for_billing_period"),
    "unused fee": (("RIFee",), "reservation_unused_recurring_fee"),
    "discount": (("Usage",), DISCOUNT),
}
SCANNED: Final = (*COMMITMENT, *STARTS, *ENDS, *(column for _, column in AMOUNTS.values()))


def groups(bill: AwsColumns) -> dict[str, pl.Expr]:
    """Say what the sums are grouped by: few groups, since kinds and commitments are few."""
    kind = bill.text(KIND)
    return {"kind": kind, "commitment": pl.when(kind.is_not_null()).then(bill.text(*COMMITMENT))}


def sums(bill: AwsColumns, own: pl.Expr) -> dict[str, pl.Expr]:
    """Add up both sides per group.

    Nothing here reaches the ledger's money, so a double is cast as it stands: both sides part by a tolerance anyway,
    and going through text costs ten times as much.
    """
    kind = bill.text(KIND)

    def amount(column: str) -> pl.Expr:
        return bill.amount(column).cast(MONEY, strict=False)

    cost = amount("line_item_unblended_cost")
    asked = {
        "lines": own.sum(),
        "billed_cost": pl.when(own).then(cost).sum(),
    }
    asked |= {
        name: pl.when(own & kind.is_in(kinds)).then(amount(column)).sum()
        for name, (kinds, column) in AMOUNTS.items()
        if bill.has(column)
    }
    for name, columns in (("starts", STARTS), ("ends", ENDS)):
        if bill.has(*columns):
            asked[name] = bill.text(*columns).max()
    if not bill.has(NET):
        return asked
    net = amount(NET)
    # Where AWS leaves the net column blank nothing was discounted, and a discount line is inside the others' net cost.
    said = pl.coalesce(net, pl.when(~is_discount(kind)).then(cost))
    asked |= {"net": pl.when(own).then(said).sum(), "net lines": (own & (net != 0)).sum()}
    if bill.has(DISCOUNT):
        parted = (cost + amount(DISCOUNT).fill_null(0) - net).abs() > OF_A_LINE
        asked["off"] = (own & (kind == "Usage") & parted).sum()
    return asked


def identities(tallies: pl.DataFrame, *, is_final: bool, owns_lines: bool) -> list[Identity]:
    """Compare both sides.

    Args:
        tallies: one row per kind and commitment, with the columns of `sums`.
        is_final: every line carries an invoice id.
        owns_lines: some line is the payer's own; a member account's bill has none.
    """
    return [*_discounts(tallies), *_commitments(tallies, is_final=is_final, owns_lines=owns_lines)]


def unknown_kinds(tallies: pl.DataFrame) -> dict[str, int]:
    """Count the lines of kinds that AWS has not documented; they are kept at their unblended cost."""
    kind = pl.col("kind")
    unknown = tallies.filter(~kind.is_in(KNOWN) & ~is_discount(kind), pl.col("lines") > 0)
    return dict(unknown.group_by("kind").agg(pl.col("lines").sum()).sort("kind").iter_rows())


def _discounts(tallies: pl.DataFrame) -> Iterator[Identity]:
    """Over all lines the net cost is the unblended one; on a line of usage the discount columns lie between them."""
    names = ("unblended_equals_net", "usage_plus_discounts_equals_net")
    if "net lines" not in tallies or not tallies["net lines"].sum():
        for name in names:
            yield Identity(name, skipped="the bill has no net columns: nothing was discounted")
        return
    whole = tallies.select(pl.col("lines", "billed_cost", "net").sum()).row(0, named=True)
    yield _equal(names[0], whole["billed_cost"], whole["net"], whole["lines"])
    if "off" not in tallies:
        yield Identity(names[1], skipped=f"the export has no column {DISCOUNT}")
        return
    usage = tallies.filter(kind="Usage").select(pl.col("lines", "billed_cost", "net", "discount", "off").sum())
    found = usage.row(0, named=True)
    yield Identity(
        names[1],
        left=found["billed_cost"] + found["discount"],
        right=found["net"],
        tolerance=OF_A_LINE,
        lines=found["lines"],
        holds=not found["off"],
        note=f"{found['off']} lines differ by more" if found["off"] else "line by line",
    )


def _commitments(tallies: pl.DataFrame, *, is_final: bool, owns_lines: bool) -> Iterator[Identity]:
    known: dict[str, pl.DataType] = {"starts": pl.String(), "ends": pl.String(), **dict.fromkeys(AMOUNTS, MONEY)}
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in known.items() if name not in tallies]
    of_one = pl.col("kind")
    per_commitment = (
        tallies.with_columns(absent)
        .filter(pl.col("commitment").is_not_null())
        .group_by("commitment")
        .agg(
            pl.col("lines", "billed_cost", *AMOUNTS).sum(),
            pl.col("starts", "ends").max(),
            pl.col("billed_cost").filter(of_one == "RIFee").sum().alias("recurring"),
            *(pl.col("lines").filter(of_one == kind).sum().alias(kind) for kind in (*COVERED, *FEES)),
        )
        .filter(pl.any_horizontal(pl.col(*COVERED, *FEES) > 0))
        .sort("commitment")
    )
    for row in per_commitment.iter_rows(named=True):
        is_plan = bool(row["SavingsPlanCoveredUsage"] or row["SavingsPlanRecurringFee"])
        yield (_plan if is_plan else _reservation)(row, is_final=is_final, owns_lines=owns_lines)
        yield _term(row)


NAME: Final = "commitment_equals_covered_plus_unused"
NO_FEES: Final = "the bill lacks the fee lines: it is a member account's, or another organization bought the commitment"
ELSEWHERE: Final = "a member account's bill lacks the usage that the commitment covered elsewhere"


def _plan(row: Mapping[str, Any], *, is_final: bool, owns_lines: bool) -> Identity:
    """Compare a Savings Plan's commitment, upfront share and recurring part of every hour, with what became of it."""
    del is_final  # Every hour says what was committed and used so far, so an open month is whole too.
    if not row["SavingsPlanRecurringFee"]:
        return Identity(NAME, row["commitment"], skipped=NO_FEES)
    right = row["covered by plan"] + row["committed"] - row["used"]
    found = _equal(NAME, row["committed"], right, row["lines"], row["commitment"])
    if not found.holds and not owns_lines and right < row["committed"]:
        return Identity(NAME, row["commitment"], skipped=ELSEWHERE)
    return found


def _reservation(row: Mapping[str, Any], *, is_final: bool, owns_lines: bool) -> Identity:
    """Compare a reservation's month, upfront share and recurring fee, with what became of it."""
    if not row["RIFee"]:
        return Identity(NAME, row["commitment"], skipped=NO_FEES)
    if not is_final:
        # The fee stands there for the whole month from its first day.
        return Identity(NAME, row["commitment"], skipped="the month is still open")
    left = row["upfront share"] + row["recurring"]
    right = row["covered by reservation"] + row["unused upfront share"] + row["unused fee"]
    found = _equal(NAME, left, right, row["lines"], row["commitment"])
    if not found.holds and not owns_lines and right < left:
        return Identity(NAME, row["commitment"], skipped=ELSEWHERE)
    return found


def _term(row: Mapping[str, Any]) -> Identity:
    """Give one month of what must agree over a whole term: what was billed for a commitment, and what it cost."""
    name = "commitment_term_effective_equals_billed"
    starts, ends = (_day(row[name]) for name in ("starts", "ends"))
    if starts is None or ends is None:
        return Identity(name, row["commitment"], skipped="the export does not say when the term starts and ends")
    if not (row["SavingsPlanRecurringFee"] or row["RIFee"]):
        return Identity(name, row["commitment"], skipped=NO_FEES)
    covered = row["covered by plan"] + row["covered by reservation"]
    unused = row["committed"] - row["used"] + row["unused upfront share"] + row["unused fee"]
    tolerance = CENT + PER_LINE * row["lines"]
    return Identity(
        name,
        row["commitment"],
        left=covered + unused,
        right=row["billed_cost"],
        tolerance=tolerance,
        lines=row["lines"],
        note="one month of the term",
        starts=starts,
        ends=ends,
    )


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return None


def _equal(name: str, left: Decimal, right: Decimal, lines: int, subject: str = "") -> Identity:
    tolerance = CENT + PER_LINE * lines
    return Identity(name, subject, left, right, tolerance, lines, holds=abs(left - right) <= tolerance)
