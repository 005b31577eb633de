import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.gcp_billing import GcpBilling
from models.errors import BadInput, BadSettings
from tests.connectors.gcp_rows import credit, row, write

Read = Callable[[Path], object]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_all(location: Path) -> object:
        gcp = GcpBilling("gcp", GcpBilling.Options(location=str(location)), tmp_path / "landing", lambda _: None)
        return [gcp.totals(gcp.fetch(version)) for version in gcp.versions()]

    return read_all


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"cost": None}, "row 2, column cost: None is blank"),
        ({"cost": "1,5"}, "row 2, column cost: '1,5' is no amount"),
        ({"cost": "NaN"}, "row 2, column cost: 'NaN' is no amount"),
        ({"cost_at_list": "free"}, "row 2, column cost_at_list: 'free' is no amount"),
        ({"currency_conversion_rate": "high"}, "row 2, column currency_conversion_rate: 'high' is no amount"),
        ({"usage": {"amount": "many"}}, "row 2, column usage.amount: 'many' is no amount"),
        ({"currency": ""}, "row 2, column currency: '' is blank"),
        ({"cost_type": None}, "row 2, column cost_type: None is blank"),
        ({"usage_start_time": "10/01/2026"}, "row 2, column usage_start_time: '10/01/2026' is no date and time in UTC"),
        (
            {"usage_end_time": "2026-01-10T00:00:00+05:30"},
            "row 2, column usage_end_time: .* is no date and time in UTC",
        ),
        ({"invoice": {"month": "202613"}}, "row 2, column invoice.month: '202613' is no month such as 202601"),
        ({"invoice": {}}, "row 2, column invoice.month: None is no month"),
        ({"credits": [credit("none", "DISCOUNT")]}, "row 2, column credits: .* holds no amount"),
        ({"credits": [{"type": "DISCOUNT"}]}, "row 2, column credits: .* holds no amount"),
        ({"credits": "none"}, r"row 2, column credits: ('none' is no list|is no JSON)"),
    ],
)
@pytest.mark.parametrize("name", ["bill.jsonl", "bill.csv"])
def test_a_cell_that_cannot_be_read_is_refused_with_its_row(
    tmp_path: Path, read: Read, name: str, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message.replace("'' is blank", "(''|None) is blank")):
        read(write(tmp_path / name, [row(), row(**columns), row()]))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_money_that_is_no_number_is_refused_with_its_row(tmp_path: Path, read: Read, value: float) -> None:
    with pytest.raises(BadInput, match=r"bill\.parquet, row 2, column cost: '.+' is no amount"):
        read(write(tmp_path / "bill.parquet", [row(), row(cost=value)]))
    with pytest.raises(BadInput, match=r"bill\.parquet, row 2, column credits: .+ holds no amount"):
        read(write(tmp_path / "bill.parquet", [row(), row(credits=[credit(-1.0, "A"), credit(value, "B")])]))


@pytest.mark.parametrize("name", ["bill.parquet", "bill.csv"])
@pytest.mark.parametrize(
    ("column", "missing"), [("credits", "credits"), ("cost", "cost"), ("invoice", r"invoice\.month")]
)
def test_a_missing_column_is_named(tmp_path: Path, read: Read, name: str, column: str, missing: str) -> None:
    with pytest.raises(BadInput, match=rf"{name}: column '{missing}.*' is missing; .*found: "):
        read(write(tmp_path / name, [row()], drop=(column,)))


def test_an_unknown_column_is_ignored(tmp_path: Path, read: Read) -> None:
    read(write(tmp_path / "bill.jsonl", [row(new_field={"a": [1, 2.5, True]}, invoice={"month": "202601", "new": {}})]))


def test_the_focus_export_says_which_type_reads_it(tmp_path: Path, read: Read) -> None:
    import polars as pl

    pl.DataFrame({"BilledCost": [1.0]}).write_parquet(tmp_path / "focus.parquet")
    with pytest.raises(BadInput, match=r"is the FOCUS export .* source of type `focus`"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", "the file is empty"),
        ("a.jsonl", '{"cost": 1}\n\n', "row 2: is no JSON"),
        ("a.jsonl", '{"cost": 1', "row 1: is no JSON"),
        ("a.jsonl", '{"service": "x"}\n', "row 1, column service: 'x' is no record"),
        ("a.jsonl", '{"cost": {"x": 1}}\n', "row 1, column cost: {'x': '1'} is no single value"),
        ("a.csv", "a,b,a\n1,2,3\n", "the header names column a twice"),
        ("a.parquet", "PAR1 and no more", "the file is damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, read: Read, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=rf"{name}(, .*)?: ?.*{message.partition(': ')[2] or message}"):
        read(tmp_path)


def test_a_csv_row_with_too_few_cells_is_refused(tmp_path: Path, read: Read) -> None:
    bill = write(tmp_path / "a.csv", [row()])
    bill.write_text(bill.read_text() + "x,y\n")
    with pytest.raises(BadInput, match="row 2: has 2 cells where the header has"):
        read(bill)


def test_text_that_is_not_utf8_and_a_truncated_gzip_are_damaged(tmp_path: Path, read: Read) -> None:
    bill = write(tmp_path / "a.jsonl", [row(sku={"id": "x", "description": "caf?"})])
    bill.write_bytes(bill.read_bytes().replace(b"caf?", b"caf\xe9"))
    with pytest.raises(BadInput, match=r"a\.jsonl: the file is damaged"):
        read(bill)
    packed = write(tmp_path / "b.jsonl.gz", [row(resource={"name": f"vm-{number}"}) for number in range(2000)])
    packed.write_bytes(packed.read_bytes()[:2000])
    with pytest.raises(BadInput, match=r"b\.jsonl\.gz: the file is damaged"):
        read(packed)


def test_a_place_without_bills_is_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "bills").mkdir()
    with pytest.raises(BadInput, match="there are no bills here"):
        read(tmp_path / "bills")
    with pytest.raises(BadSettings, match="there is no such file or folder"):
        read(tmp_path / "nowhere")


def test_a_file_that_changes_while_reading_is_refused(tmp_path: Path) -> None:
    bill = write(tmp_path / "a.parquet", [row()])
    gcp = GcpBilling("gcp", GcpBilling.Options(location=str(bill)), tmp_path / "landing", lambda _: None)
    (version,) = gcp.versions()
    write(bill, [row(cost=9.0)])
    with pytest.raises(BadInput, match="changed while reading"):
        gcp.fetch(version)
    assert version.billing_period == date(2026, 1, 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"table": "a-project.b.c", "location": "here"},
        {"table": "b.c"},
        {"table": "a-project.b.c` WHERE 1=1; DROP TABLE x; --"},
        {"table": "a-project.b.c", "partition_expression": "1=1 OR DATE(x)"},
        {"table": "a-project.b.c", "partition_expression": "DATE(x) = DATE(y)"},
        {"table": "a-project.b.c", "maximum_bytes_billed": 0},
        {"table": "a-project.b.c", "api_key": "canary"},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GcpBilling.Options(**options)


def test_a_table_of_an_old_domain_project_is_a_table() -> None:
    chosen = GcpBilling.Options(table="example.com:acme-billing.export.gcp_billing_export_v1_0123AB")
    assert chosen.model_dump()["partition_expression"] == "DATE(_PARTITIONTIME)"
