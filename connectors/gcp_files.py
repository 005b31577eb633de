"""The billing export as files: Parquet, JSONL or CSV in a folder or bucket, several invoice months in each or not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from connectors import gcp_text, gcp_totals, tabular
from connectors.gcp_columns import GcpColumns
from connectors.landing import Entry, Location, as_listed, jailed, no_bomb
from connectors.source import Landed, SourceFile, SourceVersion
from models.errors import BadInput
from models.months import next_month

DATA: Final = re.compile(r"\.(parquet|jsonl|ndjson|json|csv)(\.gz)?$|/[^/.]*\d{12}$", re.IGNORECASE)
# Google sends invoices in the first days of a month, and says nowhere in the export that it has.
FINAL_AFTER: Final = timedelta(days=10)


class ExportedFiles:
    """Every data file of a location counts, told apart by name, size and digest; a month has the files that bill it.

    Args:
        location: where the files are.
        landing: folder of this source.
        on_bytes: is told of bytes fetched.
    """

    def __init__(self, location: Location, landing: Path, on_bytes: Callable[[int], None]) -> None:
        self._location = location
        self._landing = landing
        self._on_bytes = on_bytes
        self._known: Mapping[str, Entry] = {}

    def versions(self) -> Sequence[SourceVersion]:
        """List the invoice months there are, oldest first; every file is read for its months.

        Raises:
            BadInput: there is nothing to read, or a file is no export.
        """
        by_month: dict[str, list[SourceFile]] = {}
        listed = self._list()
        for entry in listed.values():
            digest = self._location.digest(entry)
            path = native = self._land(entry, digest)
            if not tabular.is_parquet(native):
                path = gcp_text.to_parquet(native, entry.key, self._converted(entry.key, digest))
            for month in gcp_totals.months(path, GcpColumns(tabular.native_schema(path, entry.key), entry.key)):
                by_month.setdefault(month, []).append(SourceFile(entry.key, entry.size, digest))
        if listed and not by_month:
            # One of several files may well be empty: BigQuery cuts an export without looking.
            raise BadInput(", ".join(listed), "has no lines", "Wait for the first export; it takes a day or two")
        if not by_month:
            fix = "Check `location`: it needs Parquet, JSONL or CSV files of the billing export"
            raise BadInput(self._location.uri(""), "there are no bills here", fix)
        return [version(month, files) for month, files in sorted(by_month.items())]

    def fetch(self, found: SourceVersion) -> Landed:
        """Land the version's files; files of a folder are used where they are, once they are seen to be unchanged.

        Raises:
            BadInput: a file is not what was listed.
        """
        entries = self._known or self._list()
        paths = [
            self._land(as_listed(self._location, entries, file.name, file.etag), file.etag) for file in found.files
        ]
        return Landed(found, paths)

    def parquet(self, file: SourceFile, path: Path) -> Path:
        """Give the Parquet to read for a landed file: itself, or what its text was turned into."""
        if tabular.is_parquet(path):
            return path
        return gcp_text.to_parquet(path, file.name, self._converted(file.name, file.etag))

    def _list(self) -> Mapping[str, Entry]:
        self._known = {entry.key: entry for entry in self._location.entries() if DATA.search(f"/{entry.key}")}
        return self._known

    def _land(self, entry: Entry, digest: str) -> Path:
        path = self._location.land(entry, self._landing / "files" / _short(digest), self._on_bytes)
        return no_bomb(path, self._location.uri(entry.key))

    def _converted(self, key: str, digest: str) -> Path:
        return jailed(self._landing / "converted" / _short(digest), f"{key}.parquet")


def version(month: str, files: Sequence[SourceFile]) -> SourceVersion:
    """Make the version of an invoice month; once its invoice must be out, it is another one, and final."""
    period = date(int(month[:4]), int(month[4:]), 1)
    final = next_month(period) + FINAL_AFTER <= datetime.now(UTC).date()
    parts = [part for file in files for part in (file.name, str(file.size), file.etag)]
    return SourceVersion(period, _digest([month, str(final), *parts]), files, is_final=final)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _short(digest: str) -> str:
    return hashlib.sha256(digest.encode()).hexdigest()[:16]
