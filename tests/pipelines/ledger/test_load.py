from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import csv_blocks
from connectors.aws_cur import AwsCur
from connectors.source import Landed, SourceFile, SourceVersion, Totals
from models.errors import BadInput, Refused
from models.facts import Fact
from models.money import MONEY
from pipelines.ledger.load import load, reconcile
from pipelines.ledger.tables import Ledger
from tests.connectors.bills import legacy_report, line

JULY = date(2026, 7, 1)


def totals(lines: int = 2, billed: str = "3.5") -> Totals:
    amount = {"billed_cost": Decimal(billed)}
    return Totals(lines=lines, split_lines=0, quantized=amount, exact=amount, is_final=True)


class Bill:
    """A source of two lines of 1.25 and 2.25; what it says its files sum to is up to the test."""

    name = "aws"

    def __init__(self, said: Totals, fingerprint: str = "first") -> None:
        self._said = said
        self._version = SourceVersion(JULY, fingerprint, [])

    def versions(self) -> Sequence[SourceVersion]:
        return [self._version]

    def fetch(self, version: SourceVersion) -> Landed:
        return Landed(version, [])

    def totals(self, landed: Landed) -> Totals:
        assert landed.version is self._version
        return self._said

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        assert landed.version is self._version
        start = datetime(2026, 7, 1, tzinfo=UTC)
        texts = {"source_file": "a", "provider_name": "AWS", "billing_account_id": "1", "billing_currency": "USD"}
        frame = pl.LazyFrame({"source_row": [1, 2], "billed_cost": ["1.25", "2.25"]}).with_columns(
            pl.col("billed_cost").cast(MONEY),
            usage_period=pl.lit(JULY),
            charge_category=pl.lit("Usage"),
            charge_period_start=pl.lit(start),
            charge_period_end=pl.lit(start),
            effective_cost=pl.lit(0).cast(MONEY),
            net_cost=pl.lit(0).cast(MONEY),
            **{name: pl.lit(text) for name, text in texts.items()},
        )
        return {Fact.CHARGES: [frame]}


def test_a_load_is_recorded_with_what_it_read_and_kept(tmp_path: Path) -> None:
    ledger, bill = Ledger(str(tmp_path)), Bill(totals())
    done = load(ledger, bill, bill.versions()[0])
    assert (done.lines, done.billed_cost, done.is_final) == (2, Decimal("3.5"), True)
    (record,) = ledger.current_loads().rows(named=True)
    assert record["load_id"] == ledger.charges.partitions()["aws", JULY].load_id == done.load_id
    assert (record["lines_read"], record["lines_loaded"], record["billing_currency"]) == (2, 2, "USD")
    assert record["billed_cost_read"] == record["billed_cost_loaded"] == Decimal("3.5")
    assert (record["quantization_residual"], record["fingerprint"]) == (0, "first")


@pytest.mark.parametrize(
    ("said", "figures"),
    [
        (totals(lines=3), "lines: read 3, written 2"),
        (totals(billed="3.510000000000"), "billed_cost: read 3.510000000000, written 3.500000000000"),
        (totals(billed="3.500000000001"), "billed_cost: read 3.500000000001, written 3.500000000000"),
    ],
    ids=["a line", "a cent", "the last digit"],
)
def test_a_load_that_loses_anything_is_refused_with_figures_and_changes_nothing(
    tmp_path: Path, said: Totals, figures: str
) -> None:
    ledger, first, second = Ledger(str(tmp_path)), Bill(totals()), Bill(said, "second")
    load(ledger, first, first.versions()[0])
    before = ledger.charges.open().version(), ledger.loads.open().version(), ledger.current_loads()
    with pytest.raises(Refused) as refused:
        load(ledger, second, second.versions()[0])
    assert "aws 2026-07" in str(refused.value)
    assert figures in str(refused.value)
    after = ledger.charges.open().version(), ledger.loads.open().version(), ledger.current_loads()
    assert after[:2] == before[:2]
    assert after[2].equals(before[2])


def test_every_difference_is_named() -> None:
    read = {"lines": 2, "split_lines": 0, "billed_cost": Decimal("3.5")}
    kept = {"lines": 1, "split_lines": 4, "billed_cost": Decimal(2)}
    with pytest.raises(Refused) as refused:
        reconcile("aws 2026-07", read, kept)
    for part in ("lines: read 2, written 1", "split_lines: read 0, written 4", "billed_cost: read 3.5, written 2"):
        assert part in str(refused.value)


def test_a_record_whose_load_never_became_current_does_not_count(tmp_path: Path) -> None:
    ledger, bill = Ledger(str(tmp_path)), Bill(totals())
    done = load(ledger, bill, bill.versions()[0])
    loads = ledger.loads
    record = loads.scan(loads.partitions()["aws", JULY].files).drop("source", "billing_period")
    killed = record.with_columns(load_id=pl.lit("killed"), fingerprint=pl.lit("second"))
    loads.commit(loads.write("aws", JULY, "killed", [killed]), mode="append", facts={})
    assert ledger.current_loads()["load_id"].to_list() == [done.load_id]


class Damaged(Bill):
    """A bill of two files; what is wrong with them comes out only while they are read."""

    def __init__(self, fault: BaseException, *, is_late: bool) -> None:
        super().__init__(totals())
        files = [SourceFile("whole.parquet"), SourceFile("broken.parquet")]
        self._version = SourceVersion(JULY, "second", files)
        self._fault, self._is_late = fault, is_late

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        if not self._is_late:
            raise self._fault
        (frame,) = super().read(landed)[Fact.CHARGES]

        def fail(_: pl.DataFrame) -> pl.DataFrame:
            raise self._fault

        return {Fact.CHARGES: [frame, frame.map_batches(fail)]}


@pytest.mark.parametrize("is_late", [False, True], ids=["asking for columns", "streaming"])
def test_what_polars_cannot_read_names_the_file_and_changes_nothing(tmp_path: Path, is_late: bool) -> None:
    ledger, bill = Ledger(str(tmp_path)), Bill(totals())
    before = load(ledger, bill, bill.versions()[0])
    damaged = Damaged(pl.exceptions.InvalidOperationError("cannot cast List type\nResolved plan"), is_late=is_late)
    with pytest.raises(BadInput, match=r"broken\.parquet: the file is damaged .*cannot cast List type\)"):
        load(ledger, damaged, damaged.versions()[0])
    assert ledger.charges.partitions()["aws", JULY].load_id == before.load_id


def test_a_full_disk_is_not_taken_for_a_damaged_file(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    full = "parquet: File out of specification: underlying IO error: No space left on device (os error 28)"
    damaged = Damaged(pl.exceptions.ComputeError(full), is_late=True)
    with pytest.raises(Refused, match=r"charges: cannot be written \(No space left on device \(os error 28\)\)"):
        load(ledger, damaged, damaged.versions()[0])
    assert ledger.charges.partitions() == {}


def short(text: str) -> bytes:
    return gzip.compress(f"{text}AWS,2026-01-01T00:00:00Z\n".encode())


def cut(text: str) -> bytes:
    return gzip.compress(text.encode())[:-40]


def no_amount(text: str) -> bytes:
    return gzip.compress(text.replace("0.0052,", "0.00x2,", 1).encode())


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (short, r"report-2\.csv\.gz: the file is damaged .*Expected 16 columns, got 2: AWS,2026-01-01T00:00:00Z"),
        (cut, r"report-2\.csv\.gz: the file is damaged"),
        (no_amount, r"report-2\.csv\.gz, row 1, column lineItem/UnblendedCost: '0\.00x2' is no amount of money"),
    ],
)
def test_a_csv_is_parsed_once_and_what_is_wrong_with_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: Callable[[str], bytes], said: str
) -> None:
    parsed: list[str] = []
    parse = csv_blocks.blocks

    def counted(path: Path, columns: Sequence[str]) -> Iterator[csv_blocks.Block]:
        parsed.append(path.name)
        return parse(path, columns)

    monkeypatch.setattr(csv_blocks, "blocks", counted)
    monkeypatch.setattr(csv_blocks, "BLOCK", 1 << 12)
    lines = [line(line_item_resource_id=None if number % 7 else f"i-{number}\n") for number in range(500)]
    legacy_report(tmp_path / "bills", lines, lines)
    ledger, bill = Ledger(str(tmp_path / "ledger")), AwsCur("aws", _options(tmp_path), tmp_path / "landing", _bytes)
    (version,) = bill.versions()
    before = load(ledger, bill, version)
    assert (before.lines, before.billed_cost) == (1000, Decimal("5.2"))
    assert parsed == ["report-1.csv.gz", "report-2.csv.gz"]

    last = next((tmp_path / "bills").rglob("report-2.csv.gz"))
    last.write_bytes(damaged(gzip.decompress(last.read_bytes()).decode()))
    (version,) = bill.versions()
    with pytest.raises(BadInput, match=said):
        load(ledger, bill, version)
    assert ledger.charges.partitions()["aws", date(2026, 1, 1)].load_id == before.load_id


def _options(folder: Path) -> Any:
    return AwsCur.Options(location=str(folder / "bills"))


def _bytes(_count: int) -> None:
    pass


def test_a_clock_that_was_set_back_keeps_no_older_load_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, old, new = Ledger(str(tmp_path)), Bill(totals()), Bill(totals(), "second")
    load(ledger, old, old.versions()[0])

    class Back(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Back:
            return cls(2001, 9, 9, tzinfo=tz)

    monkeypatch.setattr("pipelines.ledger.load.datetime", Back)
    monkeypatch.setattr("pipelines.ledger.tables.datetime", Back)
    monkeypatch.setattr("pipelines.ledger.delta.time.time", lambda: 1e9)
    load(ledger, new, new.versions()[0])
    (current,) = ledger.current_loads().rows(named=True)
    assert (current["fingerprint"], current["loaded_at"].year) == ("second", 2001)
    assert ledger.loaded_versions("aws") == {JULY: "second"}
