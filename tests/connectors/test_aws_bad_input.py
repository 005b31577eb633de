import gzip
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.source import Totals
from models.errors import BadInput
from tests.connectors.bills import csv_text, data_export, line, table, write

Read = Callable[..., tuple[pl.DataFrame, Totals]]


def test_a_truncated_gzip_is_damaged(tmp_path: Path, read: Read) -> None:
    whole = gzip.compress(csv_text([line(line_item_resource_id=f"i-{number}") for number in range(2000)]).encode())
    (tmp_path / "bill.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"bill\.csv\.gz: the file is damaged"):
        read(tmp_path)


def test_a_truncated_parquet_is_damaged(tmp_path: Path, read: Read) -> None:
    bill = write(tmp_path / "bill.parquet", [line()] * 100)
    bill.write_bytes(bill.read_bytes()[:-20])
    with pytest.raises(BadInput, match=r"bill\.parquet: the file is damaged"):
        read(tmp_path)


def test_a_parquet_of_noise_is_damaged(tmp_path: Path, read: Read) -> None:
    (tmp_path / "bill.parquet").write_bytes(b"PAR1" + bytes(range(200)) + b"PAR1")
    with pytest.raises(BadInput, match="the file is damaged"):
        read(tmp_path)


def test_a_zip_must_hold_one_whole_file(tmp_path: Path, read: Read) -> None:
    bill = tmp_path / "bill.zip"
    with zipfile.ZipFile(bill, "w") as archive:
        archive.writestr("a.csv", "a")
        archive.writestr("b.csv", "b")
    with pytest.raises(BadInput, match="the archive holds 2 files, not one"):
        read(bill)
    write(bill, [line()] * 50)
    bill.write_bytes(bill.read_bytes()[:-30])
    with pytest.raises(BadInput, match="the archive is damaged"):
        read(bill)


def test_an_empty_file_and_an_export_without_lines_are_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "bill.csv").write_text("")
    with pytest.raises(BadInput, match="the file is empty"):
        read(tmp_path / "bill.csv")
    (tmp_path / "bill.csv").write_text(csv_text([line()]).partition("\n")[0] + "\n")
    with pytest.raises(BadInput, match="the export has no lines"):
        read(tmp_path / "bill.csv")
    data_export(tmp_path / "export", [line()])
    table([line()]).head(0).write_parquet(tmp_path / "export/data/BILLING_PERIOD=2026-01/prod-00001.snappy.parquet")
    with pytest.raises(BadInput, match="the export has no lines"):
        read(tmp_path / "export")


@pytest.mark.parametrize("name", ["bill.csv", "bill.parquet"])
def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path, read: Read, name: str) -> None:
    one = line()
    one["line_item_unblended_costs"] = one.pop("line_item_unblended_cost")
    found = r"column 'line_item_unblended_cost' is missing; nearest is 'line_item_unblended_costs'; found: "
    with pytest.raises(BadInput, match=found):
        read(write(tmp_path / name, [one]))


def test_a_row_with_too_few_or_too_many_cells_is_refused(tmp_path: Path, read: Read) -> None:
    text = csv_text([line(), line()])
    for cells in ("AWS,2026-01-01T00:00:00Z\n", text.splitlines()[1] + ",surplus\n"):
        (tmp_path / "bill.csv").write_text(text + cells + text.partition("\n")[2])
        with pytest.raises(BadInput, match=r"Expected 15 columns, got"):
            read(tmp_path / "bill.csv")


def test_a_blank_line_is_a_line_without_cells(tmp_path: Path, read: Read) -> None:
    (tmp_path / "bill.csv").write_text(csv_text([line()]) + "\n")
    with pytest.raises(BadInput, match=r"row 2, column .* None"):
        read(tmp_path / "bill.csv")


def test_a_column_named_twice_is_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "bill.csv").write_text("a,b,a\n1,2,3\n")
    with pytest.raises(BadInput, match="the header names column a twice"):
        read(tmp_path)
    write(tmp_path / "bill.csv", [line() | {"lineItem/Operation": "x"}])
    with pytest.raises(BadInput, match="mean the same"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["bill.csv", "bill.parquet"])
@pytest.mark.parametrize(
    "column", ["line_item_unblended_cost", "pricing_public_on_demand_cost", "line_item_usage_amount"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_money_that_is_no_number_is_refused_with_its_row(
    tmp_path: Path, read: Read, name: str, column: str, value: float
) -> None:
    bill = write(tmp_path / name, [line(**{column: 1.0}), line(**{column: 1.0}), line(**{column: value})])
    with pytest.raises(BadInput, match=rf"{name}, row 3, column {column}: '.+' is no amount of money") as error:
        read(bill)
    assert error.value.place == f"row 3, column {column}"


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("line_item_unblended_cost", "1,50", "'1,50' is no amount of money"),
        ("line_item_unblended_cost", "$1", "is no amount of money"),
        ("line_item_unblended_cost", None, "None is blank"),
        ("line_item_currency_code", "", "is blank"),
        ("line_item_line_item_type", "", "is blank"),
        ("line_item_usage_start_date", "10/01/2026 00:00", "'10/01/2026 00:00' is no date and time"),
        ("line_item_usage_end_date", "2026-01-10T00:00:00+05:30", "is no date and time"),
        ("line_item_usage_end_date", "", "is no date and time"),
        ("line_item_usage_start_date", "2026-02-30T00:00:00Z", "is no date and time"),
    ],
)
def test_a_cell_that_cannot_be_read_is_refused(
    tmp_path: Path, read: Read, column: str, value: Any, problem: str
) -> None:
    with pytest.raises(BadInput, match=rf"row 2, column {column}: .*{problem.replace('$', '.')}"):
        read(write(tmp_path / "bill.csv", [line(), line(**{column: value})]))


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("SavingsPlanCoveredUsage", "savings_plan_savings_plan_effective_cost"),
        ("SavingsPlanRecurringFee", "savings_plan_total_commitment_to_date"),
        ("DiscountedUsage", "reservation_effective_cost"),
        ("RIFee", "reservation_unused_amortized_upfront_fee_for_billing_period"),
    ],
)
def test_a_line_whose_effective_cost_is_unknown_is_refused(tmp_path: Path, read: Read, kind: str, column: str) -> None:
    problem = rf"row 2, column {column}: 'absent' is blank on a line of type {kind}"
    with pytest.raises(BadInput, match=problem):
        read(write(tmp_path / "bill.parquet", [line(), line(line_item_line_item_type=kind)]))


def test_a_time_that_is_a_number_is_refused(tmp_path: Path, read: Read) -> None:
    with pytest.raises(BadInput, match="column 'line_item_usage_start_date' holds Float64, not time"):
        read(write(tmp_path / "bill.parquet", [line(line_item_usage_start_date=1767225600.0)]))


def test_tags_that_are_no_json_are_refused(tmp_path: Path, read: Read) -> None:
    with pytest.raises(BadInput, match=r"row 2, column resource_tags: .* is no flat JSON object"):
        read(write(tmp_path / "bill.csv", [line(resource_tags="{}"), line(resource_tags='{"user_team": ')]))


def test_text_that_is_not_utf8_is_refused(tmp_path: Path, read: Read) -> None:
    text = csv_text([line(line_item_line_item_description="caf?")]).encode().replace(b"caf?", b"caf\xe9")
    (tmp_path / "bill.csv").write_bytes(text)
    with pytest.raises(BadInput, match=r"bill\.csv: the file is damaged"):
        read(tmp_path)
