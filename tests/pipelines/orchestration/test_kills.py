from __future__ import annotations

import multiprocessing
import random
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

import pytest

from pipelines.cli.app import main
from pipelines.warehouse.reader import NotFound
from tests.pipelines.conftest import Company, Rows

pytestmark = pytest.mark.pipeline

KILLS = 5  # for each of the two starting points; `make soak` does a hundred
SEED = 20260701
# Imports take most of a run's time and change nothing, so runs are forked from a server that has done them.
FORKED = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    FORKED.set_forkserver_preload(["pipelines.cli.app", "pipelines.orchestration.assets", "connectors.aws_cur"])
    process = FORKED.Process(target=int)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def started(company: Company) -> BaseProcess:
    """Start `apportion run` in a process of its own."""
    process = FORKED.Process(target=main)
    with patch.object(sys, "argv", ["apportion", "run", "--config", str(company.config)]):
        process.start()
    return process


def seconds_of_a_run(company: Company) -> float:
    """Time an undisturbed run from where this company is, on this machine as busy as it is."""
    began = time.monotonic()
    process = started(company)
    process.join(60)
    assert process.exitcode == 0
    return time.monotonic() - began


def marts(company: Company) -> dict[str, Rows] | None:
    """Give what readers see, None where nothing is published yet."""
    try:
        return company.marts()
    except NotFound:
        return None


@pytest.mark.parametrize("start", ["fresh", "restated"])
@pytest.mark.parametrize("kills", [pytest.param(KILLS, id="few"), pytest.param(100, id="many", marks=pytest.mark.soak)])
def test_a_run_killed_at_any_moment_leaves_the_last_state_and_the_next_run_ends_as_undisturbed(
    company: Company, restated: Company, tmp_path: Path, start: str, kills: int
) -> None:
    begin = restated if start == "restated" else Company(tmp_path / "fresh").configure().bill()
    old, new = marts(begin), company.marts()
    whole = seconds_of_a_run(begin.copy(tmp_path / "undisturbed"))
    moments = random.Random(SEED)  # noqa: S311 - which moments must be the same in every run
    struck, killed = begin.copy(tmp_path / "struck"), 0
    for number in range(3 * kills):
        process = started(struck)
        process.join(whole * moments.random())
        process.kill()
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}
        seen = marts(struck)
        assert seen in (old, new)
        if process.exitcode:
            killed += 1
            after = struck.copy(tmp_path / f"after {number}")
            after.run()
            assert after.marts() == new
            assert after.ledger.current_loads().height == 2
        if killed == kills:
            break
        # The next kill strikes what this one left, unless nothing is left to do.
        if seen == new:
            struck = begin.copy(tmp_path / f"struck {number}")
    assert killed == kills
    struck.run()
    assert struck.marts() == new
    assert "Nothing changed" in struck.apportion("run").said
