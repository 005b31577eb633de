"""Divide daily rows that belong to several owners, by evidence found beside them, so that parts sum to the whole.

A Savings Plan negation cancels usage, so it is divided like the usage it cancels; the fee of a plan or reservation is
divided like the usage the commitment covered. Both look first at the same day, then at the whole month. A discount line
that names no usage is divided like the use of its account and service. What finds nothing beside it stays whole and
`shared`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from models.facts import COST_COLUMNS, Schema
from models.money import MONEY, from_units, largest_remainder, to_units
from models.workloads import Evidence, Workload

# Who a part belongs to.
OWNER: Final = (
    "workload",
    "evidence",
    "llm_model",
    "accelerator",
    "idle_reason",
    "team",
    "environment",
    "project",
    "customer",
)
PARTS: Final[Schema] = {
    "daily_id": pl.Int64,
    "part": pl.Int32,
    **dict.fromkeys(OWNER, pl.String),
    "method": pl.String,
    **dict.fromkeys(COST_COLUMNS, MONEY),
}


@dataclass(frozen=True)
class Basis:
    """One way to find weights: rows alike in `match` share, in proportion to `weight`."""

    method: str
    match: tuple[str, ...]
    weight: str


NEGATION: Final = (
    Basis(
        "usage_it_cancels_that_day",
        ("commitment_discount_id", "usage_type", "sub_account_id", "usage_date"),
        "billed_cost",
    ),
    Basis("usage_it_cancels_that_month", ("commitment_discount_id", "usage_type"), "billed_cost"),
)
FEE: Final = (
    Basis("usage_the_commitment_covered_that_day", ("commitment_discount_id", "usage_date"), "effective_cost"),
    Basis("usage_the_commitment_covered_that_month", ("commitment_discount_id",), "effective_cost"),
    # Google's older commitments credit what they cover in full, so that only its list price has a weight.
    Basis("list_price_of_usage_the_commitment_covered_that_day", ("commitment_discount_id", "usage_date"), "list_cost"),
    Basis("list_price_of_usage_the_commitment_covered_that_month", ("commitment_discount_id",), "list_cost"),
)

DISCOUNT: Final = (
    Basis("usage_it_discounts_in_the_account", ("service_code", "sub_account_id"), "billed_cost"),
    Basis("usage_it_discounts", ("service_code",), "billed_cost"),
)


def allocate(daily: pl.DataFrame) -> pl.DataFrame:
    """Divide what belongs to the usage beside it: fees and negations of commitments, and discount lines.

    Args:
        daily: one month of one source: daily rows with their attribution (`OWNER` columns), `charge_category`,
            `commitment_discount_id`, `commitment_discount_status`, `line_item_type`, `service_code`, `usage_type`,
            `usage_date`, `sub_account_id` and the cost columns.

    Returns:
        Parts (`PARTS`) of the rows that could be divided; the others keep their own owner.
    """
    committed = daily.filter(pl.col("commitment_discount_id").is_not_null())
    # FOCUS bills the unused part of a commitment as usage of status Unused, AWS and Google on the fee itself.
    unused = pl.col("commitment_discount_status").eq_missing("Unused")
    covered = committed.filter((pl.col("charge_category") == "Usage") & ~unused)
    shared = committed.filter(pl.col("workload") == Workload.SHARED)
    negations = shared.filter(pl.col("charge_category") == "Adjustment")
    fees = shared.filter((pl.col("charge_category") == "Purchase") | ((pl.col("charge_category") == "Usage") & unused))
    discounts = daily.filter(
        pl.col("workload") == Workload.SHARED,
        pl.col("charge_category") == "Adjustment",
        pl.col("line_item_type").str.ends_with("Discount"),
        pl.col("commitment_discount_id").is_null(),
    )
    parts = [
        divide(discounts, daily.filter(pl.col("charge_category") == "Usage"), DISCOUNT),
        divide(negations, covered, NEGATION),
        # That a fee's unused part belongs to those who used the rest is a judgment, so it is `inferred`.
        divide(fees, covered, FEE).with_columns(
            evidence=pl.when(pl.col("evidence") == Evidence.NONE).then("evidence").otherwise(pl.lit(Evidence.INFERRED))
        ),
    ]
    return pl.concat(parts)


def divide(wholes: pl.DataFrame, usage: pl.DataFrame, bases: Sequence[Basis]) -> pl.DataFrame:
    """Divide each whole by the first basis that finds usage with a positive weight beside it.

    A whole's own `idle_reason` (an unused commitment) goes to all its parts; otherwise a part takes its usage's.
    """
    parts: list[tuple[object, ...]] = []
    left = wholes
    for basis in bases:
        owners = _owners(usage, basis)
        undivided = []
        for whole in left.iter_rows(named=True):
            found = owners.get(tuple(whole[name] for name in basis.match))
            if found is None:
                undivided.append(whole["daily_id"])
            else:
                parts += _parts(whole, found, basis.method)
        left = left.filter(pl.col("daily_id").is_in(undivided))
    return pl.DataFrame(parts, schema=PARTS, orient="row")


def _owners(usage: pl.DataFrame, basis: Basis) -> dict[tuple[object, ...], list[tuple[tuple[object, ...], int]]]:
    """Give owners and weights per match; weights in units of 10⁻¹², owners in a fixed order."""
    weighed = (
        usage.filter(pl.all_horizontal(pl.col(basis.match).is_not_null()))
        .group_by(*basis.match, *OWNER)
        .agg(pl.col(basis.weight).sum().to_physical().alias("units"))
        .filter(pl.col("units") > 0)
        .sort(*basis.match, *OWNER)
    )
    owners: dict[tuple[object, ...], list[tuple[tuple[object, ...], int]]] = {}
    for row in weighed.iter_rows():
        match, owner = row[: len(basis.match)], row[len(basis.match) : -1]
        owners.setdefault(match, []).append((owner, row[-1]))
    return owners


def _parts(
    whole: Mapping[str, Any], owners: Sequence[tuple[tuple[object, ...], int]], method: str
) -> list[tuple[object, ...]]:
    weights = [weight for _, weight in owners]
    costs = []
    for column in COST_COLUMNS:
        amount = whole[column]
        costs.append(
            [None] * len(weights)
            if amount is None
            else [from_units(units) for units in largest_remainder(to_units(amount), weights)]
        )
    idle = OWNER.index("idle_reason")
    rows = []
    for number, (owner, *amounts) in enumerate(zip((owner for owner, _ in owners), *costs, strict=True), 1):
        reason = whole["idle_reason"] or owner[idle]
        rows.append((whole["daily_id"], number, *owner[:idle], reason, *owner[idle + 1 :], method, *amounts))
    return rows
