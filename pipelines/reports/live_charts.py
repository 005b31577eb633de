"""Charts that a browser draws and people click: the review pack's bars on the same canvas, and bars by the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import altair as alt
import polars as pl

from pipelines.reports import canvas, palette
from pipelines.reports.wording import clipped, full, words

CLICKED: Final = "clicked"
"""Name of the selection; it holds the `bar` of each bar that was clicked."""

_LONG: Final = 24  # characters of a name beside a bar
_TALL: Final = 230  # pixels of the daily chart
_LEGEND: Final = 45  # pixels over the bars; Streamlit fits a chart with its legend into its height


def bars(days: pl.DataFrame, order: Sequence[str], names: Mapping[str, str], currency: str) -> Any:
    """Stack the cost of each bar by workload; a bar that is clicked stays dark.

    Args:
        days: `bar`, `workload`, `effective_cost`; rows of other bars are left out.
        order: which bars, from the top. A bar is called by its place here, as three digits before its name.
        names: what to write beside each.
        currency: of the amounts.
    """
    labels = {bar: f"{place:03d}{clipped(names[bar], _LONG)}" for place, bar in enumerate(order)}
    summed = (
        days.filter(pl.col("bar").is_in(list(order)))
        .group_by("bar", "workload", maintain_order=True)
        .agg(pl.col("effective_cost").sum())
        .with_columns(pl.col("bar").replace_strict(labels, return_dtype=pl.String))
    )
    parts = canvas.parts(summed.to_dicts(), bar="bar", currency=currency, skip=3)
    drawn = canvas.stacked_chart(parts, list(labels.values()), currency, skip=3)
    clicked = alt.selection_point(name=CLICKED, fields=["bar"])
    drawn.layer[0] = drawn.layer[0].add_params(clicked).encode(opacity=_unless_another(clicked))
    return canvas.styled(drawn.properties(height=canvas.BAR * len(order) + _LEGEND))


def by_day(days: pl.DataFrame, currency: str) -> Any:
    """Stack the cost of each day by workload.

    Args:
        days: `usage_date`, `workload`, `effective_cost`.
        currency: of the amounts.
    """
    summed = days.group_by("usage_date", "workload", maintain_order=True).agg(pl.col("effective_cost").sum())
    rank = {workload: place for place, workload in enumerate(palette.WORKLOADS)}
    data = [
        {
            "bar": f"{day:%Y-%m-%d}",
            "workload": workload,
            "rank": rank.get(workload, len(rank)),
            "height": float(cost),
            "note": f"{day:%d %B %Y}, {words(workload)}: {full(cost, currency)}",
        }
        for day, workload, cost in summed.iter_rows()
    ]
    clicked = alt.selection_point(name=CLICKED, fields=["bar"])
    x = alt.X(
        "bar:O",
        title=None,
        axis=alt.Axis(
            ticks=False,
            labelOverlap="greedy",
            labelAngle=0,
            labelExpr="utcFormat(toDate(datum.label), '%d %b')",
        ),
    )
    money = alt.Axis(tickCount=3, domain=False, ticks=False, format="~s")
    drawn = (
        canvas.layer(data)
        .mark_bar(stroke=palette.PAPER, strokeWidth=0.5)
        .encode(
            x=x,
            y=alt.Y("height:Q", title=currency, stack="zero", axis=money),
            color=canvas.by_workload(data),
            order=alt.Order("rank:Q"),
            description=alt.Description("note:N"),
            tooltip="note:N",
            opacity=_unless_another(clicked),
        )
        .add_params(clicked)
    )
    return canvas.styled(drawn.properties(height=_TALL))


def total(days: pl.DataFrame, column: str = "effective_cost") -> Decimal:
    """Sum a column of money; no rows are 0."""
    return sum(days[column], Decimal(0))


def _unless_another(clicked: Any) -> Any:
    return alt.condition(clicked, alt.value(1), alt.value(0.35))
