"""Load one bill as AWS's legacy CSV with Apportion and with what else people use, each in a process of its own.

    .venv/bin/python benchmarks/peers.py                # 1M lines, about five minutes on two cores; writes PEERS.md
    .venv/bin/python benchmarks/peers.py --lines 100000

Peers are installed into environments of their own. One that does not end within ten minutes is stopped: it hangs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.legacy_bill import write_legacy_bill
from benchmarks.load import CONFIG, machine

RESULTS: Final = Path(__file__).with_name("PEERS.md")
SCRIPTS: Final = Path(__file__).with_name("peer_scripts")
PATIENCE: Final = 600
REPEATS: Final = 3
BARS: Final = {"focus-converter": 25.0, "parse": 1.5}


@dataclass(frozen=True)
class Peer:
    """A tool: what to install for it, what to start, and what it leaves behind."""

    packages: tuple[str, ...]
    command: tuple[str, ...]
    does: str


PEERS: Final = {
    "focus-converter": Peer(
        # Newer ones of these two break it.
        ("focus-converter==1.0.0", "click<8.2", "multimethod<2"),
        (
            *("{bin}/focus-converter", "convert", "--provider", "aws-cur", "--data-format", "csv"),
            *("--data-path", "{bill}", "--export-path", "{out}", "--export-format", "parquet"),
        ),
        "every line as FOCUS, Parquet",
    ),
    "pandas": Peer(
        ("pandas", "pyarrow"),
        ("{bin}/python", str(SCRIPTS / "pandas_bill.py"), "{bill}", "{out}"),
        "every line and daily sums, Parquet",
    ),
    "dlt": Peer(
        ("dlt[duckdb,filesystem]", "pyarrow", "pandas"),
        ("{bin}/python", str(SCRIPTS / "dlt_bill.py"), "{bill}", "{out}"),
        "every line as text, DuckDB",
    ),
}


def main() -> int:
    """Run from the command line; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="the least of so many runs counts")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "apportion-peers")
    parser.add_argument("--parse", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.parse:
        lines = sum(batch.height for batch in pl.scan_csv(chosen.parse, infer_schema=False).collect_batches())
        print(json.dumps({"lines": lines}))
        return 0
    before = os.getloadavg()[0]
    found = measured(chosen.folder, chosen.lines, chosen.repeats)
    report = written(found, chosen.lines, (before, os.getloadavg()[0]))
    print(report)
    if chosen.lines == parser.get_default("lines"):
        RESULTS.write_text(report, encoding="utf-8")
    return int(bool(missed(found)))


def measured(folder: Path, lines: int, repeats: int) -> dict[str, dict[str, Any]]:
    """Measure everybody in turns, so that a slow minute of the machine slows all."""
    plain = write_legacy_bill(folder / f"csv-{lines}", lines)
    packed = write_legacy_bill(folder / f"gz-{lines}", lines, gzipped=True)
    bins = {name: _environment(folder / name, peer.packages) for name, peer in PEERS.items()}
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(repeats):
        for name, peer in PEERS.items():
            runs.setdefault(name, []).append(_peer(folder / "out", peer, bins[name], plain))
        for name, bill in (("csv", plain), ("csv.gz", packed)):
            parse = [sys.executable, __file__, "--parse", str(bill)]
            runs.setdefault(f"parse {name}", []).append(_timed(parse))
            runs.setdefault(f"apportion {name}", []).append(_apportion(folder / "home", bill))
    return {name: min(of, key=lambda run: run["seconds"]) for name, of in runs.items()}


def _environment(folder: Path, packages: tuple[str, ...]) -> Path:
    binaries = folder / "bin"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(binaries / "python"), "-m", "pip", "install", "--quiet", *packages], check=True)
        (folder / ".ready").touch()
    return binaries


def _peer(out: Path, peer: Peer, binaries: Path, bill: Path) -> dict[str, Any]:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return _timed([word.format(bin=binaries, bill=bill, out=out) for word in peer.command])


def _apportion(folder: Path, bill: Path) -> dict[str, Any]:
    """Load into an empty ledger and make daily rows; `load` is the part up to the commit."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "apportion.yaml").write_text(CONFIG.format(bills=bill.parent), encoding="utf-8")
    loader = str(Path(__file__).with_name("load.py"))
    run = _timed([sys.executable, loader, "--measure", "load", "--folder", str(folder)])
    return run | {"load": json.loads(run["out"])["seconds"]}


def _timed(command: list[str]) -> dict[str, Any]:
    """Run a command to its end: seconds of the clock and of processors, and its peak memory; Python's start counts."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, start_new_session=True)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
        signal.alarm(PATIENCE)
        _, status, used = os.wait4(process.pid, 0)
        signal.alarm(0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        said.seek(0)
        out = said.read().decode()
    fault = "" if not status else "hangs" if process.returncode == -signal.SIGKILL else f"exit {process.returncode}"
    busy = used.ru_utime + used.ru_stime
    return {"seconds": seconds, "busy": busy, "peak": used.ru_maxrss * 1024, "out": out, "fault": fault}


def missed(found: dict[str, dict[str, Any]]) -> list[str]:
    """Name the bars that are not met."""
    faster = found["focus-converter"]["seconds"] / found["apportion csv"]["load"]
    slower = found["apportion csv.gz"]["load"] / found["parse csv.gz"]["seconds"]
    return [
        *([f"{faster:.1f} times as fast as focus-converter, not 25"] if faster < BARS["focus-converter"] else []),
        *([f"CSV.gz {slower:.2f} times its floor, not 1.5"] if slower > BARS["parse"] else []),
    ]


def written(found: dict[str, dict[str, Any]], lines: int, busy: tuple[float, float]) -> str:
    """Write the results for people."""
    does = {name: peer.does for name, peer in PEERS.items()} | {
        "parse csv": "floor: polars reads the text of every cell",
        "apportion csv": "totals, ledger, daily rows, GPU-hours",
        "parse csv.gz": "floor: inflates and reads the text of every cell",
        "apportion csv.gz": "totals, ledger, daily rows, GPU-hours",
    }
    rows = [_row(name, does[name], run) for name, run in found.items()]
    ours = found["apportion csv"]
    ratios = [
        f"{name} takes {found[name]['seconds'] / ours['load']:.1f} times as long as our load, "
        f"{found[name]['seconds'] / ours['seconds']:.1f} times as long as load and daily tables."
        for name in PEERS
        if not found[name]["fault"]
    ]
    slower = found["apportion csv.gz"]["load"] / found["parse csv.gz"]["seconds"]
    return "\n".join(
        [
            f"# One bill of {lines:,} lines as legacy CSV, and who reads it",
            "",
            f"{machine(busy)} Written by `benchmarks/peers.py`; README.md says what is measured.",
            "",
            "| | what it leaves | time | processor time | peak memory | of it the load |",
            "|---|---|---:|---:|---:|---:|",
            *rows,
            "",
            *ratios,
            f"CSV.gz: our load takes {slower:.2f} times its floor.",
            "",
            f"Missed: {'; '.join(missed(found))}." if missed(found) else "Every bar is met.",
            "",
        ]
    )


def _row(name: str, does: str, run: dict[str, Any]) -> str:
    seconds = run["fault"] or f"{run['seconds']:.1f} s"
    load = f"{run['load']:.1f} s" if "load" in run else ""
    return f"| {name} | {does} | {seconds} | {run['busy']:.1f} s | {run['peak'] / 1e9:.2f} GB | {load} |"


if __name__ == "__main__":
    sys.exit(main())
