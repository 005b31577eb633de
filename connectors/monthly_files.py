"""Files that say when things happened: every file of a location counts, and each month has the files that touch it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final, cast

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict

from connectors import strict_json, tabular
from connectors.landing import Entry, Location, as_listed, inflated, jailed, no_bomb, open_location
from connectors.misplaced import refuse_scrape
from connectors.source import Landed, SourceFile, SourceVersion
from models.errors import BadInput, BadSettings
from models.months import next_month

JSON: Final = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
DATA: Final = (*JSON, ".csv", ".csv.gz", ".tsv", ".txt", ".txt.gz", ".parquet", ".out")
# What reading means: another number loads every month again.
READING: Final = 1
# Where files lie is not what they say: a folder that moved is not read again.
_PLACE: Final = {"location", "endpoint_url", "region", "profile"}


class FileOptions(BaseModel):
    """Say where the files are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: str
    """`s3://bucket/prefix`, a folder or a single file."""
    endpoint_url: str | None = None
    """Another S3 endpoint; AWS's own when left out."""
    region: str | None = None
    """Region of the bucket."""
    profile: str | None = None
    """Profile of the AWS configuration files."""


class MonthlyFiles(ABC):
    """List and land files by the months they hold; what they say is a subclass's."""

    Options: type[BaseModel] = FileOptions
    _options: FileOptions

    def __init__(
        self,
        name: str,
        options: BaseModel,
        landing: Path,
        on_bytes: Callable[[int], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self._options = cast("FileOptions", self.Options.model_validate(options))
        self._landing = jailed(landing, name)
        self._on_bytes = on_bytes
        self._now = now
        self._known: dict[str, Entry] = {}
        self.check()

    def check(self) -> None:
        """Check what a single option cannot tell.

        Raises:
            BadSettings: options do not go together.
        """
        return

    @abstractmethod
    def months_in(self, path: Path, name: str) -> Collection[date]:
        """Read the months that a file holds rows of."""

    @cached_property
    def _location(self) -> Location:
        s3 = self._options.model_dump(include={"endpoint_url", "region", "profile"})
        return open_location(self._options.location, **s3)

    def versions(self) -> Sequence[SourceVersion]:
        """List the months there are, oldest first; every file is read for its months.

        Raises:
            BadInput: there is nothing to read, or a file cannot be.
        """
        by_month: dict[date, list[SourceFile]] = {}
        for entry in self._list().values():
            digest = self._location.digest(entry)
            path = self._land(entry, digest)
            for month in self.months_in(path, entry.key):
                by_month.setdefault(month, []).append(SourceFile(entry.key, entry.size, digest))
        return [self._version(month, files) for month, files in sorted(by_month.items())]

    def _version(self, month: date, files: Sequence[SourceFile]) -> SourceVersion:
        content = [
            READING,
            self._options.model_dump(mode="json", exclude=_PLACE),
            [(file.name, file.etag) for file in files],
        ]
        fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
        return SourceVersion(month, fingerprint, files, is_final=next_month(month) <= self._now().date())

    def fetch(self, version: SourceVersion) -> Landed:
        """Land the version's files, once they are seen to be what was listed.

        Raises:
            BadInput: a file changed meanwhile.
        """
        entries = self._known or self._list()
        paths = [
            self._land(as_listed(self._location, entries, file.name, file.etag), file.etag) for file in version.files
        ]
        return Landed(version, paths)

    def _list(self) -> dict[str, Entry]:
        found = self._location.entries()
        is_single = len(found) == 1
        self._known = {entry.key: entry for entry in found if is_single or entry.key.lower().endswith(DATA)}
        if not self._known:
            raise BadInput(self._location.uri(""), "there are no files to read here", "Check `location`")
        return self._known

    def _land(self, entry: Entry, digest: str) -> Path:
        folder = self._landing / "files" / hashlib.sha256(digest.encode()).hexdigest()[:16]
        path = self._location.land(entry, folder, self._on_bytes)
        return no_bomb(path, self._location.uri(entry.key))


def files(landed: Landed) -> list[tuple[Path, str]]:
    """Give the landed files with their names."""
    return [(path, file.name) for file, path in zip(landed.version.files, landed.paths, strict=True)]


def is_json(name: str) -> bool:
    """Tell lines of JSON from tables by the file's name."""
    return name.lower().endswith(JSON)


def rows(path: Path, name: str, separator: str = ",") -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give the rows of a CSV, of lines of JSON or of a Parquet file, with their numbers, 1 = first.

    Raises:
        BadInput: a row has another number of cells than the header, or a line is no JSON object; names it.
    """
    if tabular.is_parquet(path):
        with tabular.readable(name):
            tabular.check_parquet(path)
            frame = pl.read_parquet(path, glob=False)
        yield from enumerate(frame.iter_rows(named=True), 1)
        return
    refuse_scrape(path, name)
    with tabular.readable(name), inflated(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
        try:
            yield from (_objects(text, name) if is_json(name) else _cells(text, name, separator))
        except UnicodeDecodeError as error:
            raise BadInput(name, "the file is no UTF-8 text", "Export the file again") from error


def _objects(text: IO[str], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            found = strict_json.loads(line)
        except ValueError as error:
            problem = f"{_short(line)} is no JSON ({_short(str(error))})"
            raise BadInput(name, problem, "Export the file again, one object a line", f"line {number}") from None
        if not isinstance(found, dict):
            problem = f"{_short(line)} is no JSON object"
            raise BadInput(name, problem, "Export the file again, one object a line", f"line {number}")
        yield number, found


def _cells(text: IO[str], name: str, separator: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    quoting: Any = csv.QUOTE_NONE if separator == "|" else csv.QUOTE_MINIMAL
    table = csv.reader(text, delimiter=separator, quoting=quoting, strict=separator != "|")
    try:
        header = next(table, None)
        if not header:
            raise BadInput(name, "the file is empty: it has no header", tabular.AGAIN)
        if twice := [column for column in header if column and header.count(column) > 1]:
            raise BadInput(name, f"the header names column {twice[0]} twice", tabular.AGAIN)
        for number, cells in enumerate(table, 1):
            if len(cells) != len(header):
                problem = f"there are {len(cells)} cells where the header names {len(header)} columns"
                raise BadInput(name, problem, "Correct the row or export the file again", f"row {number}")
            yield number, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise BadInput(name, f"the file is damaged ({error})", tabular.AGAIN, f"line {table.line_num}") from None


def need(found: Collection[str], wanted: str, name: str, fix: str) -> None:
    """Check that a file has a column.

    Raises:
        BadInput: it has not; names the nearest.
    """
    if wanted not in found:
        problem = f"column {wanted!r} is missing ({tabular.nearest(wanted, list(found))})"
        raise BadInput(name, problem, fix)


def check_columns(chosen: Mapping[str, str], known: Collection[str], required: Sequence[Collection[str]]) -> None:
    """Check a mapping in the configuration.

    Raises:
        BadSettings: it names an unknown column of ours, or lacks one that is needed.
    """
    if unknown := sorted(set(chosen) - set(known)):
        raise BadSettings(f"columns: there is no {unknown[0]!r} ({tabular.nearest(unknown[0], sorted(known))})")
    for one_of in required:
        if not set(one_of) & set(chosen):
            raise BadSettings(f"columns: name the column for {' or '.join(one_of)}")


def of_known(known: Collection[str]) -> AfterValidator:
    """Refuse a mapping in the configuration that names an unknown column of ours."""

    def names(columns: dict[str, str]) -> dict[str, str]:
        try:
            check_columns(columns, known, ())
        except BadSettings as error:
            raise ValueError(str(error)) from None
        return columns

    return AfterValidator(names)


def _short(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text.strip())
    return repr(plain if len(plain) <= 80 else f"{plain[:80]}…")  # noqa: PLR2004 - fits a line
