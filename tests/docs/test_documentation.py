"""What is documented is true, and what there is is documented."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
import typer
import yaml

from models.rulebook import Rulebook
from pipelines.cli.app import app
from pipelines.settings import Settings
from pipelines.warehouse.build import sql_models
from pipelines.warehouse.database import opened
from pipelines.warehouse.reader import ask
from pipelines.warehouse.tables import TABLES
from tests.cli.conftest import Desk

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_says_what_the_code_says(generate: ModuleType) -> None:
    committed = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert committed == generate.reference(), "run `.venv/bin/python docs/generate.py`"


def test_every_setting_is_explained(generate: ModuleType) -> None:
    silent = [
        f"{settings.__name__}.{name}"
        for settings in generate.settings_classes()
        for name, note in generate.field_notes(settings).items()
        if not note
    ]
    assert silent == []


def test_every_command_stands_in_the_readme_and_shows_an_example() -> None:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"apportion {name}" in README or f"make {name}" in README, name
        assert f"Example: apportion {name}" in (command.help or ""), name


def test_every_rule_says_why_and_shows_itself() -> None:
    for rule in Rulebook.load().rules:
        assert rule.reason, rule.id
        assert rule.examples, rule.id
        assert rule.source_url, rule.id
        assert rule.checked_on, rule.id


@pytest.mark.pipeline
def test_every_column_people_query_carries_its_documentation(desk: Desk) -> None:
    with opened((desk.folder / ".apportion" / "reports.duckdb").resolve(), read_only=True) as connection:
        found = connection.sql(
            "select schema_name || '.' || table_name as name, column_name, comment from duckdb_columns()"
        ).fetchall()
    documented = {*TABLES, *(model.table for model in sql_models())}
    assert {name for name, *_ in found} >= documented
    assert [(name, column) for name, column, comment in found if name in documented and not comment] == []


@pytest.mark.pipeline
@pytest.mark.parametrize(
    "line", [line for block in blocks("bash") for line in block.splitlines() if line.startswith("apportion ")]
)
def test_a_command_of_the_readme_runs(desk: Desk, line: str) -> None:
    answer = desk.type(*shlex.split(line, comments=True)[1:])
    assert answer.status == 0, answer.said


@pytest.mark.pipeline
@pytest.mark.parametrize("query", blocks("sql"))
def test_a_query_of_the_readme_answers(desk: Desk, query: str) -> None:
    assert ask(Settings.load(desk.config).home, query.rstrip().rstrip(";")).height


@pytest.mark.parametrize("block", blocks("yaml"))
def test_the_configuration_of_the_readme_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str) -> None:
    for name in re.findall(r"\$\{(\w+)\}", block):
        monkeypatch.setenv(name, "secret")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "ours.yaml").write_text("rules: []\n", encoding="utf-8")
    (tmp_path / "apportion.yaml").write_text(block, encoding="utf-8")
    settings = Settings.load(tmp_path / "apportion.yaml")
    said = yaml.safe_load(re.sub(r"\$\{\w+\}", "secret", block))
    assert [source.name for source in settings.sources] == [source["name"] for source in said["sources"]]
    assert len(settings.rule_files) == len(said.get("rules", []))


def test_every_file_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_no_other_distribution_ships_our_packages() -> None:
    shipped = packages_distributions()
    for name in ("models", "connectors", "dbt_like_sql", "pipelines", "examples"):
        assert set(shipped.get(name, [])) <= {"apportion"}, shipped[name]


def test_the_lock_pins_by_hash_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-zA-Z0-9._-]+==\S+.*?(?=^[a-zA-Z]|\Z)", lock, re.DOTALL | re.MULTILINE)
    assert len(pinned) > 100
    assert all("--hash=sha256:" in pin for pin in pinned)
    assert "://" not in lock


def test_no_committed_text_names_this_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Written in two parts, or this file would name them itself.
    forbidden = re.compile(
        "|".join(
            ["/wo" + "rk/", "pypi" + r"\.org", "pythonhosted" + r"\.org", "registry\\.npm" + "js", "deb\\.deb" + "ian"]
        )
    )
    named = []
    for path in filter(None, listed.stdout.split("\0")):
        content = (ROOT / path).read_bytes()
        if b"\0" not in content and forbidden.search(content.decode("utf-8", "replace")):
            named.append(path)
    assert named == []
