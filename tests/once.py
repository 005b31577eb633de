"""What is costly to make and only read is made by one worker, once, and copied by the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Give a folder of this worker's own with what `make` makes; only the first worker to ask makes it.

    A copy, because two processes may not open one DuckDB file to write.
    """
    own = factory.getbasetemp()
    # pytest-xdist gives each worker a folder below the session's.
    made = (own.parent if own.name.startswith("popen-") else own) / "once" / name
    made.parent.mkdir(exist_ok=True)
    with FileLock(f"{made}.lock"):
        if not made.with_suffix(".done").exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            make(made)
            made.with_suffix(".done").touch()
    copy = factory.mktemp(name) / name
    shutil.copytree(made, copy, symlinks=True)
    return copy
