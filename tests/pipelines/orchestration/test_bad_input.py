from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.pipelines.conftest import AUGUST, JULY, Company

pytestmark = pytest.mark.pipeline

SOURCES = [
    {"name": "bad", "type": "aws_cur", "location": "bad"},
    {"name": "good", "type": "aws_cur", "location": "good/bill.csv.gz"},
]
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


def file_of(folder: Path, month: date) -> Path:
    return folder / "bad" / "data" / f"BILLING_PERIOD={month:%Y-%m}" / "exports-00001.parquet"


def deliver(folder: Path, month: date, frame: pl.DataFrame, listed: str = "", execution: str = "1") -> None:
    file = file_of(folder, month)
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file)
    manifest = folder / "bad" / "metadata" / file.parent.name / "exports-Manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    key = listed or f"s3://bills/exports/{file.relative_to(folder / 'bad').as_posix()}"
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
        deliver(made.folder, month, lines(month, 10))
    deliver_good(made.folder, 1)
    made.run()
    return made


@pytest.fixture
def redelivered(loaded: Company, tmp_path: Path) -> Company:
    """Every month has been delivered again, at another price."""
    made = loaded.copy(tmp_path / "copy")
    for month in (JULY, AUGUST):
        deliver(made.folder, month, lines(month, 20), execution="2")
    deliver_good(made.folder, 2)
    return made


def corrupt(folder: Path) -> None:
    file = file_of(folder, AUGUST)
    content = file.read_bytes()
    file.write_bytes(content[:4] + bytes(200) + content[204:])


def cut(folder: Path) -> None:
    file = file_of(folder, AUGUST)
    file.write_bytes(file.read_bytes()[:-100])


def without_usage_type(folder: Path) -> None:
    deliver(folder, AUGUST, lines(AUGUST, 20).drop("line_item_usage_type"), execution="2")


def with_nan(folder: Path) -> None:
    cost = pl.when(pl.int_range(pl.len()) == 1).then(float("nan")).otherwise("line_item_unblended_cost")
    frame = lines(AUGUST, 20).with_columns(line_item_unblended_cost=cost)
    deliver(folder, AUGUST, frame, execution="2")


def of_another_month(folder: Path) -> None:
    deliver(folder, AUGUST, lines(JULY, 20), execution="2")


# What is wrong with August → what a person must read to find it.
DAMAGED: dict[Callable[[Path], None], tuple[str, ...]] = {
    corrupt: ("BILLING_PERIOD=2026-08/exports-00001.parquet", "damaged"),
    cut: ("BILLING_PERIOD=2026-08/exports-00001.parquet", "damaged"),
    without_usage_type: (
        "BILLING_PERIOD=2026-08/exports-00001.parquet",
        "column 'line_item_usage_type' is missing",
        "nearest is 'line_item_usage_amount'",
    ),
    with_nan: (
        "BILLING_PERIOD=2026-08/exports-00001.parquet",
        "row 2, column line_item_unblended_cost",
        "is no amount of money",
    ),
    of_another_month: ("row 1, column bill_billing_period_start_date", "is not of 2026-08"),
}


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__)
def test_a_bad_month_keeps_what_was_loaded_and_no_other_month_from_loading(
    loaded: Company, redelivered: Company, damage: Callable[[Path], None]
) -> None:
    damage(redelivered.folder)
    answer = redelivered.apportion("run")
    assert answer.status == 1
    (refused,) = [line for line in answer.said.splitlines() if "refused" in line or "rror" in line]
    for part in ("refused: bad: ", *DAMAGED[damage]):
        assert part in refused
    assert redelivered.load_ids()["bad", AUGUST] == loaded.load_ids()["bad", AUGUST]
    assert redelivered.ask(LOADED) == [("bad", JULY, 60), ("bad", AUGUST, 30), ("good", JULY, 6)]


# What August's manifest lists → what a person must read.
LISTED = {
    "../../../../etc/passwd": ("'../../../../etc/passwd' would leave the landing folder; nothing was fetched",),
    "/etc/passwd": ("'/etc/passwd' would leave the landing folder; nothing was fetched",),
    "s3://bills/exports/data/BILLING_PERIOD=2026-08/late.parquet": ("late.parquet', which is not there",),
}


@pytest.mark.parametrize("listed", LISTED, ids=["steps upwards", "absolute", "missing"])
def test_a_bad_manifest_refuses_its_source_and_no_other(loaded: Company, redelivered: Company, listed: str) -> None:
    deliver(redelivered.folder, AUGUST, lines(AUGUST, 20), listed=listed, execution="2")
    answer = redelivered.apportion("run")
    assert answer.status == 1
    (refused,) = [line for line in answer.said.splitlines() if "refused" in line or "rror" in line]
    for part in ("refused: bad: ", "BILLING_PERIOD=2026-08/exports-Manifest.json", *LISTED[listed]):
        assert part in refused
    assert redelivered.load_ids()["bad", AUGUST] == loaded.load_ids()["bad", AUGUST]
    assert redelivered.ask(LOADED)[1:] == [("bad", AUGUST, 30), ("good", JULY, 6)]


def test_a_truncated_gzip_keeps_what_was_loaded_until_it_is_repaired(loaded: Company, redelivered: Company) -> None:
    file = redelivered.folder / "good" / "bill.csv.gz"
    file.write_bytes(file.read_bytes()[:-20])
    answer = redelivered.apportion("run")
    assert answer.status == 1
    (refused,) = [line for line in answer.said.splitlines() if "refused" in line or "rror" in line]
    assert "refused: good: " in refused
    assert "bill.csv.gz" in refused
    assert "damaged" in refused
    assert redelivered.load_ids()["good", JULY] == loaded.load_ids()["good", JULY]
    assert redelivered.ask(LOADED) == [("bad", JULY, 60), ("bad", AUGUST, 60), ("good", JULY, 3)]

    deliver_good(redelivered.folder, 2)
    redelivered.run()
    assert redelivered.ask(LOADED) == [("bad", JULY, 60), ("bad", AUGUST, 60), ("good", JULY, 6)]


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
    deliver(redelivered.folder, AUGUST, lines(AUGUST, 20).with_columns(line_item_currency_code=euro), execution="2")
    before = redelivered.publication()
    answer = redelivered.apportion("run")
    assert answer.status == 1
    assert "bad 2026-08: the bill is in EUR, the report in USD, and there is no rate" in answer.said
    assert redelivered.publication() == before


def test_a_bill_in_a_currency_without_a_rate_keeps_the_last_report(redelivered: Company) -> None:
    frame = lines(AUGUST, 20).with_columns(line_item_currency_code=pl.lit("EUR"))
    deliver(redelivered.folder, AUGUST, frame, execution="2")
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
