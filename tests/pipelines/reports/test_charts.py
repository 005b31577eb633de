from __future__ import annotations

import functools
import itertools
import re
from datetime import date
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pipelines.reports import charts, palette, wording

pytestmark = pytest.mark.pipeline

SVG = "{http://www.w3.org/2000/svg}"
JULY, AUGUST = date(2026, 7, 1), date(2026, 8, 1)
HOSTILE = "<script>alert(1)</script>\x00\u202e\n]]>&" + "x" * 10_000

CHARTS = ("verdict", "split", "teams", "idle", "models", "changes", "variance", "budgets", "unattributed")

# Machado, Oliveira and Fernandes (2009), severity 1: how linear RGB looks to people who lack one kind of cone.
BLINDNESS = {
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


def lab(colour: str, blindness: str) -> tuple[float, float, float]:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    red, green, blue = (
        min(max(sum(weight * value for weight, value in zip(row, linear, strict=True)), 0), 1)
        for row in BLINDNESS[blindness]
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def tree(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - drawn here


def texts(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in tree(svg).iter(f"{SVG}text")]


def titles(svg: str) -> list[str]:
    return [title.text or "" for title in tree(svg).iter(f"{SVG}title")]


def split(**costs: str) -> list[dict[str, Any]]:
    return [
        {"usage_period": month, "workload": workload, "effective_cost": Decimal(cost), "team": f"team of {workload}"}
        for month in (JULY, AUGUST)
        for workload, cost in costs.items()
    ]


@functools.cache
def drawn(name: str = "a name") -> dict[str, str]:
    """Every chart there is, with a name from outside in it."""
    money = Decimal("1234567.891234567891")
    verdict = {"measured_low": Decimal("0.51"), "measured": Decimal("0.69"), "measured_high": Decimal("0.82")}
    verdict |= {"claimed_low": Decimal("0.75"), "claimed_high": Decimal("0.85")}
    model = {"llm_model": name, "provider_name": name, "hosting": name, "workload": "inference"}
    key = {"usage_type": name, "service_name": name, "share_of_unattributed": Decimal("0.4"), "effective_cost": money}
    change = {"item": name, "change_cost": -money, "change_share": Decimal("-0.1")}
    parts = {f"{part}_cost": Decimal(10) for part in ("price", "volume", "mix", "new", "gone", "unexplained")}
    budget = {"budget_name": name, "workload": name, "status": "breached", "projected_cost": money}
    return {
        "verdict": charts.verdict([{"period": JULY, "verdict": "undetermined", **verdict}]),
        "split": charts.split_by_month(split(inference="1234567.891234567891", training="7"), "USD"),
        "teams": charts.teams([{**row, "team": name} for row in split(inference="3")], "USD"),
        "idle": charts.waterfall([{"idle_reason": name, "effective_cost": money}], "USD", "all"),
        "models": charts.llm_models([{**model, "effective_cost": money, "cost_per_million_tokens": money}], "USD"),
        "changes": charts.changes([change], "USD"),
        "variance": charts.variance([{"last_month_cost": money, "this_month_cost": money + 60, **parts}], "USD"),
        "budgets": charts.budgets([{**budget, "budget_cost": money, "month_to_date_cost": money}], "USD"),
        "unattributed": charts.unattributed([key], "USD"),
    }


@pytest.mark.parametrize("workload", palette.WORKLOADS)
def test_a_workload_stands_out_from_paper_and_text_on_it_is_readable(workload: str) -> None:
    colour = palette.WORKLOADS[workload]
    assert palette.contrast(colour, palette.PAPER) >= 3
    assert palette.contrast(palette.on(colour), colour) >= (4.5 if workload in palette.AI_WORKLOADS else 4)


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_no_two_workloads_look_alike_to_anybody(blindness: str) -> None:
    seen = {workload: lab(palette.WORKLOADS[workload], blindness) for workload in palette.AI_WORKLOADS}
    for (one, first), (other, second) in itertools.combinations(seen.items(), 2):
        apart = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5
        assert apart > 10, (one, other)


def test_a_workload_has_one_colour_on_every_chart() -> None:
    inference = palette.WORKLOADS["inference"].lower()
    for name in ("verdict", "split", "teams", "models"):
        assert inference in drawn()[name].lower(), name


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_fetches_nothing_runs_nothing_and_keeps_its_text(chart: str) -> None:
    svg = drawn()[chart]
    assert texts(svg)
    assert titles(svg)
    assert not re.search(r"<script|<foreignObject|<image|href=|url\(|\bon\w+=", svg)
    assert svg.startswith("<svg")
    assert 'aria-hidden="true"' in svg  # the page names it, and the table behind it says it


@pytest.mark.parametrize("chart", CHARTS)
def test_a_hostile_name_is_text_and_short(chart: str) -> None:
    svg = drawn(HOSTILE)[chart]
    tags = {element.tag.removeprefix(SVG) for element in tree(svg).iter()}
    assert tags <= {"svg", "g", "path", "rect", "line", "text", "title", "tspan"}
    assert max(map(len, texts(svg))) < 120
    assert "\u202e" not in svg


def test_hover_texts_are_exact_to_the_cent() -> None:
    assert "July 2026, inference: $1,234,567.89" in titles(drawn()["split"])
    assert "all: $1,234,567.89" in titles(drawn()["idle"])


def test_the_same_rows_give_the_same_picture() -> None:
    rows = split(inference="3", training="2", storage="1")
    assert charts.split_by_month(rows, "USD") == charts.split_by_month(rows, "USD")


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0", "$0.00"),
        ("0.0001", "<$0.01"),
        ("99.995", "$100.00"),
        ("9999.4", "$9,999"),
        ("9999.6", "$10K"),
        ("325244.29", "$325K"),
        ("999999", "$1M"),
        ("1240000", "$1.24M"),
        ("-1240000", "−$1.24M"),
        ("1234567890", "$1.23B"),
    ],
)
def test_large_numbers_are_readable(amount: str, written: str) -> None:
    assert wording.short(Decimal(amount), "USD") == written


@pytest.mark.parametrize(
    ("amount", "written"),
    [("0", "$0.00"), ("0.0044163", "$0.0044"), ("-0.0000307", "−$0.000031"), ("0.0996", "$0.10"), ("4.204", "$4.20")],
)
def test_what_a_request_costs_is_not_nothing(amount: str, written: str) -> None:
    assert wording.price(Decimal(amount), "USD") == written


def test_a_currency_without_a_sign_is_named() -> None:
    assert wording.short(Decimal(1240000), "CHF") == "CHF 1.24M"
    assert wording.full(Decimal("-0.5"), "EUR") == "−€0.50"


def test_names_lose_what_does_not_print_and_keep_every_script() -> None:
    assert wording.inert("שלום مرحبا\u202e\x1b\n") == "שלום مرحبا···"
    assert wording.clipped("x" * 10_000, 20) == "x" * 19 + "…"
