from __future__ import annotations

from datetime import date, datetime, tzinfo
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from models.errors import Refused
from models.facts import Schema
from models.money import MONEY, known_sum
from pipelines.ledger import tables
from pipelines.ledger.delta import Table
from pipelines.ledger.tables import Ledger

JULY, AUGUST = date(2026, 7, 1), date(2026, 8, 1)
COLUMNS: Schema = {"name": pl.String, "tags": pl.Map(pl.String, pl.String), "billed_cost": MONEY, "never": pl.String}


def rows(*costs: int) -> pl.LazyFrame:
    frame = pl.LazyFrame({"name": [str(cost) for cost in costs], "billed_cost": list(costs)})
    return frame.with_columns(pl.col("billed_cost").cast(MONEY))


def put(table: Table, month: date, load_id: str, *frames: pl.LazyFrame) -> int:
    adds = table.write("aws", month, load_id, frames)
    return table.commit(adds, mode="overwrite", partition=("aws", month), facts={"load_id": load_id})


def billed(table: Table) -> dict[date, Decimal]:
    files = [path for partition in table.partitions().values() for path in partition.files]
    sums = table.scan(files).group_by("billing_period").agg(pl.col("billed_cost").sum()).collect()
    return dict(sums.iter_rows())


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path), "charges", COLUMNS)


def test_a_load_replaces_its_whole_partition_and_no_other(table: Table) -> None:
    put(table, JULY, "first", rows(1, 2), rows(4))
    put(table, AUGUST, "other", rows(10))
    put(table, JULY, "second", rows(5))
    assert billed(table) == {JULY: 5, AUGUST: 10}
    assert table.partitions()["aws", JULY].load_id == "second"


def test_an_older_version_stays_readable(table: Table) -> None:
    version = put(table, JULY, "first", rows(1, 2))
    put(table, JULY, "second", rows(5))
    assert table.partitions(version)["aws", JULY].load_id == "first"
    assert table.scan(table.partitions(version)["aws", JULY].files).collect().height == 2


def test_files_of_a_load_that_never_committed_are_not_seen(table: Table) -> None:
    put(table, JULY, "first", rows(1))
    table.write("aws", JULY, "crashed", [rows(100)])
    assert billed(table) == {JULY: 1}


def test_a_file_that_vanished_before_the_commit_is_refused(table: Table, tmp_path: Path) -> None:
    put(table, JULY, "first", rows(1))

    class Vanishing(Table):
        def _verified(self, written, source, period):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            (Path(self.uri) / written.path).unlink()
            return super()._verified(written, source, period)

    with pytest.raises(Refused, match="written but not there"):
        Vanishing(str(tmp_path), "charges", COLUMNS).write("aws", JULY, "second", [rows(5)])
    assert billed(table) == {JULY: 1}


def test_columns_a_source_never_fills_are_null(table: Table) -> None:
    put(table, JULY, "first", rows(1))
    found = table.scan(table.partitions()["aws", JULY].files).collect()
    assert found.columns == ["source", "billing_period", *COLUMNS]
    assert found["never"].null_count() == found["tags"].null_count() == 1


def test_a_column_the_code_learns_later_is_added_and_null_in_older_files(table: Table, tmp_path: Path) -> None:
    put(table, JULY, "first", rows(1))
    newer = Table(str(tmp_path), "charges", {**COLUMNS, "learned": pl.Date})
    put(newer, AUGUST, "second", rows(2).with_columns(learned=pl.lit(AUGUST)))
    files = [path for partition in newer.partitions().values() for path in partition.files]
    assert dict(newer.scan(files).select("billing_period", "learned").collect().iter_rows()) == {
        JULY: None,
        AUGUST: AUGUST,
    }


def test_who_loaded_what_stays_in_the_history(table: Table) -> None:
    put(table, JULY, "first", rows(1))
    assert table.history()[0]["load_id"] == "first"


def test_vacuum_keeps_the_last_versions_and_every_pin(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))

    def load(load_id: str, cost: int) -> None:
        frame = rows(cost).select("billed_cost")
        adds = ledger.charges.write("aws", JULY, load_id, [frame])
        ledger.charges.commit(adds, mode="overwrite", partition=("aws", JULY), facts={"load_id": load_id})

    load("first", 1)
    ledger.pin("aws", JULY, by="someone", reason="July is closed")
    load("second", 2)
    load("third", 3)
    ledger.charges.write("aws", JULY, "crashed", [rows(100).select("billed_cost")])
    removed = ledger.vacuum(keep_last=1)
    assert {Path(path).name for path in removed} == {"second-00001.parquet", "crashed-00001.parquet"}
    pinned = ledger.pins()["charges_version"].item()
    assert ledger.charges.scan(ledger.charges.partitions(pinned)["aws", JULY].files).collect()["billed_cost"][0] == 1


def test_a_clock_that_was_set_back_does_not_close_a_reopened_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.pin("aws", JULY, by="someone", reason="July is closed")

    class Back(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Back:
            return cls(2001, 9, 9, tzinfo=tz)

    monkeypatch.setattr(tables, "datetime", Back)
    ledger.reopen("aws", JULY, by="someone", reason="a credit came late")
    assert ledger.acts()["is_reopening"].to_list() == [False, True]
    assert ledger.pins().is_empty()


@pytest.mark.parametrize("count", [1, 6, 7, 20])
def test_sums_of_however_many_files_are_those_of_all_at_once(table: Table, count: int) -> None:
    amounts = [(number % 3, None if number % 3 == 2 else number) for number in range(count)]
    frames = [
        pl.LazyFrame({"name": [None if name == 1 else str(name)], "billed_cost": [cost]}).cast({"billed_cost": MONEY})
        for name, cost in amounts
    ]
    put(table, JULY, "first", *frames)
    files = table.partitions()["aws", JULY].files
    assert len(files) == count

    def query(lines: pl.LazyFrame) -> pl.LazyFrame:
        stated = pl.when(pl.col("billed_cost").is_not_null().any()).then(pl.col("billed_cost").sum())
        return lines.group_by("name").agg(billed_cost=stated, lines=pl.len().cast(pl.Int64))

    by_plain_python: dict[str | None, tuple[Decimal | None, int]] = {}
    for name, cost in amounts:
        key = None if name == 1 else str(name)
        before, lines = by_plain_python.get(key, (None, 0))
        total = before if cost is None else Decimal(cost) + (before or 0)
        by_plain_python[key] = total, lines + 1
    found = table.summed(files, query, ["name"])
    assert {name: (cost, lines) for name, cost, lines in found.iter_rows()} == by_plain_python


def test_sums_over_many_files_are_those_over_all_at_once(table: Table) -> None:
    """More files than are asked at once, whose groups come again, are new, or state no amount."""
    put(table, JULY, "load", *(rows(number % 5, number, 7) for number in range(20)))
    files = table.files()
    unknown = pl.when(pl.col("name") != "7").then("billed_cost").alias("stated")

    def query(lines: pl.LazyFrame) -> pl.LazyFrame:
        return lines.with_columns(unknown).group_by("name").agg(known_sum("billed_cost"), known_sum("stated"))

    whole = query(table.scan(files)).collect()
    found = table.summed(files, query, ("name",))
    assert found.sort("name").equals(whole.sort("name"))
    assert found.filter(name="7").select("billed_cost", "stated").rows() == [(147, None)]
    total = table.summed(files, lambda lines: lines.select(pl.col("billed_cost").sum()), ())
    assert total.item() == whole["billed_cost"].sum()
