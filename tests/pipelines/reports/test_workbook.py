from __future__ import annotations

import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pipelines.reports.figures import QUESTIONS, Pack, Table
from pipelines.reports.workbook import write_workbook

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "http://x.invalid",
    "a\x00b\u202e",
    "y" * 40_000,
    "007",
)
SEPTEMBER = date(2026, 9, 1)


def pack(rows: list[tuple[Any, ...]], columns: tuple[str, ...]) -> Pack:
    tables = {question.name: Table(question, "", "", (), ()) for question in QUESTIONS}
    meanings = {"a_mart": {"": "What it is.", **dict.fromkeys(columns, "A column.")}}
    return Pack(SEPTEMBER, "USD", tables, meanings, {"a_mart": (columns, rows)}, (), 0)


def sheets(path: Path) -> dict[str, ET.Element]:
    with zipfile.ZipFile(path) as book:
        names = [sheet.attrib["name"] for sheet in tree(book.read("xl/workbook.xml")).iter(f"{MAIN}sheet")]
        return {name: tree(book.read(f"xl/worksheets/sheet{n}.xml")) for n, name in enumerate(names, 1)}


def tree(xml: bytes) -> ET.Element:
    return ET.fromstring(xml)  # noqa: S314 - written here


def cells(sheet: ET.Element) -> dict[str, ET.Element]:
    return {cell.attrib["r"]: cell for cell in sheet.iter(f"{MAIN}c")}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    columns = ("name", "effective_cost", "usage_period", "loaded_at", "is_final", "charge_count", "share_of_ai")
    loaded = datetime(2026, 9, 30, 12)  # noqa: DTZ001 - as DuckDB gives it
    values = (Decimal("1234567.891234567891"), SEPTEMBER, loaded, True, 42, Decimal("0.5"))
    path = tmp_path / "review.xlsx"
    write_workbook(path, pack([(name, *values) for name in HOSTILE], columns))
    return path


def test_there_is_a_sheet_for_findings_each_mart_and_the_definitions(written: Path) -> None:
    assert list(sheets(written)) == ["summary", "a_mart", "definitions"]


def test_no_cell_starts_a_formula_and_no_text_is_a_link(written: Path) -> None:
    with zipfile.ZipFile(written) as book:
        content = b"".join(book.read(name) for name in book.namelist() if name.startswith("xl/worksheets/"))
        looks = book.read("xl/styles.xml")
    assert b"<f>" not in content
    assert b"hyperlink" not in content
    assert b'quotePrefix="1"' in looks  # stays text when somebody edits the cell
    for row in range(2, len(HOSTILE) + 2):
        assert cells(sheets(written)["a_mart"])[f"A{row}"].attrib["t"] in {"s", "inlineStr"}


def test_numbers_dates_and_truths_are_real(written: Path) -> None:
    found = cells(sheets(written)["a_mart"])
    kinds = {column: found[f"{column}2"].attrib.get("t", "n") for column in "BCDEFG"}
    assert kinds == {"B": "n", "C": "n", "D": "n", "E": "b", "F": "n", "G": "n"}
    assert float(found["B2"].findtext(f"{MAIN}v") or 0) == pytest.approx(1234567.891234567)
    assert float(found["C2"].findtext(f"{MAIN}v") or 0) == (SEPTEMBER - date(1899, 12, 30)).days


def test_headers_are_frozen_and_filtered(written: Path) -> None:
    sheet = sheets(written)["a_mart"]
    (pane,) = sheet.iter(f"{MAIN}pane")
    assert (pane.attrib["ySplit"], pane.attrib["state"]) == ("1", "frozen")
    assert next(sheet.iter(f"{MAIN}autoFilter")).attrib["ref"] == f"A1:G{len(HOSTILE) + 1}"


def test_texts_fit_a_cell_and_hold_nothing_that_does_not_print(written: Path) -> None:
    with zipfile.ZipFile(written) as book:
        strings = ["".join(text.itertext()) for text in tree(book.read("xl/sharedStrings.xml")).iter(f"{MAIN}si")]
    assert max(map(len, strings)) == 32_767
    assert "a·b·" in strings
    assert "007" in strings


def test_the_same_pack_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.xlsx"
    columns = ("name", "effective_cost")
    write_workbook(again, pack([("x", Decimal(1))], columns))
    first = again.read_bytes()
    write_workbook(again, pack([("x", Decimal(1))], columns))
    assert again.read_bytes() == first
    assert written.read_bytes() != first


def test_an_empty_mart_still_has_its_headers(tmp_path: Path) -> None:
    write_workbook(tmp_path / "empty.xlsx", pack([], ("name", "effective_cost")))
    assert "A1" in cells(sheets(tmp_path / "empty.xlsx")["a_mart"])
