"""Divide money and hours of accelerator rows by what their machines did: parts sum to the row, to the last digit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from models.facts import COST_COLUMNS
from models.gpu_hours_held import HOLDER
from models.idle import STEPS
from models.machines import OWNER
from models.token_allocation import shares
from models.workloads import Evidence

# What tells a row of `ledger.gpu_hours` apart from others of its day; numbers, because there are millions of hours.
ROW: Final = ("key", "usage_date", "machine", "place")
# What hours of machines and of Capacity Blocks did.
_STEPS: Final = (*STEPS, "unused_reservation")
_WEIGHT: Final = 10**17  # times an amount of up to 10⁹ it fits 128 bits


def weights(hours: pl.DataFrame, waterfall: pl.DataFrame) -> pl.DataFrame:
    """Weigh what each day's row of a bill was for by the money of its hours.

    Args:
        hours: rows of `ledger.gpu_hours` as `ROW`, the machine-hour's `slot` (null where it counts none),
            `effective_cost`, `list_cost`.
        waterfall: as `idle.waterfall` gives it, and with `unused_reservation` as `capacity_blocks.followed` does.

    Returns:
        `ROW`, `holder`, `step`, `weight` > 0. Rows none of whose hours the waterfall knows are left out; of the others,
        hours it does not know are `unmeasured`.
    """
    known = waterfall.select("slot").unique().with_columns(is_known=pl.lit(value=True))
    told = hours.join(known, on="slot", how="left").with_columns(money=_money())
    touched = told.filter("is_known").select(ROW).unique()
    told = told.select(*ROW, "slot", "money", "is_known").join(touched, on=ROW, how="semi")
    both = told.filter("is_known").join(waterfall, on="slot")
    # One hour's share is rounded down by less than 10⁻¹² of a dollar; largest remainder settles the row as a whole.
    shares = [(pl.col("money") * pl.col(step) // pl.col("billed")).sum().alias(step) for step in _STEPS]
    summed = both.group_by(*ROW, "holder").agg(shares)
    rest = told.filter(pl.col("is_known").is_null()).group_by(ROW).agg(weight=pl.col("money").sum())
    long = pl.concat(
        [
            summed.unpivot(_STEPS, index=[*ROW, "holder"], variable_name="step", value_name="weight"),
            rest.select(*ROW, holder=pl.lit(0, pl.Int64), step=pl.lit("unmeasured"), weight="weight"),
        ]
    )
    long = long.filter(pl.col("weight") > 0).group_by(*ROW, "holder", "step").agg(pl.col("weight").sum())
    return long.with_columns(weight=_scaled(pl.col("weight").sum().over(ROW), pl.col("weight")))


def _money() -> pl.Expr:
    """Weigh an hour by its money in units of 10⁻¹²; one that costs nothing by its list price, else as any other."""
    cost, listed = (pl.col(name).to_physical().abs() for name in ("effective_cost", "list_cost"))
    return pl.when(cost > 0).then(cost).when(listed > 0).then(listed).otherwise(10**12).cast(pl.Int128)


def divide(owned: pl.DataFrame, weighed: pl.DataFrame, holders: pl.DataFrame, on: Sequence[str] = ROW) -> pl.DataFrame:
    """Divide owned amounts among holders and steps.

    Args:
        owned: amounts with one owner each: `owned_id`, `ROW`, `OWNER` and `COST_COLUMNS`, `gpu_hours`. What has an
            `idle_reason` of its own, or no accelerator, is not divided.
        weighed: as `weights` gives it.
        holders: `holder` and what is told of each, as `gpu_hours_held` gives it.
        on: what tells which weights are whose.

    Returns:
        `owned_id`, `OWNER`, the holder's `namespace` and `outcome`, `step` and `method` (null where not divided) and
        the amounts. `idle_reason` is null where busy.
    """
    is_open = pl.col("idle_reason").is_null() & pl.col("accelerator").is_not_null()
    amounts = [*COST_COLUMNS, "gpu_hours"]
    told = holders.rename({name: f"held_{name}" for name in (*HOLDER, "evidence", "method")})
    parts = (
        owned.filter(is_open)
        .join(weighed, on=list(on))
        .join(told, on="holder", how="left")
        .with_columns(**_owner())
        .group_by("owned_id", *OWNER, "namespace", "outcome", "step", "method")
        .agg(pl.col("weight").sum(), *(pl.col(name).first() for name in amounts))
        .sort("owned_id", *OWNER, "namespace", "outcome", "step", nulls_last=True)
    )
    parts = parts.with_columns(shares(parts["owned_id"], parts[name], parts["weight"]).alias(name) for name in amounts)
    whole = owned.join(parts.select("owned_id").unique(), on="owned_id", how="anti")
    rest = whole.with_columns(
        pl.lit(None, pl.String).alias(name) for name in ("namespace", "outcome", "step", "method")
    )
    divided = parts.with_columns(idle_reason=pl.when(pl.col("step") != "busy").then("step"))
    columns = ["owned_id", *OWNER, "namespace", "outcome", "step", "method", *amounts]
    return pl.concat([divided.select(columns), rest.select(columns)])


def _owner() -> dict[str, pl.Expr]:
    """Say whose a part is: tags and SKUs stand, then the job that held it, then what is inferred from names."""
    held = pl.col("holder") > 0
    known = pl.col("evidence").is_in([Evidence.DECLARED, Evidence.BILLED, Evidence.MEASURED])
    by_job = held & ~known & pl.col("held_workload").is_not_null()
    first = {name: pl.coalesce(f"held_{name}", name) for name in ("llm_model", "team", "project")}
    return {
        "workload": pl.when(by_job).then("held_workload").otherwise("workload"),
        "evidence": pl.when(by_job).then("held_evidence").otherwise("evidence"),
        **{name: pl.when(by_job | ~known).then(said).otherwise(name) for name, said in first.items()},
        "namespace": pl.col("held_namespace"),
        "outcome": pl.col("held_outcome"),
        "method": pl.when(held)
        .then("held_method")
        .when(pl.col("step") == "unallocated")
        .then(pl.lit("accelerators_nobody_held"))
        .when(pl.col("step") == "unused_reservation")
        .then(pl.lit("block_nobody_ran_in"))
        .otherwise(pl.lit("metrics_of_its_machine")),
    }


def follow(adjustments: pl.DataFrame, steps: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Weigh refunds and discounts that name no machine by the steps of the money they adjust.

    A refund that stayed `unmeasured` as a whole could be more than what is unmeasured, and a step would be negative.

    Args:
        adjustments: `owned_id` and `by`.
        steps: `by`, `step` and `units` > 0: the money of each step.
        by: what tells which money is adjusted.

    Returns:
        `owned_id`, `step`, `weight`; adjustments of money that no metric touches are left out.
    """
    touched = steps.filter(~pl.col("step").is_in(["unmeasured"])).select(by).unique()
    found = adjustments.join(touched, on=by, nulls_equal=True).join(steps, on=by, nulls_equal=True)
    return found.select("owned_id", "step", weight=_scaled(pl.col("units").sum().over("owned_id"), pl.col("units")))


def _scaled(total: pl.Expr, weight: pl.Expr) -> pl.Expr:
    return pl.max_horizontal(weight // ((total - 1) // _WEIGHT + 1), 1)
