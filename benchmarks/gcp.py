"""Measure what it costs to load a Google Cloud bill, as a ratio to an AWS bill of as many lines in the same run.

.venv/bin/python benchmarks/gcp.py                 # 5M rows, about ten minutes on two cores; writes RESULTS-GCP.md
.venv/bin/python benchmarks/gcp.py --lines 1000000 # only these; RESULTS-GCP.md is left alone
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import bill, gcp_bill, load, stages

RESULTS: Final = Path(__file__).with_name("RESULTS-GCP.md")
LINES: Final = 5_000_000
REPEATS: Final = 2
HALF: Final = 0.5
MOST_MEMORY: Final = 2.5e9
CONFIG: Final = "home: home\nsources: [{{ name: {name}, type: {kind}, location: {bills} }}]\n"


def main() -> int:
    """Run from the command line; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, help=f"lines of each bill (default: {LINES:,})")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="the least of so many runs counts")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "apportion-bench-gcp")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(stages.load(chosen.measure)))
        return 0
    lines = chosen.lines or LINES
    before = os.getloadavg()[0]
    least = measured(chosen.folder / str(lines), lines, chosen.repeats)
    report = written(lines, least, (before, os.getloadavg()[0]))
    print(report)
    if not chosen.lines:
        RESULTS.write_text(report, encoding="utf-8")
    return int(_ratio(least, "seconds") < HALF or least["gcp"]["peak"] > MOST_MEMORY)


def measured(folder: Path, lines: int, repeats: int) -> Mapping[str, Mapping[str, Any]]:
    """Load both bills in turns, each time in a process of its own; the least time and the highest peak count."""
    bills = {"aws": bill.write_bill(folder / "aws", lines), "gcp": gcp_bill.write_bill(folder / "gcp", lines)}
    for name, location in bills.items():
        kind = {"aws": "aws_cur", "gcp": "gcp_billing"}[name]
        config = CONFIG.format(name=name, kind=kind, bills=location)
        (folder / name / "apportion.yaml").write_text(config, encoding="utf-8")
    runs: dict[str, list[dict[str, Any]]] = {"aws": [], "gcp": []}
    for _ in range(repeats):
        for name, done in runs.items():
            done.append(_process(folder / name))
    return {
        name: {figure: (max if "peak" in figure else min)(run[figure] for run in done) for figure in done[0]}
        for name, done in runs.items()
    }


def _process(folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def _ratio(least: Mapping[str, Mapping[str, Any]], figure: str) -> float:
    """Give the rate of the one bill as a share of the other's."""
    return float(least["aws"][figure] / least["gcp"][figure])


def written(lines: int, least: Mapping[str, Mapping[str, Any]], busy: tuple[float, float]) -> str:
    """Write the results for people."""
    figures = (
        ("load: fetch, totals, read, write, verify, commit", "seconds", "{:.2f} s", 1),
        ("processor seconds of the load", "busy", "{:.2f} s", 1),
        ("peak memory of the load", "peak", "{:.2f} GB", 1e9),
        ("ledger", "bytes", "{:,.0f} MB", 1e6),
        ("tagging, daily rows, GPU-hours and allocations", "tables_seconds", "{:.2f} s", 1),
        ("peak memory of load and tables", "tables_peak", "{:.2f} GB", 1e9),
        ("daily rows", "daily_rows", "{:,.0f}", 1),
    )
    rows = [
        f"| {name} | " + " | ".join(text.format(least[bill][figure] / unit) for bill in ("aws", "gcp")) + " |"
        for name, figure, text, unit in figures
    ]
    ratio, busy_ratio = _ratio(least, "seconds"), _ratio(least, "busy")
    peak = least["gcp"]["peak"] / 1e9
    return "\n".join(
        [
            "# Results of `benchmarks/gcp.py`",
            "",
            f"{load.machine(busy)} Written by `benchmarks/gcp.py`; README.md says what is measured.",
            "",
            f"| {lines:,} lines of each | AWS, CUR 2.0 | Google, detailed export |",
            "|---|---:|---:|",
            *rows,
            "",
            f"**Google's rate is {ratio:.2f} of AWS's** (bar: ≥ {HALF}); by processor seconds {busy_ratio:.2f}.",
            f"Peak memory {peak:.2f} GB (bar: ≤ 2.5 GB).",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
