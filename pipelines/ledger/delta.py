"""Delta tables partitioned by source and billing period; one transaction makes a whole partition current.

Polars streams Parquet files into the partition's folder, their existence, size and row count are verified (a
transaction would accept a missing file), then one commit replaces the partition. Files of a crashed load are never
referenced. Log cleanup is off: history is the audit trail.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction

from models.errors import Refused
from models.facts import DataType
from pipelines.ledger.engine import Engine, OneMachine, OnFile, Query, Written

if TYPE_CHECKING:
    from deltalake.table import FilterType

PARTITION: Final = ("source", "billing_period")
# Measured by `make bench`: zstd and least and greatest values each cost a tenth of the load, and a bill is in no order
# that would let a reader skip by them. Scans hold several row groups at once, so small ones halve their memory.
_PARQUET: Final[Mapping[str, Any]] = {
    "compression": "snappy",
    "row_group_size": 32_768,
    "statistics": {"min": False, "max": False, "distinct_count": False, "null_count": True},
}
_CONFIGURATION: Final = {"delta.enableExpiredLogCleanup": "false", "delta.logRetentionDuration": "interval 36500 days"}


# Left alone, an object store that does not answer is asked for three minutes.
_PATIENCE: Final[Mapping[str, str]] = {"connect_timeout": "5s", "max_retries": "4", "retry_timeout": "20s"}
# Tree drawing and colors of the library's messages.
_WHITE: Final = re.compile(r"(?:\x1b\[\d+m|↳|\s)+")
# What polars says of a full disk: the fault is this machine's, not the file's that is read.
_MACHINE: Final = re.compile(r"[\w -]*\(os error \d+\)")


@dataclass(frozen=True)
class Partition:
    """What is current for one source and billing period.

    Attributes:
        load_id: identity of the load, from the names of its files.
        files: paths relative to the table, in order.
    """

    source: str
    billing_period: date
    load_id: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One Delta table under a root directory or `s3://` URI.

    Attributes:
        columns: polars types of all columns, partition columns left out; a file may lack any of them.
        engine: what does the passes over every row.
    """

    root: str
    name: str
    columns: Mapping[str, DataType]
    options: Mapping[str, str] = field(default_factory=dict)
    engine: Engine = field(default_factory=OneMachine)

    @property
    def uri(self) -> str:
        """Where the table lives."""
        return f"{self.root.rstrip('/')}/{self.name}"

    def exists(self) -> bool:
        """Tell whether anything was ever written to it.

        Raises:
            Refused: its storage cannot be reached.
        """
        try:
            return DeltaTable.is_deltatable(self.uri, self._storage)
        except OSError as error:
            why = _WHITE.sub(" ", str(error)).strip()
            raise Refused(
                f"{self.uri}: the ledger cannot be reached. Check `ledger`, `ledger_options`, the credentials and the "
                f"network; nothing was changed. ({why})"
            ) from None

    @property
    def _storage(self) -> dict[str, str]:
        return {**_PATIENCE, **self.options} if "://" in self.uri else dict(self.options)

    def open(self, version: int | None = None) -> DeltaTable:
        """Open the table, made if it does not exist yet, widened if the code knows a column it lacks."""
        if version is not None:
            return DeltaTable(self.uri, version=version, storage_options=self._storage)
        schema = pl.Schema({"source": pl.String, "billing_period": pl.Date, **self.columns}).to_arrow()
        if not self.exists():
            with self._writing():
                return DeltaTable.create(
                    self.uri,
                    schema=schema,
                    mode="ignore",
                    partition_by=list(PARTITION),
                    configuration=_CONFIGURATION,
                    storage_options=self._storage,
                )
        table = DeltaTable(self.uri, storage_options=self._storage)
        known = {column.name for column in table.schema().fields}
        if not known >= set(self.columns):
            wider = Schema.from_arrow(schema)
            with self._writing():
                table.alter.add_columns([column for column in wider.fields if column.name not in known])
        return table

    def partitions(self, version: int | None = None) -> dict[tuple[str, date], Partition]:
        """Say what is current, or was at a version, per source and billing period; asking changes nothing."""
        found: dict[tuple[str, date], list[str]] = {}
        if version is None and not self.exists():
            return {}
        table = DeltaTable(self.uri, version=version, storage_options=self._storage)
        actions = pl.DataFrame(table.get_add_actions(flatten=True))
        for row in actions.iter_rows(named=True):
            key = row["partition.source"], row["partition.billing_period"]
            found.setdefault(key, []).append(row["path"])
        return {
            key: Partition(*key, load_id=_load_id(paths[0]), files=tuple(sorted(paths))) for key, paths in found.items()
        }

    def files(self) -> list[str]:
        """Give the paths of everything that is current."""
        return [path for partition in self.partitions().values() for path in partition.files]

    def write(
        self,
        source: str,
        period: date,
        load_id: str,
        frames: Sequence[pl.LazyFrame],
        on_file: OnFile = lambda _number, _rows: None,
    ) -> list[AddAction]:
        """Stream frames into new files of a partition; nothing is current until `commit`.

        Raises:
            UnreadableError: a frame's native file turned out damaged while it was streamed.
        """
        self.open()  # a ledger that cannot be written is known before an hour of reading
        folder = f"source={source}/billing_period={period.isoformat()}"
        paths = [f"{folder}/{load_id}-{number:05d}.parquet" for number in range(1, len(frames) + 1)]
        written = self.engine.write(self, paths, frames, on_file)
        return [self._verified(file, source, period) for file in written]

    def write_file(self, path: str, frame: pl.LazyFrame) -> Written:
        """Stream one frame into one file, and count its rows there."""
        remote = "://" in self.uri
        with self._writing():
            frame.sink_parquet(
                f"{self.uri}/{path}",
                mkdir=not remote,
                storage_options=dict(self.options) or None,
                sync_on_close=None if remote else "all",
                **_PARQUET,
            )
        return Written(path, self.scan([path]).select(pl.len()).collect().item())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say it is the disk where it is, and not the file that is read."""
        try:
            yield
        except (OSError, pl.exceptions.ComputeError) as error:
            text = _WHITE.sub(" ", str(error)).strip()
            machine = _MACHINE.search(text)
            if machine is None and not isinstance(error, OSError):
                raise
            why = machine[0].strip() if machine else text
            said = f"{self.uri}: cannot be written ({why}). Nothing was changed; correct that and run again."
            raise Refused(said) from error

    def _verified(self, written: Written, source: str, period: date) -> AddAction:
        info = DeltaStorageHandler(self.uri, self._storage).get_file_info([written.path])[0]
        if not info.size:
            raise Refused(
                f"{self.uri}/{written.path}: written but not there, or empty. Nothing was changed; run again."
            )
        values = {"source": source, "billing_period": period.isoformat()}
        rows = json.dumps({"numRecords": written.rows})
        return AddAction(written.path, info.size, values, int(time.time() * 1000), True, rows)  # noqa: FBT003

    def distinct(self, files: Sequence[str], query: Query) -> pl.DataFrame:
        """Give the distinct rows that a query ending in `unique` finds in some of the table's files."""
        return self.engine.distinct(self, files, query)

    def summed(self, files: Sequence[str], query: Query, by: Sequence[str]) -> pl.DataFrame:
        """Give the sums by groups that a query ending in `group_by` finds in some of the table's files."""
        return self.engine.summed(self, files, query, by)

    def scan(self, files: Sequence[str]) -> pl.LazyFrame:
        """Read some of the table's files; columns a file lacks are null. Partition columns come from the path."""
        return pl.scan_parquet(
            [f"{self.uri}/{path}" for path in files],
            schema={"source": pl.String, "billing_period": pl.Date, **self.columns},
            missing_columns="insert",
            hive_partitioning=True,
            hive_schema={"source": pl.String, "billing_period": pl.Date},
            storage_options=dict(self.options) or None,
        )

    def commit(
        self,
        adds: Sequence[AddAction],
        *,
        mode: Literal["append", "overwrite"],
        partition: tuple[str, date] | None = None,
        facts: Mapping[str, str],
    ) -> int:
        """Make files current in one transaction and give the new version.

        Args:
            adds: verified files of `write`.
            mode: `overwrite` replaces `partition` whole, `append` keeps what is there.
            partition: source and billing period to replace.
            facts: who, when, why: kept in the table's history.
        """
        table = self.open()
        filters: FilterType | None = None
        if partition is not None:
            filters = [("source", "=", partition[0]), ("billing_period", "=", partition[1].isoformat())]
        with self._writing():
            table.create_write_transaction(
                list(adds),
                mode=mode,
                schema=table.schema(),
                partition_by=list(PARTITION),
                partition_filters=filters,
                commit_properties=CommitProperties(custom_metadata=dict(facts)),
            )
        table.update_incremental()
        return table.version()

    def history(self) -> list[dict[str, Any]]:
        """Give every commit with its facts, newest first."""
        return self.open().history()


def _load_id(path: str) -> str:
    return path.rsplit("/", 1)[-1].rsplit("-", 1)[0]
