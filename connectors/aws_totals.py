"""Sum an AWS bill and check its cells, straight from the native columns and not through the charges.

What must agree is what we work out: which columns, which lines, each rounding, what was written and what it reads as.
The parser is shared with `aws_charges`, by every load of Parquet and by every load of a CSV. For a CSV that is Arrow,
which refuses a row with a cell too few or too many, so that no figure slips into another column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors import aws_identities, checking, tabular
from connectors.aws_amortization import NEEDED, is_split
from connectors.aws_columns import AMOUNTS, INSTANTS, REQUIRED, TAG_GROUPS, AwsColumns
from connectors.checking import Amount, Check, Grouping, Sums
from connectors.source import Totals
from models.errors import BadInput

PERIOD_START: Final = "bill_billing_period_start_date"
NATIVE: Final = {"billed_cost": "line_item_unblended_cost", "list_cost": "pricing_public_on_demand_cost"}
ASK: Final = "Have the file delivered again; if the cell is the same, report it to AWS"


def totals(period: date, bills: Iterable[tuple[Path, AwsColumns]]) -> Totals:
    """Sum the files of one version.

    Raises:
        BadInput: a column is missing, a cell cannot be read, or there are no lines at all.
    """
    sums: dict[str, Any] = {}
    tallies: list[pl.DataFrame] = []
    names = []
    for path, bill in bills:
        names.append(bill.name)
        bill.require()
        grouping = Grouping(aws_identities.groups(bill), aws_identities.sums(bill, ~is_split(bill)))
        found, groups = checking.tallied(
            path, bill.name, _scanned(bill), _sums(bill), list(_checks(bill, period)), grouping
        )
        checking.add(sums, found)
        tallies += groups
    if not (sums["lines"] or sums["split"]):
        raise BadInput(names[0], "the export has no lines", "Wait for the first full delivery of the month")
    tally = pl.concat(tallies, how="diagonal")
    is_final = bool(sums["lines"]) and not sums["open"]
    return Totals(
        lines=sums["lines"],
        split_lines=sums["split"],
        quantized={name: sums[name] for name in NATIVE if name in sums},
        exact={name: checking.exact(sums, name) for name in NATIVE if name in sums},
        is_final=is_final,
        identities=aws_identities.identities(tally, is_final=is_final, owns_lines=bool(sums["payer's own"])),
        unknown_kinds=aws_identities.unknown_kinds(tally),
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
    return bill.headers(dict.fromkeys((*REQUIRED, *AMOUNTS, *aws_identities.SCANNED, PERIOD_START, *TAG_GROUPS)))


def _sums(bill: AwsColumns) -> Sums:
    own = ~is_split(bill)
    sums: dict[str, pl.Expr | Amount] = {
        "lines": own.sum(),
        "split": is_split(bill).sum(),
        "open": (own & bill.text("bill_invoice_id").is_null()).sum(),
        "payer's own": (bill.text("line_item_usage_account_id") == bill.text("bill_payer_account_id")).sum(),
    }
    for name, column in NATIVE.items():
        if bill.has(column):
            sums[name] = Amount(pl.when(own).then(bill.amount(column)))
    return sums


def _check(bill: AwsColumns, column: str, bad: pl.Expr, problem: str, fix: str = ASK) -> Check:
    return Check(bill.header(column), bad, problem, fix)


def _checks(bill: AwsColumns, period: date) -> Iterator[Check]:
    dtype = pl.Float64() if bill.floats else pl.String()
    for column in AMOUNTS:
        if bill.has(column):
            yield _check(bill, column, checking.no_number(bill.amount(column), dtype), "is no amount of money")
    for column in INSTANTS:
        yield _check(bill, column, bill.no_instant(column), "is no date and time")
    for column in ("line_item_line_item_type", "line_item_currency_code", "bill_payer_account_id"):
        yield _check(bill, column, bill.text(column).is_null(), "is blank")
    yield from _needed(bill)
    for group in TAG_GROUPS:
        if bill.has_json(group):
            yield _check(bill, group, ~bill.text(group).str.contains(checking.FLAT_JSON), "is no flat JSON object")
    if bill.has(PERIOD_START):
        first = datetime(period.year, period.month, 1, tzinfo=UTC)
        other = ~bill.instant(PERIOD_START).is_between(first, pl.lit(first).dt.offset_by("1mo"), closed="left")
        problem = f"is not of {period:%Y-%m}"
        yield _check(bill, PERIOD_START, other.fill_null(value=True), problem, "Export one month per file")


def _needed(bill: AwsColumns) -> Iterator[Check]:
    own, kind = ~is_split(bill), bill.text("line_item_line_item_type")
    cost = "line_item_unblended_cost"
    yield _check(bill, cost, own & bill.amount(cost).is_null(), "is blank")
    for needing, groups in NEEDED.items():
        for columns in groups:
            yield _check(
                bill,
                columns[0],
                own & (kind == needing) & bill.amount(*columns).is_null(),
                f"is blank on a line of type {needing}, so its effective cost is unknown",
                f"Add the column to the export ({' or '.join(columns)})",
            )
