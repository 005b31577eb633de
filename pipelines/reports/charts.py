"""Every chart there is, drawn with Altair and rendered to SVG here: no network, no script, text stays text.

Charts take rows as marts give them. Lengths are floats, because a picture is no account book; every label and every
hover text is written from the exact amount.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast
from xml.etree import ElementTree as ET

import altair as alt
import vl_convert

from pipelines.reports import palette
from pipelines.reports.wording import clipped, full, percent, short, signed, whole, words

Rows: TypeAlias = Sequence[Mapping[str, Any]]

_FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"
_WIDTH: Final = 520
_LABELS: Final = 150  # pixels left of the bars, the same on every chart, so that charts line up on the page
_LONG: Final = 24  # characters of a name beside a bar
_SVG: Final = "http://www.w3.org/2000/svg"
_NARROW: Final = 0.045  # a part below this share of the longest bar has no room for a label
_NO_TEAM: Final = "no team named"


def verdict(rows: Rows) -> str:
    """Draw the claimed range as a band, and each month's answer as an interval with its point."""
    data: list[dict[str, Any]] = [
        {
            "month": f"{row['period']:%b %Y}",
            "low": float(row["measured_low"]),
            "high": float(row["measured_high"]),
            "point": None if row["measured"] is None else float(row["measured"]),
            "from": whole(row["measured_low"]),
            "to": whole(row["measured_high"]),
            "note": _interval_note(row),
        }
        for row in rows
        if row["measured_low"] is not None
    ]
    claimed = {"low": float(rows[-1]["claimed_low"]), "high": float(rows[-1]["claimed_high"])}
    claimed_text = f"claimed: {whole(rows[-1]['claimed_low'])} to {whole(rows[-1]['claimed_high'])}"
    x = alt.X(
        "low:Q",
        title="inference, share of AI compute cost",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr="format(datum.value * 100, 'd') + ' %'"),
    )
    y = _names("month", [entry["month"] for entry in data])
    band = _layer([claimed]).mark_rect(color=palette.BAND).encode(x=x, x2=alt.X2("high:Q"))
    label = (
        _layer([{**claimed, "text": claimed_text}])
        .mark_text(align="right", baseline="bottom", dx=-4, color=palette.MUTED, y=-4)
        .encode(x=alt.X("high:Q"), text=alt.Text("text:N"))
    )
    bars = (
        _layer(data)
        .mark_bar(height=10, color=palette.WORKLOADS["inference"], cornerRadius=5)
        .encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=y, description=alt.Description("note:N"))
    )
    ends = [
        _layer(data)
        .mark_text(align=align, dx=shift, color=palette.INK, fontSize=11)
        .encode(x=alt.X(f"{end}:Q"), y=y, text=alt.Text(f"{text}:N"))
        for end, text, align, shift in (("low", "from", "right", -5), ("high", "to", "left", 5))
    ]
    points = (
        _layer([entry for entry in data if entry["point"] is not None])
        .mark_point(shape="circle", filled=True, fill=palette.PAPER, stroke=palette.INK, strokeWidth=2, size=75)
        .encode(x=alt.X("point:Q"), y=y, description=alt.Description("note:N"))
    )
    return _render(alt.layer(band, label, bars, *ends, points), height=34 * len(data))


def _interval_note(row: Mapping[str, Any]) -> str:
    point = "unknown" if row["measured"] is None else percent(row["measured"])
    return (
        f"{row['period']:%B %Y}: {percent(row['measured_low'])} to {percent(row['measured_high'])}, "
        f"point {point}, {row['verdict']}"
    )


def split_by_month(rows: Rows, currency: str) -> str:
    """Stack each month's AI cost by workload."""
    months = sorted({row["usage_period"] for row in rows})
    data = [
        {**part, "bar": f"{part['bar']:%b %Y}"}
        for part in _parts(rows, bar="usage_period", currency=currency)
        if part["workload"] in palette.AI_WORKLOADS
    ]
    return _stacked(data, [f"{month:%b %Y}" for month in months], currency)


def teams(rows: Rows, currency: str, most: int = 10) -> str:
    """Stack each team's AI cost by workload, the largest team first."""
    named = [{**row, "team": _NO_TEAM if row["team"] is None else clipped(row["team"], _LONG)} for row in rows]
    order = list(dict.fromkeys(row["team"] for row in named))[:most]
    data = [part for part in _parts(named, bar="team", currency=currency) if part["bar"] in order]
    return _stacked(data, order, currency)


def _parts(rows: Rows, *, bar: str, currency: str) -> list[dict[str, Any]]:
    return [
        {
            "bar": row[bar],
            "workload": row["workload"],
            "amount": row["effective_cost"],
            "length": max(float(row["effective_cost"]), 0.0),
            "note": f"{row[bar]:%B %Y}" if bar == "usage_period" else row[bar],
            "exact": full(row["effective_cost"], currency),
        }
        for row in rows
    ]


def _stacked(parts: list[dict[str, Any]], order: Sequence[str], currency: str) -> str:
    """Draw stacked bars, each part labelled where there is room, each bar with its total at its end."""
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
        part["label"] = short(part["amount"], currency) if part["length"] > 2 * _NARROW * longest else ""
    present = [workload for workload in palette.WORKLOADS if any(part["workload"] == workload for part in parts)]
    colour = alt.Color(
        "workload:N",
        title=None,
        scale=alt.Scale(domain=present, range=[palette.WORKLOADS[workload] for workload in present]),
        legend=alt.Legend(orient="top", columns=6, symbolType="square", labelExpr=_label_words(present)),
    )
    y = _names("bar", order)
    x = alt.X("start:Q", title=None, axis=None, scale=alt.Scale(domain=[0, longest * 1.14 or 1]))
    bars = (
        _layer(parts)
        .mark_bar(height=22, stroke=palette.PAPER, strokeWidth=1)
        .encode(x=x, x2=alt.X2("end:Q"), y=y, color=colour, description=alt.Description("note:N"))
    )
    inside = (
        _layer(parts)
        .mark_text(fontSize=10)
        .encode(x=alt.X("middle:Q"), y=y, text=alt.Text("label:N"), color=alt.Color("ink:N", scale=None))
    )
    ends = [{"bar": bar, "end": reached[bar], "label": short(total, currency)} for bar, total in totals.items()]
    total = (
        _layer(ends)
        .mark_text(align="left", dx=6, color=palette.INK, fontWeight="bold")
        .encode(x=alt.X("end:Q"), y=y, text=alt.Text("label:N"))
    )
    return _render(alt.layer(bars, inside, total), height=34 * len(order))


def waterfall(steps: Rows, currency: str, total: str) -> str:
    """Draw what was paid, the steps that did nothing or that nobody measured, and what was busy.

    Args:
        steps: rows with `idle_reason` (`busy` and `unmeasured` among them) and `effective_cost`; they sum to the whole.
        currency: of the amounts.
        total: name of the whole.
    """
    whole_cost = sum((row["effective_cost"] for row in steps), Decimal(0))
    bars = [{"name": total, "amount": whole_cost, "start": 0.0, "end": float(whole_cost), "colour": palette.INK}]
    left = whole_cost
    for row in steps:
        after = left - row["effective_cost"]
        colour = {"busy": palette.GOOD, "unmeasured": palette.UNKNOWN}.get(row["idle_reason"], palette.WASTE)
        name, amount = words(row["idle_reason"]), row["effective_cost"]
        bars.append({"name": name, "amount": amount, "start": float(after), "end": float(left), "colour": colour})
        left = after
    return _bars(
        bars,
        lambda bar: f"{short(bar['amount'], currency)} · {percent(bar['amount'] / whole_cost) if whole_cost else ''}",
        currency,
    )


def llm_models(rows: Rows, currency: str, most: int = 10) -> str:
    """Draw the cost of each language model in the colour of its workload, with its price per million tokens."""
    bars = [
        {
            "name": clipped(row["llm_model"], _LONG),
            "amount": row["effective_cost"],
            "start": 0.0,
            "end": float(row["effective_cost"]),
            "colour": palette.WORKLOADS.get(row["workload"], palette.PLAIN),
            "price": row["cost_per_million_tokens"],
            "key": f"{row['provider_name']} {row['hosting']} {row['workload']}",
        }
        for row in rows[:most]
    ]

    def label(bar: Mapping[str, Any]) -> str:
        price = "no tokens counted" if bar["price"] is None else f"{full(bar['price'], currency)} per M tokens"
        return f"{short(bar['amount'], currency)} · {price}"

    return _bars(bars, label, currency)


def changes(rows: Rows, currency: str) -> str:
    """Draw what grew to the right and what shrank to the left."""
    bars = [
        {
            "name": words(row["item"]),
            "amount": row["change_cost"],
            "start": 0.0,
            "end": float(row["change_cost"]),
            "colour": palette.WORKLOADS.get(row["item"], palette.PLAIN),
            "share": row["change_share"],
        }
        for row in rows
    ]

    def label(bar: Mapping[str, Any]) -> str:
        share = "new" if bar["share"] is None else ("+" if bar["share"] > 0 else "") + percent(bar["share"])
        return f"{signed(bar['amount'], currency)}  ({share})"

    return _bars(bars, label, currency)


def unattributed(rows: Rows, currency: str) -> str:
    """Draw the largest amounts without a purpose."""
    bars = [
        {
            "name": f"{position}  {clipped(row['usage_type'] or row['service_name'] or '', _LONG - 3)}",
            "amount": row["effective_cost"],
            "start": 0.0,
            "end": float(row["effective_cost"]),
            "colour": palette.WORKLOADS["unattributed"],
            "share": row["share_of_unattributed"],
        }
        for position, row in enumerate(rows, 1)
    ]

    def label(bar: Mapping[str, Any]) -> str:
        share = "" if bar["share"] is None else f" · {percent(bar['share'])} of it"
        return f"{short(bar['amount'], currency)}{share}"

    return _bars(bars, label, currency)


def _bars(bars: list[dict[str, Any]], label: Callable[[Mapping[str, Any]], str], currency: str) -> str:
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
    y = _names("bar", [bar["bar"] for bar in data], skip=3)
    x = alt.X("start:Q", title=None, axis=None, scale=alt.Scale(domain=[low, high + room]))
    drawn = (
        _layer(data)
        .mark_bar(height=18, color=palette.PLAIN)
        .encode(
            x=x, x2=alt.X2("end:Q"), y=y, color=alt.Color("colour:N", scale=None), description=alt.Description("note:N")
        )
    )
    text = (
        _layer(data)
        .mark_text(align="left", dx=6, color=palette.INK)
        .encode(x=alt.X("right:Q"), y=y, text=alt.Text("label:N"))
    )
    zero = _layer([{"zero": 0}]).mark_rule(color=palette.MUTED).encode(x=alt.X("zero:Q", title=None, axis=None))
    return _render(alt.layer(zero, drawn, text), height=28 * len(data))


def _layer(data: Sequence[Mapping[str, Any]]) -> Any:
    # Exact amounts are in the texts by now.
    drawn = [{name: value for name, value in row.items() if not isinstance(value, Decimal)} for row in data]
    return alt.Chart(alt.InlineData(values=drawn))


def _names(field: str, order: Sequence[str], *, skip: int = 0) -> Any:
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


def _label_words(present: Sequence[str]) -> str:
    pairs = ", ".join(f"'{workload}': '{words(workload)}'" for workload in present)
    return f"({{{pairs}}})[datum.label]"


def _render(chart: Any, *, height: int) -> str:
    """Turn a chart into SVG that may stand in a page beside others."""
    spec = (
        chart.properties(width=_WIDTH, height=max(height, 40))
        .configure(font=_FONT, background=palette.PAPER, padding={"left": 4, "right": 4, "top": 4, "bottom": 4})
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
        .to_dict(validate=False)
    )
    return _still(vl_convert.vegalite_to_svg(cast("dict[str, Any]", spec)))


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
