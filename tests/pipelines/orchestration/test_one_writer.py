from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.orchestration.assets import month_range
from pipelines.orchestration.plan import locked
from tests.pipelines.conftest import AUGUST, JULY

if TYPE_CHECKING:
    from tests.pipelines.conftest import Company

pytestmark = [pytest.mark.pipeline, pytest.mark.faults]

PATIENCE = 300  # seconds: nothing here is timed


def test_two_runs_started_together_both_succeed_and_one_waits(company: Company, restated: Company) -> None:
    runs = [restated.start() for _ in range(2)]
    said = [run.communicate(timeout=PATIENCE)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sum("waiting up to 600 s" in text for text in said) == 1
    assert sum("Nothing changed" in text for text in said) == 1
    assert restated.marts() == company.marts()
    assert restated.publication() == "reports-2.duckdb"


def launched(company: Company) -> subprocess.Popen[str]:
    """Start the run that the UI's button starts, in a process of its own."""
    tags = month_range(JULY, AUGUST)
    program = str(Path(sys.executable).with_name("dagster"))
    command = [program, "job", "execute", "-m", "pipelines.definitions", "-j", "refresh", "--tags", json.dumps(tags)]
    environment = {**os.environ, "APPORTION_CONFIG": str(company.config), "DAGSTER_DISABLE_TELEMETRY": "1"}
    out, said = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(command, stdout=out, stderr=said, text=True, env=environment, cwd=company.folder)


def test_a_run_of_the_ui_and_two_typed_meanwhile_take_turns(company: Company, restated: Company) -> None:
    runs = [restated.start(), launched(restated), restated.start()]
    said = [run.communicate(timeout=PATIENCE)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert any("waiting up to 600 s" in text for text in said)
    assert restated.marts() == company.marts()
    assert restated.publication() == "reports-2.duckdb"


def test_who_waits_too_long_is_told_who_holds_the_home(copied: Company) -> None:
    copied.configure(lock_timeout=0.1)
    before = copied.versions(), copied.publication()
    with locked(copied.settings):
        run = copied.start("--rebuild")
        said = run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 1
    assert f"process {os.getpid()} of {getpass.getuser()} still holds it after 0 s" in said
    assert "Traceback" not in said
    assert (copied.versions(), copied.publication()) == before
