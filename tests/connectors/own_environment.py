"""Programs that tests need and our own environment cannot hold: each in one of its own, outside this checkout.

It is made by the first test that needs it and kept in the user's cache. Where that fails the test fails, so that
nothing is skipped without anybody knowing; `APPORTION_TESTS_OFFLINE=1` says that there is no network, and skips.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock


def environment(name: str, packages: Sequence[str]) -> Path:
    """Give the folder whose `venv` holds the packages; other packages or another Python are another name's business."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "apportion-tests"
    folder = cache / f"{name}-py{sys.version_info.major}{sys.version_info.minor}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "ready").is_file():
            _make(folder, packages)
    return folder


def _make(folder: Path, packages: Sequence[str]) -> None:
    if os.environ.get("APPORTION_TESTS_OFFLINE"):
        pytest.skip(f"APPORTION_TESTS_OFFLINE is set, and {folder.name} has not been installed before")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python = folder / "venv/bin/python"
    beside = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside) if beside.is_file() else None)
    make, install = [sys.executable, "-m", "venv"], [str(python), "-m", "pip", "install", "--quiet"]
    if uv:
        make = [uv, "venv", "--quiet", "--python", sys.executable]
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    try:
        subprocess.run([*make, str(folder / "venv")], check=True, capture_output=True, timeout=120)
        subprocess.run([*install, *packages], check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()[-300:]
        pytest.fail(
            f"{folder.name} cannot be installed ({error}: {said}); without a network, APPORTION_TESTS_OFFLINE=1"
        )
    (folder / "ready").touch()
