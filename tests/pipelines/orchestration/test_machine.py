"""Faults of the machine: a disk that is full or cannot be written."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.conftest import Company
from tests.pipelines.orchestration.test_kills import FORKED, finished, marts

pytestmark = [pytest.mark.pipeline, pytest.mark.faults]

APPORTION = str(Path(sys.executable).with_name("apportion"))
# No file may grow beyond so many bytes: too little for a month's lines, for the warehouse, for the report.
LIMITS = (8_000, 300_000, 6_000_000)
# Kilobytes beside what the home holds: too little for lines, for the warehouse, for the report, and enough for all.
SPARE = (0, 20, 60, 200, 500, 1_000, 3_000, 6_000, 9_000, 12_000, 15_000, 18_000, 21_000, 27_000, 33_000, 39_000)
ENOUGH = 60_000
GROWING = [pytest.param((LIMITS[1],), id="once"), pytest.param(LIMITS, id="often", marks=pytest.mark.soak)]


def limited(most: int, config: str, said: str) -> None:
    """Run where no file may grow beyond some size, as on a disk that fills up; what is said goes into a file."""
    from pipelines.cli.app import main

    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 2)
    sys.argv = ["apportion", "run", "--config", config]
    main()


@pytest.mark.parametrize("limits", GROWING)
def test_a_disk_that_fills_up_leaves_the_last_state_and_says_so(
    company: Company, restated: Company, tmp_path: Path, limits: tuple[int, ...]
) -> None:
    old = marts(restated)
    for most in limits:
        said = tmp_path / f"{most}"
        process = FORKED.Process(target=limited, args=(most, str(restated.config), str(said)))
        process.start()
        process.join(300)
        text = said.read_text()
        assert process.exitcode == 1, text
        assert "cannot be written" in text
        assert "File too large" in text
        assert "Traceback" not in text
        assert marts(restated) == old
    finished(restated, company.marts())


@pytest.mark.soak
@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk takes root to mount")
@pytest.mark.parametrize("spare", [*SPARE, ENOUGH])
def test_a_full_disk_leaves_the_last_state_and_says_so(
    company: Company, restated: Company, tmp_path: Path, spare: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    files = [path for path in restated.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    held = sum(-(-path.stat().st_size // 4096) * 4 for path in files)
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={held + spare}k", "tmpfs", str(disk)]
    if subprocess.run(mounted, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        full = restated.copy(disk / "company")
        old, new = marts(full), company.marts()
        run = subprocess.run(
            [APPORTION, "run", "--config", str(full.config)], check=False, capture_output=True, text=True
        )
        assert "Traceback" not in run.stderr
        assert (run.returncode, marts(full)) in ((1, old), (0, new)), run.stderr
        assert run.returncode == 0 or "No space left" in run.stderr, run.stderr
        assert run.returncode == 0 or spare < ENOUGH, "what a run needs has grown: spare more"
        print(f"{spare} kB to spare: {run.stderr.splitlines()[-1]}")  # noqa: T201 - for benchmarks/SOAK.md
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        finished(full, new)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_disk_that_cannot_be_written_is_said_in_one_line_and_readers_go_on(restated: Company) -> None:
    old = marts(restated)
    command = [APPORTION, "run", "--config", str(restated.config)]
    if os.geteuid() == 0:
        # Root may write anywhere, so the home is mounted read-only for this one process.
        home = str(restated.home)
        script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, "sh", home, *command]
        if not shutil.which("unshare") or subprocess.run([*command[:6], home, "true"], check=False).returncode:
            pytest.skip("nothing can be mounted here")
    else:
        restated.home.chmod(0o555)
    try:
        run = subprocess.run(command, check=False, capture_output=True, text=True)
    finally:
        restated.home.chmod(0o755)
    assert run.returncode == 1, run.stderr
    (error,) = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert str(restated.home) in error
    assert "ead-only file system" in error or "Permission denied" in error
    assert "Traceback" not in run.stderr
    assert marts(restated) == old
