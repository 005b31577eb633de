from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

import pytest

from pipelines.orchestration.plan import locked

if TYPE_CHECKING:
    from tests.pipelines.conftest import Company

pytestmark = [pytest.mark.pipeline, pytest.mark.faults]


def test_two_runs_started_together_both_succeed_and_one_waits(company: Company, restated: Company) -> None:
    runs = [restated.start() for _ in range(2)]
    said = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sum("waiting up to 600 s" in text for text in said) == 1
    assert sum("Nothing changed" in text for text in said) == 1
    assert restated.marts() == company.marts()
    assert restated.publication() == "reports-2.duckdb"


def test_who_waits_too_long_is_told_who_holds_the_home(copied: Company) -> None:
    copied.configure(lock_timeout=0.1)
    before = copied.versions(), copied.publication()
    with locked(copied.settings):
        run = copied.start("--rebuild")
        said = run.communicate(timeout=60)[1]
    assert run.returncode == 1
    assert f"process {os.getpid()} of {getpass.getuser()} still holds it after 0 s" in said
    assert "Traceback" not in said
    assert (copied.versions(), copied.publication()) == before
