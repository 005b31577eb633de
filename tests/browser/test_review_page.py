"""The review page as a browser shows it and prints it."""

from __future__ import annotations

import io
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from pypdf import PdfReader

from pipelines.reports.figures import QUESTIONS
from pipelines.warehouse.reader import ask
from tests.browser.conftest import url

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

    from tests.pipelines.conftest import Company

pytestmark = pytest.mark.browser

A4_CONTENT = 695  # CSS pixels between the margins that review.css sets
CUT = """() => [...document.querySelectorAll('main *, header *')]
    .filter(element => !element.closest('.quiet, .scroll, pre') && getComputedStyle(element).overflow !== 'hidden')
    .filter(element => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(element => element.tagName + ' ' + element.className + ' ' + element.textContent.slice(0, 40))"""
CUT_IN_PRINT = CUT.replace(".quiet, .scroll, pre", ".quiet")
CUT_IN_CHARTS = """() => [...document.querySelectorAll('.chart svg')].flatMap(svg => {
    const whole = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text')].filter(text => {
        const place = text.getBoundingClientRect();
        return place.width && (place.right > whole.right + 1 || place.left < whole.left - 1
            || place.bottom > whole.bottom + 1 || place.top < whole.top - 1);
    }).map(text => text.textContent)})"""


# Figures that stand where no link leads to their table: amounts, pictures, sentences with a number.
UNLINKED = r"""() => {
    const leads = place => [...place.querySelectorAll('a[href^="#"]')].some(link => link.hash.startsWith('#table-')
        || document.querySelector(link.hash).querySelector('a[href^="#table-"]'));
    return [...document.querySelectorAll('main section:not(#method):not(#appendix)')].flatMap(section =>
        [...section.querySelectorAll('data, .chart, .figure, .sentence, .lead, .claim, li')]
            .filter(figure => /\d/.test(figure.textContent))
            .filter(figure => !leads(figure.closest('.card, figure, .decide li') ?? section))
            .map(figure => figure.textContent.slice(0, 60)))}"""


def opened(page: Page, company: Company) -> list[str]:
    """Open a page and give everything it complained of or asked for."""
    heard: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        heard.append(f"console {message.type}: {message.text}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: heard.append(f"request: {request.url[:80]}"))
    page.goto(url(company))
    return heard


def exact(cell: Any) -> str:
    return str(cell).strip()


def test_the_page_opens_without_a_complaint_and_fetches_nothing(page: Page, company: Company) -> None:
    heard = opened(page, company)
    assert [entry for entry in heard if not entry.startswith(("request: file:", "request: data:"))] == []
    assert len([entry for entry in heard if entry.startswith("request: file:")]) == 1
    assert page.locator("script").count() == 0


def test_every_chart_is_drawn_and_no_label_is_cut(page: Page, company: Company) -> None:
    opened(page, company)
    charts = page.locator(".chart svg")
    assert charts.count() >= 6
    for chart in charts.all():
        box = chart.bounding_box()
        assert box
        assert box["width"] > 300
        assert box["height"] > 30
        assert chart.locator("path").count() > 2
        assert chart.locator("text").count() > 1
        assert chart.locator("title").count() > 0
    assert page.evaluate(CUT_IN_CHARTS) == []


def test_every_table_is_what_its_query_gives(page: Page, company: Company) -> None:
    opened(page, company)
    compared = 0
    for question in QUESTIONS:
        article = page.locator(f"#table-{question.name}")
        if not article.locator("table").count():
            assert article.locator(".missing").count() == 1
            continue
        found = ask(company.home, article.locator(".sql").inner_text())
        shown = article.locator("tbody tr")
        assert shown.count() == min(found.height, 200), question.name
        heads = article.locator("th").count()
        amounts = [
            [f"{value:f}" for value in row.values() if isinstance(value, Decimal)]
            for row in found.iter_rows(named=True)
        ]
        for position, row in enumerate(shown.all()):
            values = [cell.get_attribute("value") for cell in row.locator("data").all()]
            assert set(filter(None, values)) <= set(amounts[position]), question.name
            assert row.locator("td").count() == heads
            compared += len(values)
    assert compared > 100


def test_every_figure_links_to_its_table_and_every_table_states_its_query(page: Page, company: Company) -> None:
    opened(page, company)
    assert page.locator("main section:not(#appendix) data").count() > 10
    assert page.evaluate(UNLINKED) == []
    page.evaluate("document.querySelector('.card a').remove()")
    assert page.evaluate(UNLINKED)  # it would be found
    for target in set(page.locator("a[href^='#table-']").evaluate_all("links => links.map(link => link.hash)")):
        article = page.locator(target)
        assert article.locator(".missing").count() == 1 or "from marts." in article.locator(".sql").inner_text(), target


def test_figures_at_the_top_are_those_of_the_marts(page: Page, company: Company) -> None:
    opened(page, company)
    ((cost, unattributed),) = company.ask(
        "select sum(effective_cost), sum(effective_cost) filter (workload = 'unattributed') "
        "from marts.costs_by_workload where usage_period = date '2026-08-01' and workload not in ('shared', 'not_ai')"
    )
    cards = {card.locator("h3").inner_text(): card for card in page.locator(".card").all()}
    assert cards["AI cost"].locator(".figure data").get_attribute("value") == f"{cost:f}"
    assert cards["Unattributed"].locator(".figure data").get_attribute("value") == f"{unattributed:f}"
    ((low, high),) = company.ask(
        "select measured_low, measured_high from marts.claim_checks "
        "where period = date '2026-08-01' and claim_id = 'inference-80-20'"
    )
    sentence = re.sub(r"\s", " ", page.locator(".sentence").inner_text())
    assert f"between {low:.0%} and {high:.0%}".replace("%", " %") in sentence


def test_axe_finds_nothing_serious(page: Page, company: Company) -> None:
    opened(page, company)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found]
    assert serious == []


def test_the_keyboard_reaches_every_link_and_the_first_skips_to_the_verdict(page: Page, company: Company) -> None:
    opened(page, company)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    targets = page.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map(link => link.getAttribute('href'))")
    assert len(targets) > 15
    for target in set(targets):
        assert page.locator(target).count() == 1, target


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_no_screen_cuts_the_page(page: Page, company: Company, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    opened(page, company)
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("which", ["company", "attacked"])
def test_it_prints_whole(page: Page, which: str, request: pytest.FixtureRequest) -> None:
    printed: Company = request.getfixturevalue(which)
    page.set_viewport_size({"width": A4_CONTENT, "height": 1000})
    page.emulate_media(media="print")
    opened(page, printed)
    assert page.evaluate(CUT_IN_PRINT) == []
    tall = page.evaluate("[...document.querySelectorAll('figure')].map(figure => figure.offsetHeight)")
    assert max(tall) < 1000  # no picture is torn over two pages
    pdf = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    assert len(pdf.pages) > 3
    assert all(abs(float(sheet.mediabox.width) - 595) < 2 for sheet in pdf.pages)
    text = re.sub(r"\s+", "", "".join(sheet.extract_text() for sheet in pdf.pages))
    for heading in page.locator("h2:not(.quiet)").all_inner_texts():
        assert re.sub(r"\s+", "", heading) in text, heading


def test_hostile_names_do_nothing(page: Page, attacked: Company) -> None:
    heard = opened(page, attacked)
    for link in page.locator("a[href^='#table']").all()[:5]:
        link.hover()
    assert page.evaluate("window.owned") is None
    assert [entry for entry in heard if not entry.startswith(("request: file:", "request: data:"))] == []
    assert page.locator("script, img, iframe, object, embed, form").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1100
    assert page.evaluate(CUT) == []
    assert "onerror='window.owned = 1'" in page.locator("#appendix").inner_text()
    assert page.evaluate(CUT_IN_CHARTS) == []
    rows = page.locator("tbody tr").all()
    assert max(row.bounding_box()["height"] for row in rows if row.bounding_box()) < 400  # type: ignore[index]


def test_hostile_names_leave_the_page_accessible(page: Page, attacked: Company) -> None:
    opened(page, attacked)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [rule["id"] for rule in found] == []
