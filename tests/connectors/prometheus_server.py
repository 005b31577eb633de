"""A Prometheus that holds given samples: a real one, or its HTTP API as it answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

LOOKBACK = 300
Samples = Sequence[tuple[float, float]]
Held = Sequence[tuple[str, Mapping[str, str], Samples]]


def every_minute(start: datetime, minutes: int, *values: float) -> Samples:
    """Give a sample a minute; the last value goes on."""
    first = start.timestamp()
    return [(first + 60 * number, values[min(number, len(values) - 1)]) for number in range(minutes)]


def answer(held: Held, request: Request) -> Response:
    """Answer a range query of one metric as Prometheus does, selectors aside."""
    form = request.form
    metric = re.findall(r"(?:count\()?[a-zA-Z_:][\w:]*", form["query"].lstrip("("))[0]
    result: list[dict[str, Any]] = []
    for name, labels, samples in held:
        if name == metric.removeprefix("count("):
            values = list(_steps(samples, int(form["start"]), int(form["end"]), int(form["step"])))
            if values:
                result.append({"metric": {"__name__": name, **labels}, "values": values})
    if metric.startswith("count("):
        counts: dict[int, int] = {}
        for series in result:
            for at, _ in series["values"]:
                counts[at] = counts.get(at, 0) + 1
        result = (
            [{"metric": {}, "values": [[at, str(count)] for at, count in sorted(counts.items())]}] if counts else []
        )
    return said({"status": "success", "data": {"resultType": "matrix", "result": result}})


def said(body: Any, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status, {"Content-Type": "application/json", **headers})


def _steps(samples: Samples, start: int, end: int, step: int) -> Iterator[list[Any]]:
    place = 0
    for at in range(start, end + 1, step):
        while place + 1 < len(samples) and samples[place + 1][0] <= at:
            place += 1
        if samples and at - LOOKBACK < samples[place][0] <= at:
            yield [at, repr(samples[place][1])]


def recorded(held: Held, server: HTTPServer) -> str:
    """Serve the API from given samples."""
    server.clear()
    server.expect_request("/api/v1/query_range", method="POST").respond_with_handler(
        lambda request: answer(held, request)
    )
    return server.url_for("").rstrip("/")


def installed() -> str | None:
    """Find a Prometheus: `PROMETHEUS` names its program, else it is on the PATH; `promtool` lies beside it."""
    return shutil.which(os.environ.get("PROMETHEUS", "prometheus"))


@contextmanager
def real(held: Held, folder: Path) -> Iterator[str]:
    """Start a Prometheus whose storage holds given samples."""
    program = Path(installed() or "")
    lines = []
    for name in sorted({name for name, *_ in held}):
        kind = "counter" if name.endswith("_total") else "gauge"
        lines.append(f"# TYPE {name.removesuffix('_total') if kind == 'counter' else name} {kind}")
        for _, labels, samples in (one for one in held if one[0] == name):
            told = ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in labels.items())
            lines += [f"{name}{{{told}}} {value!r} {at:.0f}" for at, value in samples]
    text = folder / "samples.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    blocks = ["tsdb", "create-blocks-from", "openmetrics", "--quiet", str(text), str(folder / "data")]
    subprocess.run([program.with_name("promtool"), *blocks], check=True, capture_output=True, timeout=60)
    (folder / "prometheus.yml").write_text("{}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/-/ready")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(url, timeout=1).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError(url)
