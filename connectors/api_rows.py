"""From the items of an API's pages to declared frames: every field is checked, none is guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.api_pages import parsed
from connectors.source import Landed, Totals
from models.errors import BadInput
from models.facts import CHARGES, FACTS, TOKEN_USAGE, Column, Fact, schema
from models.money import ARITHMETIC, MONEY, PRECISION, SCALE, quantize_decimal

Row = dict[str, Any]
SHOWN: Final = 80
BIGGEST: Final = 2**63 - 1
BIGGEST_AMOUNT: Final = Decimal(10) ** (PRECISION - SCALE)
FIX: Final = "Ask the provider what it means, or report it here"
SUMMED: Final = tuple(
    name for name, column in TOKEN_USAGE.items() if column.dtype in (pl.Int64, MONEY) and name != "source_row"
)
BILLED: Final = ("billed_cost", "effective_cost", "net_cost")


@dataclass(frozen=True)
class Item:
    """One result of a bucket, or one object of a list.

    Attributes:
        said: its fields, as the API gives them.
        file: page it stands on.
        row: place among all results of the page, 1 = first.
        start: start of its bucket, or its own time.
        end: end of its bucket, exclusive.
    """

    said: Mapping[str, Any]
    file: str
    row: int
    start: datetime
    end: datetime

    def error(self, name: str, found: str) -> BadInput:
        """Name the place of a field that cannot be read."""
        return BadInput(self.file, found, FIX, f"result {self.row}, field {name}")

    def field(self, name: str) -> Any:
        """Give a field, dotted names step inwards; null and absent are the same."""
        if "." not in name:
            return self.said.get(name)
        value: Any = self.said
        for part in name.split("."):
            if value is not None and not isinstance(value, dict):
                raise self.error(name, f"{part} is inside of {_shown(value)}")
            value = None if value is None else value.get(part)
        return value

    def text(self, name: str) -> str | None:
        """Read a text; numbers are ids that were not quoted."""
        value = self.field(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.error(name, f"{_shown(value)} is no text")
        return str(value)

    def flag(self, name: str) -> bool | None:
        """Read true, false or nothing."""
        value = self.field(name)
        if value is not None and not isinstance(value, bool):
            raise self.error(name, f"{_shown(value)} is neither true nor false")
        return value

    def whole(self, name: str) -> int:
        """Read a number of things; it must be there."""
        value = self.maybe(name)
        if value is None:
            raise self.error(name, f"it is missing; there are {', '.join(sorted(self.said)[:30])}")
        return value

    def maybe(self, name: str) -> int | None:
        """Read a number of things, or nothing."""
        value = self.field(name)
        if value is None:
            return None
        whole = value
        # 12.0 is a whole number too, and some spell it so.
        if isinstance(value, Decimal) and 0 <= value <= BIGGEST and value == value.to_integral_value():
            whole = int(value)
        if isinstance(whole, bool) or not isinstance(whole, int):
            raise self.error(name, f"{_shown(value)} is no whole number")
        if not 0 <= whole <= BIGGEST:
            raise self.error(name, f"{_shown(value)} is negative or beyond any count")
        return whole

    def amount(self, name: str) -> Decimal:
        """Read an amount; it must be there. Numbers and texts keep every digit they are written with."""
        value = self.maybe_amount(name)
        if value is None:
            raise self.error(name, f"it is missing; there are {', '.join(sorted(self.said)[:30])}")
        return value

    def maybe_amount(self, name: str) -> Decimal | None:
        """Read an amount or quantity, or nothing."""
        value = self.field(name)
        if value is None:
            return None
        try:
            is_said = isinstance(value, str | int | Decimal) and not isinstance(value, bool)
            amount = Decimal(value) if is_said else None
        except InvalidOperation:
            amount = None
        if amount is None or "_" in str(value) or not amount.is_finite() or abs(amount) >= BIGGEST_AMOUNT:
            raise self.error(name, f"{_shown(value)} is no amount")
        return amount


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def month_items(content: bytes, file: str, month: date) -> Iterator[Item]:
    """Give the results of a page that belong to a month: by their bucket's start, or the time they finished.

    Raises:
        BadInput: the page or a time on it cannot be read.
    """
    row = 0
    for number, element in enumerate(parsed(content, file)["data"], start=1):
        if not isinstance(element, dict):
            raise BadInput(file, f"{_shown(element)} is no object", FIX, f"item {number}")
        results = element.get("results")
        if results is None:
            row += 1
            found = [(row, element)]
        elif isinstance(results, list) and all(isinstance(result, dict) for result in results):
            found = [(row + place, result) for place, result in enumerate(results, start=1)]
            row += len(results)
        else:
            raise BadInput(file, f"{_shown(results)} is no list of results", FIX, f"item {number}, field results")
        start, end = _times(element, file, number)
        if (start.year, start.month) == (month.year, month.month):
            yield from (Item(said, file, place, start, end) for place, said in found)


# How elements say when: start and end of a bucket, one day, or a moment.
_TIMES: Final = (
    ("start_time", "end_time"),
    ("starting_at", "ending_at"),
    ("finished_at", "finished_at"),
    ("created_at", "created_at"),
    ("startTime", "startTime"),
    ("date", None),
)


def _times(element: Mapping[str, Any], file: str, number: int) -> tuple[datetime, datetime]:
    for first, last in _TIMES:
        if element.get(first) is not None:
            start = _instant(element[first], file, f"item {number}, field {first}")
            if last is None:
                return start, _instant(int(start.timestamp()) + 86_400, file, f"item {number}, field {first}")
            return start, _instant(element.get(last), file, f"item {number}, field {last}")
    raise BadInput(file, "it does not say when", FIX, f"item {number}")


def _instant(value: Any, file: str, place: str) -> datetime:
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise BadInput(file, f"{_shown(value)} is no time", FIX, place) from error


Rows = Callable[[Item], Sequence[Row]]


def page_rows(path: Path, file: str, month: date, rows: Rows) -> Iterator[Row]:
    """Give the rows of a page, each with its origin."""
    for item in month_items(path.read_bytes(), file, month):
        for row in rows(item):
            yield {"source_file": file, "source_row": item.row, **row}


def frame(fact: Fact, path: Path, file: str, month: date, rows: Rows) -> pl.LazyFrame:
    """Give the rows of a page as the declared columns; the page is parsed when the frame is collected."""
    columns = FACTS[fact]
    return pl.defer(partial(_collected, columns, path, file, month, rows), schema=schema(columns))


def _collected(columns: Mapping[str, Column], path: Path, file: str, month: date, rows: Rows) -> pl.DataFrame:
    found = list(page_rows(path, file, month, rows))
    return pl.DataFrame(
        {
            name: pl.Series(name, [row.get(name) for row in found], column.dtype, strict=True)
            for name, column in columns.items()
        }
    )


def usage(item: Item, provider: str, **columns: Any) -> Row:
    """Make a row of token usage of a bucket; tags without a value are left out."""
    unknown = set(columns) - set(TOKEN_USAGE)
    if unknown:
        raise TypeError(f"not columns of token usage: {sorted(unknown)}")
    if "quantity" in columns:
        columns["quantity"] = quantize_decimal(Decimal(columns["quantity"]))
    if columns.get("reported_cost") is not None:
        columns["reported_cost"] = quantize_decimal(columns["reported_cost"])
    columns["tags"] = tags(columns.get("tags", {}))
    times = {"usage_start": item.start, "usage_end": item.end}
    return {"provider_name": provider, "reported_by": "usage_api", **times, **columns}


def charge(item: Item, provider: str, cost: Decimal, **columns: Any) -> Row:
    """Make a charge of what an API says was billed: nothing is amortized, and credits are not shown."""
    unknown = set(columns) - set(CHARGES)
    if unknown:
        raise TypeError(f"not columns of charges: {sorted(unknown)}")
    columns["tags"] = tags(columns.get("tags", {}))
    if columns.get("consumed_quantity") is not None:
        columns["consumed_quantity"] = quantize_decimal(columns["consumed_quantity"])
    return {
        "usage_period": item.start.date().replace(day=1),
        "provider_name": provider,
        "invoice_issuer_name": provider,
        # The API says nothing of why money comes back.
        "charge_category": "Adjustment" if cost < 0 else "Usage",
        "charge_frequency": "Usage-Based",
        "charge_period_start": item.start,
        "charge_period_end": item.end,
        "line_item_type": "api_costs",
        "service_category": "AI and Machine Learning",
        "service_subcategory": "Generative AI",
        **dict.fromkeys(BILLED, quantize_decimal(cost)),
        **columns,
    }


def tags(said: Mapping[str, Any]) -> dict[str, str]:
    """Give what has a value, as text."""
    return {name: str(value) for name, value in said.items() if value is not None}


class Tally:
    """Sums of native fields, made without the frames.

    `usage` names per native count the ledger column it ends up in, so a sum of the one must be the sum of the other.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.quantized = self.exact = Decimal(0)
        self.rows = 0
        self.sums: dict[str, int | Decimal] = dict.fromkeys(SUMMED, 0)

    def bill(self, cost: Decimal) -> None:
        """Count a line of a bill."""
        self.lines += 1
        self.exact = ARITHMETIC.add(self.exact, cost)
        self.quantized = ARITHMETIC.add(self.quantized, quantize_decimal(cost))

    def use(self, **counts: int | Decimal | None) -> None:
        """Count a row of usage."""
        self.rows += 1
        for name, count in counts.items():
            if isinstance(count, Decimal):
                self.sums[name] = ARITHMETIC.add(Decimal(self.sums[name]), quantize_decimal(count))
            elif count is not None:
                self.sums[name] += count

    def totals(self, landed: Landed) -> Totals:
        """Give the sums."""
        return Totals(
            lines=self.lines,
            split_lines=0,
            quantized=dict.fromkeys(BILLED, self.quantized),
            exact=dict.fromkeys(BILLED, self.exact),
            is_final=bool(landed.version.is_final),
            usage={Fact.TOKEN_USAGE: {"rows": self.rows, **self.sums}},
        )
