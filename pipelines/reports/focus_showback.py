"""Divide shared money line by line as `costs_by_team` shows it, so that an export sums to what each team is shown.

A line, or part of one, that is in a shared pool becomes a row for each team of its bill and one for what stays with
nobody. With the shares of `computed.shared_costs` side by side, each row ends where its share ends, rounded to 10⁻¹²:
so the rows of a line sum to the line, and none is further than 10⁻¹² from its share. What that leaves between a team's
rows and what the report shows the team is settled on the pool's largest line, so they too agree to the last digit.

A bill in another currency than the report is divided by the same shares and not settled: its pool is not the report's
amount, which was converted and rounded day by day, so there is no digit to agree to.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from models.money import MONEY
from pipelines.reports.focus_parts import BESIDE, LINE

_POOL: Final = ("usage_period", "workload", "sharing_pool")
_COSTS: Final = ("billed_cost", "effective_cost", "net_cost")
_DIVIDED: Final = (*_COSTS, "list_cost", *BESIDE, "ratio")
_ONE: Final = pl.lit(1).cast(MONEY)
# Which pool the lines of a key are in, where they are whole; of the published report, with `source` and `period`.
KEYS: Final = """
select distinct key_id, sharing_pool
from intermediate.int_costs_by_key
where source = $source and billing_period = $period and method = 'direct' and sharing_pool is not null
order by all
"""
# What each team is shown of each pool, and (team null, last) what nobody is.
TEAMS: Final = f"""
select
    usage_period, workload, pool as sharing_pool, shared.team as showback_team, method as sharing_method, share,
    {", ".join(f"shared.{name} + if(shared.team is null, pools.{name}, 0) as {name}" for name in _COSTS)}
from computed.shared_costs as shared
join intermediate.int_showback_pools as pools using (source, billing_period, usage_period, workload, pool)
where source = $source and billing_period = $period and pools.team is null
order by usage_period, workload, sharing_pool, showback_team nulls last
"""


def divide(lines: pl.LazyFrame, teams: pl.DataFrame) -> pl.LazyFrame:
    """Replace lines and parts in shared pools by a row for each team.

    Args:
        lines: what `focus_parts.divide` gives, with `usage_period` and `sharing_pool`.
        teams: what `TEAMS` asks for.

    Returns:
        The rows with `showback_team` (who is shown it: their team, or whom a pool is shared with), and with `part`,
        `ratio` (of the line) and `method` on what is shared; `sharing_pool` is null on what is not.
    """
    money = ("share", *_COSTS)
    known = teams.with_columns(pl.col(money).cast(MONEY)).filter(pl.any_horizontal(pl.col(money) != 0))
    ends = known.with_columns(end=pl.col("share").cum_sum().over(_POOL)).with_columns(
        begin=pl.col("end") - pl.col("share")
    )
    rows = _rows(lines, ends.drop(_COSTS))
    settled = _settled(lines, ends)
    owed = [pl.col(name) + pl.col(f"{name} owed").fill_null(0) for name in _COSTS]
    how = pl.concat_str("method", pl.lit("showback_") + pl.col("sharing_method"), separator="+", ignore_nulls=True)
    shared = pl.col("share").is_not_null()
    return (
        rows.join(
            settled.lazy(), on=[*LINE, "part", "showback_team"], how="left", nulls_equal=True, maintain_order="left"
        )
        .with_columns(owed)
        .with_columns(
            method=pl.when(shared).then(how).otherwise("method"),
            sharing_pool=pl.when(shared).then("sharing_pool"),
            showback_team=pl.when(shared).then("showback_team").otherwise("team"),
        )
        .drop("sharing_method", "share", "begin", "end", [f"{name} owed" for name in _COSTS])
    )


def _rows(lines: pl.LazyFrame, ends: pl.DataFrame) -> pl.LazyFrame:
    """Give each line of a pool once for each team, with the amounts that its share of the line is."""
    joined = lines.join(ends.lazy(), on=_POOL, how="left", maintain_order="left_right")
    known = lines.collect_schema()
    shared = pl.col("share").is_not_null()
    whole = {"part": pl.lit(1, pl.Int32), "ratio": _ONE}
    joined = joined.with_columns(
        pl.when(shared).then(pl.coalesce(name, value)).otherwise(name).alias(name) for name, value in whole.items()
    )
    return joined.with_columns(
        pl.when(shared).then(pl.col(name) * pl.col("end") - pl.col(name) * pl.col("begin")).otherwise(name).alias(name)
        for name in _DIVIDED
        if name in known
    )


def _settled(lines: pl.LazyFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """Say what is owed to which team on which line, so that the rows of each sum to what the report shows."""
    part = [*LINE, "part"]
    found = lines.join(ends.lazy(), on=_POOL, how="semi").select(*_POOL, *part, "ratio", *_COSTS)
    pooled = found.collect(engine="streaming").lazy().with_columns(pl.col("part").fill_null(1))
    shown = _rows(pooled, ends.drop(_COSTS)).group_by(*_POOL, "showback_team").agg(pl.col(_COSTS).sum())
    dues = ends.lazy().join(shown, on=[*_POOL, "showback_team"], nulls_equal=True, suffix=" there")
    owed: list[pl.LazyFrame] = []
    for name in _COSTS:
        largest = pooled.sort(pl.col(name).abs(), *part, descending=[True, *[False] * 3], nulls_last=True)
        on = largest.group_by(_POOL).agg(pl.col(part).first())
        due = dues.with_columns(pl.col(name) - pl.col(f"{name} there"))
        # In another currency the whole differs.
        agreed = due.filter((pl.col(name).sum() == 0).over(_POOL) & (pl.col(name) != 0))
        placed = agreed.join(on, on=_POOL).select(*part, "showback_team", pl.col(name).alias(f"{name} owed"))
        owed.append(placed)
    together = pl.concat(owed, how="diagonal").group_by(*part, "showback_team")
    return together.agg(pl.col(f"{name} owed").sum() for name in _COSTS).collect()
