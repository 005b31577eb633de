"""Strict reading of the files bills come in: Parquet, and CSV as it is or gzipped."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
from pyarrow import parquet as arrow_parquet

from connectors import csv_blocks
from connectors.misplaced import refuse_scrape
from models.errors import BadInput

ROW: Final = csv_blocks.ROW
PARQUET: Final = b"PAR1"
AGAIN: Final = "Fetch or export the file again"
# Polars panics over some damaged Parquet; a panic is no Exception.
UNREADABLE: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


def is_parquet(path: Path) -> bool:
    """Tell Parquet from CSV by its first bytes: names of exports differ, contents do not."""
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what the readers raise about damaged bytes into an error that names the file."""
    try:
        yield
    except pl.exceptions.NoDataError as error:
        raise BadInput(name, "the file is empty: it has no header", AGAIN) from error
    except (*UNREADABLE, pa.ArrowException, OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise BadInput(name, f"the file is damaged or is no bill ({first_line(error)})", AGAIN) from error


def first_line(error: BaseException) -> str:
    """Give what a library says first of a fault; the rest is about itself."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def scan(path: Path) -> pl.LazyFrame:
    """Scan a file lazily with its native columns and `ROW`, 1 = first data row; CSV cells are text, blank is null.

    Rows are told by their cells alone: one wrong byte in the statistics of a Parquet file would hide all of them.
    """
    if is_parquet(path):
        return pl.scan_parquet(path, row_index_name=ROW, row_index_offset=1, glob=False, use_statistics=False)
    return csv_blocks.stream(path, csv_blocks.header(path), once=False)


def native_schema(path: Path, name: str) -> Mapping[str, pl.DataType]:
    """Read the header only.

    Raises:
        BadInput: the file is empty, damaged, or names a column twice.
    """
    with readable(name):
        if not path.stat().st_size:
            raise BadInput(name, "the file is empty", AGAIN)
        if is_parquet(path):
            check_parquet(path)
        else:
            refuse_scrape(path, name)
        schema = scan(path).collect_schema()
    if twice := [column for column in schema if column.rpartition("_duplicated_")[0] in schema]:
        raise BadInput(name, f"the header names column {twice[0].rpartition('_duplicated_')[0]} twice", AGAIN)
    return {column: dtype for column, dtype in schema.items() if column != ROW}


def check_parquet(path: Path) -> Any:
    """Give the footer of a Parquet file that holds the pages it names, of the types it names.

    Raises:
        ArrowException, OSError: it does not; `readable` names the file.
    """
    state = path.stat()
    with _ONE_ASKS:
        return _checked(path, state.st_size, state.st_mtime_ns)


# Who reads a file asks for its columns and then for what they hold, and a load asks for all of it twice, at the same
# time for its charges and for its totals.
_ONE_ASKS: Final = Lock()


@lru_cache(maxsize=256)
def _checked(path: Path, size: int, _changed: int) -> Any:
    with arrow_parquet.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        footer = file.metadata
        # Polars, and Arrow when asked for the columns of a footer, end the whole process over some damage that Arrow's
        # reader only refuses. One row of every group, on one thread, is a hundredth of a load.
        for group in range(footer.num_row_groups):
            next(file.iter_batches(batch_size=1, row_groups=[group], use_threads=False), None)
    types = [footer.schema.column(index).physical_type for index in range(footer.num_columns)]
    for group in (footer.row_group(index) for index in range(footer.num_row_groups)):
        if [group.column(index).physical_type for index in range(group.num_columns)] != types:
            raise pa.ArrowInvalid("a group of rows has other columns than the file")
        for chunk in (group.column(index) for index in range(group.num_columns)):
            # An offset of 0 stands for no dictionary.
            start = min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset)
            if not 0 < start <= start + chunk.total_compressed_size <= size:
                raise pa.ArrowInvalid(f"column {chunk.path_in_schema} lies outside of the file")
    return footer


def stream(path: Path, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """Give a file as `scan` does, for the ledger: every row of a CSV has all its cells, and none is parsed twice."""
    return scan(path) if is_parquet(path) else csv_blocks.stream(path, schema, once=True)


def pieces(path: Path, name: str, columns: Sequence[str]) -> Iterator[tuple[int, pl.LazyFrame]]:
    """Give the file as lazy frames of the native columns, each with the number of rows before it.

    A Parquet file is one piece, a CSV one for every few blocks.
    """
    if is_parquet(path):
        yield 0, scan(path).select(columns)
        return
    with readable(name):
        for before, cells in csv_blocks.summed(path, columns):
            yield before, cells.lazy()


class Contents(NamedTuple):
    """What the statistics of a file say of its columns, by name; maps go by their keys.

    Attributes:
        filled: hold anything.
        blank: may hold text of no characters, which counts as null.
    """

    filled: set[str]
    blank: set[str]


def contents(path: Path, name: str) -> Contents:
    """Read what the columns hold, from the statistics in the file alone.

    A CSV has none, so all its columns count as filled; so does a Parquet column without statistics. A blank cell of a
    CSV is null as soon as it is parsed.
    """
    if not is_parquet(path):
        return Contents(set(native_schema(path, name)), set())
    with readable(name):
        return _contents(check_parquet(path))


def _contents(footer: Any) -> Contents:
    found = Contents(set(), set())
    for group in (footer.row_group(index) for index in range(footer.num_row_groups)):
        for chunk in (group.column(index) for index in range(group.num_columns)):
            column = chunk.path_in_schema.partition(".")[0]
            if _holds_anything(chunk.statistics, chunk.num_values):
                found.filled.add(column)
            # Asked of a group that holds nothing but blanks too: another may fill the column.
            if _may_be_blank(chunk.statistics, chunk.num_values):
                found.blank.add(column)
    return found


def _holds_anything(statistics: Any, values: int) -> bool:
    if statistics is None or not statistics.has_null_count:
        return True
    if _is_null(statistics, values):
        return False
    return not _is_text(statistics) or not statistics.has_min_max or not (statistics.min == statistics.max == "")


def _may_be_blank(statistics: Any, values: int) -> bool:
    if statistics is None or not statistics.has_null_count:
        return True
    if _is_null(statistics, values) or not _is_text(statistics):
        return False
    # A shortened minimum is still no greater than the least value, and nothing is less than no characters.
    return not statistics.has_min_max or bool(statistics.min == "")


def _is_null(statistics: Any, values: int) -> bool:
    """Tell a column of nulls: not by their number alone, which one wrong byte makes that of all its values."""
    return bool(statistics.null_count == values and not statistics.has_min_max)


def _is_text(statistics: Any) -> bool:
    """Tell text, which alone can be blank; the ends of others may be what Python has no number or date for."""
    return str(statistics.physical_type) == "BYTE_ARRAY"


def nearest(wanted: str, found: Sequence[str]) -> str:
    """Say which column was perhaps meant, and what else there is."""
    close = difflib.get_close_matches(wanted, found, n=1, cutoff=0.6)
    listed = ", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")  # noqa: PLR2004
    return f"nearest is {close[0]!r}; found: {listed}" if close else f"found: {listed}"
