"""An upgrade, and getting back from a backup: what was loaded stays, and says what it said."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.pipelines.conftest import AUGUST, JULY, Company

pytestmark = pytest.mark.pipeline

HERE = Path(__file__)
OPERATIONS = HERE.parents[3] / "docs" / "operations.md"
# A configuration, its bills and its ledger as commit 5906694 wrote them: two months, July closed by Ada. What that
# commit's marts said of them:
BEFORE = [
    (JULY, "inference", Decimal("3.25")),
    (JULY, "training", Decimal("12.50")),
    (JULY, "unattributed", Decimal("196.64")),
    (AUGUST, "inference", Decimal("3.25")),
    (AUGUST, "unattributed", Decimal("98.32")),
]
SPLIT = "select billing_period, workload, sum(effective_cost) from marts.costs_by_workload group by all order by all"


@pytest.fixture
def upgraded(tmp_path: Path) -> Company:
    with tarfile.open(HERE.with_name("ledger-of-5906694.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    return Company(tmp_path)


def pinned(company: Company) -> list[tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]]:
    """Give each pin in force with the lines and the tags it stands on; what they do not have is left out."""
    ledger, found = company.ledger, []
    for pin in ledger.pins().rows(named=True):
        month = pin["source"], pin["billing_period"]
        frames = [
            table.scan(table.partitions(pin[version])[month].files).collect()
            for table, version in ((ledger.charges, "charges_version"), (ledger.attributions, "attributions_version"))
        ]
        lines, tags = (
            frame.select(sorted(column.name for column in frame if column.null_count() < frame.height))
            for frame in frames
        )
        said = {name: value for name, value in pin.items() if value is not None}
        found.append((said, lines.sort("source_row"), tags.sort("key_id")))
    return found


def test_the_ledger_of_an_earlier_release_gives_the_same_figures(upgraded: Company) -> None:
    loads = upgraded.load_ids()
    assert set(loads) == {("aws", JULY), ("aws", AUGUST)}
    before = pinned(upgraded)
    upgraded.run()
    assert upgraded.ask(SPLIT) == BEFORE
    said = upgraded.ask("select billing_period, lines_loaded, is_reconciled from marts.reconciliation order by all")
    assert said == [(JULY, 4, True), (AUGUST, 2, True)]
    # Its columns are a part of today's, and what is new is null in its lines.
    assert upgraded.lines().collect().height == 6
    # Every closed month keeps its pin, and the lines and tags it was closed with; the report shows it with these.
    after = pinned(upgraded)
    assert [pin for pin, *_ in after] == [pin for pin, *_ in before]
    for (_, *kept), (_, *found) in zip(before, after, strict=True):
        assert all(one.equals(other) for one, other in zip(kept, found, strict=True))
    ((pin, lines, tags),) = before
    assert (pin["billing_period"], pin["pinned_by"], pin["reason"]) == (JULY, "ada", "July is closed")
    assert lines.height == 4
    told = ["key_id", "workload", "evidence", "attribution_rule_id"]
    shown = f"select {', '.join(told)} from computed.attributions where billing_period = '{JULY}' order by 1"
    assert upgraded.ask(shown) == tags.select(told).rows() != []
    assert "Nothing changed" in upgraded.apportion("run").said


def test_doctor_looks_at_an_earlier_ledger_before_anything_is_run_and_changes_nothing(upgraded: Company) -> None:
    before = {path: path.read_bytes() for path in upgraded.home.rglob("*") if path.is_file()}
    answer = upgraded.apportion("doctor")
    assert "2 months of 1 sources are loaded" in answer.out + answer.said
    after = {path: path.read_bytes() for path in upgraded.home.rglob("*") if path.is_file() and path.name != ".lock"}
    assert {path for path in after if after[path] != before.get(path)} == set()


@pytest.mark.skipif(not shutil.which("flock"), reason="the documented command needs flock")
def test_the_documented_backup_restored_into_an_empty_folder_says_what_it_said(copied: Company, tmp_path: Path) -> None:
    (copied.home / "closed").mkdir()
    (copied.home / "landing").mkdir(exist_ok=True)
    (command,) = re.findall(
        r"^flock --exclusive.*?apportion/landing$", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL
    )
    subprocess.run(["sh", "-c", command], cwd=copied.folder, check=True)
    restored = Company(tmp_path / "restored")
    restored.folder.mkdir()
    subprocess.run(["tar", "-xzf", str(copied.folder / "backup.tar.gz")], cwd=restored.folder, check=True)
    shutil.copytree(copied.folder / "bills", restored.folder / "bills")  # they are the provider's, not ours
    restored.run("--rebuild")
    assert restored.marts() == copied.marts()
    assert restored.load_ids() == copied.load_ids()
