"""A BigQuery on this machine: installed once, in an environment and a home of its own, outside this checkout.

It is good for wiring and shapes; what it says of cost, partitions and bytes proves nothing.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from tests.connectors.own_environment import environment

# It loads DuckDB's spatial extension, which this package brings along instead of a download.
DUCKDB: Final = "1.5.5"
PACKAGES: Final = ("bqemulator==1.4.0", f"duckdb=={DUCKDB}", f"duckdb-extension-spatial=={DUCKDB}", "numpy")
READY: Final = 30.0


@dataclass(frozen=True)
class Emulator:
    """Where it listens."""

    rest: str
    storage: str


def _installed() -> Path:
    folder = environment("bqemulator-1.4.0", PACKAGES)
    (extension,) = folder.glob("venv/lib/python*/site-packages/duckdb_extension_spatial/**/spatial.duckdb_extension")
    question = "import duckdb; print(duckdb.sql('pragma platform').fetchall()[0][0])"
    python = str(folder / "venv/bin/python")
    platform = subprocess.run([python, "-c", question], check=True, capture_output=True, text=True).stdout.strip()
    place = folder / f".duckdb/extensions/v{DUCKDB}/{platform}"
    place.mkdir(parents=True, exist_ok=True)
    if not (place / extension.name).exists():
        (place / extension.name).symlink_to(extension)
    return folder


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(log: Path) -> Iterator[Emulator]:
    """Run it on free ports, with nothing in it."""
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
