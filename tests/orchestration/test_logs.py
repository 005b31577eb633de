from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.logs import JsonLines, about
from tests.pipelines.conftest import Company

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
APPORTION = str(Path(sys.executable).with_name("apportion"))


def test_a_line_says_what_it_is_about_and_keeps_its_fields() -> None:
    record = logging.getLogger("apportion").makeRecord(
        "apportion", logging.INFO, "", 0, "loaded %s", ("x",), None, extra={"lines": 7, "billed_cost": "0.10"}
    )
    with about(run="r1"), about(source="aws", period="2026-07"):
        line = json.loads(JsonLines().format(record))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "apportion",
        "message": "loaded x",
        "run": "r1",
        "source": "aws",
        "period": "2026-07",
        "lines": 7,
        "billed_cost": "0.10",
    }


def test_a_hostile_message_stays_one_line() -> None:
    record = logging.makeLogRecord({"msg": 'a\n{"level": "error"}\x1b[2J', "levelname": "INFO"})
    assert len(JsonLines().format(record).splitlines()) == 1


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """Two small months of a bill, none loaded yet."""
    return Company(tmp_path / "company").configure().bill().folder


@pytest.mark.pipeline
def test_with_apportion_log_json_every_line_is_json_and_each_load_is_measured(company: Path) -> None:
    environment = {**os.environ, "APPORTION_LOG": "json"}
    run = subprocess.run([APPORTION, "run"], cwd=company, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    loads = [line for line in lines if line["logger"] == "apportion.metrics"]
    assert {(load["source"], load["period"]) for load in loads} == {("aws", "2026-07"), ("aws", "2026-08")}
    (documented,) = re.findall(r"```json\n(.*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    for load in loads:
        assert list(load) == list(json.loads(documented))
        assert load["run"]
        assert load["lines"] > 0
        assert load["bytes"] > 0
        assert load["seconds"] > 0
        assert isinstance(load["billed_cost"], str)
    assert any("building marts" in line["message"] for line in lines)


@pytest.mark.pipeline
@pytest.mark.faults
def test_sigterm_stops_with_a_sentence_and_status_143(company: Path) -> None:
    said = ""
    with subprocess.Popen([APPORTION, "run"], cwd=company, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr
        for line in run.stderr:
            said += line
            if "loading" in line:
                run.send_signal(signal.SIGTERM)
                break
        said += run.stderr.read()
    assert run.returncode == 143, said
    assert "stopped by SIGTERM" in said
    assert "Traceback" not in said
    again = subprocess.run([APPORTION, "run"], cwd=company, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (company / ".apportion" / "reports.duckdb").exists()
