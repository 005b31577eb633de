from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.pipelines.conftest import JULY

if TYPE_CHECKING:
    from tests.pipelines.conftest import Company

pytestmark = pytest.mark.pipeline


def deliver_as(company: Company, parts: int) -> None:
    """Write July again: its lines shuffled over so many files."""
    file = company.data_file(JULY)
    lines = pl.read_parquet(file).sample(fraction=1, shuffle=True, seed=parts)
    names = [f"{file.stem}-{number}.parquet" for number in range(parts)]
    size = -(-lines.height // parts)
    for number, name in enumerate(names):
        lines.slice(number * size, size).write_parquet(file.with_name(name))
    manifest = json.loads(company.manifest(JULY).read_text())
    folder = manifest["dataFiles"][0].rpartition("/")[0]
    manifest |= {"executionId": f"in {parts} parts", "dataFiles": [f"{folder}/{name}" for name in names]}
    company.manifest(JULY).write_text(json.dumps(manifest))


def test_running_twice_changes_nothing(copied: Company) -> None:
    before = copied.versions(), copied.publication(), copied.marts()
    answer = copied.apportion("run", "--json")
    assert (answer.status, json.loads(answer.out)["loaded"]) == (0, [])
    assert "Nothing changed" in answer.said
    assert (copied.versions(), copied.publication(), copied.marts()) == before


def test_rebuilding_a_damaged_warehouse_gives_the_same_marts_from_the_same_ledger(copied: Company) -> None:
    before = copied.versions(), copied.marts()
    (copied.home / "warehouse.duckdb").write_bytes(b"this is no database" * 1000)
    copied.run("--rebuild")
    assert copied.publication() == "reports-2.duckdb"
    assert (copied.versions(), copied.marts()) == before


def test_losing_the_warehouse_and_the_report_is_harmless(copied: Company) -> None:
    before = copied.versions(), copied.marts()
    for path in (*copied.home.glob("warehouse.duckdb*"), *copied.home.glob("reports*.duckdb")):
        path.unlink()
    copied.run()
    assert (copied.versions(), copied.marts()) == before


def test_order_and_partitioning_of_the_files_change_nothing(company: Company, copied: Company) -> None:
    deliver_as(copied, parts=3)
    copied.run()
    changed = {month for month, load_id in copied.load_ids().items() if load_id != company.load_ids()[month]}
    assert changed == {("aws", JULY)}
    assert len(copied.ledger.charges.partitions()["aws", JULY].files) == 3
    assert copied.marts() == company.marts()


def test_two_homes_of_the_same_bills_hold_the_same_lines(company: Company, tmp_path: Path) -> None:
    other = company.copy(tmp_path / "other").configure(home="elsewhere")
    assert other.apportion("run").status == 0
    assert other.ledger.root == str(tmp_path / "other" / "elsewhere" / "ledger")
    columns = ["billing_period", "source_file", "source_row"]
    frames = [made.lines().collect().sort(columns) for made in (company, other)]
    assert frames[0].equals(frames[1])
