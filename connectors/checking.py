"""Check the cells of a native file and sum its columns, from the native bytes and not through the charges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors import tabular
from models.errors import BadInput
from models.money import EXACT, quantize

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


def summed(
    path: Path, name: str, headers: Sequence[str], sums: Mapping[str, pl.Expr], checks: Sequence[Check]
) -> dict[str, Any]:
    """Sum a file piece by piece, and check every row on the way.

    Raises:
        BadInput: a row meets a check; names file, row, column and value.
    """
    total: dict[str, Any] = {}
    for tally in tallied(path, name, headers, {}, sums, checks):
        for column, value in tally.row(0, named=True).items():
            total[column] = total.get(column, 0) + (value or 0)
    return total


def tallied(  # noqa: PLR0913, PLR0917 - a file, and what is asked of it
    path: Path,
    name: str,
    headers: Sequence[str],
    groups: Mapping[str, pl.Expr],
    sums: Mapping[str, pl.Expr],
    checks: Sequence[Check],
) -> Iterator[pl.DataFrame]:
    """Sum a file piece by piece and group by group, and check every row on the way: one frame per piece.

    Raises:
        BadInput: a row meets a check; names file, row, column and value.
    """
    counts = {f"bad {number}": check.bad.fill_null(value=False).sum() for number, check in enumerate(checks)}
    for before, piece in tabular.pieces(path, name, headers):
        asked = (
            piece.group_by([cell.alias(group) for group, cell in groups.items()]).agg(**sums, **counts)
            if groups
            else piece.select(**sums, **counts)
        )
        with tabular.readable(name):
            found = asked.collect(engine="streaming")
        for number, check in enumerate(checks):
            if found[f"bad {number}"].sum():
                _complain(name, check, before, piece)
        yield found.drop(counts)


def money(name: str, amount: pl.Expr) -> dict[str, pl.Expr]:
    """Sum a native amount twice: each rounded once, and exactly; the difference is the quantization residual."""
    return {name: quantize(amount).sum(), f"exact {name}": amount.cast(pl.String).cast(EXACT, strict=False).sum()}


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
