"""Measure how long people wait for the dashboard, in a browser: the first paint, a filter, and each step down to lines.

    .venv/bin/apportion demo
    .venv/bin/python benchmarks/dashboard.py demo/apportion.yaml   # writes benchmarks/DASHBOARD.md

A visit is a new browser with an empty cache. A step is over when its figures stand on the page, not when the server
has answered.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Page, sync_playwright

from tests.browser.chromium import executable
from tests.browser.dashboard import dashboard, served

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

RESULTS: Final = Path(__file__).with_name("DASHBOARD.md")
VISITS: Final = 7
BARS: Final = {"first paint: first chart drawn": 2.0, "filter by workload": 0.5, "filter by team": 0.5}
_BARS_OF_CHARTS: Final = "[data-testid=stVegaLiteChart] svg path[aria-roledescription='bar']"
# What a filter must change: the figures at the top and the shapes of the first chart.
_SHOWN: Final = """() => {
    const chart = document.querySelector('[data-testid=stVegaLiteChart] svg');
    const figure = document.querySelector('[data-testid=stMetricValue]');
    const bars = chart ? [...chart.querySelectorAll("path[aria-roledescription='bar']")] : [];
    return bars.length && figure ? [figure.innerText, bars.map(bar => bar.getAttribute('d')).join()] : null;
}"""
_CHANGED: Final = f"before => {{ const now = ({_SHOWN})(); return now && now.every((part, i) => part !== before[i]); }}"


def main() -> int:
    """Run from the command line; exit 1 where a bar is missed."""
    config = Path(sys.argv[1])
    before = os.getloadavg()[0]
    steps: dict[str, list[float]] = {}
    path = executable()
    with (
        tempfile.TemporaryDirectory() as folder,
        bare(Path(folder)) as floor,
        dashboard(config) as address,
        sync_playwright() as playwright,
    ):
        for _ in range(VISITS):
            # They take turns, so that a slow minute of the machine slows both.
            for part, where in ((first_figure, floor), (visit, address)):
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
                for step, seconds in part(browser.new_page(viewport={"width": 1300, "height": 1400}), where).items():
                    steps.setdefault(step, []).append(seconds)
                browser.close()
    report = written(steps, (before, os.getloadavg()[0]))
    print(report)
    RESULTS.write_text(report, encoding="utf-8")
    return int(any(statistics.median(steps[step]) > bar for step, bar in BARS.items()))


def bare(folder: Path) -> AbstractContextManager[str]:
    """Serve a page with one figure and nothing else: what Streamlit and the browser take by themselves."""
    page = folder / "bare.py"
    page.write_text("import streamlit as st\nst.metric('one', 1)\n", encoding="utf-8")
    options = ("--server.headless=true", "--browser.gatherUsageStats=false", "--server.fileWatcherType=none")
    return served("streamlit", "run", str(page), *options, "--server.address=127.0.0.1", "--server.port")


def first_figure(page: Page, address: str) -> dict[str, float]:
    """Open a page and give the seconds until it shows a figure."""
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.get_by_test_id("stMetricValue").first.wait_for()
    return {"a bare Streamlit page: figure": time.perf_counter() - start}


def visit(page: Page, address: str) -> dict[str, float]:
    """Make one visit and give the seconds of each step."""
    seconds: dict[str, float] = {}

    def timed(step: str, act: Callable[[], object], until: Callable[[], object]) -> None:
        start = time.perf_counter()
        act()
        until()
        seconds[step] = time.perf_counter() - start

    def drawn() -> None:
        page.locator(_BARS_OF_CHARTS).first.wait_for()

    def settled() -> None:
        page.wait_for_timeout(300)
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()

    charts = page.locator("[data-testid=stVegaLiteChart] svg")
    timed("first paint: first chart drawn", lambda: page.goto(address, wait_until="commit"), drawn)
    timed("and the second chart", lambda: None, charts.nth(1).wait_for)
    for name, chosen in (("Workload", "inference"), ("Team", "assistant")):
        settled()
        before = page.evaluate(_SHOWN)
        page.get_by_role("combobox", name=re.compile(f"^(Selected .*)?{name}")).click()
        option = page.get_by_role("option", name=chosen, exact=True)
        option.wait_for()
        changed = functools.partial(page.wait_for_function, _CHANGED, arg=before, polling=10)
        timed(f"filter by {name.lower()}", option.click, changed)
        page.keyboard.press("Escape")
    settled()
    bars = charts.first.locator("path[aria-roledescription='bar']")
    gone = page.get_by_text("every month", exact=True)
    timed("click a bar", bars.first.click, lambda: gone.wait_for(state="detached"))
    settled()
    days = charts.nth(1).locator("path[aria-roledescription='bar']")
    timed("click a day", days.nth(3).click, page.get_by_role("heading", name="is made of").wait_for)
    return seconds


def written(steps: dict[str, list[float]], load: tuple[float, float]) -> str:
    """Give the page of results."""
    rows = [
        f"| {step} | {statistics.median(times):.2f} | {min(times):.2f} | {max(times):.2f} | {bar} |"
        for step, times in steps.items()
        for bar in [f"≤ {BARS[step]}" if step in BARS else ""]
    ]
    return "\n".join(
        [
            "# The dashboard in a browser",
            "",
            f"Written by `benchmarks/dashboard.py` on {datetime.now(UTC):%Y-%m-%d}: the sample company,",
            f"{VISITS} visits, {platform.machine()}, {os.cpu_count()} cores for server and browser, load average",
            f"{load[0]:.1f} before and {load[1]:.1f} after. Read it with that load: 2 is all that two cores do.",
            "",
            "| step | median, s | least | most | bar |",
            "|---|---:|---:|---:|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
