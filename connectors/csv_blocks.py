"""Parse a CSV with Arrow, block by block, and once only where two read it at the same time.

Arrow refuses a row that is too short where polars fills it with nulls, and memory stays at a few blocks whatever the
file's size. A load sums each file while it streams it: the side that streams parses, and hands every block on to the
side that sums.
"""

from __future__ import annotations

import io
import math
import threading
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source
from pyarrow import csv as arrow_csv

from connectors.landing import bomb, is_gzipped, may_unpack_to

ROW: Final = "__source_row"
# Arrow parses blocks that fit the processor's cache twice as fast, and polars sums few large pieces faster than many;
# no line may be longer than a block.
BLOCK: Final = 2 << 20
BLOCKS: Final = 8
# How many blocks the side that sums may lie behind.
BEHIND: Final = 2


class Block(NamedTuple):
    """Some rows of a CSV, cells as text and blank ones null, and how many rows come before them."""

    before: int
    cells: pl.DataFrame


def blocks(path: Path, columns: Sequence[str]) -> Iterator[Block]:
    """Parse a CSV, as it is or gzipped; where a block ends does not depend on the columns.

    Raises:
        ArrowException, OSError: the bytes are damaged or no CSV with those columns.
        BadInput: it unpacks to more than a bill could be.
    """
    before = 0
    with _opened(path) as stream:
        batches = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(block_size=BLOCK),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        while some := list(islice(batches, BLOCKS)):
            frame = pl.from_arrow(pa.Table.from_batches(some), rechunk=False)
            if not isinstance(frame, pl.DataFrame):
                raise TypeError(type(frame))
            yield Block(before, frame)
            before += frame.height


def header(path: Path) -> Mapping[str, pl.DataType]:
    """Read the names of the columns, which are all text, from the first block."""
    with _opened(path) as stream:
        start = stream.read(BLOCK)
    named = pl.scan_csv(io.BytesIO(start), infer_schema=False).collect_schema()
    # Polars leaves the quotes in a quoted name doubled, Arrow does not.
    return {name.replace('""', '"'): dtype for name, dtype in named.items()}


def _opened(path: Path) -> Any:
    return pa.PythonFile(_Inflated(path), "r") if is_gzipped(path) else pa.OSFile(str(path))


class _Inflated(io.RawIOBase):
    """What a gzipped file holds, as long as it is no bomb."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limit = may_unpack_to(path)
        self._read = 0
        self._stream = pa.input_stream(str(path), compression="gzip")

    def read(self, size: int = -1) -> Any:
        """Give the next bytes."""
        found = self._stream.read_buffer(size)
        self._read += found.size
        if self._read > self._limit:
            raise bomb(str(self._path), self._limit)
        return found

    def readable(self) -> bool:
        """Say so."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


class Together:
    """Two sides on their way through the same files in the same order; a file is parsed once where both are in it.

    A side waits only for one that is on its way: whoever skips a file, comes again or has gone lets the other go alone.
    """

    def __init__(self, paths: Collection[Path]) -> None:
        self._numbers = {path: number for number, path in enumerate(paths)}
        self._moved = threading.Condition()
        # The number of the file that each side is in; half a step further once it is through.
        self._streaming = self._summing = -1.0
        self._wanted: Sequence[str] = ()
        self._handed: deque[Block | None] = deque()

    def stop_streaming(self) -> None:
        """Say that nothing more will be streamed."""
        with self._moved:
            self._streaming = math.inf
            self._moved.notify_all()

    def stop_summing(self) -> None:
        """Say that nothing more will be summed."""
        with self._moved:
            self._summing = math.inf
            self._moved.notify_all()

    def streamed(self, path: Path, columns: Sequence[str]) -> Iterator[Block]:
        """Parse a file and hand each block on."""
        number = self._numbers.get(path, -1)
        with self._moved:
            if is_new := number > self._streaming:
                self._streaming = number
                self._moved.notify_all()
                self._wait(lambda: self._summing >= number)
            wanted = self._wanted if is_new and self._summing == number else ()
        try:
            for block in blocks(path, list(dict.fromkeys((*columns, *wanted)))):
                if wanted:
                    self._hand_on(number, block)
                yield block
            if wanted:
                self._hand_on(number, None)
        finally:
            if is_new:
                with self._moved:
                    self._streaming = max(self._streaming, number + 0.5)
                    self._moved.notify_all()

    def _hand_on(self, number: int, block: Block | None) -> None:
        with self._moved:
            self._wait(lambda: self._summing != number or len(self._handed) < BEHIND)
            if self._summing == number:
                self._handed.append(block)
                self._moved.notify_all()

    def summed(self, path: Path, columns: Sequence[str]) -> Iterator[Block]:
        """Take the blocks of a file as they are handed on; parse what does not come."""
        number = self._numbers.get(path, -1)
        with self._moved:
            if is_new := number > self._summing:
                self._summing, self._wanted = number, columns
                self._handed.clear()
                self._moved.notify_all()
                self._wait(lambda: self._streaming >= number)
        taken = 0
        try:
            while is_new:
                with self._moved:
                    self._wait(lambda: bool(self._handed) or self._streaming != number)
                    if not self._handed:
                        break
                    block = self._handed.popleft()
                    self._moved.notify_all()
                if block is None:
                    return
                taken += 1
                yield block
            yield from islice(blocks(path, columns), taken, None)
        finally:
            if is_new:
                with self._moved:
                    self._summing = max(self._summing, number + 0.5)
                    self._moved.notify_all()

    def _wait(self, until: Callable[[], bool]) -> None:
        self._moved.wait_for(until)


_TOGETHER: ContextVar[Together | None] = ContextVar("_TOGETHER", default=None)


@contextmanager
def parsed_once(paths: Collection[Path]) -> Iterator[Together]:
    """Let frames of these files that are made here hand on what they parse to whoever sums the files meanwhile."""
    together = Together(paths)
    token = _TOGETHER.set(together)
    try:
        yield together
    finally:
        _TOGETHER.reset(token)
        together.stop_streaming()


def summed(path: Path, columns: Sequence[str]) -> Iterator[Block]:
    """Give the blocks of a file to whoever sums it."""
    together = _TOGETHER.get()
    return together.summed(path, columns) if together else blocks(path, columns)


def stream(path: Path, schema: Mapping[str, pl.DataType], *, once: bool) -> pl.LazyFrame:
    """Give a file as a lazy frame with `ROW`, 1 = first data row.

    Args:
        path: the file.
        schema: its columns.
        once: hand on what is parsed to whoever sums the file meanwhile.
    """
    read = _Stream(path, tuple(schema), _TOGETHER.get() if once else None)
    return register_io_source(read, schema={ROW: pl.UInt32(), **schema}, is_pure=True)


@dataclass(frozen=True)
class _Stream:
    """What polars asks for the rows of a file."""

    path: Path
    columns: tuple[str, ...]
    together: Together | None

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the other side here: a plan that is carried out elsewhere parses alone."""
        return _Stream, (self.path, self.columns, None)

    def __call__(
        self, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        asked = (ROW, *self.columns) if with_columns is None else with_columns
        columns = [column for column in self.columns if column in asked]
        # Without a column there is no row to count.
        columns = columns or list(self.columns[:1])
        found = self.together.streamed(self.path, columns) if self.together else blocks(self.path, columns)
        left = math.inf if n_rows is None else n_rows
        try:
            for before, cells in found:
                rows = cells.with_row_index(ROW, offset=before + 1).select(asked).head(int(min(left, cells.height)))
                yield rows if predicate is None else rows.filter(predicate)
                left -= rows.height
                if not left:
                    break
        except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
            # What polars raises of a file of its own that it cannot read.
            raise pl.exceptions.ComputeError(str(error)) from error
