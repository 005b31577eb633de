from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from models.errors import BadInput
from pipelines.warehouse.invoices import read_invoices

HEADER = "provider,invoice_id,billing_period,currency,total\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "invoices.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_invoice_is_read_with_its_number_month_and_exact_total(tmp_path: Path) -> None:
    (invoice,) = read_invoices(written(tmp_path, HEADER + "AWS, 123 ,2026-07,USD,1678025.35\n"))
    assert invoice == {
        "provider_name": "AWS",
        "billing_period": date(2026, 7, 1),
        "invoice_id": "123",
        "billing_currency": "USD",
        "invoiced": Decimal("1678025.35"),
    }


def test_an_invoice_without_a_number_stands_for_the_month(tmp_path: Path) -> None:
    assert read_invoices(written(tmp_path, HEADER + "AWS,,2026-07,USD,1\n"))[0]["invoice_id"] is None


def test_no_file_is_no_invoice() -> None:
    assert read_invoices(None) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("provider,total\n", "has no column 'invoice_id'"),
        (HEADER + "AWS,1,July,USD,1\n", "row 1, column billing_period: 'July' is no month"),
        (HEADER + "AWS,1,2026-07,USD,1\nAWS,1,2026-07,USD,NaN\n", "row 2, column total: 'NaN' is no amount"),
        (HEADER + ",1,2026-07,USD,1\n", "row 1, column provider"),
    ],
)
def test_a_bad_cell_is_named_with_file_row_and_column(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadInput, match=said) as error:
        read_invoices(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.csv"):
        read_invoices(tmp_path / "nowhere.csv")
