"""What connectors of token usage in files share: months found, records kept, duplicates counted once, sums made twice.

Every native file is turned into a Parquet of records under the landing folder once, whatever months they are of; a
month's version is the files that hold it, and reads only its own records.
"""

from __future__ import annotations

import hashlib
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from connectors import token_records, token_rows
from connectors.landing import Entry, Location, as_listed, jailed, no_bomb, open_location
from connectors.misplaced import misplaced
from connectors.source import Landed, SourceFile, SourceVersion, Totals
from connectors.token_records import Kept, Record
from models.errors import BadInput
from models.facts import Fact
from models.token_buckets import ADDITIVE

DATA: Final = re.compile(r"\.(jsonl|ndjson|json|log|csv|parquet)(\.gz)?$", re.IGNORECASE)
# Options that say where usage is and when it is asked for, and change nothing about what it means.
WHERE: Final = frozenset(
    {
        *("location", "endpoint_url", "region", "profile"),
        *("base_url", "api_key", "page_size", "retention_days", "since", "until"),
        *("refresh_minutes", "max_pages", "timeout_seconds"),
    }
)
logger = logging.getLogger(__name__)


class UsageOptions(BaseModel):
    """Say how to read files of usage, and from which S3."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    location: str | None = None
    """`s3://bucket/prefix`, a folder or a single file."""
    tolerated_bad_lines: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a file's lines that may be no JSON; they are left out, and that is said."""
    endpoint_url: str | None = None
    """Another S3 endpoint; AWS's own when left out."""
    region: str | None = None
    """Region of the bucket; boto3's own chain decides when left out."""
    profile: str | None = None
    """Profile of the AWS configuration files; boto3's own chain decides when left out."""


class TokenFileOptions(UsageOptions):
    """Say where the files are."""

    location: str
    """`s3://bucket/prefix`, a folder or a single file."""


class TokenFiles(ABC):
    """List, land and read files of token usage; what a row says is a subclass's."""

    Options: type[BaseModel] = TokenFileOptions
    REPORTED_BY: ClassVar[str]
    # Columns to read of a Parquet file, all where None.
    WANTED: ClassVar[Sequence[str] | None] = None

    def __init__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> None:
        self.name = name
        self._options = UsageOptions.model_validate(options)
        self._landing = jailed(landing, name)
        self._on_bytes = on_bytes
        self._known: Mapping[str, Entry] = {}
        self._has_said: set[object] = set()

    @abstractmethod
    def records(self, item: token_rows.Item) -> Iterable[Record]:
        """Turn one native row into records of usage, none where it holds none.

        Raises:
            ValueError: a field is missing, or is not what it should be; says which.
        """

    def is_data(self, key: str) -> bool:
        """Tell whether a key of the location is a file to read."""
        return bool(DATA.search(key))

    @cached_property
    def _location(self) -> Location:
        options = self._options.model_dump(include={"endpoint_url", "region", "profile"})
        return open_location(self._options.location or "", **options)

    def versions(self) -> Sequence[SourceVersion]:
        """List the months of use there are, oldest first; every file that is new is read for its months.

        Raises:
            BadInput: there is nothing to read, or a record cannot be read.
        """
        by_month: dict[date, list[SourceFile]] = {}
        for entry in self._list().values():
            file = SourceFile(entry.key, entry.size, self._location.digest(entry))
            for month in token_records.months(self._kept(file, self._land(entry, file.etag))):
                by_month.setdefault(month.date(), []).append(file)
        if not by_month:
            raise BadInput(self._location.uri(""), "there is no usage here", "Check `location`, or wait for the logs")
        return [
            SourceVersion(month, self._fingerprint(month, files), files, is_final=False)
            for month, files in sorted(by_month.items())
        ]

    def _fingerprint(self, month: date, files: Sequence[SourceFile]) -> str:
        parts = [part for file in files for part in (file.name, str(file.size), file.etag)]
        return _digest(str(month), self._meaning, *parts)[:32]

    def fetch(self, version: SourceVersion) -> Landed:
        """Land the version's files; files of a folder are used where they are, once they are seen to be unchanged.

        Raises:
            BadInput: a file is not what was listed.
        """
        entries = self._known or self._list()
        paths = [
            self._land(as_listed(self._location, entries, file.name, file.etag), file.etag) for file in version.files
        ]
        return self._landed(version, paths)

    def _landed(self, version: SourceVersion, paths: Sequence[Path]) -> Landed:
        """Make the records now: later, `totals` and `read` ask for them at the same time."""
        for file, path in zip(version.files, paths, strict=True):
            self._kept(file, path)
        return Landed(version, paths)

    def totals(self, landed: Landed) -> Totals:
        """Sum what was counted of the month's raw objects, by other arithmetic than `read`, each request once."""
        counted = [pl.col("counted").struct.field(name).sum() for name in ADDITIVE]
        month = self._month(landed).select("request_id", "counted")
        repeats = self._repeats(landed)["request_id"].unique().to_list()
        is_repeated = pl.col("request_id").is_in(repeats).fill_null(value=False)
        parts = [
            month.filter(~is_repeated),
            month.filter(is_repeated).unique("request_id", keep="first", maintain_order=True),
        ]
        sums = pl.concat([part.select(pl.len().cast(pl.Int64).alias("rows"), *counted) for part in parts]).sum()
        return Totals(
            0, 0, {}, {}, is_final=False, usage={Fact.TOKEN_USAGE: sums.collect(engine="streaming").row(0, named=True)}
        )

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame of the month's usage per file; a request that is there again counts once."""
        repeats = self._repeats(landed).filter(~pl.col("is_first"))
        if repeats.height and landed.version.fingerprint not in self._has_said:
            self._has_said.add(landed.version.fingerprint)
            request, number, row, _ = repeats.row(0)
            logger.warning(
                "%s: %d records repeat a request id and are counted once, the first: %s in %s, row %d",
                self.name, repeats.height, request, landed.version.files[number].name, row,
            )  # fmt: skip
        month = pl.lit(landed.version.billing_period)
        left_out = dict(repeats.group_by("file").agg("row").iter_rows())
        return {
            Fact.TOKEN_USAGE: [
                token_records.frame(self._kept(file, path), file.name, left_out.get(number, [])).filter(
                    pl.col("usage_start").dt.date().dt.month_start() == month
                )
                for number, (file, path) in enumerate(zip(landed.version.files, landed.paths, strict=True))
            ]
        }

    def _repeats(self, landed: Landed) -> pl.DataFrame:
        """Find the records of the month whose request id is there more than once: request, file, row, is_first."""
        return (
            self._month(landed)
            .select("request_id", "file", pl.col("source_row").alias("row"))
            .filter(pl.col("request_id").is_not_null() & pl.col("request_id").is_duplicated())
            .sort("file", "row")
            .with_columns(pl.col("request_id").is_first_distinct().alias("is_first"))
            .collect(engine="streaming")
        )

    def _month(self, landed: Landed) -> pl.LazyFrame:
        """Give the records of the month as they are kept, with the number of their `file`."""
        month = pl.lit(landed.version.billing_period)
        return pl.concat(
            [
                pl.scan_parquet(self._kept(file, path), glob=False)
                .filter(pl.col("usage_start").dt.date().dt.month_start() == month)
                .with_columns(pl.lit(number, pl.Int64).alias("file"))
                for number, (file, path) in enumerate(zip(landed.version.files, landed.paths, strict=True))
            ]
        )

    def _records(self, path: Path, name: str) -> Iterator[Kept]:
        share = self._options.tolerated_bad_lines
        number = 0
        for row in token_rows.rows(path, name, share, self.WANTED):
            try:
                made = list(self.records(row.item))
                for record in made:
                    # A line of spans holds several records: then they are numbered through the file.
                    number = number + 1 if len(made) > 1 else max(number + 1, row.number)
                    record["source_row"] = number
                    record["reported_by"] = self.REPORTED_BY
                    record.setdefault("usage_end", record["usage_start"])
                    yield token_records.kept(row.place, row.size // len(made), record)
            except (AttributeError, TypeError) as error:
                # A list where an object should be, or the like: what it is depends on what the format does with it.
                odd = ValueError(f"a field has another shape than it should have ({error})")
                raise token_records.refused(odd, row.place, name) from error
            except ValueError as error:
                # Asked only now: a good row costs nothing, and what a mapping can read is read whatever it is.
                said = misplaced(row.item)
                raise token_records.refused(ValueError(said) if said else error, row.place, name) from None

    def _kept(self, file: SourceFile, path: Path) -> Path:
        """Give the Parquet of a file's records, made now unless it is there."""
        target = jailed(self._landing / "records" / _digest(file.etag, self._meaning)[:16], f"{file.name}.parquet")
        if not target.is_file():
            token_records.to_parquet(self._records(path, file.name), file.name, target)
        return target

    @cached_property
    def _meaning(self) -> str:
        """Tell apart what made the records: the options and this project's version."""
        said = self._options.model_dump_json(exclude=set(WHERE))
        return _digest(type(self).__name__, said, str(token_records.SCHEMA), installed("apportion"))

    def _list(self) -> Mapping[str, Entry]:
        self._known = {entry.key: entry for entry in self._location.entries() if self.is_data(entry.key)}
        return self._known

    def _land(self, entry: Entry, digest: str) -> Path:
        path = self._location.land(entry, self._landing / "files" / _digest(digest)[:16], self._on_bytes)
        return no_bomb(path, self._location.uri(entry.key))


def needed(item: Mapping[str, Any], *names: str) -> Any:
    """Give a field that no record can do without, under any of its names.

    Raises:
        ValueError: it is missing or blank.
    """
    found = given(item, *names)
    if found is None:
        raise ValueError(f"field {names[0]!r} is missing or blank (found: {', '.join(map(str, item))[:120]})")
    return found


def given(item: Mapping[str, Any], *names: str) -> Any:
    """Give the first of some fields that says anything, else None."""
    for name in names:
        value = item.get(name)
        if value is not None and value != "":
            return value
    return None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
