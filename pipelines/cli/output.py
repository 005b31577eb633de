"""Tables for people, JSON for programs. Money is exact in JSON and rounded to cents in tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def say(text: str) -> None:
    """Tell the person at the terminal something; standard output stays for answers."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def print_json(answer: object) -> None:
    """Print an answer for programs."""
    print(json.dumps(answer, default=_plain, indent=2, ensure_ascii=False))  # noqa: T201


def print_frame(frame: pl.DataFrame, *, title: str, as_json: bool, headings: Mapping[str, str] | None = None) -> None:
    """Print rows as a table, or as a JSON list with every column."""
    if as_json:
        print_json(frame.to_dicts())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = headings or {name: name for name in frame.columns}
    console = Console()
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, heading in shown.items():
        numeric = frame[name].dtype.is_numeric()
        table.add_column(Text(heading), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in frame.select(list(shown)).iter_rows():
        # Text, not markup: a tag may say "[red]".
        table.add_row(*(Text(cell(value)) for value in row))
    console.print(table)
    console.print()


def cell(value: Any) -> str:  # noqa: PLR0911 - one return per type is the clearest table
    """Write one value for people."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return f"{value:,.2f}"
        case float():
            return f"{value:.1%}"
        case int():
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case date():
            return f"{value:%Y-%m}" if value.day == 1 else value.isoformat()
        case _:
            return "".join(character if character.isprintable() else "·" for character in str(value))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
