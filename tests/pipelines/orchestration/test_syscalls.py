"""SIGKILL at each rename, link, unlink and sync under `home`, one run after the other. By strace: soak only."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.pipelines.conftest import Company
from tests.pipelines.orchestration.test_kills import finished, marts

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.soak,
    pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace here: apt-get install strace"),
]

CALLS = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,symlink,symlinkat,fsync,fdatasync"
# How long each call is held back before it happens, so that the kill comes before it does.
HELD = 50_000
RUN = [str(Path(sys.executable).with_name("apportion")), "run", "--config"]


def held(company: Company, strike: int) -> tuple[Sequence[str], int]:
    """Run with every call held back and kill at the one with this number, 0 for none; give the calls and the status."""
    reading, writing = os.pipe()
    command = [
        *("strace", "-f", "-y", "-qq", "--seccomp-bpf", "-e", "signal=none", "-e", f"trace={CALLS}"),
        *("-e", f"inject={CALLS}:delay_enter={HELD if strike else 1}", "-o", f"/dev/fd/{writing}"),
        *RUN,
        str(company.config),
    ]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL, start_new_session=True) as process:
        os.close(writing)
        calls = []
        for call in _calls(reading, str(company.home)):
            calls.append(call)
            if len(calls) == strike:
                os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    return calls, status


def _calls(reading: int, home: str) -> Iterator[str]:
    """Give each call under `home` as it begins: strace writes a line up to its result, holds the call, and goes on."""
    with os.fdopen(reading, "rb", buffering=0) as lines:
        text = ""
        said = 0
        while chunk := lines.read(1 << 16):
            text += chunk.decode(errors="replace")
            *whole, rest = text.split("\n")
            for number, line in enumerate([*whole, rest]):
                if number == 0 and said:
                    continue  # began in an earlier chunk
                if home in line and "resumed>" not in line and re.search(r"\w+\(", line):
                    yield line.replace(home, "~")
                    said = number == len(whole)
            said = bool(said and rest) if whole else said
            text = rest


@pytest.mark.parametrize("start", ["fresh", "restated"])
def test_a_run_killed_at_each_change_of_a_file_leaves_the_last_state_and_the_next_run_ends_as_undisturbed(
    company: Company, restated: Company, tmp_path: Path, start: str
) -> None:
    begin = restated if start == "restated" else Company(tmp_path / "fresh").configure().bill()
    old, new = marts(begin), company.marts()
    calls, status = held(begin.copy(tmp_path / "undisturbed"), 0)
    assert status == 0
    kinds = {re.search(r"(\w+)\(", call)[1] for call in calls}  # type: ignore[index]
    assert len(calls) > 50, "strace saw little of the run"
    assert kinds >= {"linkat", "unlink", "fsync", "rename"}
    for strike in range(1, len(calls) + 1):
        struck = begin.copy(tmp_path / f"struck {strike}")
        seen, status = held(struck, strike)
        assert status == -signal.SIGKILL, seen[-1:]
        assert marts(struck) in (old, new), seen[-1]
        finished(struck, new)
        shutil.rmtree(struck.folder)
    print(f"{start}: {len(calls)} kills at {', '.join(sorted(kinds))}")  # noqa: T201 - for benchmarks/SOAK.md
