from __future__ import annotations

import gzip
import json
import re
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.pipelines.conftest import AUGUST, JULY, Answer, Company

pytestmark = pytest.mark.pipeline

# Months of one source, each damaged in its own way, and two that are fine; whole sources whose manifest is wrong.
MONTHS = {name: date(2026, number, 1) for number, name in enumerate(("cut", "corrupt", "column", "nan", "month"), 1)}
LISTED = {
    "steps-upwards": "../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "not-there": "s3://bills/exports/data/BILLING_PERIOD=2026-08/late.parquet",
}
SOURCES = [
    {"name": "bad", "type": "aws_cur", "location": "bad"},
    {"name": "good", "type": "aws_cur", "location": "good/bill.csv.gz"},
]
MANIFESTS = [{"name": name, "type": "aws_cur", "location": name} for name in LISTED]
LOADED = "select source, billing_period, billed_cost_loaded from marts.reconciliation order by all"


def lines(month: date, price: float) -> pl.DataFrame:
    """Bill three hours of a machine."""
    start = datetime(month.year, month.month, 1)  # noqa: DTZ001 - AWS writes UTC without a zone
    one: dict[str, object] = {
        "bill_billing_entity": "AWS",
        "bill_billing_period_start_date": start,
        "bill_invoice_id": "1",
        "bill_payer_account_id": "111122223333",
        "line_item_currency_code": "USD",
        "line_item_line_item_description": "p5.48xlarge by the hour",
        "line_item_line_item_type": "Usage",
        "line_item_operation": "RunInstances",
        "line_item_product_code": "AmazonEC2",
        "line_item_unblended_cost": price,
        "line_item_usage_account_id": "111122223333",
        "line_item_usage_amount": 1.0,
        "line_item_usage_start_date": start,
        "line_item_usage_end_date": start.replace(hour=1),
        "line_item_usage_type": "BoxUsage:p5.48xlarge",
    }
    return pl.DataFrame([one] * 3)


def file_of(export: Path, month: date) -> Path:
    return export / "data" / f"BILLING_PERIOD={month:%Y-%m}" / "exports-00001.parquet"


def deliver(export: Path, month: date, frame: pl.DataFrame, listed: str = "", execution: str = "1") -> None:
    file = file_of(export, month)
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file)
    manifest = export / "metadata" / file.parent.name / "exports-Manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    key = listed or f"s3://bills/exports/{file.relative_to(export).as_posix()}"
    manifest.write_text(json.dumps({"executionId": execution, "dataFiles": [key]}))


def deliver_good(folder: Path, price: float) -> Path:
    file = folder / "good" / "bill.csv.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(lines(JULY, price).write_csv().encode(), mtime=0))
    return file


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Two sources, one with two months, all loaded."""
    made = Company(tmp_path_factory.mktemp("bad") / "loaded").configure(sources=SOURCES)
    for month in (JULY, AUGUST):
        deliver(made.folder / "bad", month, lines(month, 10))
    deliver_good(made.folder, 1)
    made.run()
    return made


@pytest.fixture
def redelivered(loaded: Company, tmp_path: Path) -> Company:
    """Every month has been delivered again, at another price."""
    made = loaded.copy(tmp_path / "copy")
    for month in (JULY, AUGUST):
        deliver(made.folder / "bad", month, lines(month, 20), execution="2")
    deliver_good(made.folder, 2)
    return made


@dataclass(frozen=True)
class Refused:
    """A company with everything wrong at once, what was loaded before, and what a run said of it."""

    company: Company
    before: dict[tuple[str, date], str]
    answer: Answer

    def line(self, source: str, part: str = "") -> str:
        """Give the one line that refuses a source or a month of it."""
        (found,) = [
            line for line in self.answer.said.splitlines() if line.startswith(f"refused: {source}: ") and part in line
        ]
        return found


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """Everything has been loaded once, at 10 a line; then everything is delivered again, at 20 and damaged."""
    made = Company(tmp_path_factory.mktemp("refused") / "company").configure(sources=SOURCES + MANIFESTS)
    bad = made.folder / "bad"
    for month in (*MONTHS.values(), JULY, AUGUST):
        deliver(bad, month, lines(month, 10))
    for name in LISTED:
        deliver(made.folder / name, AUGUST, lines(AUGUST, 10))
    good = deliver_good(made.folder, 10)
    made.run()
    before = made.load_ids()

    for month in (*MONTHS.values(), JULY):
        deliver(bad, month, lines(month, 20), execution="2")
    file = file_of(bad, MONTHS["cut"])
    file.write_bytes(file.read_bytes()[:-100])
    file = file_of(bad, MONTHS["corrupt"])
    file.write_bytes(file.read_bytes()[:4] + bytes(200) + file.read_bytes()[204:])
    usual = lines(MONTHS["column"], 20).drop("line_item_usage_type")
    deliver(bad, MONTHS["column"], usual, execution="2")
    cost = pl.when(pl.int_range(pl.len()) == 1).then(float("nan")).otherwise("line_item_unblended_cost")
    frame = lines(MONTHS["nan"], 20).with_columns(line_item_unblended_cost=cost)
    deliver(bad, MONTHS["nan"], frame, execution="2")
    deliver(bad, MONTHS["month"], lines(JULY, 20), execution="2")
    for name, listed in LISTED.items():
        deliver(made.folder / name, AUGUST, lines(AUGUST, 20), listed=listed, execution="2")
    deliver_good(made.folder, 20)
    good.write_bytes(good.read_bytes()[:-20])
    return Refused(made, before, made.apportion("run"))


# What is wrong with a month of `bad` → what a person must read to find it.
DAMAGED: dict[str, tuple[str, ...]] = {
    "cut": ("exports-00001.parquet", "damaged"),
    "corrupt": ("exports-00001.parquet", "damaged"),
    "column": (
        "exports-00001.parquet",
        "column 'line_item_usage_type' is missing",
        "nearest is 'line_item_usage_amount'",
    ),
    "nan": ("exports-00001.parquet", "row 2, column line_item_unblended_cost", "is no amount of money"),
    "month": ("exports-00001.parquet", "row 1, column bill_billing_period_start_date", "is not of 2026-05"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_bad_month_is_refused_with_its_file_and_keeps_what_was_loaded(refused: Refused, damage: str) -> None:
    month = MONTHS[damage]
    line = refused.line("bad", f"BILLING_PERIOD={month:%Y-%m}/")
    assert all(part in line for part in DAMAGED[damage]), line
    assert refused.company.load_ids()["bad", month] == refused.before["bad", month]


@pytest.mark.parametrize(
    ("source", "says"),
    {
        "steps-upwards": "'../../../../etc/passwd' would leave the landing folder; nothing was fetched",
        "absolute": "'/etc/passwd' would leave the landing folder; nothing was fetched",
        "not-there": "late.parquet', which is not there",
    }.items(),
)
def test_a_bad_manifest_refuses_its_source_and_keeps_what_was_loaded(refused: Refused, source: str, says: str) -> None:
    line = refused.line(source)
    assert "BILLING_PERIOD=2026-08/exports-Manifest.json" in line
    assert says in line
    assert refused.company.load_ids()[source, AUGUST] == refused.before[source, AUGUST]


def test_what_is_refused_keeps_no_other_month_from_loading_until_all_is_repaired(refused: Refused) -> None:
    assert refused.answer.status == 1
    assert len([line for line in refused.answer.said.splitlines() if "refused" in line or "rror" in line]) == 9
    line = refused.line("good")
    assert "bill.csv.gz" in line
    assert "damaged" in line
    kept = {("bad", month): 30 for month in (*MONTHS.values(), AUGUST)} | {("bad", JULY): 60, ("good", JULY): 30}
    kept |= {(name, AUGUST): 30 for name in LISTED}
    company = refused.company.copy(refused.company.folder.with_name("repaired"))
    assert {(source, month): cost for source, month, cost in company.ask(LOADED)} == kept

    for month in MONTHS.values():
        deliver(company.folder / "bad", month, lines(month, 20), execution="2")
    for name in LISTED:
        deliver(company.folder / name, AUGUST, lines(AUGUST, 20), execution="2")
    deliver_good(company.folder, 20)
    company.run()
    repaired = {month: cost * 2 for month, cost in kept.items()} | {("bad", AUGUST): 30, ("bad", JULY): 60}
    assert {(source, month): cost for source, month, cost in company.ask(LOADED)} == repaired


def test_where_everything_is_refused_nothing_changes(redelivered: Company) -> None:
    for file in redelivered.folder.rglob("*Manifest.json"):
        file.write_text("{")
    (redelivered.folder / "good" / "bill.csv.gz").write_bytes(b"")
    before = redelivered.versions(), redelivered.publication(), redelivered.marts()
    answer = redelivered.apportion("run")
    assert answer.status == 1
    assert "is no manifest of an AWS export" in answer.said
    assert "the file is empty" in answer.said
    assert "Traceback" not in answer.said
    assert (redelivered.versions(), redelivered.publication(), redelivered.marts()) == before


def test_a_first_run_that_is_refused_loads_nothing(tmp_path: Path) -> None:
    made = Company(tmp_path / "new").configure(sources=SOURCES[1:])
    deliver_good(made.folder, 1).write_bytes(b"\x1f\x8b nothing")
    answer = made.apportion("run")
    assert answer.status == 1
    assert "refused: good: " in answer.said
    assert made.load_ids() == {}
    assert made.ask(LOADED) == []
    deliver_good(made.folder, 1)
    made.run()
    assert made.ask(LOADED) == [("good", JULY, 3)]


def test_a_folder_that_is_missing_refuses_its_source_and_no_other(redelivered: Company) -> None:
    """It may only not be mounted, so it is no wrong call: what is there gets loaded, and the status is 1."""
    (redelivered.folder / "bad").rename(redelivered.folder / "elsewhere")
    before = redelivered.load_ids()
    answer = redelivered.apportion("run")
    assert answer.status == 1
    missing = f"location {redelivered.folder / 'bad'}: there is no such file or folder. Correct it, or wait"
    assert f"refused: bad: {missing}" in answer.said
    assert "Traceback" not in answer.said
    changed = {month for month, load_id in redelivered.load_ids().items() if before[month] != load_id}
    assert {source for source, _ in changed} == {"good"}


def test_a_ledger_that_cannot_be_reached_is_said_once_and_soon(loaded: Company, tmp_path: Path) -> None:
    company = loaded.copy(tmp_path / "copy")
    options = {"aws_endpoint_url": "http://127.0.0.1:9", "aws_allow_http": "true", "aws_region": "us-east-1"}
    options |= {"aws_access_key_id": "testing", "aws_secret_access_key": "canary-secret"}
    company.configure(sources=SOURCES, ledger="s3://ledger/apportion", ledger_options=options)
    began = time.monotonic()
    answer = company.apportion("run")
    assert time.monotonic() - began < 30
    assert answer.status == 1
    assert re.search(r"error: s3://ledger/apportion/\w+: the ledger cannot be reached. Check `ledger`", answer.said)
    assert "Connection refused" in answer.said
    assert "canary-secret" not in answer.said
    assert "Traceback" not in answer.said


def test_one_bill_in_two_currencies_needs_a_rate_for_each(redelivered: Company) -> None:
    euro = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("EUR")).otherwise(pl.lit("USD"))
    deliver(
        redelivered.folder / "bad", AUGUST, lines(AUGUST, 20).with_columns(line_item_currency_code=euro), execution="2"
    )
    before = redelivered.publication()
    answer = redelivered.apportion("run")
    assert answer.status == 1
    assert "bad 2026-08: the bill is in EUR, the report in USD, and there is no rate" in answer.said
    assert redelivered.publication() == before


def test_a_bill_in_a_currency_without_a_rate_keeps_the_last_report(redelivered: Company) -> None:
    frame = lines(AUGUST, 20).with_columns(line_item_currency_code=pl.lit("EUR"))
    deliver(redelivered.folder / "bad", AUGUST, frame, execution="2")
    before = redelivered.publication(), redelivered.marts()
    answer = redelivered.apportion("run")
    assert answer.status == 1
    assert "bad 2026-08: the bill is in EUR, the report in USD" in answer.said
    assert "Traceback" not in answer.said
    assert (redelivered.publication(), redelivered.marts()) == before
    rates = [{"currency": "EUR", "rate": "1.25", "effective_from": "2026-01-01"}]
    redelivered.configure(sources=SOURCES, exchange_rates=rates).run()
    billed = "select billing_period, sum(billed_cost) from marts.costs_by_workload group by all order by all"
    assert redelivered.ask(billed) == [(JULY, 66), (AUGUST, 75)]
