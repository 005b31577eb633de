"""Exports written as text (JSONL, or CSV with dotted names), turned into Parquet of the export's nested shape.

Cells stay text: a number keeps every digit it was written with. Rows keep their order, so a row of the Parquet is that
row of the native file. `sums` reads the native text once more, by itself.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
from pyarrow import parquet

from connectors import strict_json, tabular
from connectors.checking import shown
from connectors.gcp_charges import GIFTS
from connectors.gcp_columns import REQUIRED, WANTED
from connectors.gcp_totals import Sums
from connectors.landing import inflated, seal
from models.errors import BadInput
from models.money import quantize_decimal

BATCH: Final = 20_000
AGAIN: Final = "Export the table again"
# A row of a bill with all its labels; the csv module stops at 128 KB a cell.
LARGEST_CELL: Final = 16 << 20


def arrow_type(wanted: Any) -> pa.DataType:
    """Give the Arrow type of a cell, record or repeated record of `WANTED`, with text for every cell."""
    if wanted is None:
        return pa.string()
    if isinstance(wanted, list):
        return pa.list_(arrow_type(wanted[0]))
    return pa.struct([(name, arrow_type(inner)) for name, inner in wanted.items()])


SCHEMA: Final = pa.schema([(name, arrow_type(wanted)) for name, wanted in WANTED.items()])


def to_parquet(path: Path, name: str, target: Path) -> Path:
    """Turn a text export into Parquet, a batch of rows in memory at a time; one that is there already is kept.

    Raises:
        BadInput: a row is no row of an export; names it.
    """
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    shaped = (
        {column: _shaped(row.get(column), wanted, name, number, column) for column, wanted in WANTED.items()}
        for number, row in rows(path, name)
    )
    with parquet.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        while batch := list(islice(shaped, BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
    seal(part, target)
    return target


def sums(path: Path, name: str, month: str) -> Sums:
    """Sum the rows of one invoice month as they are written."""
    found = Sums()
    for _, row in rows(path, name):
        if str((row.get("invoice") or {}).get("month")) != month:
            continue
        found.add({"lines": 1, **_amount("cost", row["cost"]), **_amount("listed", row.get("cost_at_list"))})
        for credit in row.get("credits") or []:
            found.add(_amount("credits", credit["amount"]))
            if credit.get("type") in GIFTS:
                found.add(_amount("gifts", credit["amount"]))
    return found


def _amount(kind: str, text: str | None) -> Mapping[str, Decimal]:
    if text in {None, ""}:
        return {}
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return {}
    return {kind: quantize_decimal(amount), f"exact_{kind}": amount}


def rows(path: Path, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give the rows of a JSONL or CSV file as nested values with text for numbers, and their number from 1."""
    try:
        with tabular.readable(name), _open(path) as text:
            first = text.read(1)
            text.seek(0)
            if not first:
                raise BadInput(name, "the file is empty", AGAIN)
            yield from _json_rows(text, name) if first == "{" else _csv_rows(text, name)
    except UnicodeDecodeError as error:
        raise BadInput(name, f"the file is damaged or is no bill ({error.reason})", AGAIN) from error


@contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    with inflated(path) as content:
        yield io.TextIOWrapper(content, encoding="utf-8-sig", newline="")


def _json_rows(text: IO[str], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text, 1):
        row = _json(line, name, f"row {number}")
        if not isinstance(row, dict):
            raise BadInput(name, "is no JSON object", AGAIN, f"row {number}")
        yield number, row


def _json(text: str, name: str, place: str) -> Any:
    try:
        return strict_json.loads(text, strict_json.WRITTEN)
    except ValueError as error:
        raise BadInput(name, f"is no JSON ({error})", AGAIN, place) from error


def _csv_rows(text: IO[str], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader)
        _check_header(header, name)
        for number, cells in enumerate(reader, 1):
            if len(cells) != len(header):
                found = f"has {len(cells)} cells where the header has {len(header)}"
                raise BadInput(name, found, AGAIN, f"row {number}")
            yield number, _nested(header, cells, name, number)
    except csv.Error as error:
        raise BadInput(name, f"is no CSV ({error})", AGAIN) from error


def _check_header(header: Sequence[str], name: str) -> None:
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise BadInput(name, f"the header names column {twice} twice", AGAIN)
    for column in REQUIRED:
        top = column.partition(".")[0]
        needed = top if isinstance(WANTED[top], list) else column
        if needed not in header:
            found = tabular.nearest(needed, sorted(header))
            raise BadInput(name, f"column {needed!r} is missing; {found}", "Export the whole table")


def _wanted(path: str) -> Any:
    wanted: Any = WANTED
    for part in path.split("."):
        wanted = wanted.get(part) if isinstance(wanted, dict) else None
    return wanted


def _nested(header: Sequence[str], cells: Sequence[str], name: str, number: int) -> Mapping[str, Any]:
    row: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=True):
        first, _, rest = column.partition(".")
        value: Any = cell or None
        if cell and isinstance(_wanted(column), list):
            value = _json(cell, name, f"row {number}, column {column}")
        if rest:
            row.setdefault(first, {})[rest] = value
        else:
            row[column] = value
    return row


def _shaped(value: Any, wanted: Any, name: str, number: int, column: str) -> Any:
    """Give a value the shape that the export has at a place, fields nobody reads left out."""
    place = f"row {number}, column {column}"
    if wanted is None:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool):
            return str(value).lower()
        raise BadInput(name, f"{shown(value)} is no single value", AGAIN, place)
    if isinstance(wanted, list):
        if not isinstance(value, list | None):
            raise BadInput(name, f"{shown(value)} is no list", AGAIN, place)
        return [_shaped(item, wanted[0], name, number, column) for item in value or [] if item is not None]
    if not isinstance(value, dict | None):
        raise BadInput(name, f"{shown(value)} is no record", AGAIN, place)
    held = value or {}
    return {key: _shaped(held.get(key), inner, name, number, f"{column}.{key}") for key, inner in wanted.items()}
