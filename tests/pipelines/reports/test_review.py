from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.reports.figures import QUESTIONS, gather
from pipelines.reports.page import render
from pipelines.reports.review import refresh_reviews, write_review
from pipelines.warehouse.reader import NotFound
from tests.pipelines.conftest import AUGUST, JULY, Company

pytestmark = pytest.mark.pipeline

STABLE = ("review.html", "review.xlsx", "review.json")


@pytest.fixture(scope="module")
def pack(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of August; read it, do not change it."""
    folder = tmp_path_factory.mktemp("pack")
    write_review(company.settings, AUGUST, folder)
    return folder


def said(folder: Path) -> Any:
    return json.loads((folder / "review.json").read_text(encoding="utf-8"))


def quiet(_: str) -> None:
    return


def test_a_pack_has_its_five_files_and_nothing_half_written(pack: Path) -> None:
    assert {path.name for path in pack.iterdir()} == {*STABLE, "charges_focus.parquet", "charges_focus.csv"}


def test_the_same_report_gives_the_same_bytes(company: Company, pack: Path, tmp_path: Path) -> None:
    write_review(company.settings, AUGUST, tmp_path)
    for name in STABLE:
        assert (tmp_path / name).read_bytes() == (pack / name).read_bytes(), name


def test_every_table_says_the_query_that_gives_it(company: Company, pack: Path) -> None:
    tables = said(pack)["tables"]
    assert set(tables) == {question.name for question in QUESTIONS}
    for name, table in tables.items():
        if table["missing_marts"]:
            continue
        rows = company.ask(table["query"])
        assert len(rows) == len(table["rows"]), name
        for row, shown in zip(rows, table["rows"], strict=True):
            exact = [f"{value:f}" for value in row if isinstance(value, Decimal)]
            assert exact == [
                value for value, kind in zip(shown.values(), row, strict=True) if isinstance(kind, Decimal)
            ]


def test_the_page_states_the_verdict_with_its_interval(company: Company, pack: Path) -> None:
    ((verdict, low, high),) = company.ask(
        "select verdict, measured_low, measured_high from marts.claim_checks "
        "where claim_id = 'inference-80-20' and period = date '2026-08-01'"
    )
    answer = said(pack)
    assert answer["verdict"] == verdict
    sentence = re.sub(r"\s", " ", answer["sentence"])
    assert verdict in sentence
    assert f"{low:.0%}".replace("%", " %") in sentence
    assert f"{high:.0%}".replace("%", " %") in sentence


def test_a_section_without_data_says_what_would_fill_it(pack: Path) -> None:
    page = (pack / "review.html").read_text(encoding="utf-8")
    for name, table in said(pack)["tables"].items():
        article = page.partition(f'<article id="table-{name}">')[2].partition("</article>")[0]
        assert ('class="missing"' in article) == (not table["rows"]), name
    assert "Write <code>budgets</code> in the configuration." in page


def test_a_month_whose_bill_is_not_final_says_so_and_a_final_one_does_not(before_restatement: Company) -> None:
    months = {period: gather(before_restatement.settings, period) for period in (JULY, AUGUST)}
    final = {
        period: all(row["is_final"] for row in pack.tables["reconciliation"].rows) for period, pack in months.items()
    }
    assert final == {JULY: True, AUGUST: False}
    for period, pack in months.items():
        assert ("Provisional: the bill of aws is not final" in render(pack)) != final[period]


def test_the_page_needs_no_network_and_no_script(pack: Path) -> None:
    page = (pack / "review.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<iframe|<img|@import|url\(|\bon\w+=\"", page)
    links = set(re.findall(r"(?:href|src)=\"([^#\"][^\"]*)\"", page))
    assert links <= {"data:,"}
    assert set(re.findall(r"https?://[^\s\"<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_a_page_shows_nothing_of_later_months(company: Company) -> None:
    july = gather(company.settings, JULY)
    assert {row["usage_period"] for row in july.tables["split_by_month"].rows} <= {JULY}
    assert {row["period"] for row in july.tables["verdict"].rows} == {JULY}
    assert july.tables["changes"].rows == ()
    assert "There is no month before this one" in render(july)


def test_the_workbook_has_a_year_of_each_mart_and_one_month_of_the_thousands_of_definitions(company: Company) -> None:
    marts = gather(company.settings, AUGUST).marts

    def periods(mart: str, column: str) -> set[date]:
        columns, rows = marts[mart]
        return {row[columns.index(column)] for row in rows}

    assert periods("costs_by_workload", "usage_period") == {JULY, AUGUST}
    assert periods("claim_sensitivity", "period") == {AUGUST}


def test_the_idle_picture_adds_up(company: Company) -> None:
    shown = gather(company.settings, AUGUST).tables["idle"].rows
    (whole,) = company.ask(
        "select sum(effective_cost) from marts.gpu_idle_costs "
        "where usage_period = date '2026-08-01' and workload != 'shared'"
    )[0]
    assert sum(row["effective_cost"] for row in shown) == whole


def test_a_month_that_is_not_there_is_said_with_those_that_are(company: Company, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"has no 2019-01\. Months there are: 2026-07, 2026-08"):
        write_review(company.settings, date(2019, 1, 1), tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_pack_follows_its_month_and_what_still_stands_is_left(restated: Company) -> None:
    folders = {month: restated.home / "reports" / month for month in ("2026-07", "2026-08")}
    write_review(restated.settings, AUGUST, folders["2026-08"])
    first = said(folders["2026-08"])["content"]
    restated.run()  # loads the bill that restates August
    assert said(folders["2026-08"])["content"] != first
    assert not folders["2026-07"].exists()  # nobody asked, and `review_packs` is 0

    def written() -> set[str]:
        return {path.parent.name for path in refresh_reviews(restated.settings, quiet)}

    restated.configure(review_packs=2)
    assert written() == {"2026-07"}
    assert written() == set()
    before = (folders["2026-07"] / "review.html").stat().st_mtime_ns
    (folders["2026-08"] / "charges_focus.csv").unlink()  # as after a kill
    assert written() == {"2026-08"}
    assert (folders["2026-07"] / "review.html").stat().st_mtime_ns == before
