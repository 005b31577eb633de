"""Measure what it costs to load a bill, as a ratio to a bare rewrite of the same columns in the same run.

    .venv/bin/python benchmarks/load.py                 # 1M and 10M lines, about four minutes on two cores
    .venv/bin/python benchmarks/load.py --lines 1000000 # only these; RESULTS.md is left alone
    .venv/bin/python benchmarks/load.py --lines 100000000 --repeats 1 --write benchmarks/RESULTS-100M.md

Each measurement is a process of its own, so that peak memory is its own; imports are outside the clock. The floor reads
the columns that the connector reads, with polars' own streaming engine, and writes them with its default compression.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import polars as pl

from benchmarks import bill
from benchmarks.stages import MEASURES, bills_in

# Prints one figure of a size's measurements.
Figure: TypeAlias = Callable[[dict[str, Any]], str]
RESULTS: Final = Path(__file__).with_name("RESULTS.md")
SIZES: Final = (1_000_000, 10_000_000)
REPEATS: Final = 3
BARS: Final = {
    "load ÷ floor": 1.6,
    "load and tables ÷ floor": 1.5,  # 1.6 beyond ten million lines
    "peak of load, GB": 2.5,  # 3 beyond ten million lines
    "peak of load and tables, GB": 3.0,
    "marts and publishing, s": 3.0,
    "tagged again, s": 15.0,
    "unchanged run, s": 3.0,
}
# What a server of this machine holds in memory.
PULLED: Final = 10_000_000
RULE: Final = """\
rules:
  - id: bench-everything-in-account-7
    workload: training
    evidence: declared
    reason: A rule that moves money, so that everything behind it is made anew.
    when: { all: [ { sub_account_id: { equals: "100000000007" } }, { accelerator: { is_set: true } } ] }
    effective_from: 2020-01-01
    examples: [ { sub_account_id: "100000000007", service_code: AmazonEC2, instance_type: p5.48xlarge } ]
"""
CONFIG: Final = "home: home\nsources: [{{ name: aws, type: aws_cur, location: {bills} }}]\n"


def main() -> int:
    """Run from the command line; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, action="append", help="lines of the bill (default: 1M, then 10M)")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="the least of so many runs counts")
    parser.add_argument("--write", type=Path, help="write the results of these sizes here")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "apportion-bench")
    parser.add_argument("--measure", choices=sorted(MEASURES), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(MEASURES[chosen.measure](chosen.folder)))
        return 0
    before = os.getloadavg()[0]
    rows = [measured(chosen.folder / str(lines), lines, chosen.repeats) for lines in chosen.lines or SIZES]
    report = written(rows, (before, os.getloadavg()[0]))
    print(report)
    if target := chosen.write or (None if chosen.lines else RESULTS):
        target.write_text(report, encoding="utf-8")
    return int(any(missed(row) for row in rows))


def measured(folder: Path, lines: int, repeats: int) -> dict[str, Any]:
    """Measure one size; floor and load take turns, so that a slow minute of the machine slows both."""
    folder.mkdir(parents=True, exist_ok=True)
    bills = bill.write_bill(folder / "bills", lines)
    (folder / "apportion.yaml").write_text(CONFIG.format(bills=bills), encoding="utf-8")
    keys = pl.scan_parquet(bills_in(folder)).select(pl.struct(bill.key_columns()).n_unique()).collect().item()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("floor", "aggregated", "load")}
    for _ in range(repeats):
        for name, done in runs.items():
            done.append(process(name, folder))
    first, stages = apportion_run(folder)
    sizes = {name: (folder / "home" / name).stat().st_size for name in ("warehouse.duckdb", "reports.duckdb")}
    unchanged = min(apportion_run(folder)[0] for _ in range(repeats))
    (folder / "rules.yaml").write_text(RULE, encoding="utf-8")
    (folder / "apportion.yaml").write_text(CONFIG.format(bills=bills) + "rules: [rules.yaml]\n", encoding="utf-8")
    tagged, _ = apportion_run(folder)
    least = {name: min(done, key=lambda run: float(run["seconds"])) for name, done in runs.items()}
    tables = min(runs["load"], key=lambda run: float(run["seconds"] + run["tables_seconds"]))
    return {
        "lines": lines,
        "keys": keys,
        "bill_bytes": sum(file.stat().st_size for file in bills_in(folder)),
        **least,
        "tables": tables,
        "pull": process("pull", folder)["seconds"] if lines <= PULLED else None,
        "busy": min(run["busy"] for run in runs["load"]) / min(run["busy"] for run in runs["floor"]),
        "load_peak": max(run["peak"] for run in runs["load"]),
        "tables_peak": max(run["tables_peak"] for run in runs["load"]),
        "first_run": first,
        "sizes": sizes,
        "building": stages["building marts"],
        "publishing": stages["checking and publishing"],
        "tagged_again": tagged,
        "unchanged": unchanged,
        "imports_dagster": _imports_dagster(folder),
    }


def missed(row: dict[str, Any]) -> list[str]:
    """Name the bars a size does not meet."""
    found = {
        "load ÷ floor": row["load"]["seconds"] / row["floor"]["seconds"],
        "load and tables ÷ floor": _whole(row) / row["floor"]["seconds"],
        "peak of load, GB": row["load_peak"] / 1e9,
        "peak of load and tables, GB": row["tables_peak"] / 1e9,
        "marts and publishing, s": row["building"] + row["publishing"],
        "tagged again, s": row["tagged_again"],
        "unchanged run, s": row["unchanged"],
    }
    many = {"peak of load, GB": 3.0, "load and tables ÷ floor": 1.6} if row["lines"] > max(SIZES) else {}
    late = ["Dagster in an unchanged run"] if row["imports_dagster"] else []
    return [name for name, bar in (BARS | many).items() if found[name] > bar] + late


def _whole(row: dict[str, Any]) -> float:
    return float(row["tables"]["seconds"] + row["tables"]["tables_seconds"])


def written(rows: list[dict[str, Any]], busy: tuple[float, float]) -> str:
    """Write the results for people."""
    lines = [
        "# Results of `make bench`",
        "",
        f"{machine(busy)} Written by `benchmarks/load.py`; README.md says what is measured.",
        "",
        "| | " + " | ".join(f"{row['lines']:,} lines" for row in rows) + " | bar |",
        "|---|" + "---:|" * (len(rows) + 1),
    ]
    lines += [f"| {name} | {' | '.join(figure(row) for row in rows)} | {bar} |" for name, figure, bar in FIGURES]
    faults = [f"{row['lines']:,} lines: {', '.join(missed(row))}" for row in rows if missed(row)]
    lines += ["", f"Missed: {'; '.join(faults)}." if faults else "Every bar is met.", ""]
    return "\n".join(lines)


def _seconds(*path: str) -> Figure:
    """Print a figure of a row in seconds; a dash where it was not measured."""

    def show(row: dict[str, Any]) -> str:
        found = _at(row, path)
        return "–" if found is None else f"{found:.2f} s"

    return show


def _bytes(*path: str) -> Figure:
    return lambda row: f"{_at(row, path) / 1e6:,.0f} MB"


def _at(row: dict[str, Any], path: Sequence[str]) -> Any:
    for name in path:
        row = row[name]
    return row


FIGURES: Final[Sequence[tuple[str, Figure, str]]] = [
    ("distinct keys", lambda row: f"{row['keys']:,}", "≥ 20,000"),
    ("bill, Parquet", _bytes("bill_bytes"), ""),
    ("floor: polars rewrites the columns read", _seconds("floor", "seconds"), ""),
    ("pull over HTTP, verified", _seconds("pull"), ""),
    ("load: fetch, totals, read, write, verify, commit", _seconds("load", "seconds"), ""),
    ("– of it read and written, totals beside it", _seconds("load", "write"), ""),
    ("– of it read back", _seconds("load", "read_back"), ""),
    ("**load ÷ floor**", lambda row: f"**{row['load']['seconds'] / row['floor']['seconds']:.2f}**", "≤ 1.6"),
    ("processor seconds, load ÷ floor", lambda row: f"{row['busy']:.2f}", ""),
    ("lines loaded a second", lambda row: f"{row['lines'] / row['load']['seconds']:,.0f}", ""),
    ("floor: DuckDB adds the bill up by day", _seconds("aggregated", "seconds"), ""),
    ("tables: keys and tags, daily rows, GPU-hours", _seconds("tables", "tables_seconds"), ""),
    ("– of it keys, and how tags are spelt", _seconds("tables", "keys"), ""),
    ("– of it attribution", _seconds("tables", "attribute"), ""),
    ("– of it sums by day and by hour", _seconds("tables", "sums"), ""),
    (
        "**load and tables ÷ floor**",
        lambda row: f"**{_whole(row) / row['floor']['seconds']:.2f}**",
        "≤ 1.5, 1.6 beyond 10M",
    ),
    ("peak memory of the floor", lambda row: f"{row['floor']['peak'] / 1e9:.2f} GB", ""),
    ("**peak memory of the load**", lambda row: f"**{row['load_peak'] / 1e9:.2f} GB**", "≤ 2.5 GB, 3 beyond 10M"),
    ("**peak memory of load and tables**", lambda row: f"**{row['tables_peak'] / 1e9:.2f} GB**", "≤ 3 GB"),
    ("written: floor", _bytes("floor", "bytes"), ""),
    ("written: ledger", _bytes("load", "bytes"), ""),
    ("written: warehouse", _bytes("sizes", "warehouse.duckdb"), ""),
    ("written: report", _bytes("sizes", "reports.duckdb"), ""),
    ("daily rows", lambda row: f"{row['load']['daily_rows']:,}", ""),
    ("first `apportion run`, all of it", _seconds("first_run"), ""),
    ("– of it marts", _seconds("building"), ""),
    ("– of it checks and publishing", _seconds("publishing"), ""),
    ("**marts, checks, publishing**", lambda row: f"**{row['building'] + row['publishing']:.1f} s**", "≤ 3 s"),
    ("**`apportion run` after a new rule**", lambda row: f"**{row['tagged_again']:.1f} s**", "≤ 15 s"),
    ("**unchanged `apportion run`**", lambda row: f"**{row['unchanged']:.2f} s**", "≤ 3 s, no Dagster"),
]


def machine(busy: tuple[float, float]) -> str:
    """Say where and when this was measured, and what else the machine did."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}, polars {pl.__version__}. Load of the machine just before and after: "
        f"{busy[0]:.1f} and {busy[1]:.1f} processes."
    )


def _processor() -> str:
    names = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def process(measure: str, folder: Path) -> dict[str, Any]:
    """Measure one thing in a process of its own."""
    command = [sys.executable, __file__, "--measure", measure, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def _apportion(folder: Path, *python: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from pipelines.cli.app import main; sys.argv[0] = 'apportion'; main()"
    command = [sys.executable, *python, "-c", code, "run", "--config", str(folder / "apportion.yaml")]
    environment = {**os.environ, "APPORTION_LOG": "json"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment)


def apportion_run(folder: Path) -> tuple[float, dict[str, float]]:
    """Time the command as people start it, Python's own start included, and each step that it says it takes."""
    start = time.perf_counter()
    said = _apportion(folder).stderr
    seconds = time.perf_counter() - start
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    ends = [*times[1:], times[-1]]
    steps = zip(lines, times, ends, strict=True)
    return seconds, {line["message"]: (end - begun).total_seconds() for line, begun, end in steps}


def _imports_dagster(folder: Path) -> bool:
    return "| dagster" in _apportion(folder, "-X", "importtime").stderr


if __name__ == "__main__":
    sys.exit(main())
