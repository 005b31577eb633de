"""Tables for people, JSON for programs. Money is exact in JSON and rounded to cents in tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def say(text: str) -> None:
    """Tell the person at the terminal something; standard output stays for answers."""
    print("\n".join(map(_inert, text.split("\n"))), file=sys.stderr, flush=True)  # noqa: T201


def print_json(answer: object) -> None:
    """Print an answer for programs."""
    print(json.dumps(answer, default=_plain, indent=2, ensure_ascii=False))  # noqa: T201


def print_frame(
    frame: pl.DataFrame, *, title: str, as_json: bool, headings: Mapping[str, str], shares: Collection[str] = ()
) -> None:
    """Print some columns of the rows as a table, or every column as a JSON list.

    Args:
        frame: the rows.
        title: what they are.
        as_json: print JSON.
        headings: columns of the table and what stands above them.
        shares: columns to show as percentages.
    """
    if as_json:
        print_json(frame.to_dicts())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, heading in headings.items():
        numeric = frame[name].dtype.is_numeric()
        table.add_column(Text(heading), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in frame.select(list(headings)).iter_rows(named=True):
        # Text, not markup: a tag may say "[red]".
        table.add_row(
            *(
                Text(f"{value:.1%}" if name in shares and value is not None else cell(value))
                for name, value in row.items()
            )
        )
    console = Console()
    console.print(table if frame.height else Text(f"{title}: nothing there."))
    console.print()


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
