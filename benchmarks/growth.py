"""Measure how time and memory of a whole run grow with lines, distinct keys, rules, months and sources.

    .venv/bin/python benchmarks/growth.py                      # some minutes; writes GROWTH.md and its picture
    .venv/bin/python benchmarks/growth.py --dimension months   # only this one; nothing is written

One thing grows, everything else stays. Each point is a first `apportion run` in a process of its own, from Python's
start to the published report: its processor seconds (user and system, of all threads) and its peak memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

import altair as alt
import vl_convert
import yaml

from benchmarks import bill
from benchmarks.load import machine
from pipelines.reports import canvas, palette

RESULTS: Final = Path(__file__).with_name("GROWTH.md")
PICTURE: Final = Path(__file__).parents[1] / "docs" / "images" / "growth.svg"
LINES: Final = 100_000
# Months of 31 days, because the bill's lines are spread over so many.
MONTHS: Final = [
    datetime(year, month, 1)  # noqa: DTZ001 - CUR timestamps have no zone
    for year, month in ((2025, 8), (2025, 10), (2025, 12), (2026, 1), (2026, 3), (2026, 5), (2026, 7), (2026, 8))
]
# What the last step may cost beside what all steps cost on average, and what counts as not growing at all.
BAR: Final = 1.3
FLAT: Final = 1.1


_AXIS: Final = alt.Axis(tickCount=2, format="~s", labelExpr="datum.value ? datum.label : '0'")


@dataclass(frozen=True)
class Point:
    """One run: how large the thing was, processor seconds, and peak memory in bytes."""

    size: int
    seconds: float
    peak: int


@dataclass(frozen=True)
class Dimension:
    """One thing that grows.

    Attributes:
        sizes: how large it is, smallest first.
        beside: what stays as it is.
        lay: writes the bills of a size under a folder and gives the configuration.
    """

    sizes: Sequence[int]
    beside: str
    lay: Callable[[Path, int], dict[str, Any]]


def _aws(location: Path, name: str = "aws") -> dict[str, str]:
    return {"name": name, "type": "aws_cur", "location": str(location)}


def _lines(folder: Path, size: int) -> dict[str, Any]:
    return {"sources": [_aws(bill.write_bill(folder / "bills", size))]}


def _keys(folder: Path, size: int) -> dict[str, Any]:
    an_account = bill.catalogue(1).height
    return {"sources": [_aws(bill.write_bill(folder / "bills", LINES, accounts=size // an_account))]}


def _rules(folder: Path, size: int) -> dict[str, Any]:
    usage_types = sorted({service.usage_type for service in bill.SERVICES})
    rules = []
    for number in range(size):
        account, which = divmod(number, len(usage_types))
        fact = {"sub_account_id": str(100000000000 + account), "usage_type": usage_types[which]}
        rules.append(
            {
                "id": f"growth-{number}",
                "workload": "training",
                "evidence": "declared",
                "reason": "One of many.",
                "when": {"all": [{name: {"equals": value}} for name, value in fact.items()]},
                "effective_from": "2020-01-01",
                "examples": [fact],
            }
        )
    (folder / "rules.yaml").write_text(yaml.safe_dump({"rules": rules}), encoding="utf-8")
    return {"sources": [_aws(bill.write_bill(folder / "bills", LINES))], "rules": ["rules.yaml"]}


def _months(folder: Path, size: int) -> dict[str, Any]:
    for month in MONTHS[:size]:
        bill.write_bill(folder / "bills", LINES // 2, month, accounts=5)
    return {"sources": [_aws(folder / "bills")]}


def _sources(folder: Path, size: int) -> dict[str, Any]:
    names = [f"payer{number}" for number in range(size)]
    return {"sources": [_aws(bill.write_bill(folder / name, LINES // 2, accounts=5), name) for name in names]}


DIMENSIONS: Final[Mapping[str, Dimension]] = {
    "lines": Dimension((250_000, 500_000, 1_000_000, 2_000_000), "20,320 keys, one month", _lines),
    "distinct keys": Dimension((5_080, 10_160, 20_320, 40_640), f"{LINES:,} lines, one month", _keys),
    "rules": Dimension((250, 500, 1_000, 2_000), f"{LINES:,} lines, 20,320 keys; the rules beside ours", _rules),
    "months": Dimension((1, 2, 4, 8), f"{LINES // 2:,} lines and 2,540 keys a month", _months),
    "sources": Dimension((1, 2, 4, 8), f"{LINES // 2:,} lines and 2,540 keys a source, one month", _sources),
}


def main() -> int:
    """Run from the command line; exit 1 where something grows faster than what it stands for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dimension", choices=sorted(DIMENSIONS), action="append", help="only this; writes nothing")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "apportion-growth")
    parser.add_argument("--prepare", action="store_true", help="only write the bills, which stay for the next time")
    chosen = parser.parse_args()
    if not chosen.prepare:
        # In a process of its own: a child's peak counts the memory of who started it.
        subprocess.run([sys.executable, __file__, "--prepare", "--folder", str(chosen.folder)], check=True)
    before = os.getloadavg()[0]
    found = {
        name: [
            _point(chosen.folder / name.replace(" ", "-") / str(size), dimension, size, only_bills=chosen.prepare)
            for size in dimension.sizes
        ]
        for name, dimension in DIMENSIONS.items()
        if not chosen.dimension or name in chosen.dimension
    }
    if chosen.prepare:
        return 0
    report = written(found, (before, os.getloadavg()[0]))
    print(report)
    if not chosen.dimension:
        RESULTS.write_text(report, encoding="utf-8")
        PICTURE.write_text(drawn(found), encoding="utf-8")
    return int(any(not is_linear(points) for points in found.values()))


def _point(folder: Path, dimension: Dimension, size: int, *, only_bills: bool) -> Point:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"home": "home", "review_packs": 0, **dimension.lay(folder, size)}
    (folder / "apportion.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    if only_bills:
        return Point(size, 0.0, 0)
    shutil.rmtree(folder / "home", ignore_errors=True)
    code = "import sys; from pipelines.cli.app import main; sys.argv[0] = 'apportion'; main()"
    command = [sys.executable, "-c", code, "run", "--config", str(folder / "apportion.yaml")]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError((folder / "said").read_text(errors="replace")[-2000:])
    shutil.rmtree(folder / "home")
    return Point(size, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def is_linear(points: Sequence[Point]) -> bool:
    """Tell whether the last step costs no more, for what it adds, than all steps together."""
    first, before, last = points[0], points[-2], points[-1]
    amounts = [(point.seconds, point.peak) for point in (first, before, last)]
    for low, middle, high in zip(*amounts, strict=True):
        of_all = (high - low) / (last.size - first.size)
        of_last = (high - middle) / (last.size - before.size)
        if high > FLAT * low and of_last > BAR * of_all:
            return False
    return True


def written(found: Mapping[str, Sequence[Point]], busy: tuple[float, float]) -> str:
    """Write the results for people."""
    what = (
        "Written by `benchmarks/growth.py`; README.md says what is measured. A first `apportion run`, all of it, "
        "review packs left out: processor seconds of all threads, and peak memory of the process."
    )
    lines = ["# How a run grows", "", f"{machine(busy)} {what}"]
    for name, points in found.items():
        lines += ["", f"**{name.capitalize()}** ({DIMENSIONS[name].beside})", ""]
        lines += [f"| {name} | " + " | ".join(f"{point.size:,}" for point in points) + " |"]
        lines += ["|---|" + "---:|" * len(points)]
        lines += ["| processor seconds | " + " | ".join(f"{point.seconds:.1f}" for point in points) + " |"]
        lines += ["| peak memory, GB | " + " | ".join(f"{point.peak / 1e9:.2f}" for point in points) + " |"]
        lines += ["", f"{name.capitalize()} doubled {len(points) - 1} times: {_growth(points)}"]
    return "\n".join([*lines, ""])


def _growth(points: Sequence[Point]) -> str:
    first, last = points[0], points[-1]
    seconds, peak = last.seconds / first.seconds, last.peak / first.peak
    verdict = "Linear or better." if is_linear(points) else "**More than linear.**"
    return f"{seconds:.2f} times the processor seconds, {peak:.2f} times the memory. {verdict}"


def drawn(found: Mapping[str, Sequence[Point]]) -> str:
    """Draw a small chart of each: processor seconds above, memory below, both from nought."""
    rows = []
    for title, unit in (("seconds", "processor seconds"), ("gigabytes", "peak memory, GB")):
        charts: list[Any] = []
        for name, points in found.items():
            amounts = [point.seconds if title == "seconds" else point.peak / 1e9 for point in points]
            data = [{"size": point.size, "amount": one} for point, one in zip(points, amounts, strict=True)]
            x = alt.X("size:Q", title=name, scale=alt.Scale(domainMin=0), axis=_AXIS)
            y = alt.Y(
                "amount:Q",
                title=unit if not charts else None,
                scale=alt.Scale(domain=[0, max(amounts) * 1.1]),
                axis=alt.Axis(tickCount=4),
            )
            line = canvas.layer(data).mark_line(
                color=palette.PLAIN, point=alt.OverlayMarkDef(color=palette.PLAIN, size=35)
            )
            charts.append(line.encode(x=x, y=y).properties(width=92, height=120))
        rows.append(alt.hconcat(*charts, spacing=12))
    spec = canvas.styled(alt.vconcat(*rows, spacing=14)).to_dict(validate=False)
    return str(vl_convert.vegalite_to_svg(cast("dict[str, Any]", spec)))


if __name__ == "__main__":
    sys.exit(main())
