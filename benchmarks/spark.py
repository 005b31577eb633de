"""Measure what a bill of several files costs on Spark beside one machine: slopes, not speed, on a cluster of processes.

    .venv/bin/python benchmarks/spark.py # 1M, 2M and 4M lines in files of 500,000; ten minutes on two cores; Linux

Both engines load the bill and make its daily rows and GPU-hours, and both must give the same number of them. The
cluster is `local-cluster[2,1,2048]`: a driver and two executors of a core each, all of them on this machine, so that
processor seconds of all processes together are what counts.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml

from benchmarks import bill
from benchmarks.load import machine

RESULTS: Final = Path(__file__).with_name("RESULTS-SPARK.md")
SIZES: Final = (1_000_000, 2_000_000, 4_000_000)
ROWS_OF_A_FILE: Final = 500_000
CLUSTER: Final = {
    "master": "local-cluster[2,1,2048]",
    "options": {"spark.sql.shuffle.partitions": "4", "spark.ui.enabled": "false"},
}
PR_SET_CHILD_SUBREAPER: Final = 36


def main() -> int:
    """Run from the command line; exit 1 where the engines disagree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "apportion-bench-spark")
    chosen = parser.parse_args()
    before = os.getloadavg()[0]
    # What outlives its parent, as Spark's Python workers do, becomes ours to count.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.environ |= {"SPARK_WORKER_DIR": str(chosen.folder / "workers"), "SPARK_LOCAL_IP": "127.0.0.1"}
    rows = []
    for lines in SIZES:
        bills = in_files(chosen.folder / str(lines), lines)
        one, many = (measured(chosen.folder / f"{lines}-{engine}", bills, engine) for engine in ENGINES)
        rows.append((lines, one, many))
    report = written(rows, (before, os.getloadavg()[0]))
    print(report)
    RESULTS.write_text(report, encoding="utf-8")
    return int(any(one["daily_rows"] != many["daily_rows"] for _, one, many in rows))


ENGINES: Final = ("polars", "spark")


def in_files(folder: Path, lines: int) -> Path:
    """Write a bill in files that are tasks of a size."""
    target = folder / "files"
    if not target.exists():
        target.mkdir(parents=True)
        written_bill = bill.write_bill(folder / "bills", lines)
        every = pl.scan_parquet(sorted(written_bill.rglob("*.parquet")))
        for number in range(-(-lines // ROWS_OF_A_FILE)):
            every.slice(number * ROWS_OF_A_FILE, ROWS_OF_A_FILE).sink_parquet(target / f"{number:04d}.parquet")
    return target


def measured(folder: Path, bills: Path, engine: str) -> dict[str, Any]:
    """Load a bill with an engine in processes of its own: seconds, and processor seconds and memory of all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    source = {"name": "aws", "type": "aws_cur", "location": str(bills)}
    config = {"home": "home", "sources": [source], "engine": engine, "spark": CLUSTER}
    (folder / "apportion.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, str(Path(__file__).with_name("load.py")), "--measure", "load", "--folder", str(folder)]
    busy = sum(os.times()[2:4])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        worker = 0
        while running.poll() is None:
            worker = max([worker, *map(peak, Path("/proc").glob("[0-9]*"))])
            time.sleep(0.2)
        said = json.loads(running.stdout.read() if running.stdout else "{}")
    while True:  # until the last orphan has ended
        try:
            os.wait()
        except ChildProcessError:
            break
    return {**said, "all_busy": sum(os.times()[2:4]) - busy, "worker_peak": worker}


def peak(process: Path) -> int:
    """Give the greatest memory a Python worker of Spark ever had, 0 for other processes."""
    try:
        if b"pyspark.daemon" not in (process / "cmdline").read_bytes():
            return 0
        said = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
    except OSError:
        return 0
    return int(said.get("VmHWM", "0 kB").split()[0]) * 1024


def written(rows: list[tuple[int, dict[str, Any], dict[str, Any]]], busy: tuple[float, float]) -> str:
    """Write the results for people."""
    figures: list[tuple[str, Any]] = [
        ("files, a task each", lambda lines, *_: f"{-(-lines // ROWS_OF_A_FILE)}"),
        ("daily rows", lambda _, one, __: f"{one['daily_rows']:,}"),
        ("processor seconds, this machine alone", lambda _, one, __: f"{one['all_busy']:.1f}"),
        ("processor seconds, Spark, all processes", lambda _, __, many: f"{many['all_busy']:.1f}"),
        ("of these the driver's Python, load only", lambda _, __, many: f"{many['busy']:.1f}"),
        ("seconds, this machine alone", lambda _, one, __: f"{one['seconds'] + one['tables_seconds']:.1f}"),
        ("seconds, Spark", lambda _, __, many: f"{many['seconds'] + many['tables_seconds']:.1f}"),
        ("peak memory, this machine alone", lambda _, one, __: f"{one['tables_peak'] / 1e9:.2f} GB"),
        ("peak memory, driver's Python", lambda _, __, many: f"{many['tables_peak'] / 1e9:.2f} GB"),
        ("peak memory, an executor's Python", lambda _, __, many: f"{many['worker_peak'] / 1e9:.2f} GB"),
    ]
    table = [f"| {name} | {' | '.join(figure(*row) for row in rows)} |" for name, figure in figures]
    return "\n".join(
        [
            "# Spark beside one machine",
            "",
            f"{machine(busy)} Written by `benchmarks/spark.py`. Cluster: `{CLUSTER['master']}` on the same cores.",
            "",
            "| | " + " | ".join(f"{lines:,} lines" for lines, *_ in rows) + " |",
            "|---|" + "---:|" * len(rows),
            *table,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
