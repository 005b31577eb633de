"""The billing export in BigQuery: what changed, by partition, and its rows streamed into Parquet files.

Rows are only ever appended, corrections too, so a partition is known by its newest `export_time` and its number of
rows. A changed one is read whole, up to that `export_time`, into a file of its own; months share these files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final

import pyarrow as pa
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types
from pyarrow import parquet

from connectors.gcp_client import CALL, JOB, explained
from connectors.gcp_files import version
from connectors.gcp_queries import PERMISSIONS, Queries
from connectors.landing import jailed, seal
from connectors.source import Landed, SourceFile, SourceVersion
from models.errors import BadInput

DOWNLOADS: Final = 4
ROWS_A_GROUP: Final = 50_000
# What is looked at every time; older partitions hardly ever change, so they are looked at once a week.
RECENT: Final = timedelta(days=45)
WIDE: Final = timedelta(days=7)
# Google drops a partition of the FOCUS table after two years; what has landed of one this old stays in its month.
LASTING: Final = timedelta(days=366)
THE_BEGINNING: Final = date(2000, 1, 1)
PSEUDO_COLUMN: Final = "_PARTITION"
SAID: Final = "apportion"
# The Storage Read API reads no views.
READ_DIRECTLY: Final = ("TABLE", "SNAPSHOT", "CLONE")


@dataclass(frozen=True)
class Partition:
    """What one look at a partition found."""

    newest: str
    rows: int
    months: tuple[str, ...]

    @property
    def tag(self) -> str:
        """Tell one content from another."""
        return f"{self.newest}/{self.rows}"


class BigQueryTable:
    """Read a table of the export, or a view of it.

    Args:
        queries: asks about the table.
        partition_expression: SQL that gives the date of a row's partition, already validated.
        landing: folder of this source.
        on_bytes: is told of bytes fetched.
    """

    def __init__(
        self, queries: Queries, partition_expression: str, landing: Path, on_bytes: Callable[[int], None]
    ) -> None:
        self.queries = queries
        self.name = queries.name
        self.partition = partition_expression
        what = "\0".join([str(self.name), partition_expression, *self._said_of_rows()])
        known = hashlib.sha256(what.encode()).hexdigest()[:16]
        self.landing = jailed(landing, known)
        self._on_bytes = on_bytes
        self._progress = Lock()

    def _said_of_rows(self) -> Sequence[str]:
        """Tell other rows of the same table apart, so that they land beside these."""
        return ()

    def versions(self) -> Sequence[SourceVersion]:
        """List the invoice months there are, oldest first.

        Raises:
            BadInput: the table cannot be read, or is empty.
        """
        by_month: dict[str, list[SourceFile]] = {}
        for day, partition in sorted(self._discover().items()):
            for month in partition.months:
                by_month.setdefault(month, []).append(_file(day, partition))
        if not by_month:
            raise BadInput(str(self.name), "the table has no rows", "Wait for the first export; it takes a day or two")
        return [version(month, files) for month, files in sorted(by_month.items())]

    def _discover(self) -> Mapping[str, Partition]:
        """Look at the recent partitions, and once in a while at all, and remember what was found."""
        memory = jailed(self.landing, "partitions.json")
        today = datetime.now(UTC).date()
        known = json.loads(memory.read_text()) if memory.is_file() else {"wide": None, "partitions": {}}
        is_wide = known["wide"] is None or date.fromisoformat(known["wide"]) + WIDE <= today
        since = THE_BEGINNING if is_wide else today - RECENT
        before = {
            day: Partition(said["newest"], said["rows"], tuple(said["months"]))
            for day, said in known["partitions"].items()
        }
        found = {day: partition for day, partition in before.items() if day < since.isoformat()}
        found |= self._look(since)
        # Younger ones may be in the table again under other days: an export switched on anew goes back two months.
        old = (today - LASTING).isoformat()
        gone = {day: partition for day, partition in before.items() if day < old and day not in found}
        found |= {day: partition for day, partition in gone.items() if self._path(_file(day, partition)).is_file()}
        told = {day: asdict(partition) for day, partition in found.items()}
        memory.parent.mkdir(parents=True, exist_ok=True)
        part = memory.with_name(f"{memory.name}.part")
        part.write_text(json.dumps({"wide": today.isoformat() if is_wide else known["wide"], "partitions": told}))
        seal(part, memory)
        return found

    def _look(self, since: date) -> Mapping[str, Partition]:
        # Rows that stream in have no partition yet: they are read once they have one.
        blank = "" if PSEUDO_COLUMN in self.partition else f" OR {self.partition} IS NULL"
        export = self.queries.export
        sql = (
            f"SELECT {self.partition} AS day, {export.month} AS month, "
            f"MAX({export.export_time}) AS newest, COUNT(*) AS number "
            f"FROM {self.name.quoted} WHERE {self.partition} >= @since{blank} GROUP BY 1, 2"
        )
        found: dict[str, Partition] = {}
        for row in self.queries.rows(sql, [bigquery.ScalarQueryParameter("since", "DATE", since)]):
            self._require(row)
            day, newest = row["day"].isoformat(), row["newest"].astimezone(UTC).isoformat()
            before = found.get(day, Partition("", 0, ()))
            months = tuple(sorted({*before.months, row["month"]}))
            found[day] = Partition(max(before.newest, newest), before.rows + row["number"], months)
        return found

    def _require(self, row: Mapping[str, Any]) -> None:
        export = self.queries.export
        needed = {"day": self.partition, "month": export.said_by, "newest": export.export_time}
        for name, column in needed.items():
            if row[name] is None:
                fix = "Ask Google, or set another `partition_expression`"
                raise BadInput(str(self.name), f"{column} is null in {row['number']:,} rows", fix)
        if not isinstance(row["day"], date) or isinstance(row["day"], datetime):
            fix = f"Write partition_expression: DATE({self.partition})"
            raise BadInput(str(self.name), f"{self.partition} is no date, but {row['day']!r}", fix)

    def fetch(self, found: SourceVersion) -> Landed:
        """Land the partitions that are not here already, a few at a time.

        Raises:
            Refused: reading them would cost more bytes than allowed.
            BadInput: the table cannot be read, or changed.
        """
        paths = {file.name: self._path(file) for file in found.files}
        missing = [file for file in found.files if not paths[file.name].is_file()]
        if missing:
            self.queries.dry_run(*self._rows_of(missing))
            said = self._ask(missing)
            with ThreadPoolExecutor(DOWNLOADS) as pool:
                list(pool.map(partial(self._land, paths, said), missing))
        return Landed(found, list(paths.values()))

    def _ask(self, missing: Sequence[SourceFile]) -> Mapping[date, str]:  # noqa: ARG002 - rows say all there is
        """Ask what is to be written into each partition's file beside its rows."""
        return {}

    def _path(self, file: SourceFile) -> Path:
        content = hashlib.sha256(file.etag.encode()).hexdigest()[:16]
        return jailed(self.landing, f"{day_of(file)}/{content}.parquet")

    def _rows_of(self, files: Sequence[SourceFile]) -> tuple[str, list[Any]]:
        return f"SELECT {self._columns()} FROM {self.name.quoted} WHERE {self._where()}", parameters(files)

    def _columns(self) -> str:
        return ", ".join(f"`{column}`" for column in self.queries.columns)

    def _where(self) -> str:
        return f"{self.partition} IN UNNEST(@days) AND {self.queries.export.export_time} <= @newest"

    def _land(self, paths: Mapping[str, Path], said: Mapping[date, str], file: SourceFile) -> None:
        """Stream a partition into a file that gets its name when it is whole; what it held before goes."""
        target = paths[file.name]
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        with explained(self.name, PERMISSIONS):
            written = self._stream(*self._readable(file), part, said.get(day_of(file), ""))
        expected = int(file.etag.rpartition("/")[2])
        if written != expected:
            part.unlink(missing_ok=True)
            found = f"partition {day_of(file)} has {written:,} rows where {expected:,} were counted"
            raise BadInput(str(self.name), found, "It changed while reading: run again")
        for old in target.parent.glob("*.parquet"):
            old.unlink()
        seal(part, target)

    def _stream(self, table: str, options: Any, part: Path, said: str = "") -> int:
        """Stream rows into a file with what is said of them, and count the lines they are."""
        storage = self.queries.connection.storage
        session = storage.create_read_session(
            parent=f"projects/{self.queries.connection.project}",
            read_session=types.ReadSession(table=table, data_format=types.DataFormat.ARROW, read_options=options),
            max_stream_count=1,
            timeout=CALL,
        )
        writer: Any = None
        batches: list[Any] = []
        written = waiting = 0
        try:
            for batch in self._batches(session):
                writer = writer or parquet.ParquetWriter(part, batch.schema, compression="zstd")
                batches.append(batch)
                written, waiting = written + self._lines_in(batch), waiting + batch.num_rows
                if waiting >= ROWS_A_GROUP:
                    writer.write_table(pa.Table.from_batches(batches))
                    batches, waiting = [], 0
            if batches:
                writer.write_table(pa.Table.from_batches(batches))
            if writer and said:
                writer.add_key_value_metadata({SAID: said})
        finally:
            if writer:
                writer.close()
        return written

    def _lines_in(self, batch: Any) -> int:
        found: int = batch.num_rows
        return found

    def _batches(self, session: Any) -> Iterator[Any]:
        """Give the rows as Arrow record batches; where the stream breaks off, the client takes it up at that row."""
        storage = self.queries.connection.storage
        schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
        for stream in session.streams:
            for message in storage.read_rows(stream.name, timeout=JOB):
                content = message.arrow_record_batch.serialized_record_batch
                self._report(len(content))
                yield pa.ipc.read_record_batch(pa.py_buffer(content), schema)

    def _readable(self, file: SourceFile) -> tuple[str, Any]:
        """Name a table that can be streamed, and which of its rows and columns; a view is queried first."""
        if self.queries.table.table_type in READ_DIRECTLY:
            newest = newest_of(file).isoformat(sep=" ")
            written = f"{self.queries.export.export_time} <= TIMESTAMP '{newest}'"
            restriction = f"{self.partition} = DATE '{day_of(file)}' AND {written}"
            options = types.ReadSession.TableReadOptions(
                selected_fields=self.queries.columns, row_restriction=restriction
            )
            return self.name.path, options
        return self._result(*self._rows_of([file]))

    def _result(self, sql: str, parameters: Sequence[Any]) -> tuple[str, Any]:
        """Query, and name the table that the rows can be streamed from."""
        rows = self.queries.destination(sql, parameters)
        name = f"projects/{rows.project}/datasets/{rows.dataset_id}/tables/{rows.table_id}"
        return name, types.ReadSession.TableReadOptions()

    def _report(self, count: int) -> None:
        with self._progress:
            self._on_bytes(count)


def parameters(files: Sequence[SourceFile]) -> list[Any]:
    """Give what a query over some partitions asks with."""
    newest = max(newest_of(file) for file in files)
    return [
        bigquery.ArrayQueryParameter("days", "DATE", [day_of(file) for file in files]),
        bigquery.ScalarQueryParameter("newest", "TIMESTAMP", newest),
    ]


def _file(day: str, partition: Partition) -> SourceFile:
    return SourceFile(f"{day}.parquet", None, partition.tag)


def day_of(file: SourceFile) -> date:
    """Say which partition a file holds."""
    return date.fromisoformat(file.name.removesuffix(".parquet"))


def newest_of(file: SourceFile) -> datetime:
    """Say when the newest of a partition's lines was written."""
    return datetime.fromisoformat(file.etag.rpartition("/")[0])
