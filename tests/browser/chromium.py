"""Where the browser comes from: the machine's own, Playwright's, or else Debian's package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "microsoft-edge")
_PATIENCE = 600  # seconds


class NoBrowser(Exception):  # noqa: N818 - reads as what it is
    """There is no Chromium and none could be had; says what was tried."""


def executable() -> str:
    """Give the path of a Chromium, installing one where there is none.

    Raises:
        NoBrowser: none could be had.
    """
    # Workers of one test run must not install it twice.
    with FileLock(Path(tempfile.gettempdir()) / "apportion-chromium.lock", timeout=_PATIENCE):
        found = _there() or _installed()
    if not found:
        raise NoBrowser(
            "No Chromium: not on PATH, not Playwright's, and neither `playwright install chromium` nor "
            "`apt-get install chromium` could fetch one. Install it, or be online."
        )
    return found


def _there() -> str | None:
    from playwright.sync_api import sync_playwright

    named = next(filter(None, map(shutil.which, _NAMES)), None)
    if named:
        return named
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def _installed() -> str | None:
    attempts = [[[sys.executable, "-m", "playwright", "install", "chromium"]]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium", "fonts-liberation"]
        attempts.insert(0, [["apt-get", "update", "--quiet"], install])
    for commands in attempts:
        for command in commands:
            subprocess.run(command, check=False, capture_output=True, timeout=_PATIENCE)
        found = _there()
        if found:
            return found
    return None
