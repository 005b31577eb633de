"""The dashboard: what AI money was for, by anything one filters by, and every bar walked down to lines of a bill.

Streamlit runs this file anew for each click of each visitor. Figures come from the published report, lines from the
ledger it stands on; a report that is published meanwhile is noticed and shown. Text from a bill is only ever handed to
what shows text as text: grids, menus and charts, never Markdown or HTML.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from models.errors import ApportionError
from pipelines.ledger.tables import Ledger
from pipelines.reports import live_charts, palette, slices
from pipelines.reports.slices import DIMENSIONS, NOBODY, Slice
from pipelines.reports.wording import clipped, full, percent, short, words
from pipelines.settings import Settings
from pipelines.warehouse.lines import lines_of_key
from pipelines.warehouse.reader import QueryError, publication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LOOK_SECONDS: Final = 5  # how soon a new report is noticed
_MOST_BARS: Final = 15
_MOST_LINES: Final = 500  # of a key
_LONG: Final = 60  # characters of a name in a menu
_MISSING: Final = {"team": "no team named", "model": "no model named", "account": "no account named"}
# A grid's own download rounds money and would let a cell start a formula; the buttons below do neither.
_STYLE: Final = """<style>
[data-testid="stElementToolbar"] {display: none}
[data-testid="stMetricValue"] {font-size: 1.9rem}
[data-testid="stMain"] h2 {font-size: 1.4rem}
[data-testid="stMain"] h1 {font-size: 2.2rem}
[data-testid="stMainBlockContainer"] {padding-top: 2.5rem}
</style>"""


def main(config: Path) -> None:
    """Draw the page."""
    st.set_page_config(page_title="Apportion", layout="wide")
    st.html(_STYLE)
    settings = Settings.load(config)
    seen = publication(settings.home)
    _refresh(settings.home, seen)
    st.title("Where did the AI money go?", anchor=False)
    if not seen:
        st.info("Nothing is published yet. Run `apportion run`; this page then fills itself.")
        return
    try:
        _page(settings, seen)
    except (ApportionError, QueryError) as error:
        st.error("The published report cannot answer. Run `apportion run` once with this version of Apportion.")
        st.code(str(error), language=None)


@st.fragment(run_every=_LOOK_SECONDS)
def _refresh(home: Path, seen: str) -> None:
    if publication(home) != seen:
        st.rerun()


# Answers of one published file never change, so its name is part of what is remembered.
@st.cache_data(max_entries=4, show_spinner=False)
def _choices(home: Path, seen: str) -> tuple[dict[str, dict[str, str]], pl.DataFrame]:  # noqa: ARG001 - see above
    found = slices.choices(home)
    return {name: _labels(name, values) for name, values in found.items()}, slices.reached(home)


@st.cache_data(max_entries=200, show_spinner=False)
def _days(home: Path, seen: str, chosen: Slice, by: str) -> pl.DataFrame:  # noqa: ARG001 - see above
    return slices.days(home, chosen, by)


def _labels(dimension: str, values: Sequence[str]) -> dict[str, str]:
    """Give each value a text for menus, no two the same."""
    labels: dict[str, str] = {}
    for value in values:
        label = _MISSING.get(dimension, "not named") if value == NOBODY else _said(dimension, value)
        while label in labels:
            label += " ·"
        labels[label] = value
    return labels


def _said(dimension: str, value: str) -> str:
    if dimension == "month":
        return f"{date.fromisoformat(value):%B %Y}"
    return words(value) if dimension == "workload" else clipped(value, _LONG)


def _page(settings: Settings, seen: str) -> None:
    labels, reached = _choices(settings.home, seen)
    chosen, by = _filters(labels)
    days = _days(settings.home, seen, chosen, by)
    _cards(days, settings.currency)
    if not days.height:
        st.info("No charge is in all of these filters. Take one of them away.")
        return
    bar = _bars(days, by, labels[by], settings.currency)
    if bar is not None:
        days = days.filter(pl.col("bar") == bar[1])
    day = _daily(days, bar[0] if bar else f"every {by}", settings.currency)
    if bar and day:
        key = _keys(slices.keys(settings.home, chosen, by, bar[1], day), day, settings.currency)
        if key:
            _lines(settings, key, day)
    elif not bar:
        st.markdown("Click a bar above, then a day, to see what it is made of, down to the lines of the bill.")
    else:
        st.markdown("Click a day to see what it is made of.")
    _freshness(reached)


def _filters(labels: Mapping[str, Mapping[str, str]]) -> tuple[Slice, str]:
    with st.sidebar:
        st.header("Filters", anchor=False)
        found = {
            name: tuple(
                labels[name][label]
                for label in st.multiselect(
                    name.capitalize(),
                    list(labels[name]),
                    key=f"filter_{name}",
                    placeholder="all that is AI" if name == "workload" else "all",
                )
            )
            for name in DIMENSIONS
        }
        by = st.selectbox("A bar for each", list(DIMENSIONS), key="by")
        st.markdown(
            "Effective cost: amortized, after negotiated discounts, by month of use. Tax, support and credits "
            "(`shared`) and what is not AI count only if chosen under Workload."
        )
    return Slice(**found), by


def _cards(days: pl.DataFrame, currency: str) -> None:
    cost, billed = live_charts.total(days), live_charts.total(days, "billed_cost")
    unknown = live_charts.total(days.filter(pl.col("workload") == "unattributed"))
    lines = int(days["charge_count"].sum() or 0)
    cards = (
        ("Effective cost", short(cost, currency), full(cost, currency)),
        ("Billed cost", short(billed, currency), full(billed, currency)),
        ("Unattributed", percent(unknown / cost) if cost else "–", full(unknown, currency)),
        ("Lines of bills", f"{lines:,}", "A line that is divided counts with its first part."),
    )
    for column, (label, value, exact) in zip(st.columns(len(cards)), cards, strict=True):
        # A dollar sign would start a formula in Markdown.
        column.metric(label, value, help=exact.replace("$", r"\$"), border=True)


def _menu(label: str, options: Sequence[str], key: str) -> str | None:
    """Offer what a chart offers to those who do not click on charts; a click writes into the same place."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = None
    return st.selectbox(label, options, index=None, key=key, placeholder="none: click the chart, or choose here")


def _click(chart: str, menu: str, label: Callable[[str], str]) -> None:
    """Write the bar that was clicked in a chart into its menu, or nothing where a click let it go.

    A chart also reports when it is drawn anew; only what differs from its last report is a click.
    """
    points = st.session_state[chart]["selection"].get(live_charts.CLICKED) or []
    clicked = points[0]["bar"] if points else None
    if clicked != st.session_state.get(f"{chart}_clicked"):
        st.session_state[f"{chart}_clicked"] = clicked
        st.session_state[menu] = None if clicked is None else label(clicked)


def _bars(days: pl.DataFrame, by: str, labels: Mapping[str, str], currency: str) -> tuple[str, str] | None:
    """Draw the bars and give the label and the value of the one that is chosen."""
    sums = days.group_by("bar").agg(pl.col("effective_cost", "billed_cost").sum(), pl.col("charge_count").sum())
    ordered = sums.sort("bar") if by == "month" else sums.sort(["effective_cost", "bar"], descending=[True, False])
    names = {value: label for label, value in labels.items()}
    order = ordered["bar"].to_list()[-_MOST_BARS:] if by == "month" else ordered["bar"].to_list()[:_MOST_BARS]
    st.header(f"By {by}", anchor=False)

    st.altair_chart(
        live_charts.bars(days, order, names, currency),
        theme=None,
        key="bars",
        on_select=lambda: _click("bars", "bar", lambda clicked: names[order[int(clicked[:3])]]),
        alt=f"Effective cost by {by}, each bar split by workload. The same figures are in the table below.",
    )
    if ordered.height > len(order):
        st.markdown(f"{len(order)} of {ordered.height}; the table has all.")
    label = _menu(f"Look into one {by}", [names[bar] for bar in ordered["bar"]], "bar")
    workloads = [workload for workload in palette.WORKLOADS if workload in set(days["workload"])]
    split = days.pivot("workload", index="bar", values="effective_cost", aggregate_function="sum")
    table = ordered.join(split, on="bar", how="left").select(
        pl.col("bar").replace_strict(names, return_dtype=pl.String).alias(by),
        "effective_cost",
        *workloads,
        "billed_cost",
        "charge_count",
    )
    _table(table, f"{by}s" if by != "month" else "months", f"Table: effective cost by {by}")
    return None if label is None else (label, labels[label])


def _daily(days: pl.DataFrame, whose: str, currency: str) -> date | None:
    st.header("Day by day", anchor=False)
    st.text(whose)

    st.altair_chart(
        live_charts.by_day(days, currency),
        theme=None,
        key="days",
        on_select=lambda: _click("days", "day", str),
        alt="Effective cost by day of use, each day split by workload. The same figures are in the table below.",
    )
    table = days.group_by("usage_date", "workload", maintain_order=True).agg(
        pl.col("effective_cost", "billed_cost").sum(), pl.col("charge_count").sum()
    )
    day = _menu("Look into one day", [f"{day:%Y-%m-%d}" for day in sorted(set(days["usage_date"]))], "day")
    _table(table, "days", "Table: effective cost by day and workload")
    return None if day is None else date.fromisoformat(day)


def _keys(keys: pl.DataFrame, day: date, currency: str) -> Mapping[str, Any] | None:
    """Show what a day is made of and give the row that is chosen."""
    st.header(f"What {day:%d %B %Y} is made of", anchor=False)
    cost = full(live_charts.total(keys), currency).replace("$", r"\$")
    st.markdown(f"{keys.height} kinds of charges, {cost}. Choose one to see its lines.")
    options = {
        f"{place}. {clipped(row['usage_type'] or row['service_name'] or 'charge', 40)}, {words(row['workload'])}, "
        f"{full(row['effective_cost'], currency)}": row
        for place, row in enumerate(keys.iter_rows(named=True), 1)
    }

    def choose() -> None:
        rows = st.session_state["keys"]["selection"]["rows"]
        st.session_state["key"] = list(options)[rows[0]] if rows else None

    _grid(keys, "What the day is made of", key="keys", on_select=choose, selection_mode="single-row")
    _download(keys, f"{day}")
    label = _menu("Look into one kind of charge", list(options), "key")
    return None if label is None else options[label]


def _lines(settings: Settings, key: Mapping[str, Any], day: date) -> None:
    """Show the lines of a key on a day, each with the file and row it stands in."""
    st.header("Lines of the bill", anchor=False)
    if key["key_id"] is None:
        st.info("This is usage that no bill covers yet, at the rate card's price: there are no lines.")
        return
    _, lines = lines_of_key(settings.home, Ledger.of(settings), key_id=key["key_id"], limit=_MOST_LINES + 1, day=day)
    lines = lines.filter(pl.col("source") == key["source"], pl.col("billing_period") == key["billing_period"])
    more = lines.height > _MOST_LINES
    lines = lines.head(_MOST_LINES).select(
        "source_file",
        "source_row",
        "resource_id",
        "effective_cost",
        "billed_cost",
        pl.format(
            "{}/{}/{}#{}", "source", pl.col("billing_period").dt.strftime("%Y-%m"), "source_file", "source_row"
        ).alias("place"),
    )
    st.markdown(
        f"{f'The {_MOST_LINES} largest lines' if more else f'{lines.height} lines'} in the bill's own currency. Where "
        "several owners share a line, it stands here whole."
    )
    _grid(lines, "Lines of the bill")
    _download(lines, f"lines-{day}")
    if lines.height:
        st.markdown("Why the largest is what it is:")
        st.code(f'apportion explain "{lines["place"][0]}"', language=None)


def _freshness(reached: pl.DataFrame) -> None:
    with _opened("How far the data reaches", "reached") as is_open:
        if is_open:
            _grid(reached, "How far the data reaches")


def _table(frame: pl.DataFrame, name: str, title: str) -> None:
    with _opened(title, name) as is_open:
        if is_open:
            _grid(frame, title)
            _download(frame, name)


@contextmanager
def _opened(title: str, name: str) -> Iterator[bool]:
    """Offer a fold and tell whether it is open.

    A closed one is not filled: what draws grids is more than a megabyte, which a browser would read before the charts.
    """
    with st.expander(title, key=f"fold_{name}", on_change="rerun") as fold:
        yield bool(fold.open)


def _grid(frame: pl.DataFrame, title: str, **selection: Any) -> None:
    """Show a table: money to the cent, text as text."""
    shown = frame.with_columns(pl.col(pl.String).map_elements(_line, return_dtype=pl.String))
    config = {
        name: st.column_config.NumberColumn(words(name), format="accounting")
        if dtype.is_decimal()
        else st.column_config.Column(words(name))
        for name, dtype in frame.schema.items()
    }
    st.dataframe(shown, hide_index=True, column_config=config, alt=title, **selection)


def _line(text: str) -> str:
    return clipped(text, 200)


def _download(frame: pl.DataFrame, name: str) -> None:
    """Offer the table as CSV, amounts exact; text that a spreadsheet would run starts with an apostrophe."""
    text = pl.col(pl.String)
    safe = frame.with_columns(
        pl.when(text.str.contains(r"^[=+\-@\t\r]")).then(pl.lit("'") + text).otherwise(text).name.keep()
    )
    st.download_button(
        "Download as CSV",
        safe.write_csv().encode(),
        file_name=f"apportion-{name}.csv",
        mime="text/csv",
        key=f"download_{name}",
        on_click="ignore",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
