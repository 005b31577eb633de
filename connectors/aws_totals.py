"""Sum an AWS bill and check its cells, straight from the native columns and not through the charges.

Parquet is summed by polars, CSV is parsed by Arrow: for a CSV not even the reader is shared with `aws_charges`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors import tabular
from connectors.aws_amortization import NEEDED, is_split
from connectors.aws_columns import AMOUNTS, INSTANT_TEXT, INSTANTS, REQUIRED, TAG_GROUPS, AwsColumns
from connectors.source import Totals
from models.errors import BadInput
from models.facts import TAGS
from models.money import EXACT, quantize

PERIOD_START: Final = "bill_billing_period_start_date"
NATIVE: Final = {"billed_cost": "line_item_unblended_cost", "list_cost": "pricing_public_on_demand_cost"}
# Sums keep 22 decimals of 38 digits.
LARGEST: Final = 1e15
ASK: Final = "Have the file delivered again; if the cell is the same, report it to AWS"


@dataclass(frozen=True)
class Check:
    """A condition that no row may meet."""

    column: str
    bad: pl.Expr
    problem: str
    fix: str = ASK


def totals(period: date, bills: Sequence[tuple[Path, AwsColumns]]) -> Totals:
    """Sum the files of one version.

    Raises:
        BadInput: a column is missing, a cell cannot be read, or there are no lines at all.
    """
    sums: dict[str, Any] = {}
    for path, bill in bills:
        bill.require()
        checks = list(_checks(bill, period))
        for before, piece in tabular.pieces(path, bill.name, _scanned(bill)):
            with tabular.readable(bill.name):
                found = piece.select(*_sums(bill), **_counts(checks)).collect(engine="streaming").row(0, named=True)
            _check_json(bill, before, piece)
            for number, check in enumerate(checks):
                if found.pop(f"bad {number}"):
                    _complain(bill, check, before, piece)
            for name, value in found.items():
                sums[name] = sums.get(name, 0) + (value or 0)
    if not sums.get("lines") and not sums.get("split"):
        raise BadInput(bills[0][1].name, "the export has no lines", "Wait for the first full delivery of the month")
    return Totals(
        lines=sums["lines"],
        split_lines=sums["split"],
        quantized={name: Decimal(sums[name]) for name in NATIVE if name in sums},
        exact={name: Decimal(sums[f"exact {name}"]) for name in NATIVE if name in sums},
        is_final=bool(sums["lines"]) and not sums["open"],
    )


def first_period(path: Path, bill: AwsColumns) -> date:
    """Read the month of the first line; `totals` checks that the others agree.

    Raises:
        BadInput: the file does not say, or has no line.
    """
    if not bill.has(PERIOD_START):
        found = f"neither a manifest nor a column {PERIOD_START!r} says which month it bills"
        raise BadInput(bill.name, found, "Add the column, or deliver the manifest too")
    with tabular.readable(bill.name):
        first = tabular.scan(path).select(bill.instant(PERIOD_START).dt.date().dt.month_start()).head(1).collect()
    if first.is_empty():
        raise BadInput(bill.name, "the export has no lines", "Wait for the first full delivery of the month")
    period = first.item()
    if not isinstance(period, date):
        raise BadInput(bill.name, "is no date", ASK, f"row 1, column {bill.header(PERIOD_START)}")
    return period


def _scanned(bill: AwsColumns) -> list[str]:
    return bill.headers(dict.fromkeys((*REQUIRED, *AMOUNTS, PERIOD_START, *TAG_GROUPS)))


def _sums(bill: AwsColumns) -> Iterator[pl.Expr]:
    own = ~is_split(bill)
    yield own.sum().alias("lines")
    yield is_split(bill).sum().alias("split")
    yield (own & bill.text("bill_invoice_id").is_null()).sum().alias("open")
    for name, column in NATIVE.items():
        if bill.has(column):
            amount = pl.when(own).then(bill.amount(column))
            yield quantize(amount).sum().alias(name)
            yield amount.cast(pl.String).cast(EXACT, strict=False).sum().alias(f"exact {name}")


def _counts(checks: Sequence[Check]) -> dict[str, pl.Expr]:
    return {f"bad {number}": check.bad.sum() for number, check in enumerate(checks)}


def _checks(bill: AwsColumns, period: date) -> Iterator[Check]:
    own, kind = ~is_split(bill), bill.text("line_item_line_item_type")
    for column in AMOUNTS:
        if bill.has(column):
            yield Check(column, _no_number(bill.amount(column), floats=bill.floats), "is no amount of money")
    for column in INSTANTS:
        yield Check(column, _no_instant(bill, column), "is no date and time")
    for column in ("line_item_line_item_type", "line_item_currency_code", "bill_payer_account_id"):
        yield Check(column, bill.text(column).is_null(), "is blank")
    yield Check("line_item_unblended_cost", own & bill.amount("line_item_unblended_cost").is_null(), "is blank")
    for needing, groups in NEEDED.items():
        for columns in groups:
            yield Check(
                columns[0],
                own & (kind == needing) & bill.amount(*columns).is_null(),
                f"is blank on a line of type {needing}, so its effective cost is unknown",
                f"Add the column to the export ({' or '.join(columns)})",
            )
    if bill.has(PERIOD_START):
        other = bill.instant(PERIOD_START).dt.date().dt.month_start() != pl.lit(period)
        yield Check(PERIOD_START, other.fill_null(value=True), f"is not of {period:%Y-%m}", "Export one month per file")


def _check_json(bill: AwsColumns, before: int, piece: pl.LazyFrame) -> None:
    """Decode the maps that a CSV writes as JSON; where that fails, look for the row."""
    for header in bill.headers(group for group in TAG_GROUPS if bill.has_json(group)):
        cells = pl.col(header).str.json_decode(TAGS)
        try:
            piece.select(cells).collect()
        except pl.exceptions.ComputeError as error:
            rows = enumerate(piece.select(header).collect().to_series(), before + 1)
            row = next((row for row, cell in rows if cell is not None and not _is_json(cell)), before + 1)
            raise BadInput(bill.name, "the map is no JSON", ASK, f"row {row}, column {header}") from error


def _is_json(cell: str) -> bool:
    try:
        return isinstance(json.loads(cell), dict)
    except ValueError:
        return False


def _no_number(amount: pl.Expr, *, floats: bool) -> pl.Expr:
    if floats:
        return ~(amount.is_finite() & (amount.abs() < LARGEST))
    return amount.is_not_null() & amount.cast(EXACT, strict=False).is_null()


def _no_instant(bill: AwsColumns, column: str) -> pl.Expr:
    unread = bill.instant(column).is_null()
    if bill.is_text(column):
        return unread | ~bill.text(column).str.contains(INSTANT_TEXT)
    return unread


def _complain(bill: AwsColumns, check: Check, before: int, piece: pl.LazyFrame) -> None:
    header = bill.header(check.column)
    shown = pl.col(header).cast(pl.String) if header in piece.collect_schema() else pl.lit("absent")
    rows = piece.with_row_index("row", offset=before + 1).filter(check.bad).select("row", shown.alias("cell")).head(1)
    row, cell = rows.collect().row(0)
    raise BadInput(bill.name, f"{cell!r} {check.problem}", check.fix, f"row {row}, column {header}")
