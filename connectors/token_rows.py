"""Rows of usage files as nested values: JSON lines, one JSON document, CSV or Parquet, gzipped or not.

Memory stays at a line or a batch, whatever the file's size; only a document that is one JSON value is read whole.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from pyarrow import parquet

from connectors import strict_json, tabular
from connectors.landing import inflated
from connectors.misplaced import refuse_scrape
from models.errors import BadInput

Item = Mapping[str, Any]
Place = tuple[str, int]

LARGEST_LINE: Final = 256 << 20
LARGEST_CELL: Final = 16 << 20
BATCH: Final = 1_000
SHOWN: Final = 60
# Shorter text holds no key, and need not be searched for one.
SHORTEST_KEY: Final = 15
FIX: Final = "Export the file again, or mend the line"
logger = logging.getLogger(__name__)


# What API keys of the large providers look like; never an id or an alias.
_SECRET: Final = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|sess)[-_][A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bAIza[A-Za-z0-9_-]{30,}"
    r"|(?i:bearer) [^ ]{8,}"
)


# Names of models, teams and hosts come again and again.
@lru_cache(1 << 14)
def without_keys(text: str) -> str:
    """Replace whatever looks like an API key by its SHA-256, as LiteLLM names keys."""
    return _SECRET.sub(lambda found: hashlib.sha256(found[0].encode()).hexdigest(), text)


class Row(NamedTuple):
    """One record of a file.

    Attributes:
        number: what `source_row` says: the line or row, or the item's number where lines hold several.
        place: kind and number of the native line, for messages.
        item: its fields.
        size: about how many bytes it takes in the file, unpacked.
    """

    number: int
    place: Place
    item: Item
    size: int


@dataclass
class Tolerance:
    """How many lines of one file may be no JSON.

    Attributes:
        name: the file.
        share: part of its lines, 0 to 1.
    """

    name: str
    share: float
    lines: int = 0
    bad: int = 0
    first: BadInput | None = None

    def refuse(self, line: int, found: str) -> None:
        """Count a bad line.

        Raises:
            BadInput: none may be bad.
        """
        error = BadInput(
            self.name, without_keys(found), f"{FIX}, or allow some with `tolerated_bad_lines`", f"line {line}"
        )
        if not self.share:
            raise error
        self.bad += 1
        self.first = self.first or error

    def settle(self) -> None:
        """Judge the file at its end.

        Raises:
            BadInput: more lines are bad than may be; names the first.
        """
        if self.first is None:
            return
        said = f"{self.bad} of {self.lines} lines are no JSON, the first: {self.first}"
        if self.bad > self.share * self.lines:
            raise BadInput(self.name, said, f"`tolerated_bad_lines` is {self.share}")
        logger.warning("%s: left out: %s", self.name, said)


def rows(path: Path, name: str, share: float = 0.0, wanted: Sequence[str] | None = None) -> Iterator[Row]:
    """Give the rows of a file in its own order.

    Args:
        path: the file.
        name: what the user calls it.
        share: part of the lines that may be no JSON.
        wanted: columns to read of a Parquet file, all when left out; one that is missing is no error here.

    Raises:
        BadInput: the file is empty or damaged, or a line is no row; names the line.
    """
    if tabular.is_parquet(path):
        yield from _parquet_rows(path, name, wanted)
        return
    with tabular.readable(name), inflated(path) as binary:
        first = binary.readline(LARGEST_LINE)
        if not first.strip() and not (first := next((line for line in binary if line.strip()), b"")):
            raise BadInput(name, "the file is empty", FIX)
        binary.seek(0)
        if first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}:
            yield from _json_rows(binary, first, Tolerance(name, share))
        else:
            refuse_scrape(path, name)
            yield from _csv_rows(binary, name)


def parse(text: bytes | str) -> Any:
    """Read JSON; amounts keep every digit.

    Raises:
        ValueError: it is none.
    """
    return strict_json.loads(text, strict_json.EXACT)


def _json_rows(binary: IO[bytes], first: bytes, tolerance: Tolerance) -> Iterator[Row]:
    number = 0
    for line, size, value in chain(_whole(binary, first), _lines(binary, tolerance)):
        many = _many(value)
        share = size if many is None else size // (len(many) or 1)
        for item in [value] if many is None else many:
            number = max(number + 1, line) if many is None else number + 1
            if isinstance(item, dict):
                yield Row(number, ("line", line), item, share)
            else:
                tolerance.refuse(line, f"{str(item)[:SHOWN]!r} is no JSON object")
    tolerance.settle()


def _many(value: Any) -> list[Any] | None:
    """Give the records of a list, or of a page as APIs answer with: `{"data": […]}`."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    return value if isinstance(value, list) else None


def _whole(binary: IO[bytes], first: bytes) -> Iterator[tuple[int, int, Any]]:
    """Give a file that is one JSON value over several lines; of all others nothing, and the file stays at its start."""
    if _is_json(first):
        return
    content = binary.read(LARGEST_LINE)
    if len(content) < LARGEST_LINE and _is_json(content):
        yield 1, len(content), parse(content)
    else:
        binary.seek(0)


def _is_json(text: bytes) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _lines(binary: IO[bytes], tolerance: Tolerance) -> Iterator[tuple[int, int, Any]]:
    number = 0
    while text := binary.readline(LARGEST_LINE):
        number += 1
        if not text.strip():
            continue
        tolerance.lines += 1
        if len(text) == LARGEST_LINE:
            raise BadInput(tolerance.name, "the line is longer than 256 MiB", FIX, f"line {number}")
        try:
            value = parse(text)
        except ValueError as error:
            shown = text[:SHOWN].decode(errors="replace").strip()
            tolerance.refuse(number, f"{shown!r} is no JSON ({str(error)[:SHOWN]})")
            continue
        yield number, len(text), value


def _csv_rows(binary: IO[bytes], name: str) -> Iterator[Row]:
    csv.field_size_limit(LARGEST_CELL)
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader)
        if len(set(header)) < len(header):
            twice = next(column for column in header if header.count(column) > 1)
            raise BadInput(name, f"the header names column {twice} twice", FIX)
        for number, cells in enumerate(reader, 1):
            if len(cells) != len(header):
                found = f"has {len(cells)} cells where the header has {len(header)}"
                raise BadInput(name, found, FIX, f"row {number}")
            item = {key: cell or None for key, cell in zip(header, cells, strict=True)}
            yield Row(number, ("row", number), item, sum(map(len, cells)))
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadInput(name, f"is no CSV ({error})", FIX) from error
    finally:
        text.detach()


def _parquet_rows(path: Path, name: str, wanted: Sequence[str] | None) -> Iterator[Row]:
    number = 0
    with tabular.readable(name), parquet.ParquetFile(path) as file:
        columns = None if wanted is None else [column for column in file.schema_arrow.names if column in wanted]
        for batch in file.iter_batches(BATCH, columns=columns):
            size = batch.nbytes // (batch.num_rows or 1)
            for item in batch.to_pylist():
                number += 1
                yield Row(number, ("row", number), item, size)
