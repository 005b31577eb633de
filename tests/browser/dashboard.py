"""The dashboard served in a process of its own, as people start it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

_PATIENCE = 90  # seconds


@contextmanager
def served(*command: str) -> Iterator[str]:
    """Start a command that serves Streamlit on the port that is added to it, and give the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name(command[0]))
    with subprocess.Popen([program, *command[1:], str(port)], stdout=subprocess.DEVNULL) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(f"{address}/_stcore/health", server)
            yield address
        finally:
            server.terminate()


def dashboard(config: Path) -> AbstractContextManager[str]:
    """Serve a configuration's dashboard."""
    return served("apportion", "dashboard", "--config", str(config), "--port")


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with urlopen(address, timeout=5):  # noqa: S310 - our own loopback
                return
        except (URLError, ConnectionError):
            if server.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.2)
