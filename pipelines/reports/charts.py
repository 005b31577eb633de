"""Every chart there is, drawn with Altair and rendered to SVG here: no network, no script, text stays text.

Charts take rows as marts give them. Lengths are floats, because a picture is no account book; every label and every
hover text is written from the exact amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import altair as alt

from pipelines.reports import canvas, palette
from pipelines.reports.canvas import Rows
from pipelines.reports.wording import clipped, full, percent, price, short, signed, whole, words

_LONG: Final = 24  # characters of a name beside a bar
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
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr="format(datum.value * 100, 'd') + '\u202f%'"),
    )
    y = canvas.names("month", [entry["month"] for entry in data])
    band = canvas.layer([claimed]).mark_rect(color=palette.BAND).encode(x=x, x2=alt.X2("high:Q"))
    label = (
        canvas.layer([{**claimed, "text": claimed_text}])
        .mark_text(align="right", baseline="bottom", dx=-4, color=palette.MUTED, y=-4)
        .encode(x=alt.X("high:Q"), text=alt.Text("text:N"))
    )
    bars = (
        canvas.layer(data)
        .mark_bar(height=10, color=palette.WORKLOADS["inference"], cornerRadius=5)
        .encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=y, description=alt.Description("note:N"))
    )
    ends = [
        canvas.layer(data)
        .mark_text(align=align, dx=shift, color=palette.INK, fontSize=11)
        .encode(x=alt.X(f"{end}:Q"), y=y, text=alt.Text(f"{text}:N"))
        for end, text, align, shift in (("low", "from", "right", -5), ("high", "to", "left", 5))
    ]
    points = (
        canvas.layer([entry for entry in data if entry["point"] is not None])
        .mark_point(shape="circle", filled=True, fill=palette.PAPER, stroke=palette.INK, strokeWidth=2, size=75)
        .encode(x=alt.X("point:Q"), y=y, description=alt.Description("note:N"))
    )
    return canvas.render(alt.layer(band, label, bars, *ends, points), height=34 * len(data))


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
        for part in canvas.parts(rows, bar="usage_period", currency=currency)
        if part["workload"] in palette.AI_WORKLOADS
    ]
    return canvas.stacked(data, [f"{month:%b %Y}" for month in months], currency)


def teams(rows: Rows, currency: str, most: int = 10) -> str:
    """Stack each team's AI cost by workload, the largest team first."""
    # Two long names may be cut to the same text: the position keeps their bars apart.
    places = {team: position for position, team in enumerate(dict.fromkeys(row["team"] for row in rows))}
    named = [
        {**row, "team": f"{places[row['team']]:03d}{_NO_TEAM if row['team'] is None else clipped(row['team'], _LONG)}"}
        for row in rows
        if places[row["team"]] < most
    ]
    order = list(dict.fromkeys(row["team"] for row in named))
    return canvas.stacked(canvas.parts(named, bar="team", currency=currency, skip=3), order, currency, skip=3)


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
    return canvas.bars(
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
        of_one = "no tokens counted" if bar["price"] is None else f"{price(bar['price'], currency)} per M tokens"
        return f"{short(bar['amount'], currency)} · {of_one}"

    return canvas.bars(bars, label, currency)


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

    return canvas.bars(bars, label, currency)


_PARTS: Final = ("price", "volume", "mix", "new", "gone", "unexplained")


def variance(rows: Rows, currency: str) -> str:
    """Draw the way from last month's cost to this month's, part by part; only what changed is drawn to scale."""
    reached = sum((row["last_month_cost"] for row in rows), Decimal(0))
    bars: list[dict[str, Any]] = []
    for part in _PARTS:
        amount = sum((row[f"{part}_cost"] for row in rows), Decimal(0))
        colour = palette.WASTE if amount > 0 else palette.GOOD
        ends = {"start": float(reached), "end": float(reached + amount)}
        bars.append({"name": part, "amount": amount, "colour": colour, **ends})
        reached += amount
    before, after = (sum((row[f"{month}_month_cost"] for row in rows), Decimal(0)) for month in ("last", "this"))
    start = min(float(before), *(min(bar["start"], bar["end"]) for bar in bars))
    for bar in bars:
        bar["start"], bar["end"] = bar["start"] - start, bar["end"] - start
    title = f"from {short(before, currency)} last month to {short(after, currency)}"
    return canvas.bars(bars, lambda bar: signed(bar["amount"], currency), currency, title=title)


def budgets(rows: Rows, currency: str, most: int = 12) -> str:
    """Draw how much of each budget is spent, in front of how much is foreseen to be, and a mark where it ends."""
    data: list[dict[str, Any]] = []
    for position, row in enumerate(rows[:most]):
        name, limit = clipped(row["budget_name"], _LONG), row["budget_cost"]
        spent, foreseen = row["month_to_date_cost"], row["projected_cost"]
        ahead = "" if foreseen is None else f" · {short(foreseen, currency)} foreseen"
        data.append(
            {
                "bar": f"{position:03d}{name}",
                "zero": 0.0,
                "spent": max(float(spent / limit), 0.0),
                "foreseen": max(float((spent if foreseen is None else foreseen) / limit), 0.0),
                "limit": 1.0,
                "right": max(float(spent / limit), float((foreseen or 0) / limit), 1.0),
                "colour": palette.WASTE
                if "breach" in row["status"]
                else palette.WORKLOADS.get(row["workload"], palette.PLAIN),
                "label": f"{short(spent, currency)} of {short(limit, currency)}{ahead} · {words(row['status'])}",
                "note": f"{name}: {full(spent, currency)} of {full(limit, currency)}",
            }
        )
    y = canvas.names("bar", [bar["bar"] for bar in data], skip=3)
    scale = alt.Scale(domain=[0, max(bar["right"] for bar in data) * 1.9])
    x = alt.X("zero:Q", title=None, axis=None, scale=scale)
    colour = alt.Color("colour:N", scale=None)
    note = alt.Description("note:N")
    ahead_of = (
        canvas.layer(data).mark_bar(height=18, opacity=0.3).encode(x=x, x2=alt.X2("foreseen:Q"), y=y, color=colour)
    )
    so_far = (
        canvas.layer(data).mark_bar(height=18).encode(x=x, x2=alt.X2("spent:Q"), y=y, color=colour, description=note)
    )
    end = canvas.layer(data).mark_tick(color=palette.INK, thickness=3, size=24).encode(x=alt.X("limit:Q"), y=y)
    text = (
        canvas.layer(data)
        .mark_text(align="left", dx=8, color=palette.INK)
        .encode(x=alt.X("right:Q"), y=y, text=alt.Text("label:N"))
    )
    return canvas.render(alt.layer(ahead_of, so_far, end, text), height=32 * len(data))


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

    return canvas.bars(bars, label, currency)
