import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from connectors.aws_cur import AwsCur
from connectors.source import Totals
from models.errors import BadInput, BadSettings, Refused
from tests.connectors.bills import data_export, legacy_report, line, write

Read = Callable[..., tuple[pl.DataFrame, Totals]]
Source = Callable[..., AwsCur]
LISTED = "s3://b/data/BILLING_PERIOD=2026-01/prod-00001.snappy.parquet"
FIRST = "2026-02-01T04:00:00.000Z-0a"
SECOND = "2026-02-02T04:00:00.000Z-0b"


@pytest.mark.parametrize("suffix", ["snappy.parquet", "csv.gz"])
@pytest.mark.parametrize("key", ["BILLING_PERIOD", "billing_period"])
def test_a_data_export_is_read_in_either_format_and_case(tmp_path: Path, read: Read, suffix: str, key: str) -> None:
    data_export(tmp_path, [line()], [line(), line()], suffix=suffix, key=key)
    charges, totals = read(tmp_path)
    assert totals.lines == 3
    assert charges.select("source_file", "source_row").rows() == [
        (f"data/{key}=2026-01/prod-00001.{suffix}", 1),
        (f"data/{key}=2026-01/prod-00002.{suffix}", 1),
        (f"data/{key}=2026-01/prod-00002.{suffix}", 2),
    ]


@pytest.mark.parametrize("suffix", ["csv.gz", "zip", "snappy.parquet"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_legacy_report_is_read_in_every_format_and_layout(
    tmp_path: Path, read: Read, suffix: str, *, overwrite: bool
) -> None:
    legacy_report(tmp_path / "bucket", [line()], [line()], suffix=suffix, overwrite=overwrite)
    charges, totals = read(tmp_path / "bucket")
    assert (totals.lines, charges["usage_type"].unique().to_list()) == (2, ["BoxUsage:t3.nano"])
    # The location may also be the report's or the month's own folder.
    assert read(tmp_path / "bucket" / "report" / "20260101-20260201")[1] == totals


def test_the_athena_layout_is_found_through_its_manifest(tmp_path: Path, read: Read) -> None:
    data = "report/report/year=2026/month=1/report-00001.snappy.parquet"
    write(tmp_path / data, [line()])
    (tmp_path / "report/20260101-20260201").mkdir()
    manifest = tmp_path / "report/20260101-20260201/report-Manifest.json"
    manifest.write_text(json.dumps({"assemblyId": "a", "reportKeys": [f"prefix/{data}"]}))
    assert read(tmp_path)[0]["source_file"].to_list() == [data]


def test_files_without_a_manifest_count_one_version_a_month(tmp_path: Path, source: Source) -> None:
    january = line()
    february = line(bill_billing_period_start_date=january["bill_billing_period_start_date"].replace(month=2))
    write(tmp_path / "year=2026/month=1/a.snappy.parquet", [january])
    write(tmp_path / "year=2026/month=1/b.csv", [january])
    write(tmp_path / "year=2026/month=2/a.csv.gz", [february])
    write(tmp_path / "cost_and_usage_data_status/status.parquet", [january])
    (tmp_path / "notes.txt").write_text("not a bill")
    versions = source(tmp_path).versions()
    assert [(version.billing_period, len(version.files)) for version in versions] == [
        (date(2026, 1, 1), 2),
        (date(2026, 2, 1), 1),
    ]


def test_a_fingerprint_without_a_manifest_is_of_the_content(tmp_path: Path, source: Source) -> None:
    bill = write(tmp_path / "bill.csv", [line(line_item_unblended_cost=1.25)])
    (before,) = source(bill).versions()
    os.utime(bill, (0, 0))
    assert source(bill).versions()[0].fingerprint == before.fingerprint
    write(bill, [line(line_item_unblended_cost=1.75)])
    assert source(bill).versions()[0].fingerprint != before.fingerprint


def test_a_file_of_two_months_is_refused(tmp_path: Path, read: Read) -> None:
    january = line()
    february = line(bill_billing_period_start_date=january["bill_billing_period_start_date"].replace(month=2))
    with pytest.raises(BadInput, match=r"row 2, column bill_billing_period_start_date: .* is not of 2026-01"):
        read(write(tmp_path / "bill.csv", [january, february]))


def test_deliveries_that_accumulate_are_read_once(tmp_path: Path, read: Read) -> None:
    data_export(tmp_path, [line(), line()], delivery=FIRST, execution="0a")
    data_export(tmp_path, [line()], delivery=SECOND, execution="0b")
    charges, totals = read(tmp_path)
    assert totals.lines == 1
    assert SECOND in charges["source_file"][0]


@pytest.mark.parametrize(("later", "lines"), [("overwrite", 3), ("create-new", 1)])
def test_after_a_change_of_layout_the_later_manifest_counts(tmp_path: Path, read: Read, later: str, lines: int) -> None:
    own = data_export(tmp_path, [line()] * 3, execution="own")
    kept = data_export(tmp_path, [line()], delivery=FIRST, execution="kept")
    os.utime(own, (2, 2) if later == "overwrite" else (1, 1))
    os.utime(kept, (1, 1) if later == "overwrite" else (2, 2))
    assert read(tmp_path)[1].lines == lines


def test_a_legacy_assembly_is_current_when_the_month_says_so(tmp_path: Path, read: Read) -> None:
    legacy_report(tmp_path, [line()] * 2, assembly="11111111-old")
    legacy_report(tmp_path, [line()], assembly="00000000-new")
    assert read(tmp_path)[1].lines == 1


def test_a_restated_month_has_another_fingerprint_and_an_unchanged_one_the_same(tmp_path: Path, source: Source) -> None:
    data_export(tmp_path, [line()])
    (first,) = source(tmp_path).versions()
    assert source(tmp_path).versions()[0].fingerprint == first.fingerprint
    data_export(tmp_path, [line()], execution="execution-2")
    assert source(tmp_path).versions()[0].fingerprint != first.fingerprint


def test_months_come_oldest_first(tmp_path: Path, source: Source) -> None:
    for month in ("2026-02", "2025-12", "2026-01"):
        data_export(tmp_path, [line()], month=month)
    assert [f"{version.billing_period:%Y-%m}" for version in source(tmp_path).versions()] == [
        "2025-12",
        "2026-01",
        "2026-02",
    ]


def test_of_several_exports_one_must_be_chosen(tmp_path: Path, source: Source) -> None:
    data_export(tmp_path / "a", [line()])
    legacy_report(tmp_path / "b", [line()])
    with pytest.raises(BadSettings, match="holds the exports prod, report"):
        source(tmp_path).versions()
    with pytest.raises(BadSettings, match="holds no export 'other', only: prod, report"):
        source(tmp_path, export="other").versions()
    (version,) = source(tmp_path, export="prod").versions()
    assert version.files[0].name.startswith("a/data/")


def fetched(aws: AwsCur) -> None:
    """List the months, which must go well, and fetch the last one."""
    aws.fetch(list(aws.versions())[-1])


def test_a_month_whose_manifest_is_broken_does_not_keep_the_others_from_being_fetched(
    tmp_path: Path, source: Source
) -> None:
    data_export(tmp_path, [line()])
    broken = tmp_path / "metadata" / "BILLING_PERIOD=2026-02" / "prod-Manifest.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    aws = source(tmp_path)
    good, bad = aws.versions()
    assert aws.totals(aws.fetch(good)).lines == 1
    with pytest.raises(BadInput, match=r"2026-02.*is no manifest"):
        aws.fetch(bad)


def test_a_listed_file_that_is_missing_is_named(tmp_path: Path, source: Source) -> None:
    data_export(tmp_path, [line()], [line()])
    (tmp_path / "data/BILLING_PERIOD=2026-01/prod-00002.snappy.parquet").unlink()
    with pytest.raises(BadInput, match=r"prod-00002\.snappy\.parquet', which is not there"):
        fetched(source(tmp_path))


def test_a_file_of_the_same_name_elsewhere_is_not_taken(tmp_path: Path, source: Source) -> None:
    data_export(tmp_path, [line()])
    (tmp_path / "data/BILLING_PERIOD=2026-01/prod-00001.snappy.parquet").rename(tmp_path / "prod-00001.snappy.parquet")
    with pytest.raises(BadInput, match="which is not there"):
        fetched(source(tmp_path))


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("{", "is no manifest of an AWS export"),
        ("[]", "is no manifest of an AWS export"),
        ('{"executionId": "e", "dataFiles": []}', "lists no files"),
        ('{"executionId": "e", "dataFiles": [7]}', "is no list of names"),
        ('{"dataFiles": ["a"]}', "is no manifest of an AWS export"),
        (f'{{"executionId": "e", "dataFiles": ["{LISTED}", "{LISTED}"]}}', "twice"),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be_followed_is_refused(
    tmp_path: Path, source: Source, manifest: str, problem: str
) -> None:
    data_export(tmp_path, [line()]).write_text(manifest)
    with pytest.raises(BadInput, match=problem):
        fetched(source(tmp_path))


@pytest.mark.parametrize(
    "key",
    ["../../etc/passwd", "/etc/passwd", "s3://acme-billing//etc/passwd", "data/../x.csv", "data\\x.csv", "data/\nx.csv",
     "data//x.csv", "data/./x.csv", ""],
)  # fmt: skip
def test_a_listed_key_that_leaves_its_folder_is_refused(tmp_path: Path, source: Source, key: str) -> None:
    data_export(tmp_path, [line()]).write_text(json.dumps({"executionId": "e", "dataFiles": [key]}))
    with pytest.raises(Refused, match="would leave the landing folder"):
        fetched(source(tmp_path))


def test_a_delivery_that_changes_while_it_is_read_is_an_error(tmp_path: Path, source: Source) -> None:
    data_export(tmp_path, [line()])
    aws = source(tmp_path)
    (version,) = aws.versions()
    data_export(tmp_path, [line()], execution="execution-2")
    with pytest.raises(BadInput, match="changed while reading"):
        aws.fetch(version)


def test_a_version_can_be_fetched_by_another_process(tmp_path: Path, source: Source) -> None:
    data_export(tmp_path, [line()])
    (version,) = source(tmp_path).versions()
    other = source(tmp_path)
    assert other.totals(other.fetch(version)).lines == 1


def test_a_reader_that_says_more_reads_unchanged_bytes_again(tmp_path: Path, source: Source) -> None:
    data_export(tmp_path, [line()])

    class Later(AwsCur):
        READER = AwsCur.READER + 1

    def by(reader: type[AwsCur]) -> AwsCur:
        return reader("aws", AwsCur.Options(location=str(tmp_path)), tmp_path / "landing", lambda _: None)

    (old,), (new,) = by(AwsCur).versions(), by(Later).versions()
    assert by(Later).versions() == [new]
    assert old == source(tmp_path).versions()[0] != new
    assert by(Later).totals(by(Later).fetch(new)).lines == 1


def test_an_empty_or_absent_location_says_so(tmp_path: Path, source: Source) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="there are no bills here"):
        source(tmp_path / "empty").versions()
    with pytest.raises(BadSettings, match="there is no such file or folder"):
        source(tmp_path / "absent").versions()
