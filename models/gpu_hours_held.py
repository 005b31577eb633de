"""Who held a machine's accelerators in each hour: by records of jobs and pods, and by the shares of a split bill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

# What is told of a holder; the divided money keeps it.
HOLDER: Final = ("workload", "llm_model", "team", "project", "namespace", "outcome")
_ON: Final = ["machine", "hour"]


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
        `held` 0 and holder 0 where nobody held anything; and the holders: `holder` ≥ 1 and `HOLDER`.
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
    return found, holders


def split_shares(split: pl.DataFrame, capacity: pl.DataFrame) -> pl.DataFrame:
    """Turn a bill's division of its nodes among pods into time held: the unused part of the node was nobody's.

    Args:
        split: per `machine` and `hour`: `used_cost` and `unused_cost`, in units of 10⁻¹².
        capacity: machine-hours that were billed: `slot`, `machine`, `hour`, `billed`.

    Returns:
        One row per machine-hour: `slot`, `holder` 0 and `held`.
    """
    used, unused = (pl.col(name).cast(pl.Int128) for name in ("used_cost", "unused_cost"))
    return (
        split.filter((used >= 0) & (unused >= 0) & (used + unused > 0))
        .join(capacity.select("slot", *_ON, "billed"), on=_ON)
        .select(
            "slot",
            holder=pl.lit(0, pl.Int64),
            held=(pl.col("billed").cast(pl.Int128) * used // (used + unused)).cast(pl.Int64),
        )
    )


def _month_end() -> pl.Expr:
    return pl.col("month").dt.offset_by("1mo").cast(pl.Datetime("us"))


def _order(prefer: Sequence[str]) -> pl.Expr:
    places = {name: f"0{place:06}" for place, name in enumerate(prefer)}
    return pl.col("source").replace_strict(places, default=pl.concat_str(pl.lit("1"), pl.col("source")))
