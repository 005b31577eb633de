"""AWS over HTTP on this machine, in a process of its own: deltalake keeps Python's lock while it waits for S3."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def moto_process(log: Path) -> Iterator[str]:
    """Start moto's server and give its address; its log of requests goes into a file."""
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            while not (running := re.search(r"Running on (http://127.0.0.1:\d+)", log.read_text())):
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield running[1]
        finally:
            process.terminate()
