from __future__ import annotations

import multiprocessing
import random
import re
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

KILLS = 5  # for each of the two starting points
SEED = 20260701
# Imports take most of a run's time and change nothing, so runs are forked from a server that has done them.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["pipelines.cli.app", "pipelines.orchestration.assets", "connectors.aws_cur"])
# What tells one run's files from another's: a state is the same whatever they are called.
RANDOM = re.compile(r"\d{8}T\d{6}[0-9a-f]{8}|[0-9a-f]{16,}|reports-\d+")


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
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


@pytest.fixture(scope="module")
def seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Time an undisturbed first run, on this machine as busy as it is."""
    begin = Company(tmp_path_factory.mktemp("undisturbed") / "company").configure().bill()
    began = time.monotonic()
    process = started(begin)
    process.join(300)
    assert process.exitcode == 0
    return time.monotonic() - began


def marts(company: Company) -> dict[str, Rows] | None:
    """Give what readers see, None where nothing is published yet."""
    try:
        return company.marts()
    except NotFound:
        return None


def state(company: Company) -> tuple[str, ...]:
    """Say what a kill left, by its files: a warehouse half built is built again as a whole."""
    files = sorted(path.relative_to(company.home).as_posix() for path in company.home.rglob("*") if path.is_file())
    return tuple(RANDOM.sub("…", name) for name in files)


@pytest.mark.parametrize(("start", "share"), [("fresh", 1.0), ("restated", 0.6)], ids=["fresh", "restated"])
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(KILLS, id="few", marks=pytest.mark.faults),
        pytest.param(100, id="many", marks=pytest.mark.soak),
    ],
)
def test_a_run_killed_at_any_moment_leaves_the_last_state_and_the_next_run_ends_as_undisturbed(  # noqa: PLR0917
    company: Company, restated: Company, tmp_path: Path, seconds: float, start: str, share: float, kills: int
) -> None:
    begin = restated if start == "restated" else Company(tmp_path / "fresh").configure().bill()
    old, new = marts(begin), company.marts()
    moments = random.Random(SEED)  # noqa: S311 - which moments must be the same in every run
    struck, killed, met = begin.copy(tmp_path / "struck"), 0, set[tuple[str, ...]]()
    for number in range(3 * kills):
        process = started(struck)
        process.join(seconds * share * moments.random())
        process.kill()
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}
        seen = marts(struck)
        assert seen in (old, new)
        killed += bool(process.exitcode)
        if killed == kills:
            break
        # A few kills go on only from states not met before; many go on from each.
        if process.exitcode and (kills > KILLS or state(struck) not in met):
            met.add(state(struck))
            finished(struck.copy(tmp_path / f"after {number}"), new)
        # The next kill strikes what this one left, unless nothing is left to do.
        if seen == new:
            struck = begin.copy(tmp_path / f"struck {number}")
    assert killed == kills
    finished(struck, new)
    assert "Nothing changed" in struck.apportion("run").said


def finished(company: Company, marts: dict[str, Rows]) -> None:
    """Run once more, which must end as an undisturbed run does."""
    company.run()
    assert company.marts() == marts
    assert company.ledger.current_loads().height == 2
