from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from connectors.tabular import Contents, contents, native_schema, pieces, scan
from models.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path


def test_statistics_that_python_has_no_date_for_do_not_keep_a_file_from_being_read(tmp_path: Path) -> None:
    file = tmp_path / "bill.parquet"
    columns = {
        "when": pa.array([0, 2**62], pa.timestamp("us")),
        "blank": pa.array(["", ""]),
        "some": pa.array(["", "x"]),
        "number": pa.array([1.5, None]),
        "nothing": pa.array([None, None], pa.float64()),
    }
    parquet.write_table(pa.table(columns), file)
    assert contents(file, "bill.parquet") == Contents(filled={"when", "some", "number"}, blank={"blank", "some"})


def damage(file: Path, before: bytes, after: bytes) -> None:
    """Write other bytes into the footer of a file."""
    whole = file.read_bytes()
    (length,) = struct.unpack("<I", whole[-8:-4])
    footer = whole[-8 - length : -8]
    assert before in footer
    file.write_bytes(whole[: -8 - length] + footer.replace(before, after) + whole[-8:])


def test_statistics_that_are_wrong_hide_no_row(tmp_path: Path) -> None:
    file = tmp_path / "bill.parquet"
    pl.DataFrame({"month": [7, 7]}).write_parquet(file)
    damage(file, struct.pack("<q", 7), struct.pack("<q", 8))
    native_schema(file, "bill.parquet")
    assert scan(file).filter(pl.col("month") == 7).collect(engine="streaming").height == 2


def test_a_number_of_nulls_that_is_wrong_hides_no_column(tmp_path: Path) -> None:
    file = tmp_path / "bill.parquet"
    parquet.write_table(pa.table({"cost": pa.array([1.5] * 5)}), file)
    # The third field of the statistics is the number of nulls, which Thrift writes doubled.
    damage(file, b"\x16\x00", b"\x16\x0a")
    statistics = parquet.read_metadata(file).row_group(0).column(0).statistics
    assert statistics.null_count == 5
    assert contents(file, "bill.parquet").filled == {"cost"}


def refused(file: Path, why: str) -> None:
    for read in (native_schema, contents):
        with pytest.raises(BadInput, match=rf"bill\.parquet: the file is damaged .*{why}"):
            read(file, "bill.parquet")


# Where what follows is not refused, the whole process ends, without a word about the file.


def test_a_group_of_rows_of_another_type_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bill.parquet"
    parquet.write_table(pa.table({"cost": pa.array([1.5])}), file)
    # A chunk's type, then the list of its encodings: double becomes float, which the schema does not say.
    damage(file, b"\x15\x0a\x19", b"\x15\x08\x19")
    refused(file, "")


def test_a_schema_of_another_type_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bill.parquet"
    parquet.write_table(pa.table({"text": ["a"]}), file)
    # A column's type, that it may be null, and its name: text becomes a whole number.
    damage(file, b"\x15\x0c\x25\x02\x18\x04text", b"\x15\x04\x25\x02\x18\x04text")
    refused(file, "does not support INT64")


@pytest.mark.parametrize("group", [0, 1, 2])
def test_a_page_that_says_it_holds_fewer_than_no_values_is_refused_in_any_group_of_rows(
    tmp_path: Path, group: int
) -> None:
    file = tmp_path / "bill.parquet"
    pl.DataFrame({"text": [f"{number}" for number in range(24)]}).write_parquet(file, row_group_size=8)
    parts = file.read_bytes().split(b"\x2c\x15\x10")
    assert len(parts) >= 4
    # Each group has as many such pages as the others.
    struck = group * (len(parts) - 1) // 3 + 1
    file.write_bytes(b"\x2c\x15\x10".join(parts[:struck]) + b"\x2c\x15\x11" + b"\x2c\x15\x10".join(parts[struck:]))
    refused(file, "negative number of values")


def test_a_csv_read_piece_by_piece_has_each_line_once_at_its_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.csv_blocks.BLOCK", 64)
    file = tmp_path / "bill.csv"
    cells = [f"{number}\n," for number in range(200)]
    file.write_text("a,b\n" + "".join(f'"{cell}",\n' for cell in cells), encoding="utf-8")
    found = [(before, piece.collect()["a"].to_list()) for before, piece in pieces(file, file.name, ["a"])]
    assert len(found) > 2
    assert all(texts == cells[before : before + len(texts)] for before, texts in found)
    assert sum(len(texts) for _, texts in found) == len(cells)
