"""A BigQuery on this machine: installed once, in an environment and a home of its own, outside this checkout.

It is good for wiring and shapes; what it says of cost, partitions and bytes proves nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

# It loads DuckDB's spatial extension, which this package brings along instead of a download.
DUCKDB: Final = "1.5.5"
PACKAGES: Final = ("bqemulator==1.4.0", f"duckdb=={DUCKDB}", f"duckdb-extension-spatial=={DUCKDB}", "numpy")
READY: Final = 30.0


@dataclass(frozen=True)
class Emulator:
    """Where it listens."""

    rest: str
    storage: str


class NotInstalledError(Exception):
    """The packages cannot be had."""


def home() -> Path:
    """Give the folder that holds the environment; another Python or version is another folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "apportion-tests" / f"bqemulator-1.4.0-py{sys.version_info.major}{sys.version_info.minor}"


def _installed() -> Path:
    folder = home()
    ready = folder / "ready"
    if ready.is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python = folder / "venv/bin/python"
    beside = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside) if beside.is_file() else None)
    make, install = [sys.executable, "-m", "venv"], [str(python), "-m", "pip", "install", "--quiet"]
    if uv:
        make, install = [uv, "venv", "--quiet"], [uv, "pip", "install", "--quiet", "--python", str(python)]
    try:
        subprocess.run([*make, str(folder / "venv")], check=True, capture_output=True, timeout=120)
        subprocess.run([*install, *PACKAGES], check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        raise NotInstalledError(f"{error}: {said.decode(errors='replace').strip()[-300:]}") from error
    (extension,) = folder.glob("venv/lib/python*/site-packages/duckdb_extension_spatial/**/spatial.duckdb_extension")
    question = "import duckdb; print(duckdb.sql('pragma platform').fetchall()[0][0])"
    platform = subprocess.run([str(python), "-c", question], check=True, capture_output=True, text=True).stdout.strip()
    place = folder / f".duckdb/extensions/v{DUCKDB}/{platform}"
    place.mkdir(parents=True)
    (place / extension.name).symlink_to(extension)
    ready.touch()
    return folder


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(log: Path) -> Iterator[Emulator]:
    """Run it on free ports, with nothing in it.

    Raises:
        NotInstalledError: its packages cannot be installed.
    """
    folder = _installed()
    rest, storage = _free_port(), _free_port()
    command = ["start", "--ephemeral", "--rest-port", str(rest), "--grpc-port", str(storage), "--log-level", "error"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(folder / "venv/bin/bqemulator"), *command],
            env={**os.environ, "HOME": str(folder)},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
        try:
            _wait(process, rest, log)
            yield Emulator(f"http://127.0.0.1:{rest}", f"http://127.0.0.1:{storage}")
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + READY
    while time.monotonic() < until and process.poll() is None:
        try:
            with closing(HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
                connection.request("GET", "/bigquery/v2/projects/acme/datasets")
                connection.getresponse()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the emulator did not start: {log.read_text(errors='replace')[-500:]}")
