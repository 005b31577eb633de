"""Tables for people, JSON for programs. Money is exact in JSON and short, `$1.24M`, in tables."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pipelines import logs, redaction

if TYPE_CHECKING:
    import polars as pl


def say(text: str) -> None:
    """Tell the person at the terminal something, or the log where it is JSON; standard output stays for answers."""
    if logs.are_json():
        logs.SAID.info(text)
        return
    print("\n".join(map(_inert, redaction.hidden(text).split("\n"))), file=sys.stderr, flush=True)  # noqa: T201


def print_json(answer: object) -> None:
    """Print an answer for programs."""
    print(json.dumps(_finite(answer), default=_plain, indent=2, ensure_ascii=False, allow_nan=False))  # noqa: T201


@dataclass(frozen=True)
class Column:
    """How a column of a table is written.

    Args:
        heading: what stands above it.
        unit: `text` as it is; `key` likewise, on one line; `money` short, in the currency; `price` to the cent; `share`
            as a percentage; `number` short; `bar` as long as `of` is, beside the longest.
        of: the column a bar is drawn from.
        width: of a bar, in characters.
    """

    heading: str
    unit: Literal["text", "key", "money", "price", "share", "number", "bar"] = "text"
    of: str = ""
    width: int = 10


Headings: TypeAlias = dict[str, str | Column]


def print_frame(
    frame: pl.DataFrame,
    *,
    title: str,
    as_json: bool,
    headings: Mapping[str, str | Column],
    currency: str = "",
) -> None:
    """Print some columns of the rows as a table, or every column as a JSON list.

    A bar is in the colour of the row's workload; nothing is coloured where nobody watches.

    Args:
        frame: the rows.
        title: what they are.
        as_json: print JSON.
        headings: columns of the table and what stands above them.
        currency: of the money.
    """
    if as_json:
        print_json(frame.to_dicts())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipelines.reports import palette

    columns = {name: head if isinstance(head, Column) else Column(head) for name, head in headings.items()}
    longest = {column.of: max(map(_size, frame[column.of]), default=0.0) for column in columns.values() if column.of}
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, column in columns.items():
        written = column.unit in {"text", "key", "bar"}
        figure = not written or (column.unit == "text" and frame[name].dtype.is_numeric())
        fixed = figure or column.unit in {"key", "bar"}
        table.add_column(Text(column.heading), justify="right" if figure else "left", overflow="fold", no_wrap=fixed)
    for row in frame.iter_rows(named=True):
        colour = palette.WORKLOADS.get(str(row.get("workload")), palette.PLAIN)
        # Text, not markup: a tag may say "[red]".
        table.add_row(
            *(
                Text(_bar(_size(row[column.of]), longest[column.of], column.width), style=colour)
                if column.unit == "bar"
                else Text(_written(row[name], column.unit, currency))
                for name, column in columns.items()
            )
        )
    console = Console()
    console.print(table if frame.height else Text(f"{title}: nothing there."))
    console.print()


def interval(low: Decimal | None, point: Decimal | None, high: Decimal | None, width: int) -> str:
    """Draw an interval of shares between 0 and 1: `···━━●━··`."""
    if low is None or high is None:
        return ""

    def place(share: Decimal) -> int:
        return min(max(int(share * width), 0), width - 1)

    drawn = ["━" if place(low) <= position <= place(high) else "·" for position in range(width)]
    if point is not None:
        drawn[place(point)] = "●"
    return "".join(drawn)


def _size(value: Any) -> float:
    return max(float(value or 0), 0.0)


def _bar(size: float, longest: float, width: int) -> str:
    """Draw a bar in eighths of a character; what is there at all gets at least one."""
    eighths = max(round(size / longest * width * 8), 1) if size and longest else 0
    return "█" * (eighths // 8) + "▏▎▍▌▋▊▉"[eighths % 8 - 1] * bool(eighths % 8)


def _written(value: Any, unit: str, currency: str) -> str:
    from pipelines.reports.wording import price, short

    match unit, value:
        case _, None:
            return cell(value)
        case "money", _:
            return short(value, currency)
        case "price", _:
            return price(value, currency)
        case "number", _:
            return short(Decimal(value))
        case "share", _:
            return f"{value:.1%}"
        case _:
            return cell(value)


def print_answer(frame: pl.DataFrame, *, as_json: bool) -> None:
    """Print the answer to any question, nothing rounded: a table if it fits, else one column below the other."""
    if as_json:
        print_json(frame.to_dicts())
        return
    from rich.console import Console

    rows = [[exact(value) for value in row] for row in frame.iter_rows()]
    widths = [max(len(text) for text in column) for column in zip(frame.columns, *rows, strict=True)]
    if sum(widths) + 2 * len(widths) <= Console().width:
        for row in [frame.columns, *rows]:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())  # noqa: T201
        return
    longest = max(len(name) for name in frame.columns)
    for row in rows:
        for name, text in zip(frame.columns, row, strict=True):
            print(f"{name:<{longest}}  {text}")  # noqa: T201
        print()  # noqa: T201


def cell(value: Any) -> str:
    """Write one value for people: money to cents, a first of a month as the month."""
    match value:
        case Decimal():
            return f"{value:,.2f}"
        case bool() | datetime():
            return exact(value)
        case int():
            return f"{value:,}"
        case date():
            return f"{value:%Y-%m}" if value.day == 1 else value.isoformat()
        case _:
            return exact(value)


def exact(value: Any) -> str:
    """Write one value as it is, on one line, with nothing that moves a terminal's cursor."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return f"{value:f}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case _:
            return _inert(str(value))


def _inert(text: str) -> str:
    # Names in a bill come from outside; what does not print could move a terminal's cursor or name its window.
    return "".join(character if character.isprintable() else "·" for character in text)


def _finite(value: object) -> object:
    """Say null for what is no number: JSON has neither NaN nor infinity."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, bytes | timedelta):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


@contextmanager
def heard() -> Iterator[None]:
    """Pass on what connectors tell while they work, for example how many bytes a query will read before it does."""
    import logging

    if logs.are_json():
        # Their lines go to the log by themselves.
        yield
        return

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage())

    logger, teller = logging.getLogger("connectors"), Teller(logging.INFO)
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)
        logger.setLevel(before)
