"""The ledger of claims at a terminal: the headline month by month, then every claim in the newest month shown."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.cli.output import Column, interval, print_frame
from pipelines.reports.wording import plain, short

if TYPE_CHECKING:
    from pipelines.cli.output import Headings

_HEADLINE: Final = "inference-80-20"
_DRAWN: Final = 10  # characters of an interval
_SMALL: Final = Decimal("0.1")  # below it, a price of two decimals says nothing


def figure(value: Decimal | None, unit: str | None, currency: str) -> str:
    """Write one end of a claim in its unit: `45.0%`, `1.92×`, `$784K`."""
    if value is None:
        return "–"
    if unit == "times":
        return f"{value:.2f}×"
    if unit == "dollars":
        return f"{short(Decimal(1), currency)[0]}{value:.4f}" if 0 < value < _SMALL else short(value, currency)
    return f"{value:.1%}"


def answer(low: Decimal | None, point: Decimal | None, high: Decimal | None, unit: str | None, currency: str) -> str:
    """Write an answer as its point and, where they differ from it, its ends."""
    if low is None:
        return "–"
    ends = [figure(low, unit, currency), "no end" if high is None else figure(high, unit, currency)]
    middle = figure(point, unit, currency)
    return middle if {*ends} == {middle} else f"{middle} ({' to '.join(ends)})"


def print_claims(frame: pl.DataFrame, currency: str) -> None:
    """Print the answers of `marts.claim_checks` to a terminal of 80 columns.

    Args:
        frame: rows of the mart.
        currency: of the money.
    """
    headline = frame.filter(claim_id=_HEADLINE)
    if headline.height:
        _print_headline(headline, currency)
    newest = frame.filter(pl.col("period") == pl.col("period").max()) if frame.height else frame
    shown = [
        {
            "statement": row["statement"],
            "answer": answer(row["measured_low"], row["measured"], row["measured_high"], row["unit"], currency),
            "claimed": _range(row["claimed_low"], row["claimed_high"], row["unit"], currency),
            "verdict": row["verdict"],
        }
        for row in newest.iter_rows(named=True)
    ]
    names: Headings = {"statement": "claim", "answer": "for you", "claimed": "claimed"}
    names |= {"verdict": Column("verdict", "key")}
    schema = dict.fromkeys(names, pl.String)
    month = f", {plain(newest['period'][0])}" if newest.height else ""
    title = f"Ledger of claims{month} (`--json` says what would settle or answer each)"
    print_frame(pl.DataFrame(shown, schema=schema), title=title, as_json=False, headings=names, currency=currency)


def _range(low: Decimal, high: Decimal | None, unit: str | None, currency: str) -> str:
    begin = figure(low, unit, currency)
    if high is None:
        return f"over {begin}"
    end = figure(high, unit, currency)
    return begin if begin == end else f"{begin} to {end}"


def _print_headline(rows: pl.DataFrame, currency: str) -> None:
    ends = ("measured_low", "measured", "measured_high")
    drawn = [interval(low, point, high, _DRAWN) for low, point, high in rows.select(ends).iter_rows()]
    headings: Headings = {
        "period": "month",
        "measured_low": Column("low", "share"),
        "measured": Column("point", "share"),
    }
    headings |= {"measured_high": Column("high", "share"), "drawn": "0–100 %", "verdict": "verdict"}
    headings |= {"undecided_cost": Column("undecided", "money"), "attributed_share": Column("attributed", "share")}
    title = f"“{rows['statement'][0]}” For you:"
    shown = rows.with_columns(pl.Series("drawn", drawn, pl.String))
    print_frame(shown, title=title, as_json=False, headings=headings, currency=currency)
