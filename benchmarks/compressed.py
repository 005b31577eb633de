"""Load a bill as AWS's legacy CSV, gzipped, as a ratio to a bare inflating and parsing of it in the same run.

    .venv/bin/python benchmarks/compressed.py                 # 1M and 10M lines; writes RESULTS-CSV.md
    .venv/bin/python benchmarks/compressed.py --lines 1000000

Ten million lines are 6.8 GB once inflated; writing the bill takes five minutes, and it stays in the temporary folder.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.legacy_bill import write_legacy_bill
from benchmarks.load import CONFIG, Figure, machine, process

RESULTS: Final = Path(__file__).with_name("RESULTS-CSV.md")
SIZES: Final = (1_000_000, 10_000_000)
REPEATS: Final = 2
SLOWER: Final = 1.5
MOST_MEMORY: Final = 3e9


def main() -> int:
    """Run from the command line; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, action="append", help="lines of the bill (default: 1M, then 10M)")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="the least of so many runs counts")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "apportion-bench-csv")
    chosen = parser.parse_args()
    before = os.getloadavg()[0]
    rows = [measured(chosen.folder / str(lines), lines, chosen.repeats) for lines in chosen.lines or SIZES]
    report = written(rows, (before, os.getloadavg()[0]))
    print(report)
    if not chosen.lines:
        RESULTS.write_text(report, encoding="utf-8")
    return int(any(row["ratio"] > SLOWER or row["peak"] > MOST_MEMORY for row in rows))


def measured(folder: Path, lines: int, repeats: int) -> dict[str, Any]:
    """Measure one size; floor and load take turns."""
    bill = write_legacy_bill(folder / "bills", lines, gzipped=True)
    (folder / "apportion.yaml").write_text(CONFIG.format(bills=bill.parent), encoding="utf-8")
    floors, loads = [], []
    for _ in range(repeats):
        floors.append(process("parsed", folder))
        loads.append(process("load", folder))
    floor, load = (min(runs, key=lambda run: float(run["seconds"])) for runs in (floors, loads))
    return {
        "lines": lines,
        "bytes": bill.stat().st_size,
        "floor": floor,
        "load": load,
        "ratio": load["seconds"] / floor["seconds"],
        "peak": max(run["tables_peak"] for run in loads),
    }


def written(rows: list[dict[str, Any]], busy: tuple[float, float]) -> str:
    """Write the results for people."""
    figures: Sequence[tuple[str, Figure]] = (
        ("bill, gzipped", lambda row: f"{row['bytes'] / 1e6:,.0f} MB"),
        ("floor: polars inflates it and reads the text of every cell", lambda row: f"{row['floor']['seconds']:.2f} s"),
        ("load: totals, read, write, verify, commit", lambda row: f"{row['load']['seconds']:.2f} s"),
        (f"**load ÷ floor** (bar: ≤ {SLOWER})", lambda row: f"**{row['ratio']:.2f}**"),
        ("processor seconds of the floor", lambda row: f"{row['floor']['busy']:.2f} s"),
        ("processor seconds of the load", lambda row: f"{row['load']['busy']:.2f} s"),
        ("tables", lambda row: f"{row['load']['tables_seconds']:.2f} s"),
        ("peak memory of the floor", lambda row: f"{row['floor']['peak'] / 1e9:.2f} GB"),
        ("**peak memory of load and tables** (bar: ≤ 3 GB)", lambda row: f"**{row['peak'] / 1e9:.2f} GB**"),
    )
    return "\n".join(
        [
            "# A legacy CSV, gzipped",
            "",
            f"{machine(busy)} Written by `benchmarks/compressed.py`; README.md says what is measured.",
            "",
            "| | " + " | ".join(f"{row['lines']:,} lines" for row in rows) + " |",
            "|---|" + "---:|" * len(rows),
            *(f"| {name} | {' | '.join(figure(row) for row in rows)} |" for name, figure in figures),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
