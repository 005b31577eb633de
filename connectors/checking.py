"""Check the cells of a native file and sum its columns, from the native bytes and not through the charges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import polars as pl

from connectors import tabular
from models.errors import BadInput
from models.money import ARITHMETIC, EXACT, parted

# Sums keep 22 decimals of 38 digits.
LARGEST: Final = 1e15
SHOWN: Final = 80

_STRING: Final = (
    r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}'
    r'|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})))*"'
)
_VALUE: Final = rf"(?:{_STRING}|null|true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
_PAIR: Final = rf"{_STRING}\s*:\s*{_VALUE}"
# Key-value format: one level of text, numbers, truth and null. `json_decode` fails a whole query on anything else.
FLAT_JSON: Final = rf"^\s*(?:\{{\s*(?:{_PAIR}\s*(?:,\s*{_PAIR}\s*)*)?\}}|null)\s*$"


@dataclass(frozen=True)
class Check:
    """A condition that no row may meet; `header` is the native column it is about."""

    header: str
    bad: pl.Expr
    problem: str
    fix: str


@dataclass(frozen=True)
class Amount:
    """A native amount that is summed twice: each rounded once, and what that rounds off; `exact` puts both together."""

    native: pl.Expr


Sums: TypeAlias = Mapping[str, pl.Expr | Amount]


@dataclass(frozen=True)
class Grouping:
    """Sums that are asked group by group, beside those of the whole file."""

    by: Mapping[str, pl.Expr]
    sums: Mapping[str, pl.Expr]


def summed(path: Path, name: str, headers: Sequence[str], sums: Sums, checks: Sequence[Check]) -> dict[str, Any]:
    """Sum a file piece by piece, and check every row on the way.

    Raises:
        BadInput: a row meets a check; names file, row, column and value.
    """
    return tallied(path, name, headers, sums, checks, Grouping({}, {}))[0]


def tallied(  # noqa: PLR0913, PLR0917 - a file, and what is asked of it
    path: Path,
    name: str,
    headers: Sequence[str],
    sums: Sums,
    checks: Sequence[Check],
    grouping: Grouping,
) -> tuple[dict[str, Any], list[pl.DataFrame]]:
    """Sum a file piece by piece, and check every row on the way: its sums, and a frame of groups per piece.

    What needs no groups is summed without: grouping costs polars twice what the sum itself does.

    Raises:
        BadInput: a row meets a check; names file, row, column and value.
    """
    counts = {f"bad {number}": check.bad.fill_null(value=False).sum() for number, check in enumerate(checks)}
    total: dict[str, Any] = {}
    groups: list[pl.DataFrame] = []
    # Who streams a CSV meanwhile waits for its sums, which therefore must not wait for the threads that stream.
    engine: Literal["streaming", "in-memory"] = "streaming" if tabular.is_parquet(path) else "in-memory"
    for before, piece in tabular.pieces(path, name, headers):
        frame, asked_for = asking(piece, sums)
        asked = [frame.select(**asked_for, **counts)]
        if grouping.by:
            by = [cell.alias(group) for group, cell in grouping.by.items()]
            asked.append(piece.group_by(by).agg(**grouping.sums))
        with tabular.readable(name):
            found, *of_groups = pl.collect_all(asked, engine=engine)
        row: dict[str, Any] = found.row(0, named=True)
        for number, check in enumerate(checks):
            if row[f"bad {number}"]:
                _complain(name, check, before, piece)
        add(total, {column: row[column] or 0 for column in asked_for})
        groups += of_groups
    return total, groups


def add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add sums of a piece or a file to a total, where each name stands in some of them.

    Python's own context would round money to 28 digits.
    """
    for name, value in more.items():
        before = total.get(name, 0)
        is_money = isinstance(value, Decimal) or isinstance(before, Decimal)
        total[name] = ARITHMETIC.add(Decimal(before), Decimal(value)) if is_money else before + value


def asking(frame: pl.LazyFrame, sums: Sums) -> tuple[pl.LazyFrame, dict[str, pl.Expr]]:
    """Give what to select of what frame, so that each amount is looked at once for both of its sums."""
    amounts = {name: one.native for name, one in sums.items() if isinstance(one, Amount)}
    staged = {name: f"__{name}" for name in amounts}
    asked = {name: one for name, one in sums.items() if not isinstance(one, Amount)}
    for name, column in staged.items():
        part = pl.col(column).struct
        asked |= {name: part.field("kept").sum(), _off(name): part.field("off").sum()}
    return frame.with_columns(parted(native).alias(staged[name]) for name, native in amounts.items()), asked


def _off(name: str) -> str:
    return f"residual {name}"


def exact(sums: Mapping[str, Any], name: str) -> Decimal:
    """Give the exact sum of an `Amount` from both of its sums."""
    return ARITHMETIC.add(Decimal(sums[name] or 0), Decimal(sums[_off(name)] or 0))


def no_number(amount: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Tell the cells that are neither null nor an amount of money."""
    if dtype.is_float():
        return ~(amount.is_finite() & (amount.abs() < LARGEST))
    return amount.is_not_null() & amount.cast(pl.String).cast(EXACT, strict=False).is_null()


def shown(cell: object) -> str:
    """Quote a cell for an error, cut where it is long."""
    text = repr(cell)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _complain(name: str, check: Check, before: int, piece: pl.LazyFrame) -> None:
    printed = pl.col(check.header) if check.header in piece.collect_schema() else pl.lit("absent")
    rows = (
        piece.with_row_index("row", offset=before + 1)
        .filter(check.bad.fill_null(value=False))
        .select("row", printed.alias("cell"))
        .head(1)
    )
    row, cell = rows.collect().row(0)
    raise BadInput(
        name,
        f"{shown(cell if cell is None else str(cell))} {check.problem}",
        check.fix,
        f"row {row}, column {check.header}",
    )
