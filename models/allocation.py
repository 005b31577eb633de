"""Divide daily rows that belong to several owners, by evidence found beside them, so that parts sum to the whole.

A Savings Plan negation cancels usage, so it is divided like the usage it cancels; the fee of a plan or reservation is
divided like the usage the commitment covered. Both look first at the same day, then at the whole month. A discount line
that names no usage is divided like the use of its account and service. What finds nothing beside it stays whole and
`shared`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from models.facts import COST_COLUMNS
from models.machines import NEEDED as NEEDED_BY_MACHINES
from models.machines import OWNER, PARTS, parts_of
from models.workloads import Evidence, Workload

# What a daily row needs of its key's attribution to be divided.
NEEDED: Final = (*NEEDED_BY_MACHINES, "commitment_discount_status", "line_item_type")


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


def allocate(daily: pl.DataFrame, machines: pl.DataFrame | None = None) -> pl.DataFrame:
    """Divide what belongs to the usage beside it: fees and negations of commitments, and discount lines.

    Args:
        daily: one month of one source: daily rows with their attribution (`OWNER` columns), `charge_category`,
            `commitment_discount_id`, `commitment_discount_status`, `line_item_type`, `service_code`, `usage_type`,
            `usage_date`, `sub_account_id` and the cost columns.
        machines: parts that `machines.reunite` made of it; commitments see those in place of the rows they divide.

    Returns:
        Parts (`PARTS`) of the rows that could be divided, `machines` among them; the others keep their own owner.
    """
    machines = pl.DataFrame(schema=PARTS) if machines is None else machines
    daily = _with_parts(daily, machines)
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
        machines,
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
    asked = {name for basis in bases for name in basis.match}
    # Numbered anew, because machines may have divided a row already.
    numbers = wholes["daily_id"]
    left = wholes.select("idle_reason", *COST_COLUMNS, *sorted(asked)).with_row_index("daily_id")
    left = left.with_columns(pl.col("daily_id").cast(pl.Int64))
    parts = [pl.DataFrame(schema=PARTS)]
    for basis in bases:
        if left.is_empty():
            break
        weighed = _weighed(usage, basis).with_columns(owners=pl.len().over(basis.match))
        # Most wholes have one owner, who gets all of it: a join says that, and nothing is to be reckoned.
        found = [
            _to_one(left, weighed.filter(pl.col("owners") == 1), basis),
            _among_several(left, weighed.filter(pl.col("owners") > 1), basis),
        ]
        parts.append(pl.concat(found).sort("daily_id", "part"))
        left = left.join(parts[-1], on="daily_id", how="anti", maintain_order="left")
    divided = pl.concat(parts)
    return divided.with_columns(numbers.gather(divided["daily_id"]))


def _weighed(usage: pl.DataFrame, basis: Basis) -> pl.DataFrame:
    """Give owners and weights per match; weights in units of 10⁻¹², owners in a fixed order."""
    return (
        usage.filter(pl.all_horizontal(pl.col(basis.match).is_not_null()))
        .group_by(*basis.match, *OWNER)
        .agg(pl.col(basis.weight).sum().to_physical().alias("units"))
        .filter(pl.col("units") > 0)
        .sort(*basis.match, *OWNER)
    )


def _to_one(wholes: pl.DataFrame, weighed: pl.DataFrame, basis: Basis) -> pl.DataFrame:
    """Give each whole to the one owner of its match."""
    owned = wholes.join(weighed.rename({"idle_reason": "idle_reason_of_usage"}), on=basis.match)
    return owned.with_columns(
        pl.coalesce("idle_reason", "idle_reason_of_usage"),
        part=pl.lit(1, pl.Int32),
        method=pl.lit(basis.method),
    ).select(pl.col(name).cast(dtype) for name, dtype in PARTS.items())


def _among_several(wholes: pl.DataFrame, weighed: pl.DataFrame, basis: Basis) -> pl.DataFrame:
    """Divide each whole among the owners of its match."""
    owners: dict[tuple[object, ...], list[tuple[tuple[object, ...], int]]] = {}
    width = len(basis.match)
    for *match, units in weighed.select(*basis.match, *OWNER, "units").iter_rows():
        owners.setdefault(tuple(match[:width]), []).append((tuple(match[width:]), units))
    idle = OWNER.index("idle_reason")
    parts: list[tuple[object, ...]] = []
    for whole in wholes.join(weighed, on=basis.match, how="semi").iter_rows(named=True):
        found = owners[tuple(whole[name] for name in basis.match)]
        own = [(*owner[:idle], whole["idle_reason"] or owner[idle], *owner[idle + 1 :]) for owner, _ in found]
        parts += parts_of(whole, own, [weight for _, weight in found], basis.method)
    return pl.DataFrame(parts, schema=PARTS, orient="row")


def _with_parts(daily: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Put parts in the place of the rows they divide, so that what is divided next sees their owners."""
    if parts.is_empty():
        return daily
    divided = daily.drop(*OWNER, *COST_COLUMNS).join(parts.drop("part", "method"), on="daily_id")
    return pl.concat([daily.join(parts, on="daily_id", how="anti"), divided.select(daily.columns)])
