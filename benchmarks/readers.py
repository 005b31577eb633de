"""Query the published report from several processes while it is published anew in a loop.

    .venv/bin/python benchmarks/readers.py              # 8 readers, two minutes; writes READERS.md
    .venv/bin/python benchmarks/readers.py --seconds 5  # a quick look; READERS.md is left alone

Every publication has another set of teams, so a reader that met half of one would see marts that disagree. A reader
opens the report, asks one mart, and asks again within the same opening whether its tables belong together.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.load import machine

RESULTS: Final = Path(__file__).with_name("READERS.md")
READERS: Final = 8
SECONDS: Final = 120.0
BAR: Final = 0.1
CONFIG: Final = """\
home: home
review_packs: 0
sources: [{{ name: aws, type: aws_cur, location: bills }}]
dimensions: {{ team: [{{ tag: {tag} }}] }}
"""
TAGS: Final = ("team", "nobody_uses_this")
ASK: Final = "select workload, sum(effective_cost) from marts.costs_by_workload group by all order by 1"
AGREE: Final = """
select
    (select sum(effective_cost) from marts.costs_by_workload where cost_basis = 'billed')
        is not distinct from (select sum(effective_cost) from ledger.charges_daily)
    and (select count(distinct content) from reference.publication) = 1
    and (select count(*) from marts.costs_by_team where team is not null) > 0
        is not distinct from (select count(*) from computed.attributions where team is not null) > 0
"""


def main() -> int:
    """Run from the command line; exit 1 where a reader erred, saw a mixed state, or waited too long."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.read:
        print(json.dumps(read(chosen.read, chosen.seconds)))
        return 0
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), chosen.readers, chosen.seconds)
    report = written(found, chosen.readers, chosen.seconds, machine((before, os.getloadavg()[0])))
    print(report)
    if chosen.seconds >= SECONDS:
        RESULTS.write_text(report, encoding="utf-8")
    return int(bool(found["errors"] or found["mixed"] or found["p99"] > BAR))


def measured(folder: Path, readers: int, seconds: float) -> dict[str, Any]:
    """Publish in a loop while readers read; give what all of them saw."""
    from examples.sample import write_sample

    write_sample(folder, lines=3000, gcp=False, tokens=False)
    _publish(folder, TAGS[0])
    command = [sys.executable, __file__, "--read", str(folder / "home"), "--seconds", str(seconds)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(readers)]
    publications, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        publications += 1
        _publish(folder, TAGS[publications % 2])
    reports = [json.loads(process.communicate()[0]) for process in started]
    waits = sorted(wait for report in reports for wait in report["waits"])
    return {
        "publications": publications,
        "questions": len(waits),
        "errors": [error for report in reports for error in report["errors"]],
        "mixed": sum(report["mixed"] for report in reports),
        "p50": waits[len(waits) // 2],
        "p99": waits[len(waits) * 99 // 100],
    }


def read(home: Path, seconds: float) -> dict[str, Any]:
    """Ask again and again, each time opening the report anew."""
    from pipelines.warehouse.reader import report

    waits: list[float] = []
    errors: list[str] = []
    mixed, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with report(home) as connection:
                began = time.perf_counter()
                connection.sql(ASK).fetchall()
                waits.append(time.perf_counter() - began)
                mixed += connection.sql(AGREE).fetchall() != [(True,)]
        except Exception as error:  # noqa: BLE001 - whatever a reader meets is what is counted
            errors.append(f"{type(error).__name__}: {error}")
        time.sleep(0.02)
    return {"waits": waits, "errors": errors, "mixed": mixed}


def written(found: dict[str, Any], readers: int, seconds: float, where: str) -> str:
    """Write the results for people."""
    lines = [
        "# Readers while the pipeline publishes",
        "",
        f"{where} {readers} readers, {seconds:.0f} seconds. Written by `benchmarks/readers.py`.",
        "",
        "| | | bar |",
        "|---|---:|---:|",
        f"| publications meanwhile | {found['publications']} | |",
        f"| questions answered | {found['questions']:,} | |",
        f"| errors | {len(found['errors'])} | 0 |",
        f"| mixed states | {found['mixed']} | 0 |",
        f"| median of a mart query | {found['p50'] * 1e3:.1f} ms | |",
        f"| 99th percentile | {found['p99'] * 1e3:.1f} ms | ≤ {BAR * 1e3:.0f} ms |",
        "",
        *sorted(set(found["errors"]))[:5],
    ]
    return "\n".join(lines).rstrip() + "\n"


def _publish(folder: Path, tag: str) -> None:
    from pipelines.cli.run import run_settings
    from pipelines.settings import Settings

    (folder / "apportion.yaml").write_text(CONFIG.format(tag=tag), encoding="utf-8")
    if run_settings(Settings.load(folder / "apportion.yaml")):
        raise SystemExit("a run was refused; see above")


if __name__ == "__main__":
    sys.exit(main())
