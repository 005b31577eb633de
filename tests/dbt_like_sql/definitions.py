"""The headline under every definition, in plain Python over daily rows: the path that SQL must agree with."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from fractions import Fraction
from itertools import product
from typing import Any, Final, TypeAlias

Row: TypeAlias = Mapping[str, Any]
Cell: TypeAlias = tuple[str, str, bool, bool]  # workload, class, known, from an API
Interval: TypeAlias = tuple[Fraction | None, Fraction | None, Fraction | None]

ROWS: Final = """
select usage_period, workload, evidence, idle_reason, accelerator, llm_model, token_bucket, usage_type, operation,
    charge_category, billed_cost, effective_cost, net_cost
from intermediate.int_charges_allocated
union all by name
select usage_period, workload, evidence, llm_model, billed_cost, effective_cost, net_cost
from intermediate.int_estimated_charges
"""
MONEY: Final = ("billed", "effective", "net")
IDLE: Final = ("with_owner", "separate", "pro_rata")
SPANS: Final = ("1_month", "3_months", "12_months", "since_first_training", "training_spread")
SIDES: Final = {
    "storage": ("left_out", "in_total"),
    "api": ("with", "left_out"),
    "fine_tuning": ("training", "inference"),
    "development": ("left_out", "training", "inference"),
    "batch_transform": ("inference", "training"),
    "warm_pool": ("owner", "inference"),
}
COSTS: Final = tuple(f"{name}_cost" for name in MONEY)
NAMES: Final = ("money", "idle_treatment", "span", *SIDES)
TRAINING: Final = ("training", "fine_tuning")


def answers(rows: Iterable[Row], period: date, life: int = 12) -> Iterator[tuple[tuple[str, ...], Interval]]:
    """Give each definition (values in the order of `NAMES`) with its lower end, point and upper end."""
    rows = _summed(
        row
        for row in rows
        if row["charge_category"] not in {"Credit", "Tax"} and row["workload"] not in {"not_ai", "shared"}
    )
    for money, idle, span in product(MONEY, IDLE, SPANS):
        cells = dict(_treated(list(_spanned(rows, period, span, money, life)), idle))
        for options in product(*SIDES.values()):
            yield (money, idle, span, *options), _interval(cells, dict(zip(SIDES, options, strict=True)))


def _summed(rows: Iterable[Row]) -> list[Row]:
    """Add up rows that no definition tells apart: there are thousands of definitions."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        costs = {name: Fraction(row[name]) for name in COSTS}
        # Training has begun only where a row costs something, and an idle reason has two kinds.
        costly = row["workload"] in TRAINING and row["effective_cost"] > 0
        same = (row["usage_period"], costly, _cell(row), _pool(row), _is_idle(row))
        if same in sums:
            for name, cost in costs.items():
                sums[same][name] += cost
        else:
            sums[same] = {**row, **costs}
    return list(sums.values())


def _months(day: date) -> int:
    return day.year * 12 + day.month


def _spanned(rows: list[Row], period: date, span: str, money: str, life: int) -> Iterator[tuple[Row, Fraction]]:
    begun = [row["usage_period"] for row in rows if row["workload"] in TRAINING and row["effective_cost"] > 0]
    first = min(begun, default=None)
    for row in rows:
        age = _months(period) - _months(row["usage_period"])
        amount = row[f"{money}_cost"]
        spread = span == "training_spread" and row["workload"] in TRAINING
        if span == "since_first_training":
            counts = first is not None and row["usage_period"] >= first
        else:
            counts = age < (life if spread else {"3_months": 3, "12_months": 12}.get(span, 1))
        if age >= 0 and counts:
            yield row, amount / life if spread else amount


def _is_api(row: Row) -> bool:
    bought = row["token_bucket"] is not None or row["llm_model"] is not None
    return row["accelerator"] is None and bought and row["workload"] in {"inference", "development", "unattributed"}


def _cell(row: Row) -> Cell:
    workload, kind = row["workload"], row["workload"]
    sku = f"{row['usage_type'] or ''} {row['operation'] or ''}"
    if workload in {*TRAINING, "inference"} and row["idle_reason"] == "warm_pool":
        kind = "warm_pool"
    elif workload == "inference" and re.search(r"transform|[-_ ]batch([^a-z]|$)", sku, re.IGNORECASE):
        kind = "batch_transform"
    return workload, kind, row["evidence"] in {"declared", "billed", "measured"}, _is_api(row)


def _treated(rows: list[tuple[Row, Fraction]], treatment: str) -> Mapping[Cell, Fraction]:
    pools: dict[str, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for row, amount in rows:
        pools[_pool(row)][_is_idle(row)] += amount
    cells: dict[Cell, Fraction] = defaultdict(Fraction)
    for row, amount in rows:
        used, idle = pools[_pool(row)]
        if treatment == "with_owner" or (treatment == "pro_rata" and not (used > 0 and idle > 0)):
            cells[_cell(row)] += amount
        elif not _is_idle(row):
            cells[_cell(row)] += amount * (1 + idle / used if treatment == "pro_rata" else 1)
    return cells


def _pool(row: Row) -> str:
    return str(row["accelerator"] or ("api" if _is_api(row) else "other"))


def _is_idle(row: Row) -> bool:
    return row["idle_reason"] not in {None, "unmeasured"}


def _side(cell: Cell, options: Mapping[str, str]) -> str:
    workload, kind, _, is_api = cell
    if is_api and options["api"] == "left_out":
        return "left_out"
    if kind == "storage":
        return "neither" if options["storage"] == "in_total" else "left_out"
    if kind == "warm_pool" and options["warm_pool"] == "inference":
        return "inference"
    if kind == "warm_pool":
        return options["fine_tuning"] if workload == "fine_tuning" else workload
    return options.get(kind, kind)


def _interval(cells: Mapping[Cell, Fraction], options: Mapping[str, str]) -> Interval:
    whole: dict[str, Fraction] = defaultdict(Fraction)
    known: dict[str, Fraction] = defaultdict(Fraction)
    for cell, amount in cells.items():
        side = _side(cell, options)
        whole[side] += amount
        known[side] += amount if cell[2] else 0
    inference, training, unattributed, neither = (
        max(whole[side], Fraction(0)) for side in ("inference", "training", "unattributed", "neither")
    )
    total = inference + training + unattributed + neither
    if not total:
        return None, None, None
    known_training = min(max(known["training"], Fraction(0)), training)
    point = inference / (total - unattributed) if total > unattributed else None
    return (
        min(max(known["inference"], Fraction(0)), inference) / total,
        point,
        max((total - known_training - neither) / total, point or Fraction(0)),
    )
