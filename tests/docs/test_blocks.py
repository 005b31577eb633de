"""Every block of code in the documentation is tried by a test, or says here why it is not."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
from pathlib import Path
from typing import Final

import click
import pytest
import typer
import yaml

from examples.sample import write_sample
from models.rulebook import Rulebook
from pipelines.cli.app import app
from pipelines.settings import Settings
from pipelines.warehouse.reader import ask
from tests.cli.conftest import Desk

ROOT = Path(__file__).parents[2]
COMMANDS: dict[str, click.Command] = getattr(typer.main.get_command(app), "commands", {})
FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
SITE = "tests/docs/test_site.py runs it on the sample"

# (page, language) → which test tries such blocks of the page; `docs/` stands for every page below it.
TRIED: Final = {
    ("docs/", "sql"): SITE,
    ("docs/", "bash"): SITE,
    ("docs/", "python"): SITE,
    ("docs/", "yaml"): "tests/docs/test_site.py loads it as a configuration",
    ("docs/operations.md", "json"): "tests/orchestration/test_logs.py compares its fields with those of a real run",
    ("docs/operations.md", "sh"): "tests/pipelines/orchestration/test_upgrade.py backs up and restores with it",
    ("docs/security.md", "json"): "tests/pipelines/orchestration/test_least_privilege.py gives nothing else to a user",
    ("docs/how-to/open-the-report.md", "sh"): "below: there is no DuckDB CLI here, its query is asked all the same",
    ("README.md", "sql"): "tests/docs/test_documentation.py asks it",
    ("README.md", "bash"): "tests/docs/test_documentation.py runs what is ours; CI runs `make demo` and `make test`",
    ("README.md", "yaml"): "tests/docs/test_documentation.py loads it",
    ("README.md", "json"): "tests/pipelines/orchestration/test_least_privilege.py gives nothing else to a user",
    (
        "connectors/README.md",
        "json",
    ): "tests/pipelines/orchestration/test_least_privilege.py gives nothing else to a user",
    ("connectors/README.md", "yaml"): "below: loaded as sources",
    ("models/README.md", "yaml"): "below: loaded as rules",
    ("examples/README.md", "python"): "below: compared with the function",
}
NOT_TRIED: Final = {
    ("README.md", "text"): "what a command printed, not what one types",
    ("docs/security.md", "nginx"): "a part of a server's configuration with certificates and a sign-on of its own",
    ("docs/tutorial.md", "sh"): "sets PATH and the folder of the reader's own shell; what follows is run there",
    ("examples/README.md", "console"): "one line writes ten million lines; tests/examples calls the same function",
}


def pages() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [page for page in listed.stdout.split() if page != "docs/reference.md"]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [block for found, block in FENCE.findall(text) if found == language]


def test_every_block_is_tried_or_says_why_not() -> None:
    known = {**TRIED, **NOT_TRIED}
    silent = [
        f"{page}: {language}"
        for page in pages()
        for language, _ in FENCE.findall((ROOT / page).read_text(encoding="utf-8"))
        if (page, language) not in known and (f"{page.partition('/')[0]}/", language) not in known
    ]
    assert silent == []
    for test in re.findall(r"tests/[\w/]+\.py", " ".join(known.values())):
        assert (ROOT / test).exists(), test


def test_nothing_here_speaks_of_blocks_that_are_gone() -> None:
    for page, language in {**TRIED, **NOT_TRIED}:
        where = [page] if page.endswith(".md") else [name for name in pages() if name.startswith(page)]
        assert any(blocks(name, language) for name in where), (page, language)


def test_every_command_in_a_sentence_is_a_right_call() -> None:
    tried = 0
    for page in pages():
        if page == "CHANGELOG.md":  # tells of the past, too
            continue
        prose = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
        for line in re.findall(r"`apportion ([^`|]+)`", prose):
            # A place is left open as <key id> or …; a month is as good as anything.
            command, *words = shlex.split(re.sub(r"<[^>]+>|…", "2026-07", " ".join(line.split())))
            assert COMMANDS[command].make_context(command, words), f"{page}: {line}"
            tried += 1
    assert tried > 30


@pytest.mark.pipeline
def test_the_query_for_the_duckdb_cli_answers(desk: Desk) -> None:
    for block in blocks("docs/how-to/open-the-report.md", "sh"):
        program, option, file, query = shlex.split(block)
        assert (program, option) == ("duckdb", "-readonly")
        assert (desk.folder / file).exists()
        assert ask(Settings.load(desk.config).home, query).height


@pytest.mark.parametrize("block", blocks("connectors/README.md", "yaml"))
def test_the_sources_of_a_connector_s_page_are_valid(tmp_path: Path, block: str) -> None:
    (tmp_path / "apportion.yaml").write_text("sources:\n" + block, encoding="utf-8")
    settings = Settings.load(tmp_path / "apportion.yaml")
    assert [source.name for source in settings.sources] == [source["name"] for source in yaml.safe_load(block)]
    for source in settings.sources:
        settings.open(source.name)  # its own options are right, too


@pytest.mark.parametrize("block", blocks("models/README.md", "yaml"))
def test_the_rule_of_the_models_page_is_valid(tmp_path: Path, block: str) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(block, encoding="utf-8")
    ours = [rule["id"] for rule in yaml.safe_load(block)["rules"]]
    assert [rule.id for rule in Rulebook.load([file]).rules][: len(ours)] == ours


def test_the_function_of_the_examples_page_is_that_function() -> None:
    (block,) = blocks("examples/README.md", "python")
    said = dict(re.findall(r"(\w+)=([^,)]+)", block))
    has = inspect.signature(write_sample).parameters
    assert list(said) == [name for name in has if name != "folder"]
    for name, value in said.items():
        if name != "months":  # a constant
            assert value.strip('"') == str(has[name].default), name
