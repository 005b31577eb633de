"""Who held a machine's accelerators in each hour: by records of jobs and pods, and by the shares of a split bill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from models.facts import Schema
from models.workloads import Evidence

# What is told of a holder; the divided money keeps it.
HOLDER: Final = ("workload", "llm_model", "team", "project", "namespace", "outcome")
_ON: Final = ["machine", "hour"]
# A bill's division of a node: whose a part of an hour was, how that is known, and what was used and left by it.
SPLIT: Final[Schema] = {
    "machine": pl.Int64,
    "hour": pl.Datetime("us"),
    **dict.fromkeys(HOLDER, pl.String),
    "evidence": pl.String,
    "used_cost": pl.Int128,
    "unused_cost": pl.Int128,
}


def held(jobs: pl.DataFrame, capacity: pl.DataFrame, prefer: Sequence[str] = ()) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lay jobs over the hours in which their machines were billed.

    A machine that a source of records has named in a month is covered by it from that source's first record to its
    last of the month: where no job is recorded in between, nobody held it. Where two sources cover a machine-hour,
    the preferred one counts, else the first by name.

    Args:
        jobs: `gpu_jobs` with `source`, the number of the `machine` and `month` (of the partition: a job that crosses
            midnight of the first stands in both months, clipped).
        capacity: machine-hours that were billed: `slot`, `machine`, `hour`.
        prefer: names of sources, best first.

    Returns:
        One row per machine-hour, holder and pod (`slot`, `holder`, `held` in device-microseconds, `pod`), with one of
        `held` 0 and holder 0 where nobody held anything; and the holders: `holder` ≥ 1, `HOLDER`, `evidence`, `method`.
    """
    hour = pl.duration(hours=1)
    spans = jobs.with_columns(
        started_at=pl.col("started_at").dt.replace_time_zone(None),
        ended_at=pl.col("ended_at").dt.replace_time_zone(None).fill_null(_month_end()),
    ).filter(pl.col("ended_at") > pl.col("started_at"))
    holders = spans.select("month", *HOLDER).drop("month").unique().sort(HOLDER, nulls_last=True)
    holders = holders.with_row_index("holder", offset=1).with_columns(pl.col("holder").cast(pl.Int64))
    spans = spans.join(holders, on=list(HOLDER), nulls_equal=True)
    window = spans.group_by("source", "month").agg(
        window_from=pl.col("started_at").min().dt.truncate("1h"), window_to=pl.col("ended_at").max()
    )
    hours = (
        spans.with_columns(
            hour=pl.datetime_ranges(
                pl.col("started_at").dt.truncate("1h"), pl.col("ended_at"), interval="1h", closed="left"
            )
        )
        .explode("hour")
        .with_columns(
            time=pl.min_horizontal("ended_at", pl.col("hour") + hour) - pl.max_horizontal("started_at", "hour")
        )
        .filter(pl.col("time") > pl.duration())
        .with_columns(
            held=(pl.col("time").dt.total_microseconds() * pl.col("accelerator_count")).round().cast(pl.Int64)
        )
    )
    billed = capacity.select("slot", *_ON).with_columns(month=pl.col("hour").dt.date().dt.month_start())
    covered = (
        billed.join(spans.select("machine", "month", "source").unique(), on=["machine", "month"])
        .join(window, on=["source", "month"])
        .filter(pl.col("hour").is_between("window_from", "window_to", closed="left"))
        .with_columns(order=_order(prefer))
        .sort(*_ON, "order")
        .unique(_ON, keep="first", maintain_order=True)
        .select("slot", *_ON, "source")
    )
    pod = pl.coalesce("job_name", "job_id")
    named = hours.group_by(*_ON, "source", "holder", pod.alias("pod")).agg(pl.col("held").sum())
    found = covered.join(named, on=[*_ON, "source"], how="left").select(
        "slot", pl.col("holder").fill_null(0), pl.col("held").fill_null(0), "pod"
    )
    return found, holders.with_columns(
        evidence=pl.lit(Evidence.MEASURED.value), method=pl.lit("accelerators_held_by_jobs")
    )


def split_shares(split: pl.DataFrame, capacity: pl.DataFrame, jobs: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Turn a bill's division of its nodes among pods into time held: the unused part of the node was nobody's.

    Args:
        split: `SPLIT`, costs in units of 10⁻¹².
        capacity: machine-hours that were billed: `slot`, `machine`, `hour`, `billed`.
        jobs: how many holders jobs have; these are numbered after them.

    Returns:
        One row per machine-hour and holder: `slot`, `holder` (0 where nothing is told of it) and `held`; and the
        holders, as `held` gives them.
    """
    told = [*HOLDER, "evidence"]
    holders = split.select(told).unique().filter(pl.any_horizontal(pl.col(HOLDER).is_not_null())).sort(told)
    holders = holders.with_columns(
        holder=pl.int_range(1, pl.len() + 1, dtype=pl.Int64) + jobs, method=pl.lit("bill_divides_its_node")
    )
    parts = split.join(holders, on=told, how="left", nulls_equal=True).with_columns(pl.col("holder").fill_null(0))
    parts = parts.group_by(*_ON, "holder").agg(pl.col("used_cost", "unused_cost").sum()).sort(*_ON, "holder")
    used, unused = pl.col("used_cost"), pl.col("unused_cost")
    whole = (used.sum() + unused.sum()).over(_ON)
    parts = parts.filter((((used >= 0) & (unused >= 0)).all().over(_ON)) & (whole > 0))
    parts = parts.join(capacity.select("slot", *_ON, "billed"), on=_ON).sort(*_ON, "holder")
    # Of what is used in order, so that parts of a node nobody left anything of sum to its time.
    up_to, billed = used.cum_sum().over(_ON), pl.col("billed").cast(pl.Int128)
    shares = parts.select(
        "slot", "holder", held=(billed * up_to // whole - billed * (up_to - used) // whole).cast(pl.Int64)
    )
    return shares, holders


def _month_end() -> pl.Expr:
    return pl.col("month").dt.offset_by("1mo").cast(pl.Datetime("us"))


def _order(prefer: Sequence[str]) -> pl.Expr:
    places = {name: f"0{place:06}" for place, name in enumerate(prefer)}
    return pl.col("source").replace_strict(places, default=pl.concat_str(pl.lit("1"), pl.col("source")))
