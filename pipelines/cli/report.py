"""The command that writes the review pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import DEFAULT_CONFIG, Config, Json, Period


def report(
    config: Config = DEFAULT_CONFIG,
    *,
    period: Period = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where the months' folders go.", show_default="<home>/reports"),
    ] = None,
    focus_version: Annotated[
        str, typer.Option("--focus-version", help="FOCUS version of charges_focus: 1.0, 1.2, 1.3 or 1.4.")
    ] = "1.4",
    json: Json = False,
) -> None:
    """Write the review pack of a month: a page, a workbook, data, and the month's charges as FOCUS.

    The page says everything by month of use; the FOCUS files hold what that month's invoices bill.

    Example: apportion report --period 2026-07 --focus-version 1.2
    """
    from pipelines.cli.output import print_json, say
    from pipelines.reports.figures import months
    from pipelines.reports.review import FOLDER, write_review
    from pipelines.settings import Settings

    settings = Settings.load(config)
    written = {}
    for month in [period] if period else months(settings):
        folder = (out or settings.home / FOLDER) / f"{month:%Y-%m}"
        written[f"{month:%Y-%m}"] = [str(path) for path in write_review(settings, month, folder, focus_version)]
        say(f"{month:%Y-%m}: {folder / 'review.html'}")
    if json:
        print_json(written)
