"""A browser, and the review pack of a small company to open in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipelines.reports.review import write_review
from tests.browser.chromium import NoBrowser, executable
from tests.once import once
from tests.pipelines.conftest import AUGUST, Company, whole

HOSTILE = (
    "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>",
    '"\' onmouseover="window.owned = 1',
    "line one\nline two\r\n\x00\x1b[2J",
    "\u202etxet desrever\u2066\u200f שלום مرحبا",
    "=cmd|' /C calc'!A0",
    "{{ 7 * 7 }}{% raw %}${7 * 7}",
    "javascript:window.owned=1",
    "</title></svg></style><script>window.owned = 1</script>",
    "]]>&#x3c;script&#x3e;",
    "x" * 10_000,
    "a b " * 2_500,
)

# Columns of marts whose text comes from a bill.
OUTSIDE = (
    "team",
    "llm_model",
    "billing_account_id",
    "sub_account_id",
    "service_name",
    "usage_type",
    "resource_name",
    "provider_name",
    "suggested_rule",
    "series_name",
    "driver_usage_type",
)


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """July and August, run once, with a pack of August."""

    def make(folder: Path) -> None:
        whole(folder)
        write_review(Company(folder).settings, AUGUST, folder / "pack")

    return Company(once(tmp_path_factory, "reviewed", make))


@pytest.fixture(scope="session")
def attacked(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company with hostile names wherever its published report has a name that comes from outside."""
    made = once(tmp_path_factory, "attacked", lambda folder: attack(company.copy(folder / "company")))
    return Company(made / "company")


def attack(company: Company) -> None:
    with duckdb.connect(str((company.home / "reports.duckdb").resolve())) as connection:
        names = connection.sql(
            "select table_name, column_name from duckdb_columns() "
            "where schema_name = 'marts' and data_type = 'VARCHAR' and list_contains($outside, column_name)",
            params={"outside": list(OUTSIDE)},
        ).fetchall()
        for table, column in names:
            connection.execute(
                f'update marts.{table} set "{column}" = $hostile[1 + (hash("{column}") % len($hostile))::integer] '
                f'|| left("{column}", 8) where "{column}" is not null',
                {"hostile": list(HOSTILE)},
            )
    shutil.rmtree(company.folder / "pack")
    write_review(company.settings, AUGUST, company.folder / "pack")


@pytest.fixture(scope="module")
def browser(attacked: Company) -> Iterator[Browser]:  # noqa: ARG001 - see below
    """A headless Chromium.

    Playwright keeps an event loop running in this thread, and the pipeline starts one of its own: that comes first, and
    the browser is gone before the tests of another file run.
    """
    try:
        path = executable()
    except NoBrowser as error:
        pytest.fail(str(error))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    yield opened
    opened.close()


def url(company: Company) -> str:
    """Give the address of a company's page."""
    return Path(company.folder / "pack" / "review.html").as_uri()
