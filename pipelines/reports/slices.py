"""What the dashboard asks: the money of a choice of months, providers, accounts, teams, workloads and models.

Every answer comes from `intermediate.int_charges_allocated` and the estimates beside it, so a dollar counts once and a
sum here is a sum of the marts. Each question opens the published report anew.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.warehouse.reader import ask

MOST_KEYS: Final = 500  # of a day
NOBODY: Final = ""
"""Stands for what is null in the report: no team named, no model named. A name in a bill is never empty."""

DIMENSIONS: Final = {
    "month": "usage_period",
    "provider": "provider_name",
    "account": "sub_account_id",
    "team": "team",
    "workload": "workload",
    "model": "llm_model",
}
"""What one filters by, and draws bars of → the column it stands in."""

_COLUMNS: Final = (
    "source, billing_period, usage_period, usage_date, provider_name, sub_account_id, team, workload, llm_model, "
    "evidence, cost_basis, service_name, billed_cost, effective_cost, charge_count"
)
_CHARGES: Final = f"""
with charges as (
    select {_COLUMNS}, key_id, usage_type from intermediate.int_charges_allocated
    union all by name
    select {_COLUMNS} from intermediate.int_estimated_charges
)
"""
_SUMS: Final = """
    sum(effective_cost)::decimal(38, 12) as effective_cost,
    sum(billed_cost)::decimal(38, 12) as billed_cost,
    sum(charge_count)::bigint as charge_count"""


@dataclass(frozen=True)
class Slice:
    """A choice: of each dimension the values chosen; nothing chosen is everything.

    Of workloads, nothing chosen is all that is AI: `shared` and `not_ai` are looked at by choosing them.
    """

    month: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    model: tuple[str, ...] = ()


def _text(dimension: str) -> str:
    return f"coalesce({DIMENSIONS[dimension]}::varchar, '{NOBODY}')"


def _where(chosen: Slice) -> tuple[str, dict[str, object]]:
    values = {field.name: list(getattr(chosen, field.name)) for field in fields(chosen)}
    parts = [f"list_contains(${name}, {_text(name)})" for name, wanted in values.items() if wanted]
    if not chosen.workload:
        parts.append("workload not in ('shared', 'not_ai')")
    return "where " + "\n    and ".join(parts), {name: wanted for name, wanted in values.items() if wanted}


def choices(home: Path) -> dict[str, list[str]]:
    """Give what there is of each dimension, the dearest first; months newest first."""
    named = ", ".join(f"{_text(name)} as {name}" for name in DIMENSIONS)
    rows = ask(home, f"{_CHARGES} select {named}, sum(effective_cost) as cost from charges group by all order by all")
    found = {}
    for name in DIMENSIONS:
        values = rows.group_by(name, maintain_order=True).agg(pl.col("cost").sum())
        order = [name] if name == "month" else ["cost", name]
        found[name] = values.sort(order, descending=[True, False][: len(order)])[name].to_list()
    return found


def days(home: Path, chosen: Slice, by: str) -> pl.DataFrame:
    """Give the cost of each bar by day and workload.

    Args:
        home: folder of the report.
        chosen: what counts.
        by: the dimension that has a bar for each value.
    """
    where, parameters = _where(chosen)
    return ask(
        home,
        f"{_CHARGES} select {_text(by)} as bar, usage_date, workload, {_SUMS}\nfrom charges {where}\n"
        "group by 1, 2, 3 order by 2, 1, 3",
        parameters,
    )


def keys(home: Path, chosen: Slice, by: str, bar: str, day: date) -> pl.DataFrame:
    """Give what a day of a bar is made of, the dearest first: one row per key of a bill and what it was for."""
    where, parameters = _where(chosen)
    return ask(
        home,
        f"{_CHARGES} select service_name, usage_type, workload, {_SUMS},\nevidence, team, llm_model, cost_basis, "
        f"source, billing_period, key_id\nfrom charges {where} and usage_date = $day and {_text(by)} = $bar\n"
        "group by all order by effective_cost desc, key_id, workload, team, llm_model limit $limit",
        {**parameters, "bar": bar, "day": day, "limit": MOST_KEYS},
    )


def reached(home: Path) -> pl.DataFrame:
    """Say how far the data reaches: last day of use and last load of each source of bills."""
    return ask(
        home,
        "select source, max(usage_date) as last_day_of_use, max(loaded_at) as loaded_at\n"
        "from ledger.charges_daily inner join ledger.loads using (source, billing_period)\n"
        "group by source order by source",
    )
