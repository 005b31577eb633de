"""Sum a Google Cloud bill and check its cells, straight from the native columns and not through the charges.

Cost and credits are summed apart, credits by unnesting them alone: joined to their rows they would repeat the cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors import checking, tabular
from connectors.checking import no_number, shown
from connectors.gcp_charges import GIFTS
from connectors.gcp_columns import AMOUNTS, INSTANT_TEXT, INSTANTS, MONTH_TEXT, GcpColumns, field
from connectors.source import Totals
from connectors.tabular import ROW
from models.errors import BadInput
from models.money import ARITHMETIC, quantize

MONTH: Final = "invoice.month"
NEEDED: Final = ("billing_account_id", "currency", "cost_type", "cost", *INSTANTS)
# A month of an exabyte in byte-seconds; a day's sum of many such still fits.
LARGEST_QUANTITY: Final = 1e24
ASK: Final = "Export the bill again; if the cell is the same, report it to Google"


@dataclass(frozen=True)
class Check:
    """A condition that no row may meet."""

    column: str
    bad: pl.Expr
    problem: str


@dataclass
class Sums:
    """Native sums of one month, each amount rounded once, and exactly."""

    lines: int = 0
    cost: Decimal = Decimal(0)
    exact_cost: Decimal = Decimal(0)
    listed: Decimal | None = None
    exact_listed: Decimal = Decimal(0)
    credits: Decimal = Decimal(0)
    exact_credits: Decimal = Decimal(0)
    gifts: Decimal = Decimal(0)
    exact_gifts: Decimal = Decimal(0)

    def add(self, other: Mapping[str, Any]) -> None:
        """Add sums by name, None counting as nothing."""
        for name, value in other.items():
            if value is not None:
                setattr(self, name, ARITHMETIC.add(getattr(self, name) or Decimal(0), value))


def months(path: Path, bill: GcpColumns) -> list[str]:
    """List the invoice months of a file.

    Raises:
        BadInput: a row has none.
    """
    bill.require()
    frame = tabular.scan(path)
    with tabular.readable(bill.name):
        found = frame.select(bill.text(MONTH).alias("month")).unique().collect(engine="streaming")["month"]
    if found.is_empty():
        return []
    odd = ~bill.text(MONTH).str.contains(MONTH_TEXT).fill_null(value=False)
    if found.null_count() or not found.str.contains(MONTH_TEXT).all():
        _complain(bill, Check(MONTH, odd, "is no month such as 202601"), frame)
    return sorted(found)


def totals(month: str, bills: Sequence[tuple[Path, GcpColumns]], *, is_final: bool) -> Totals:
    """Sum the rows of one invoice month.

    Raises:
        BadInput: a column is missing, a cell cannot be read, or there are no rows at all.
    """
    found = Sums()
    for path, bill in bills:
        found.add(vars(sums(month, path, bill)))
    if not found.lines:
        raise BadInput(bills[0][1].name, f"has no rows of {month}", "Wait for the first export of the month")
    return as_totals(found, is_final=is_final)


def sums(month: str, path: Path, bill: GcpColumns) -> Sums:
    """Sum the rows of one invoice month in one file."""
    bill.require()
    frame = tabular.scan(path).filter(bill.text(MONTH) == month)
    _check(bill, frame)
    found = Sums()
    found.add(_cost(bill, frame))
    found.add(_credits(bill, frame))
    return found


def as_totals(sums: Sums, *, is_final: bool) -> Totals:
    """Say what the ledger's cost columns must sum to."""
    add, subtract = ARITHMETIC.add, ARITHMETIC.subtract
    asked, exact = add(sums.cost, sums.credits), add(sums.exact_cost, sums.exact_credits)
    quantized = {"billed_cost": asked, "effective_cost": subtract(asked, sums.gifts), "net_cost": asked}
    exactly = {"billed_cost": exact, "effective_cost": subtract(exact, sums.exact_gifts), "net_cost": exact}
    if sums.listed is not None:
        quantized["list_cost"], exactly["list_cost"] = sums.listed, sums.exact_listed
    return Totals(int(sums.lines), 0, quantized, exactly, is_final)


def _cost(bill: GcpColumns, frame: pl.LazyFrame) -> Mapping[str, Any]:
    amounts = {"cost": "cost", "listed": "cost_at_list"}
    asked = {name: bill.cell(path) for name, path in amounts.items() if bill.has(path)}
    return _summed(bill, frame, asked, lines=pl.len())


def _credits(bill: GcpColumns, frame: pl.LazyFrame) -> Mapping[str, Any]:
    amount, is_gift = pl.col("credits").struct.field("amount"), pl.col("credits").struct.field("type").is_in(GIFTS)
    unnested = frame.select("credits").explode("credits").filter(amount.is_not_null())
    return _summed(bill, unnested, {"credits": amount, "gifts": pl.when(is_gift).then(amount)})


def _summed(
    bill: GcpColumns, frame: pl.LazyFrame, amounts: Mapping[str, pl.Expr], **counts: pl.Expr
) -> Mapping[str, Any]:
    """Sum each amount, rounded once and exactly."""
    staged, sums = checking.asking(frame, {name: checking.Amount(amount) for name, amount in amounts.items()})
    with tabular.readable(bill.name):
        found = staged.select(**counts, **sums).collect(engine="streaming").row(0, named=True)
    exact = {f"exact_{name}": checking.exact(found, name) for name in amounts}
    return {**{name: found[name] for name in (*counts, *amounts)}, **exact}


def _check(bill: GcpColumns, frame: pl.LazyFrame) -> None:
    checks = list(_checks(bill))
    counts = {f"bad {number}": check.bad.sum() for number, check in enumerate(checks)}
    with tabular.readable(bill.name):
        found = frame.select(**counts).collect(engine="streaming").row(0)
    for check, count in zip(checks, found, strict=True):
        if count:
            _complain(bill, check, frame)


def _checks(bill: GcpColumns) -> Iterator[Check]:
    for column in NEEDED:
        blank = bill.text(column) if bill.dtype(column) == pl.String else bill.cell(column)
        yield Check(column, blank.is_null(), "is blank")
    for column in AMOUNTS:
        if bill.has(column):
            is_odd = _no_quantity if column.startswith("usage.") else no_number
            yield Check(column, is_odd(bill.cell(column), bill.dtype(column)), "is no amount")
    odd = no_number(field("amount"), bill.dtype("credits.amount")) | field("amount").is_null()
    yield Check("credits", bill.cell("credits").list.agg(odd.any()).fill_null(value=False), "holds no amount")
    for column in INSTANTS:
        unread = bill.instant(column).is_null()
        if bill.dtype(column) == pl.String:
            unread |= ~bill.text(column).str.contains(INSTANT_TEXT)
        yield Check(column, unread, "is no date and time in UTC")


def _no_quantity(amount: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Tell the cells that are no quantity: storage is counted in byte-seconds, so those reach far beyond money."""
    if dtype.is_float():
        return ~(amount.is_finite() & (amount.abs() < LARGEST_QUANTITY))
    return amount.is_not_null() & quantize(amount).is_null()


def _complain(bill: GcpColumns, check: Check, frame: pl.LazyFrame) -> None:
    cell = bill.cell(check.column)
    printed = cell if isinstance(bill.dtype(check.column), pl.List) else cell.cast(pl.String)
    row, value = frame.filter(check.bad).select(ROW, printed.alias("cell")).head(1).collect().row(0)
    raise BadInput(bill.name, f"{shown(value)} {check.problem}", ASK, f"row {row}, column {check.column}")
