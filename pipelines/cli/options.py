"""Options that several commands share; only light imports here, `--help` must stay quick."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 - a month has no time zone
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no month; write it as 2026-07") from None


Config: TypeAlias = Annotated[
    Path, typer.Option("--config", "-c", envvar="APPORTION_CONFIG", help="Configuration file.", show_default=True)
]
Period: TypeAlias = Annotated[
    date | None,
    typer.Option("--period", "-p", parser=_month, metavar="YYYY-MM", help="One month; all if left out."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs; money as exact text.")]
Limit: TypeAlias = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many rows.")]

DEFAULT_CONFIG = Path("apportion.yaml")
