"""Divide bill lines as the report divides their daily rows, so that an export sums to the marts by workload and team.

`computed.allocations` divides a daily row, which adds up many lines. Each of these lines is divided in the row's
proportions by largest remainder, and what that leaves between an owner's parts and the owner's share of the day, a few
units of 10⁻¹², is settled on the largest line. So the parts of a line sum to the line, and those of an owner to the
report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import polars as pl

from models.facts import COST_COLUMNS
from models.machines import OWNER
from models.money import MONEY, from_units, largest_remainder, to_units

# What a line and its daily row have in common, the resource apart: a daily row has one only where it matters.
_GROUP: Final = (
    "key_id",
    "usage_date",
    "billing_currency",
    "invoice_id",
    "region_id",
    "commitment_discount_id",
    "capacity_reservation_id",
)
LINE: Final = ("source_file", "source_row")
# Divided too, in the proportions of the effective cost, which no mart adds up by owner.
BESIDE: Final = ("contracted_cost", "consumed_quantity")
_NAMED: Final = (*OWNER, "method", "sharing_pool")
_PARTS: Final = {
    "source_file": pl.String(),
    "source_row": pl.Int64(),
    "part": pl.Int32(),
    **dict.fromkeys(_NAMED, pl.String()),
    **dict.fromkeys((*COST_COLUMNS, *BESIDE, "ratio"), MONEY),
}
# Who owns what of a month's daily rows that are divided, and of those that their lines cannot be told from; of the
# published report, with `source` and `period`.
SHARES: Final = f"""
with charges as (
    select charge.*, daily.billing_currency, daily.invoice_id, daily.capacity_reservation_id
    from intermediate.int_charges_allocated as charge
    join ledger.charges_daily as daily using (source, billing_period, daily_id)
    where charge.source = $source and charge.billing_period = $period
)

select
    {", ".join(_GROUP)},
    -- Rows with and without a resource beside one another share their lines, so they share their owners.
    if(bool_and(resource_id is not null) over rows, resource_id, null) as resource_id,
    {", ".join(_NAMED)}, {", ".join(COST_COLUMNS)}
from charges
window rows as (partition by {", ".join(_GROUP)})
qualify bool_or(method != 'direct') over rows
order by all
"""


def divide(lines: pl.LazyFrame, owned: pl.DataFrame) -> pl.LazyFrame:
    """Replace the lines of divided daily rows by their parts.

    Args:
        lines: lines with their key's attribution and `key_id`.
        owned: what `SHARES` asks for.

    Returns:
        The lines with `part`, `method` and `ratio` (of the line, those of its parts sum to 1), null on a whole line.
    """
    dated = lines.with_columns(usage_date=pl.col("charge_period_start").dt.date())
    needed = dated.join(owned.select(_GROUP).unique().lazy(), on=_GROUP, how="semi", nulls_equal=True)
    known = needed.collect_schema()
    cells = [pl.col(name) if name in known else pl.lit(None, MONEY).alias(name) for name in (*COST_COLUMNS, *BESIDE)]
    found = needed.select(*_GROUP, "resource_id", *LINE, *cells).collect(engine="streaming")
    # In the order of the bill: which part gets the last digit must not depend on how many cores there are.
    parts = _parts(found.sort(LINE), owned)
    new = [name for name in _PARTS if name not in LINE and name in known]
    joined = lines.join(parts.lazy(), on=LINE, how="left", suffix=" of part", maintain_order="left_right")
    whole = pl.col("part").is_null()
    return joined.with_columns(pl.when(whole).then(name).otherwise(f"{name} of part").alias(name) for name in new).drop(
        f"{name} of part" for name in new
    )


def _parts(lines: pl.DataFrame, owned: pl.DataFrame) -> pl.DataFrame:
    columns = [*_GROUP, "resource_id"]
    owners: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for row in owned.iter_rows(named=True):
        owners.setdefault(tuple(row[name] for name in columns), []).append(row)
    of_owner: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for line in lines.iter_rows(named=True):
        group = tuple(line[name] for name in columns)
        of_owner.setdefault(group if group in owners else (*group[:-1], None), []).append(line)
    parts: list[tuple[object, ...]] = []
    for group, members in of_owner.items():
        parts += _divided(members, owners[group])
    return pl.DataFrame(parts, schema=_PARTS, orient="row")


def _divided(lines: Sequence[Mapping[str, Any]], owned: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Divide the lines of one daily row among those who own it."""
    split = {name: _column([line[name] for line in lines], owned, name) for name in (*COST_COLUMNS, *BESIDE)}
    ratios = largest_remainder(to_units(Decimal(1)), _weights([], owned))
    return [
        (
            *(line[name] for name in LINE),
            number + 1,
            *(owner[name] for name in _NAMED),
            *(amounts[place][number] for amounts in split.values()),
            from_units(ratios[number]),
        )
        for place, line in enumerate(lines)
        for number, owner in enumerate(owned)
    ]


def _column(
    amounts: Sequence[Decimal | None], owned: Sequence[Mapping[str, Any]], name: str
) -> list[list[Decimal | None]]:
    """Divide one amount of each line; null stays null."""
    units = [None if amount is None else to_units(amount) for amount in amounts]
    owed = [to_units(owner[name] or Decimal(0)) for owner in owned] if name in COST_COLUMNS else []
    weights = _weights(owed, owned)
    parts = [None if whole is None else largest_remainder(whole, weights) for whole in units]
    told = [part for part in parts if part is not None]
    # Where the report is in another currency than the bill, its amounts are proportions and nothing else.
    if told and owed and sum(owed) == sum(whole for whole in units if whole is not None):
        largest = max(told, key=lambda part: abs(sum(part)))
        for number, due in enumerate(owed):
            largest[number] += due - sum(part[number] for part in told)
    return [[None] * len(owned) if part is None else [from_units(unit) for unit in part] for part in parts]


def _weights(owed: Sequence[int], owned: Sequence[Mapping[str, Any]]) -> list[int]:
    for found in (owed, *([to_units(owner[name]) for owner in owned] for name in ("effective_cost", "billed_cost"))):
        if any(found):
            return [abs(unit) for unit in found]
    return [1, *[0] * (len(owned) - 1)]
