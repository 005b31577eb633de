"""Bring together, hour by hour, what one machine or one job is billed as in several lines.

Google bills a machine's accelerators, cores, memory and local disks apart, and only some of these lines name an
accelerator (an N1 machine's cores do not). A part shares a resource and an hour with the machine's accelerator lines:
it counts to their accelerator, and where it has no evidence of its own it was for what they were for.

On flex-start, Compute Engine bills the machines and Vertex AI a management fee, and the fee alone says whether they
trained or served: it decides for the lines of the same project, region and hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from models.facts import COST_COLUMNS
from models.money import MONEY, from_units, largest_remainder, to_units
from models.workloads import Evidence

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
PARTS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "daily_id": pl.Int64,
    "part": pl.Int32,
    **dict.fromkeys(OWNER, pl.String),
    "method": pl.String,
    **dict.fromkeys(COST_COLUMNS, MONEY),
}
# What an hour needs of its key's attribution.
NEEDED: Final = ("service_code", "usage_type", "charge_category", "sub_account_id", "tags", *OWNER)
# What tells a daily row's own hours; its commitment and invoice change nothing about whose they were.
_ROW: Final = ("key_id", "usage_date", "resource_id", "region_id")
_GOOGLE: Final = r"^[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}$"
_PART: Final = r"(?i)\b(?:core|cpu|ram|memory)\b|\blocal (?:storage|ssd)\b"
_NO_PART: Final = r"(?i)^commitment\b|\bmanagement fee\b|\blicen[cs]"
_FLEX_START: Final = r"\bDWS\b"
_FEE: Final = r"(?i)\bmanagement fee\b"
COMPUTE_ENGINE: Final = "6F81-5844-456A"
VERTEX_AI: Final = "C7E2-9256-1C43"


def is_part() -> pl.Expr:
    """Tell the keys of cores, memory and local disks that a bill counts apart from a machine's accelerators."""
    text = pl.col("usage_type")
    google = pl.col("service_code").str.contains(_GOOGLE)
    return (google & text.str.contains(_PART) & ~text.str.contains(_NO_PART)).fill_null(value=False)


def is_flex_start() -> pl.Expr:
    """Tell the keys of machines that the Dynamic Workload Scheduler handed out."""
    compute = pl.col("service_code") == COMPUTE_ENGINE
    return (compute & pl.col("usage_type").str.contains(_FLEX_START)).fill_null(value=False)


def is_management_fee() -> pl.Expr:
    """Tell the keys of the fees that say what machines on flex-start were for."""
    vertex = pl.col("service_code") == VERTEX_AI
    return (vertex & pl.col("usage_type").str.contains(_FEE)).fill_null(value=False)


def reunite(daily: pl.DataFrame, hours: pl.DataFrame) -> pl.DataFrame:
    """Give daily rows of parts to the machines and jobs beside them.

    Args:
        daily: one month of one source, as in `allocation.allocate`.
        hours: its `ledger.gpu_hours`, with `NEEDED` of their attribution.

    Returns:
        Parts (`PARTS`) of the rows that something beside them explains; the others keep their own owner.
    """
    hours = hours.with_columns(usage_date=pl.col("usage_hour").dt.date(), units=_units())
    unexplained = (pl.col("evidence") == Evidence.NONE) & (pl.col("charge_category") != "Purchase")
    flex = daily.filter(is_flex_start() & unexplained)
    fees = hours.filter(is_management_fee() & (pl.col("evidence") != Evidence.NONE))
    found = [_divided(flex, hours, fees, ("sub_account_id", "region_id"), "fee_of_its_job")]
    part = is_part() & (pl.col("accelerator").is_null() | unexplained) & pl.col("resource_id").is_not_null()
    parts = daily.filter(part).join(found[0], on="daily_id", how="anti")
    machines = hours.filter(pl.col("gpu_hours").is_not_null() & pl.col("accelerator").is_not_null())
    # Where a node is divided among pods, a pod's cores go with the same pod's accelerators …
    found.append(_divided(parts, hours, machines, ("resource_id", "tags"), "machine_it_is_part_of"))
    # … and what no pod with accelerators asked for goes with all of them; why they idled says nothing about it.
    left = parts.join(found[-1], on="daily_id", how="anti").filter(pl.col("accelerator").is_null())
    whole = machines.with_columns(idle_reason=pl.lit(None, pl.String))
    found.append(_divided(left, hours, whole, ("resource_id",), "machine_it_is_part_of"))
    return pl.concat(found)


def _units() -> pl.Expr:
    """Weigh an hour by its money, in units of 10⁻¹²; one that costs nothing by its list price, else as any other."""
    cost, listed = (pl.col(name).to_physical().abs() for name in ("effective_cost", "list_cost"))
    return pl.when(cost > 0).then(cost).when(listed > 0).then(listed).otherwise(1).cast(pl.Int128)


def _divided(
    wholes: pl.DataFrame, hours: pl.DataFrame, owners: pl.DataFrame, match: Sequence[str], method: str
) -> pl.DataFrame:
    """Divide each whole among the owners of its hours, in proportion to its money in each; other hours stay its own."""
    if wholes.is_empty() or owners.is_empty():
        return pl.DataFrame(schema=PARTS)
    beside = ["usage_hour", *match]
    own = hours.join(wholes.select(_ROW).unique(), on=_ROW, how="semi", nulls_equal=True)
    own = own.group_by({*_ROW, *beside}).agg(pl.col("units").sum(), *(pl.col(name).first() for name in OWNER))
    shares = owners.group_by(*beside, *OWNER).agg(share=pl.col("units").sum())
    shares = shares.rename({name: f"owner_{name}" for name in OWNER})
    both = own.join(shares, on=beside, how="left", nulls_equal=True)
    explained = both.group_by(_ROW).agg(pl.col("share").is_not_null().any().alias("found")).filter("found")
    both = both.join(explained.drop("found"), on=_ROW, how="semi", nulls_equal=True)
    in_all = pl.col("share").sum().over(*_ROW, *beside)
    weight = pl.when(pl.col("share").is_null()).then("units").otherwise(pl.col("units") * pl.col("share") // in_all)
    weighed = (
        both.with_columns(weight=weight)
        .group_by(*_ROW, *_owner())
        .agg(pl.col("weight").sum())
        .filter(pl.col("weight") > 0)
        .sort(*_ROW, *OWNER, nulls_last=True)
        .group_by(_ROW, maintain_order=True)
        .agg(*OWNER, "weight")
    )
    rows: list[tuple[Any, ...]] = []
    divided = wholes.select("daily_id", *_ROW, *COST_COLUMNS, *(pl.col(name).alias(f"own_{name}") for name in OWNER))
    for whole in divided.join(weighed, on=_ROW, nulls_equal=True).sort("daily_id").iter_rows(named=True):
        found = list(zip(*(whole[name] for name in OWNER), strict=True))
        if found != [tuple(whole[f"own_{name}"] for name in OWNER)]:
            rows += parts_of(whole, found, whole["weight"], method)
    return pl.DataFrame(rows, schema=PARTS, orient="row")


def _owner() -> list[pl.Expr]:
    """Say whose an hour is: what the row knows itself stands, what its neighbors know is inferred."""
    known = (pl.col("evidence") != Evidence.NONE) | pl.col("owner_workload").is_null()
    unsure = pl.col("owner_evidence") == Evidence.NONE
    inferred = pl.when(unsure).then("owner_evidence").otherwise(pl.lit(Evidence.INFERRED.value))
    said = {name: pl.coalesce(name, f"owner_{name}") for name in OWNER}
    said["workload"] = pl.when(known).then("workload").otherwise("owner_workload")
    said["evidence"] = pl.when(known).then("evidence").otherwise(inferred)
    return [value.alias(name) for name, value in said.items()]


def parts_of(
    whole: dict[str, Any], owners: Sequence[tuple[object, ...]], weights: Sequence[int], method: str
) -> list[tuple[Any, ...]]:
    """Divide one daily row's amounts by weights: the rows of `PARTS`, in the order of the owners."""
    costs = []
    for column in COST_COLUMNS:
        amount = whole[column]
        # Most wholes have one owner, and then there is nothing to reckon.
        costs.append(
            [amount] * len(weights)
            if amount is None or len(weights) == 1
            else [from_units(units) for units in largest_remainder(to_units(amount), weights)]
        )
    return [
        (whole["daily_id"], number, *owner, method, *amounts)
        for number, (owner, *amounts) in enumerate(zip(owners, *costs, strict=True), 1)
    ]
