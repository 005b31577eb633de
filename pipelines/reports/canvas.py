"""What charts are drawn on: layers, axes, bars and stacked bars, rendered to SVG that may stand in a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast
from xml.etree import ElementTree as ET

import altair as alt
import vl_convert

from pipelines.reports import palette
from pipelines.reports.wording import full, short, words

Rows: TypeAlias = Sequence[Mapping[str, Any]]

_FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"
_WIDTH: Final = 520
BAR: Final = 34  # pixels of a stacked bar and the space under it
_LABELS: Final = 150  # pixels left of the bars, the same on every chart, so that charts line up on the page
_SVG: Final = "http://www.w3.org/2000/svg"
_NARROW: Final = 0.09  # a part below this share of the longest bar has no room for a label


def parts(rows: Rows, *, bar: str, currency: str, skip: int = 0) -> list[dict[str, Any]]:
    """Give each row as a part of the bar that its column `bar` names."""
    return [
        {
            "bar": row[bar],
            "workload": row["workload"],
            "amount": row["effective_cost"],
            "length": max(float(row["effective_cost"]), 0.0),
            "note": f"{row[bar]:%B %Y}" if bar == "usage_period" else row[bar][skip:],
            "exact": full(row["effective_cost"], currency),
        }
        for row in rows
    ]


def stacked(parts: list[dict[str, Any]], order: Sequence[str], currency: str, *, skip: int = 0) -> str:
    """Draw stacked bars, each part labelled where there is room, each bar with its total at its end."""
    return render(stacked_chart(parts, order, currency, skip=skip), height=BAR * len(order))


def stacked_chart(parts: list[dict[str, Any]], order: Sequence[str], currency: str, *, skip: int = 0) -> Any:
    """Give that chart before it is rendered; a browser may draw it too."""
    rank = {workload: position for position, workload in enumerate(palette.WORKLOADS)}
    parts.sort(key=lambda part: (order.index(part["bar"]), rank.get(part["workload"], len(rank))))
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    reached: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        totals[part["bar"]] += part["amount"]
        part["start"], reached[part["bar"]] = reached[part["bar"]], reached[part["bar"]] + part["length"]
        part["end"] = reached[part["bar"]]
        part["middle"] = (part["start"] + part["end"]) / 2
    longest = max(reached.values(), default=0.0)
    for part in parts:
        part["ink"] = palette.on(palette.WORKLOADS.get(part["workload"], palette.PLAIN))
        part["note"] = f"{part['note']}, {words(part['workload'])}: {part['exact']}"
        part["label"] = short(part["amount"], currency) if part["length"] > _NARROW * longest else ""
    colour = by_workload(parts)
    y = names("bar", order, skip=skip)
    x = alt.X("start:Q", title=None, axis=None, scale=alt.Scale(domain=[0, longest * 1.14 or 1]))
    bars = (
        layer(parts)
        .mark_bar(height=22, stroke=palette.PAPER, strokeWidth=1)
        .encode(x=x, x2=alt.X2("end:Q"), y=y, color=colour, description=alt.Description("note:N"), tooltip="note:N")
    )
    inside = (
        layer(parts)
        .mark_text(fontSize=10)
        .encode(x=alt.X("middle:Q"), y=y, text=alt.Text("label:N"), color=alt.Color("ink:N", scale=None))
    )
    ends = [{"bar": bar, "end": reached[bar], "label": short(total, currency)} for bar, total in totals.items()]
    total = (
        layer(ends)
        .mark_text(align="left", dx=6, color=palette.INK, fontWeight="bold")
        .encode(x=alt.X("end:Q"), y=y, text=alt.Text("label:N"))
    )
    return alt.layer(bars, inside, total)


def bars(bars: list[dict[str, Any]], label: Callable[[Mapping[str, Any]], str], currency: str, title: str = "") -> str:
    """Draw one bar a row from `start` to `end`, its label right of it; rows may share a name."""
    data = []
    for position, bar in enumerate(bars):
        data.append(
            {
                # Two bars may carry one name (a model that serves and evaluates): the position keeps them apart.
                "bar": f"{position:03d}{bar['name']}",
                "start": bar["start"],
                "end": bar["end"],
                "right": max(bar["start"], bar["end"]),
                "colour": bar["colour"],
                "label": label(bar),
                "note": f"{bar['name']}: {full(bar['amount'], currency)}",
            }
        )
    low = min([0.0, *(min(bar["start"], bar["end"]) for bar in data)])
    high = max([0.0, *(bar["right"] for bar in data)])
    room = (high - low or 1.0) * 0.55
    y = names("bar", [bar["bar"] for bar in data], skip=3)
    x = alt.X("start:Q", title=None, axis=None, scale=alt.Scale(domain=[low, high + room]))
    drawn = (
        layer(data)
        .mark_bar(height=18, color=palette.PLAIN)
        .encode(
            x=x, x2=alt.X2("end:Q"), y=y, color=alt.Color("colour:N", scale=None), description=alt.Description("note:N")
        )
    )
    text = (
        layer(data)
        .mark_text(align="left", dx=6, color=palette.INK)
        .encode(x=alt.X("right:Q"), y=y, text=alt.Text("label:N"))
    )
    zero = layer([{"zero": 0}]).mark_rule(color=palette.MUTED).encode(x=alt.X("zero:Q", title=None, axis=None))
    return render(alt.layer(zero, drawn, text), height=28 * len(data), title=title)


def layer(data: Sequence[Mapping[str, Any]]) -> Any:
    """Start a layer on rows of its own."""
    # Exact amounts are in the texts by now.
    drawn = [{name: value for name, value in row.items() if not isinstance(value, Decimal)} for row in data]
    chart = alt.Chart(alt.InlineData(values=[]))
    # Set afterwards: Altair would hold each value of each row against its schema, which takes longer than to draw them.
    chart.data["values"] = drawn
    return chart


def names(field: str, order: Sequence[str], *, skip: int = 0) -> Any:
    """Give the axis of names, in this order, the first characters left out."""
    axis = alt.Axis(
        ticks=False,
        domain=False,
        labelLimit=_LABELS,
        labelPadding=8,
        minExtent=_LABELS,
        maxExtent=_LABELS,
        labelExpr=f"slice(datum.label, {skip})",
    )
    return alt.Y(f"{field}:N", title=None, sort=list(order), axis=axis)


def by_workload(parts: Rows) -> Any:
    """Give the colours and the legend of the workloads that are there."""
    present = [workload for workload in palette.WORKLOADS if any(part["workload"] == workload for part in parts)]
    return alt.Color(
        "workload:N",
        title=None,
        scale=alt.Scale(domain=present, range=[palette.WORKLOADS[workload] for workload in present]),
        legend=alt.Legend(orient="top", columns=6, symbolType="square", labelExpr=_label_words(present)),
    )


def _label_words(present: Sequence[str]) -> str:
    pairs = ", ".join(f"'{workload}': '{words(workload)}'" for workload in present)
    return f"({{{pairs}}})[datum.label]"


def render(chart: Any, *, height: int, title: str = "") -> str:
    """Turn a chart into SVG that may stand in a page beside others."""
    sized = chart.properties(width=_WIDTH, height=max(height, 40), **({"title": title} if title else {}))
    spec = styled(sized).to_dict(validate=False)
    return _still(vl_convert.vegalite_to_svg(cast("dict[str, Any]", spec)))


def styled(chart: Any) -> Any:
    """Give a chart the type, the ground and the lines that all charts have."""
    return (
        chart.configure(font=_FONT, background=palette.PAPER, padding={"left": 4, "right": 4, "top": 4, "bottom": 4})
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=palette.INK,
            titleColor=palette.MUTED,
            labelFontSize=12,
            titleFontSize=11,
            titleFontWeight="normal",
            gridColor=palette.GRID,
            domainColor=palette.GRID,
            tickColor=palette.GRID,
        )
        .configure_legend(labelColor=palette.INK, labelFontSize=12, symbolSize=120, columnPadding=14, offset=10)
        .configure_text(fontSize=12)
        .configure_title(fontSize=12, fontWeight="normal", color=palette.MUTED, anchor="start", offset=8)
    )


def _still(svg: str) -> str:
    """Keep a picture and its hover texts: a page names the whole, and readers get the table behind it.

    Vega writes what a mark says as `aria-label`; a `<title>` shows it on hover without a script, exact to the cent.
    """
    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)  # noqa: S314 - vl-convert's own output
    for element in root.iter():
        said = element.attrib.pop("aria-label", "")
        marked = "mark" in element.attrib.pop("aria-roledescription", "") or element.get("role") != "graphics-symbol"
        for name in ("role", "aria-hidden", "pointer-events"):
            element.attrib.pop(name, None)
        if said and not marked:
            title = ET.Element(f"{{{_SVG}}}title")
            title.text = said
            element.insert(0, title)
    for name in ("width", "height", "class", "version"):
        root.attrib.pop(name, None)
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    return ET.tostring(root, encoding="unicode")
