"""The dashboard as a browser shows it: served by the command people type, on a company's published report."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from pipelines.warehouse.database import opened
from pipelines.warehouse.publish import publish
from tests.browser.conftest import HOSTILE
from tests.browser.dashboard import dashboard

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.pipelines.conftest import Company

pytestmark = pytest.mark.browser

AI = "workload not in ('shared', 'not_ai')"
# What the dashboard asks reads these; the names in them come from bills.
OUTSIDE = ("team", "llm_model", "sub_account_id", "service_name", "usage_type", "provider_name")
PATIENCE = 60_000  # milliseconds: nothing here is timed


@pytest.fixture(scope="module")
def address(company: Company) -> Iterator[str]:
    with dashboard(company.config) as found:
        yield found


def visit(page: Page, address: str) -> list[str]:
    """Open the dashboard, wait until it is drawn, and give everything it complains of or fetches from elsewhere."""
    heard: list[str] = []
    page.set_default_timeout(PATIENCE)
    page.set_viewport_size({"width": 1300, "height": 2400})
    page.on("console", lambda message: heard.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((address, "data:", "blob:")) else heard.append(f"request: {request.url}")
        ),
    )
    page.goto(address)
    charts(page).nth(1).wait_for()
    return heard


def charts(page: Page) -> Locator:
    return page.locator("[data-testid=stVegaLiteChart] svg")


def bars(page: Page, chart: int) -> Locator:
    return charts(page).nth(chart).locator("path[aria-roledescription='bar']")


def settled(page: Page) -> None:
    """Wait until the page has been drawn anew and stays so: a download button before that gives what was before."""
    page.wait_for_timeout(200)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def choose(page: Page, menu: str, option: str) -> None:
    """Type an option's first letters into a menu and take it; a page that draws itself anew meanwhile closes menus."""
    wanted = page.get_by_role("option", name=option, exact=True)
    for _ in range(3):
        page.get_by_role("combobox", name=re.compile(menu)).fill(option)
        with contextlib.suppress(PlaywrightTimeout):
            wanted.click(timeout=10_000)
            settled(page)
            return
    pytest.fail(f"{menu} offers no {option!r}")


def downloaded(page: Page, place: int) -> list[dict[str, str]]:
    """Press a download button and read what comes."""
    settled(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download as CSV").nth(place).click()
    return list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))


def grid(page: Page, place: int) -> list[list[str]]:
    """Read the rows that a grid tells those who cannot see it."""
    table = page.locator("[data-testid=stDataFrame] table[role=grid]").nth(place)
    table.locator("tbody tr").first.wait_for(state="attached")
    rows: list[list[str]] = table.evaluate(
        "table => [...table.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def card(page: Page, label: str) -> Locator:
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")


def test_it_opens_without_a_complaint_and_fetches_nothing_from_elsewhere(page: Page, address: str) -> None:
    heard = visit(page, address)
    assert heard == []
    for chart in charts(page).all():
        box = chart.bounding_box()
        assert box
        assert box["width"] > 500
    assert bars(page, 0).count() >= 6


def test_figures_are_those_of_the_marts(page: Page, address: str, company: Company) -> None:
    visit(page, address)
    months = company.ask(
        "select usage_period, sum(effective_cost), sum(billed_cost), sum(charge_count) "
        f"from marts.costs_by_workload where {AI} group by 1 order by 1"
    )
    page.get_by_text("Table: effective cost by month").click()
    shown = grid(page, 0)
    told = downloaded(page, 0)
    assert [row["month"] for row in told] == [f"{month:%B %Y}" for month, *_ in months]
    for row, line, (_, cost, billed, lines) in zip(told, shown, months, strict=True):
        assert Decimal(row["effective_cost"]) == cost
        assert Decimal(row["billed_cost"]) == billed
        assert int(row["charge_count"]) == lines
        assert f"{cost:.6f}"[:-1] in line[1]
    page.get_by_test_id("stMetric").first.get_by_test_id("stTooltipIcon").hover()
    exact = sum(cost for _, cost, *_ in months)
    page.get_by_test_id("stTooltipContent").get_by_text(f"${exact:,.2f}").wait_for()


def test_a_filter_leaves_what_it_names(page: Page, address: str, company: Company) -> None:
    visit(page, address)
    ((cost, lines),) = company.ask(
        "select sum(effective_cost), sum(charge_count) from marts.costs_by_workload "
        "where usage_period = date '2026-08-01' and workload = 'inference'"
    )
    before = card(page, "Lines of bills").inner_text()
    choose(page, "Month", "August 2026")
    page.keyboard.press("Escape")  # such a menu stays open for the next choice
    choose(page, "Workload", "inference")
    page.keyboard.press("Escape")
    card(page, "Lines of bills").get_by_text(f"{lines:,}", exact=True).wait_for()
    assert before != f"{lines:,}"
    page.get_by_text("Table: effective cost by month").click()
    (row,) = downloaded(page, 0)
    assert Decimal(row["effective_cost"]) == Decimal(row["inference"]) == cost


def test_a_bar_leads_to_its_days_and_a_day_to_lines_with_file_and_row(
    page: Page, address: str, company: Company
) -> None:
    visit(page, address)
    bars(page, 0).first.click()
    page.get_by_text("every month", exact=True).wait_for(state="detached")
    bars(page, 1).nth(2).click()
    page.get_by_role("heading", name="is made of").wait_for()
    day = page.locator("[data-testid=stSelectbox]").filter(has_text="Look into one day").locator("input").input_value()
    ((cost,),) = company.ask(
        f"select sum(effective_cost) from intermediate.int_charges_allocated where usage_date = '{day}' and {AI}"
    )
    page.get_by_text(f"${cost:,.2f}").wait_for()
    page.get_by_role("combobox", name="Look into one kind").click()
    page.get_by_role("option").first.click()
    page.get_by_role("heading", name="Lines of the bill").wait_for()
    page.get_by_text("apportion explain").wait_for()
    lines = downloaded(page, page.get_by_role("button", name="Download as CSV").count() - 1)
    assert lines
    for line in lines[:5]:
        charge = company.lines().filter(
            pl.col("source_file") == line["source_file"], pl.col("source_row") == int(line["source_row"])
        )
        (found,) = charge.select("effective_cost", "billed_cost", "charge_period_start").collect().rows()
        assert found[:2] == (Decimal(line["effective_cost"]), Decimal(line["billed_cost"]))
        assert f"{found[2]:%Y-%m-%d}" == day
    answer = company.apportion("explain", lines[0]["place"])
    assert answer.status == 0, answer.said


def test_axe_finds_nothing_serious(page: Page, address: str) -> None:
    visit(page, address)
    page.get_by_text("Table: effective cost by month").click()
    choose(page, "Look into one month", "August 2026")
    page.get_by_text("every month", exact=True).wait_for(state="detached")
    choose(page, "Look into one day", "2026-08-01")
    page.get_by_role("heading", name="is made of").wait_for()
    grid(page, 0)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [(rule["id"], [node["html"][:200] for node in rule["nodes"]][:3]) for rule in found]
    assert serious == []


def test_a_report_that_is_published_meanwhile_shows_itself(page: Page, company: Company, tmp_path: Path) -> None:
    copy = company.copy(tmp_path / "copy")
    with dashboard(copy.config) as address:
        heard = visit(page, address)
        before = card(page, "Effective cost").inner_text()
        warehouse = copy.home / "warehouse.duckdb"
        with opened(warehouse) as connection:
            for table in ("ledger.charges_daily", "intermediate.int_charge_parts"):
                connection.execute(f"update {table} set effective_cost = 0, billed_cost = 0")
        publish(copy.home, warehouse, content="another", charges_version=copy.ledger.charges.open().version())
        card(page, "Effective cost").get_by_text("$0.00", exact=True).wait_for()
        assert before != "$0.00"
        (copy.home / "reports.duckdb").unlink()
        page.get_by_text("Nothing is published yet").wait_for()
    assert [entry for entry in heard if "WebSocket" not in entry] == []


def test_hostile_names_do_nothing(page: Page, company: Company, tmp_path: Path) -> None:
    copy = company.copy(tmp_path / "attacked")
    with duckdb.connect(str((copy.home / "reports.duckdb").resolve())) as connection:
        for table in ("computed.attributions", "intermediate.int_charge_parts"):
            for column in set(OUTSIDE) & {name for name, *_ in connection.sql(f"describe {table}").fetchall()}:
                connection.execute(
                    f'update {table} set "{column}" = $hostile[1 + (hash("{column}") % '
                    f'len($hostile))::integer] || left("{column}", 8) where "{column}" is not null',
                    {"hostile": [*HOSTILE, "![x](http://192.0.2.1/x.png) **bold** $a$ :material/home:"]},
                )
    with dashboard(copy.config) as address:
        heard = visit(page, address)
        for by in ("account", "team", "model", "provider"):
            choose(page, "A bar for each", by)
            page.get_by_role("heading", name=f"By {by}").wait_for()
            page.get_by_role("combobox", name=f"Look into one {by}").click()
            page.get_by_role("option").first.wait_for()
            page.keyboard.press("Escape")
            bars(page, 0).first.hover()
            bars(page, 0).first.click()
            page.get_by_text(f"every {by}", exact=True).wait_for(state="detached")
        choose(page, "Look into one day", "2026-08-01")
        page.get_by_role("heading", name="is made of").wait_for()
        cells = [
            cell
            for row in downloaded(page, page.get_by_role("button", name="Download as CSV").count() - 1)
            for cell in row.values()
        ]
        assert any("onerror" in cell or "cmd" in cell for cell in cells)
        assert [cell for cell in cells if cell.startswith(("=", "+", "@"))] == []
        time.sleep(1)  # what a name could start has started
        assert page.evaluate("window.owned") is None
        assert page.locator("[data-testid=stMain] img, iframe, object, embed").count() == 0
        assert page.locator("[data-testid=stMain] strong, [data-testid=stMain] .katex").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1300
    assert heard == []
