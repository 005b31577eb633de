"""Measure what it costs to keep going: many rules and keys, one restated month of 36, and a command's start.

.venv/bin/python benchmarks/upkeep.py   # about five minutes on two cores and 2 GB of disk; writes UPKEEP.md
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml

from benchmarks import bill
from benchmarks.load import CONFIG, apportion_run, machine

RESULTS: Final = Path(__file__).with_name("UPKEEP.md")
BARS: Final = {"attribution": 0.10, "restated month": 1.3, "help": 0.300}
LINES, ACCOUNTS, RULES = 10_000_000, 400, 500
# Months of 31 days, because the bill's lines are spread over so many.
MONTHS: Final = [
    datetime(year, month, 1)  # noqa: DTZ001 - CUR timestamps have no zone
    for year in range(2021, 2027)
    for month in (1, 3, 5, 7, 8, 10, 12)
][:36]
RESTATED: Final = MONTHS[17]
A_MONTH: Final = 50_000


def main() -> int:
    """Run from the command line; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "apportion-upkeep")
    parser.add_argument("--attribution", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.attribution:
        print(json.dumps(_attribution(chosen.folder / "keys")))
        return 0
    before = os.getloadavg()[0]
    _lay_keys(chosen.folder / "keys")
    command = [sys.executable, __file__, "--attribution", "--folder", str(chosen.folder)]
    attribution = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    found = {"attribution": attribution, "restated": _restated(chosen.folder / "months"), "help": _help()}
    report = written(found, (before, os.getloadavg()[0]))
    print(report)
    RESULTS.write_text(report, encoding="utf-8")
    return int(bool(missed(found)))


def _lay_keys(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bills = bill.write_bill(folder / "bills", LINES, accounts=ACCOUNTS)
    rules = [_rule(number) for number in range(RULES)]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"rules": rules}), encoding="utf-8")
    config = CONFIG.format(bills=bills) + "rules: [rules.yaml]\n"
    (folder / "apportion.yaml").write_text(config, encoding="utf-8")


def _rule(number: int) -> dict[str, Any]:
    types = list(dict.fromkeys(service.usage_type for service in bill.SERVICES))
    usage_type, account = types[number % len(types)], str(100000000000 + number // len(types))
    return {
        "id": f"upkeep-{number}",
        "workload": "training",
        "evidence": "declared",
        "reason": "One of many.",
        "when": {
            "all": [{"sub_account_id": {"equals": account}}, {"usage_type": {"matches": f"^{re.escape(usage_type)}$"}}]
        },
        "effective_from": "2020-01-01",
        "examples": [{"sub_account_id": account, "usage_type": usage_type}],
    }


def _attribution(folder: Path) -> dict[str, Any]:
    """Load and tag a bill of many keys by many rules; give the processor seconds of both, and of attribution alone."""
    from pipelines.ledger.load import load as load_version
    from pipelines.ledger.tables import Ledger
    from pipelines.orchestration.plan import tagging_of
    from pipelines.settings import Settings
    from pipelines.warehouse.facts import aggregate
    from pipelines.warehouse.reporting import Reporting

    shutil.rmtree(folder / "home", ignore_errors=True)
    settings = Settings.load(folder / "apportion.yaml")
    tagging = tagging_of(settings)
    spent = {"attribution": 0.0}

    def attributed(keys: pl.DataFrame) -> pl.DataFrame:
        began = time.process_time()
        found = tagging.attribute(keys, "aws")
        spent["attribution"] += time.process_time() - began
        return found

    start = time.process_time()
    ledger, source = Ledger.of(settings), settings.open(settings.sources[0].name)
    for version in source.versions():
        load_version(ledger, source, version)
    keys, reporting = 0, Reporting(settings.currency, [])
    for partition in ledger.charges.partitions().values():
        month = aggregate(ledger.charges, partition, tagging.relevant, attributed, reporting)
        keys += month.attributions.height
    spent["whole"] = time.process_time() - start
    shutil.rmtree(folder / "home")
    return {**spent, "keys": keys, "rules": len(tagging.rulebook.rules)}


def _restated(folder: Path) -> dict[str, Any]:
    """Run 36 months, restate one of them, and run again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for month in MONTHS:
        bills = bill.write_bill(folder / "bills", A_MONTH, month, accounts=5)
    (folder / "apportion.yaml").write_text(CONFIG.format(bills=bills) + "review_packs: 0\n", encoding="utf-8")
    first, steps = apportion_run(folder)
    period = f"BILLING_PERIOD={RESTATED:%Y-%m}"
    for part in ("metadata", "data"):
        shutil.rmtree(folder / "bills" / bill.EXPORT / part / period)
    bill.write_bill(folder / "bills", A_MONTH + 1, RESTATED, accounts=5)
    (manifest,) = (folder / "bills" / bill.EXPORT / "metadata" / period).glob("*.json")
    delivery = json.loads(manifest.read_text(encoding="utf-8")) | {"executionId": "00000001"}
    manifest.write_text(json.dumps(delivery), encoding="utf-8")
    again, steps_again = apportion_run(folder)
    return {
        "first": first,
        "again": again,
        "a month": sum(_of_months(steps).values()) / len(MONTHS),
        "restated month": sum(_of_months(steps_again).values()),
        "months": len({name.partition(":")[0] for name in _of_months(steps_again)}),
    }


def _of_months(steps: dict[str, float]) -> dict[str, float]:
    return {
        name: seconds for name, seconds in steps.items() if name.endswith((": loading", ": tagging and aggregating"))
    }


def _help() -> float:
    command = [str(Path(sys.executable).with_name("apportion")), "--help"]
    times = []
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def _measures(found: dict[str, Any]) -> dict[str, float]:
    restated = found["restated"]
    return {
        "attribution": found["attribution"]["attribution"] / found["attribution"]["whole"],
        "restated month": restated["restated month"] / restated["a month"],
        "help": found["help"],
    }


def missed(found: dict[str, Any]) -> list[str]:
    """Name the bars that are not met."""
    late = [name for name, measure in _measures(found).items() if measure > BARS[name]]
    return late + (["months loaded again"] if found["restated"]["months"] != 1 else [])


def written(found: dict[str, Any], busy: tuple[float, float]) -> str:
    """Write the results for people."""
    share, month, start = _measures(found).values()
    of, restated = found["attribution"], found["restated"]
    about = f"{of['keys']:,} keys, {of['rules']} rules, {of['attribution']:.1f} of {of['whole']:.1f} processor seconds"
    rows = [
        (f"attribution's share of loading and tagging {LINES:,} lines ({about})", f"{share:.1%}", "≤ 10 %"),
        (f"{len(MONTHS)} months of {A_MONTH:,} lines: first run", f"{restated['first']:.1f} s", ""),
        ("one restated: next run, with marts and publishing of all months", f"{restated['again']:.1f} s", ""),
        ("months loaded and tagged again", f"{restated['months']}", "1"),
        ("loading and tagging it, beside an average month of the first run", f"{month:.2f}", "≤ 1.3"),
        ("starting the command line, by its help", f"{start * 1000:.0f} ms", "≤ 300 ms"),
    ]
    return "\n".join(
        [
            "# What it costs to keep going",
            "",
            f"{machine(busy)} Written by `benchmarks/upkeep.py`.",
            "",
            "| | measured | bar |",
            "|---|---:|---:|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            f"Missed: {', '.join(missed(found))}." if missed(found) else "Every bar is met.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
