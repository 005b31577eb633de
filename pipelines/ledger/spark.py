"""Passes over every line on Spark: executors carry out the same polars plans, a file a task, and Spark adds up.

Nothing is worked out twice: `read` of a connector and the queries of `warehouse/facts.py` are plans, and a plan can be
carried out elsewhere. Only the last step is Spark's own, adding up what the files' sums are. `decimal(38,12)` stays
`decimal(38,12)` when summed, and an overflow is an error; money is never multiplied here.
"""

from __future__ import annotations

import atexit
import os
import pickle
import re
import sys
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl
import pyarrow as pa

from models.errors import BadSettings, Refused
from models.facts import Schema
from models.money import MONEY
from pipelines.ledger.engine import OneMachine, OnFile, Query, UnreadableError, Written

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from pipelines.ledger.delta import Table
    from pipelines.settings import SparkSettings

# What goes through Spark: its name there, and in Arrow.
_TYPES: Final[Mapping[Any, tuple[str, pa.DataType]]] = {
    pl.String: ("string", pa.string()),
    pl.Boolean: ("boolean", pa.bool_()),
    pl.Date: ("date", pa.date32()),
    pl.Datetime("us"): ("timestamp_ntz", pa.timestamp("us")),
    pl.Int64: ("bigint", pa.int64()),
    pl.UInt32: ("bigint", pa.int64()),  # Spark has no unsigned numbers
    MONEY: ("decimal(38,12)", pa.decimal128(38, 12)),
}
_WRITTEN: Final[Schema] = {"path": pl.String, "rows": pl.Int64, "damage": pl.String}

_RAISED: Final = re.compile(r"(?:\w+\.)*(?:\w+(?:Error|Exception)|Refused): ")
_Task = TypeVar("_Task")


@dataclass(frozen=True)
class Spark:
    """Executors work, one task per file; the session is begun with the first pass."""

    settings: SparkSettings

    def write(
        self, table: Table, paths: Sequence[str], frames: Sequence[pl.LazyFrame], on_file: OnFile
    ) -> list[Written]:
        """Write each frame into a file on an executor.

        A file's name ends in the attempt that wrote it: an executor that was given up may still be writing.
        """
        tasks = [(path, zlib.compress(pickle.dumps(frame), 1)) for path, frame in zip(paths, frames, strict=True)]
        found = self._done(tasks, partial(_write, replace(table, engine=OneMachine())), _WRITTEN).sort("path")
        for number, damage in enumerate(found["damage"]):
            if damage is not None:
                raise UnreadableError(number) from pl.exceptions.ComputeError(damage)
        for number, rows in enumerate(found["rows"]):
            on_file(number, rows)
        return [Written(path, rows) for path, rows in found.select("path", "rows").iter_rows()]

    def distinct(self, table: Table, files: Sequence[str], query: Query) -> pl.DataFrame:
        """Find the distinct rows of each file on an executor, and of all in Spark."""
        return self._asked(table, files, query, lambda found: found.distinct())

    def summed(self, table: Table, files: Sequence[str], query: Query, by: Sequence[str]) -> pl.DataFrame:
        """Sum each file on an executor, and the sums in Spark."""

        def add(found: DataFrame) -> DataFrame:
            from pyspark.sql import functions

            sums = [functions.sum(name).alias(name) for name in found.columns if name not in by]
            return found.groupBy(*by).agg(*sums)

        return self._asked(table, files, query, add).sort(by, nulls_last=True)

    def _asked(
        self, table: Table, files: Sequence[str], query: Query, then: Callable[[DataFrame], DataFrame]
    ) -> pl.DataFrame:
        plain = replace(table, engine=OneMachine())
        schema = query(plain.scan(files[:1])).collect_schema()
        return self._done(files, partial(_ask, plain, query), schema, then).select(
            pl.col(name).cast(dtype) for name, dtype in schema.items()
        )

    def _done(
        self,
        tasks: Sequence[_Task],
        work: Callable[[_Task], pl.DataFrame],
        schema: Mapping[str, Any],
        then: Callable[[DataFrame], DataFrame] = lambda found: found,
    ) -> pl.DataFrame:
        """Do each task somewhere, `then` something to all they found."""
        try:
            from py4j.protocol import Py4JError
            from pyspark.errors import PySparkException
        except ImportError as error:
            raise BadSettings("`engine: spark` needs pyspark: pip install 'apportion[spark]'") from error

        target = pa.schema([(name, _TYPES[dtype][1]) for name, dtype in schema.items()])
        ddl = ", ".join(f"`{name}` {_TYPES[dtype][0]}" for name, dtype in schema.items())
        carried_out = partial(_work, work, tasks, target)
        try:
            with warnings.catch_warnings():
                # It warns of pandas 3, of which nothing but its presence is asked here.
                warnings.filterwarnings("ignore", category=FutureWarning, module="pyspark")
                # As many partitions as tasks; the tasks go with the function, which Spark broadcasts where it is large.
                numbers = self._session().range(0, len(tasks), 1, len(tasks))
                found = then(numbers.mapInArrow(carried_out, ddl)).toArrow()
        except (PySparkException, Py4JError) as error:
            raise Refused(f"Spark gave up, and nothing was changed: {_reason(error)}") from error
        frame = pl.from_arrow(found)
        if not isinstance(frame, pl.DataFrame):
            raise TypeError(type(frame))
        return frame

    def _session(self) -> SparkSession:
        from pyspark.sql import SparkSession

        # Executors run the interpreter that runs here, at the same path, unless told otherwise.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder: Any = SparkSession.builder
        if self.settings.remote is not None:
            for name, value in self.settings.options.items():
                builder = builder.config(name, value)
            remote: SparkSession = builder.remote(self.settings.remote).getOrCreate()
            return remote
        options = {
            # A task has the cores that Spark counts for it, not the whole machine.
            "spark.executorEnv.POLARS_MAX_THREADS": self.settings.options.get("spark.task.cpus", "1"),
            "spark.driver.maxResultSize": "0",  # a month's daily rows
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
            **self.settings.options,
        }
        for name, value in options.items():
            builder = builder.config(name, value)
        if self.settings.master is not None:
            builder = builder.master(self.settings.master)
        session: SparkSession = builder.appName("apportion").getOrCreate()
        # A server forgets its clients by itself; a driver has executors to dismiss.
        atexit.register(session.stop)
        return session


def _work(
    work: Callable[[_Task], pl.DataFrame], tasks: Sequence[_Task], target: pa.Schema, numbers: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Do the task of the number that came to this executor."""
    for batch in numbers:
        for number in batch["id"].to_pylist():
            found = work(tasks[number]).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(target)
            yield from found.to_batches(max_chunksize=65_536)


def _write(table: Table, task: tuple[str, bytes]) -> pl.DataFrame:
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        raise RuntimeError("no Spark task runs here")
    path, plan = task
    path = f"{path.removesuffix('.parquet')}_{context.taskAttemptId()}.parquet"
    rows, damage = None, None
    try:
        rows = table.write_file(path, pickle.loads(zlib.decompress(plan))).rows  # noqa: S301 - our own driver wrote it
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        # No other executor would read it either.
        damage = str(error)
    return pl.DataFrame([(path, rows, damage)], schema=_WRITTEN, orient="row")


def _ask(table: Table, query: Query, path: str) -> pl.DataFrame:
    return query(table.scan([path])).collect(engine="streaming")


def _reason(error: Exception) -> str:
    """Find the exception's own line: what an executor's Python raised ends a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    return (raised or lines or [type(error).__name__])[-1]
