"""The workbook: a sheet of findings, one for every mart, real numbers and dates, and no cell that starts a formula.

A spreadsheet keeps about 15 digits of a number; review.json and the marts have all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import xlsxwriter

from pipelines.reports import findings, palette
from pipelines.reports.figures import Pack
from pipelines.reports.wording import inert, month

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

_MOST_TEXT: Final = 32_767  # characters of a cell
_WIDEST: Final = 48
_NARROWEST: Final = 9
_SAMPLE: Final = 200  # rows that decide how wide a column is
# What a spreadsheet might run when somebody edits the cell and presses return.
_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_RATIOS: Final = ("_share", "share_of_ai", "measured_low", "measured_high", "measured", "claimed_low", "claimed_high")


class _Formats:
    """The looks of cells."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        def make(**looks: Any) -> Format:
            return book.add_format({"font_name": "Arial", "font_size": 10, "valign": "top", **looks})

        self.head = make(bold=True, font_color=palette.PAPER, bg_color=palette.INK, text_wrap=True)
        self.title = make(bold=True, font_size=14)
        self.text = make()
        self.wrapped = make(text_wrap=True)
        self.quoted = make(quote_prefix=True)
        self.money = make(num_format="#,##0.00;[Red]-#,##0.00")
        self.price = make(num_format="#,##0.0000")
        self.share = make(num_format="0.0%")
        self.count = make(num_format="#,##0")
        self.day = make(num_format="yyyy-mm-dd", align="left")
        self.time = make(num_format="yyyy-mm-dd hh:mm", align="left")


def write_workbook(path: Path, pack: Pack) -> None:
    """Write the workbook of one month; the same pack gives the same bytes."""
    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd",
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        title = f"AI cost review, {month(pack.period)}"
        loaded = [row["loaded_at"] for row in pack.tables["freshness"].rows if row["loaded_at"]]
        created = max(loaded, default=datetime(pack.period.year, pack.period.month, 1))  # noqa: DTZ001 - UTC throughout
        book.set_properties({"title": title, "author": "Apportion", "created": created})
        formats = _Formats(book)
        _summary(book.add_worksheet("summary"), pack, formats, title)
        for mart, (columns, rows) in pack.marts.items():
            _table(book.add_worksheet(mart[:31]), columns, rows, formats)
        meanings = [
            (mart, column, meaning) for mart, columns in pack.definitions.items() for column, meaning in columns.items()
        ]
        _table(book.add_worksheet("definitions"), ("mart", "column", "meaning"), meanings, formats)


def _summary(sheet: Worksheet, pack: Pack, formats: _Formats, title: str) -> None:
    verdict, sentence = findings.verdict(pack)
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 1, 18)
    sheet.set_column(2, 2, 70)
    sheet.write_string(0, 0, title, formats.title)
    _write(sheet, 1, 0, verdict, formats.text)
    sheet.merge_range(2, 0, 2, 2, "", formats.wrapped)
    sheet.set_row(2, 48)
    _write(sheet, 2, 0, inert(sentence.striptags()), formats.wrapped)
    line = 4
    for column, name in enumerate(("workload", f"effective cost, {pack.currency}", "share of AI")):
        sheet.write_string(line, column, name, formats.head)
    for row in pack.tables["split_by_month"].rows:
        if row["usage_period"] == pack.period:
            line += 1
            _write(sheet, line, 0, row["workload"], formats.text)
            sheet.write_number(line, 1, float(row["effective_cost"]), formats.money)
            if row["share_of_ai"] is not None:
                sheet.write_number(line, 2, float(row["share_of_ai"]), formats.share)
    for step in findings.decisions(pack):
        line += 1
        sheet.merge_range(line + 1, 0, line + 1, 2, "", formats.wrapped)
        sheet.set_row(line + 1, 30)
        _write(sheet, line + 1, 0, inert(step.text.striptags()), formats.wrapped)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def _table(sheet: Worksheet, columns: Sequence[str], rows: Sequence[Sequence[Any]], formats: _Formats) -> None:
    for position, column in enumerate(columns):
        sheet.write_string(0, position, column, formats.head)
        sheet.set_column(position, position, _width(column, [row[position] for row in rows[:_SAMPLE]]))
    for line, row in enumerate(rows, 1):
        for position, value in enumerate(row):
            _write(sheet, line, position, value, _look(columns[position], value, formats))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(len(rows), 1), max(len(columns) - 1, 0))
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)


def _look(column: str, value: Any, formats: _Formats) -> Format:
    if isinstance(value, Decimal):
        if column.startswith("cost_per_"):
            return formats.price
        ratio = not column.endswith("_cost") and any(name in column for name in _RATIOS)
        return formats.share if ratio else formats.money
    if isinstance(value, date):  # a datetime is one too
        return formats.time if isinstance(value, datetime) else formats.day
    if isinstance(value, int) and not isinstance(value, bool):
        return formats.count
    return formats.quoted if isinstance(value, str) and value.startswith(_STARTS_A_FORMULA) else formats.text


def _write(sheet: Worksheet, line: int, position: int, value: Any, look: Format) -> None:
    match value:
        case None:
            sheet.write_blank(line, position, None, look)
        case bool():
            sheet.write_boolean(line, position, value, look)
        case int() | float() | Decimal():
            sheet.write_number(line, position, float(value), look)
        case date():  # a datetime is one too
            sheet.write_datetime(line, position, value, look)
        case list() | tuple() | Mapping():
            sheet.write_string(line, position, inert(str(value))[:_MOST_TEXT], look)
        case _:
            # A rule has lines of its own; whatever else does not print is shown as a dot.
            text = "\n".join(inert(part) for part in str(value).split("\n"))
            sheet.write_string(line, position, text[:_MOST_TEXT], look)


def _width(column: str, values: Sequence[Any]) -> float:
    def long(value: Any) -> int:
        match value:
            case None:
                return 0
            case Decimal():
                return len(f"{value:,.2f}") + 1
            case datetime():
                return 17
            case date():
                return 11
            case _:
                return max(map(len, str(value)[:4000].split("\n")), default=0)

    return float(min(max([_NARROWEST, len(column) + 3, *map(long, values)]), _WIDEST))
