from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

pytestmark = pytest.mark.pipeline

READERS = ("split", "idle", "models", "claims", "unattributed", "rules")
# Runs several command lines in one fresh process and says what they imported.
WATCHED = """
import sys
from pipelines.cli.app import main
for line in {lines!r}:
    sys.argv = ["apportion", *line]
    try:
        main()
    except SystemExit:
        pass
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


def imported(lines: list[list[str]], heavy: tuple[str, ...]) -> str:
    command = [sys.executable, "-c", WATCHED.format(lines=lines, heavy=heavy)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def other(desk: Desk, tmp_path: Path) -> Desk:
    shutil.copytree(desk.folder, tmp_path / "other", symlinks=True)
    return type(desk)(tmp_path / "other")


def test_commands_that_read_never_import_dagster(desk: Desk) -> None:
    (unknown,) = desk.type("unattributed", "--json", "--limit", "1").json
    lines = [[command] for command in READERS]
    lines += [["explain", unknown["key_id"]], ["query", "select 1"], ["run"]]
    lines = [[*line, "--config", str(desk.config)] for line in lines]
    assert imported(lines, ("dagster",)) == "[]"


def test_help_imports_nothing_heavy() -> None:
    assert imported([["--help"], ["run", "--help"]], ("dagster", "polars", "duckdb", "pyarrow", "boto3")) == "[]"


@pytest.mark.parametrize("command", READERS)
def test_an_answer_leaves_with_0(desk: Desk, command: str) -> None:
    assert desk.type(command).status == 0


@pytest.mark.parametrize(
    "words",
    [
        ["split", "--perid", "2026-07"],
        ["split", "--period", "July"],
        ["split", "--period", "2026-13"],
        ["models", "--limit", "0"],
        ["models", "--limit", "many"],
        ["explain"],
        ["query"],
        ["retag"],
        ["nonsense"],
    ],
)
def test_a_wrong_call_leaves_with_2(desk: Desk, words: list[str]) -> None:
    answer = desk.type(*words)
    assert (answer.status, answer.out) == (2, "")
    assert "Traceback" not in answer.said


@pytest.mark.parametrize(
    ("configuration", "complaint"),
    [
        ("sources: [", "cannot be read as YAML"),
        ("sorces: []", "sorces"),
        ("sources: [{ name: aws, type: nonsense, location: bills }]", "'nonsense'"),
        ("sources: [{ name: aws, type: aws_cur }]", "location"),
        ("currency: ${NOBODY_SET_THIS}", "NOBODY_SET_THIS"),
        ("sources: []", "sources"),
    ],
)
def test_a_wrong_configuration_leaves_with_2_and_names_what_is_wrong(
    desk: Desk, tmp_path: Path, configuration: str, complaint: str
) -> None:
    (tmp_path / "apportion.yaml").write_text(configuration, encoding="utf-8")
    answer = type(desk)(tmp_path).type("run")
    assert (answer.status, answer.out) == (2, "")
    assert complaint in answer.said
    assert "Traceback" not in answer.said


def test_a_missing_configuration_leaves_with_2(desk: Desk, tmp_path: Path) -> None:
    for command in (*READERS, "run"):
        answer = type(desk)(tmp_path).type(command)
        assert (answer.status, answer.out) == (2, ""), command
        assert "there is no such file" in answer.said


def test_before_the_first_run_an_answer_leaves_with_1_and_says_what_to_do(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "apportion.yaml").write_text("sources: []\n", encoding="utf-8")
    answer = type(desk)(tmp_path).type("split")
    assert answer.status == 1
    assert "Run `apportion run` first" in answer.said


def test_a_source_that_is_not_there_leaves_with_1_and_is_named(desk: Desk, tmp_path: Path) -> None:
    text = "sources: [{ name: aws, type: aws_cur, location: nowhere }]"
    (tmp_path / "apportion.yaml").write_text(text, encoding="utf-8")
    answer = type(desk)(tmp_path).type("run")
    assert answer.status == 1
    assert "refused: aws: location" in answer.said
    assert "nowhere" in answer.said


def test_a_refused_month_leaves_with_1_and_the_report_stands(other: Desk) -> None:
    before = other.type("split", "--json").json
    for file in (other.folder / "bills").rglob("data/BILLING_PERIOD=2026-09/*/*.parquet"):
        file.write_bytes(file.read_bytes()[:-100])
    (manifest,) = (other.folder / "bills").rglob("metadata/BILLING_PERIOD=2026-09/*")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "executionId": "delivered again"}))
    answer = other.type("run", "--json")
    assert answer.status == 1
    assert "2026-09" in answer.json["refused"]["aws"][0]
    assert other.type("split", "--json").json == before


def test_an_unchanged_run_leaves_with_0_and_says_so(desk: Desk) -> None:
    answer = desk.type("run", "--json")
    assert (answer.status, answer.json["loaded"], answer.json["refused"]) == (0, [], {})
    assert "Nothing changed" in answer.said


def test_a_reader_that_stops_listening_is_no_error(desk: Desk) -> None:
    apportion = Path(sys.executable).with_name("apportion")
    line = f"{apportion} rules --config {desk.config} --json | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout == "[\n"
