"""Give money that belongs to no team to the teams, by a stated method, so that what they are shown sums to the bill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import polars as pl

from models.facts import Schema
from models.money import MONEY, from_units, largest_remainder, to_units
from models.workloads import Workload


class Method(StrEnum):
    """How a pool is divided: by what teams cost themselves, in equal parts, or by fixed weights."""

    PROPORTIONAL = "proportional"
    EVEN = "even"
    FIXED = "fixed"


class Pool(StrEnum):
    """Money without a team; `intermediate.int_showback_pools` says which is which."""

    TAX = "tax"
    SUPPORT = "support"
    CREDIT = "credit"
    OTHER = "other"  # fees, refunds and discounts that nothing beside them could take
    IDLE = "idle"
    UNALLOCATED = "unallocated"  # AI money whose team nothing names


# Capacity and unnamed AI money: only who has AI of their own is asked for it.
_AI_POOLS: Final = frozenset({Pool.IDLE, Pool.UNALLOCATED})
_COSTS: Final = ("billed_cost", "effective_cost", "net_cost")
SHARED: Final[Schema] = {
    "source": pl.String,
    "billing_period": pl.Date,
    "usage_period": pl.Date,
    "team": pl.String,
    "workload": pl.String,
    "pool": pl.String,
    "method": pl.String,
    "share": MONEY,
    **dict.fromkeys(_COSTS, MONEY),
}


@dataclass(frozen=True)
class Sharing:
    """What is shared and how.

    Attributes:
        method: how.
        pools: what.
        weights: team → weight, for `fixed`.
    """

    method: Method
    pools: frozenset[Pool]
    weights: Mapping[str, int]


def share(costs: pl.DataFrame, sharing: Sharing) -> pl.DataFrame:
    """Divide each pool among the teams of the same bill and month.

    In proportion means: to what teams cost themselves (effective_cost). Tax, support, credits and other shared money
    are also owed by what is no AI and has no team, so its part stays where it is.

    Args:
        costs: `source`, `billing_period`, `usage_period`, `team`, `workload`, `pool` (null for money that is nobody's
            pool) and the cost columns; one row per combination.
        sharing: what is shared and how.

    Returns:
        Rows of `SHARED` to be *added* to these costs: what each team gets, and what is taken from the pool, which sum
        to 0 per source, month, workload and pool. Their `share`s, those of the team null being what stays, sum to 1.
    """
    rows: list[tuple[Any, ...]] = []
    for month, bill in costs.group_by("source", "billing_period", maintain_order=True):
        own = list(bill.filter(pl.col("pool").is_null()).sort("team", "workload").iter_rows(named=True))
        weights = {pool: _weights(own, sharing, ai_only=pool in _AI_POOLS) for pool in sharing.pools}
        pooled = bill.filter(pl.col("pool").is_in([*sharing.pools])).sort("usage_period", "workload", "pool")
        for whole in pooled.iter_rows(named=True):
            rows += _moved(month, whole, weights[Pool(whole["pool"])], sharing.method)
    return pl.DataFrame(rows, schema=SHARED, orient="row")


def _weights(own: Iterable[Mapping[str, Any]], sharing: Sharing, *, ai_only: bool) -> dict[str | None, int]:
    """Give the weight of each team, in units of 10⁻¹² where it is money; the key None is what has no team."""
    costs: dict[str | None, int] = {}
    for row in own:
        if not (ai_only and row["workload"] == Workload.NOT_AI):
            costs[row["team"]] = costs.get(row["team"], 0) + to_units(row["effective_cost"])
    positive = {team: cost for team, cost in costs.items() if cost > 0}
    named = sorted(team for team in positive if team is not None)
    match sharing.method:
        case Method.FIXED:
            return {team: weight for team, weight in sorted(sharing.weights.items()) if weight > 0}
        case Method.EVEN:
            return dict.fromkeys(named, 1)
        case _:
            rest = {None: positive[None]} if None in positive and named else {}
            return {team: positive[team] for team in named} | rest


def _moved(
    month: tuple[Any, ...], whole: Mapping[str, Any], weights: Mapping[str | None, int], method: Method
) -> list[tuple[Any, ...]]:
    if not weights:
        return []
    wholes = (Decimal(1), *(whole[name] for name in _COSTS))
    parts = [largest_remainder(to_units(amount), list(weights.values())) for amount in wholes]
    given = [(team, amounts) for team, *amounts in zip(weights, *parts, strict=True) if team is not None]
    place = (*month, whole["usage_period"])
    kind = (whole["workload"], whole["pool"], method.value)
    taken = [-sum(amounts[index] for _, amounts in given) for index in range(len(wholes))]
    taken[0] += to_units(Decimal(1))
    return [(*place, team, *kind, *map(from_units, amounts)) for team, amounts in [*given, (None, taken)]]
