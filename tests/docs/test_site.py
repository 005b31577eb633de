"""The documentation site: it builds, and what it tells people to type works on the sample company."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from connectors.source import CONNECTORS
from pipelines.settings import Settings
from pipelines.warehouse.reader import ask
from tests.cli.conftest import Desk

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = tuple(str(page.relative_to(DOCS)) for page in sorted(DOCS.rglob("*.md")) if page.name != "reference.md")


def blocks(language: str) -> list[tuple[str, str]]:
    """Give each block of a language with the page it stands in."""
    return [
        (page, block)
        for page in PAGES
        for block in re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    ]


def test_there_are_twenty_queries() -> None:
    assert len([page for page, _ in blocks("sql") if page == "queries.md"]) == 20


@pytest.mark.pipeline
def test_every_query_answers(desk: Desk) -> None:
    home = Settings.load(desk.config).home
    silent = [
        f"{page}: {query}" for page, query in blocks("sql") if not ask(home, query.rstrip().removesuffix(";")).columns
    ]
    assert silent == []
    unanswered = [query for page, query in blocks("sql") if not ask(home, query.rstrip().removesuffix(";")).height]
    # The sample may have no odd day and no training run that says so; everything else must have rows.
    assert [query for query in unanswered if "cost_anomalies" not in query and "training_runs" not in query] == []


@pytest.mark.pipeline
def test_every_command_runs(desk: Desk) -> None:
    import shlex

    lines = {line for _, block in blocks("bash") for line in block.splitlines() if line.startswith("apportion ")}
    assert len(lines) > 8
    for line in sorted(lines):
        answer = desk.type(*shlex.split(line)[1:])
        assert answer.status == 0, f"{line}: {answer.said}"


@pytest.mark.pipeline
def test_the_python_of_the_docs_runs(desk: Desk) -> None:
    for _, block in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=desk.folder, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert "inference" in done.stdout


@pytest.mark.pipeline
def test_the_report_says_what_made_it_how_far_it_reaches_and_what_its_words_mean(desk: Desk) -> None:
    home = Settings.load(desk.config).home
    about = {(topic, subject): meaning for topic, subject, meaning, _ in ask(home, "from marts.about").iter_rows()}
    assert about["version", "apportion"] == version("apportion")
    assert about["version", "duckdb"] == version("duckdb")
    assert about["version", "reporting currency"] == "USD"
    ((last, still_open),) = ask(
        home,
        "select (select max(usage_date) from ledger.charges_daily where source = 'aws'), "
        "count(*) filter (not is_final) from ledger.loads where source = 'aws'",
    ).iter_rows()
    told = about["freshness", "aws, charges"]
    assert told == f"2026-07 to 2026-09, last day of use {last}, {still_open} of 3 months still open"
    used = ask(home, "select workload from marts.costs_by_workload union select evidence from marts.costs_by_workload")
    assert [word for (word,) in used.iter_rows() if ("definition", word) not in about] == []


def test_the_configuration_of_the_docs_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "ours.yaml").write_text("rules: []\n", encoding="utf-8")
    found = blocks("yaml")
    assert found
    for page, block in found:
        for name in re.findall(r"\$\{(\w+)\}", block):
            monkeypatch.setenv(name, "https://nobody.example/secret")
        # Some show a part of the file only.
        whole = block if "sources:" in block else f"{block}\nsources: [{{ name: aws, type: aws_cur, location: bills }}]"
        (tmp_path / "apportion.yaml").write_text(whole, encoding="utf-8")
        assert Settings.load(tmp_path / "apportion.yaml").sources, page


@pytest.mark.pipeline
def test_the_site_builds_without_a_warning_and_has_a_page_for_every_connector(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    pages = " ".join(page.stem for page in (tmp_path / "site" / "connectors").glob("*.html"))
    assert [kind for kind in CONNECTORS if not re.search(rf"(^|[- ]){kind}($|[- ])", pages)] == []
    fetched = [
        (page.name, found)
        for page in (tmp_path / "site").rglob("*.html")
        for found in re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"?https?://[^\s\">]+", page.read_text("utf-8"))
    ]
    assert fetched == []


def test_every_connector_s_page_says_its_limits() -> None:
    text = (ROOT / "connectors" / "README.md").read_text(encoding="utf-8")
    sections = [part for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:] if not part.startswith("Add one")]
    titled = {part.partition("\n")[0]: part for part in sections}
    sources = {title: part for title, part in titled.items() if title.split(", ")[0] in CONNECTORS}
    assert {kind for title in sources for kind in title.split(", ")} == set(CONNECTORS)
    # First: before options and decisions.
    told = {title: re.findall(r"^\*\*(\w+)", part, re.MULTILINE) for title, part in sources.items()}
    assert {title: heads for title, heads in told.items() if heads[:1] != ["Limits"]} == {}
