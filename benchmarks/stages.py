"""What a load is measured by, each in a process of its own: floors, the load and its stages, a pull from S3."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import boto3
import duckdb
import polars as pl

from benchmarks import bill
from pipelines.ledger.delta import Table
from pipelines.ledger.engine import OneMachine, OnFile, Query, Written

PORT: Final = 5123
KEYS: Final = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "us-east-1",
}
AGGREGATED: Final = """
select line_item_usage_start_date::date as usage_date, {columns}, sum(line_item_unblended_cost),
    sum(line_item_net_unblended_cost), sum(pricing_public_on_demand_cost), sum(line_item_usage_amount), count(*)
from read_parquet($files) group by all
"""


def bills_in(folder: Path) -> list[Path]:
    """Give the files of a benchmark's bill."""
    return sorted((folder / "bills").rglob("*.parquet"))


def peak() -> int:
    """Give the most memory this process ever had, in bytes; `ru_maxrss` would count what started it too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (kilobytes,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024


class Watch(OneMachine):
    """An engine that remembers how long each kind of pass took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what is done meanwhile to a stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0) + time.perf_counter() - start

    def write(
        self, table: Table, paths: Sequence[str], frames: Sequence[pl.LazyFrame], on_file: OnFile
    ) -> list[Written]:
        """Write, timed."""
        with self.timed("write"):
            return super().write(table, paths, frames, on_file)

    def distinct(self, table: Table, files: Sequence[str], query: Query) -> pl.DataFrame:
        """Find distinct rows, timed."""
        with self.timed("distinct"):
            return super().distinct(table, files, query)

    def summed(self, table: Table, files: Sequence[str], query: Query, by: Sequence[str]) -> pl.DataFrame:
        """Sum, timed."""
        with self.timed("summed"):
            return super().summed(table, files, query, by)


def settled() -> tuple[float, float]:
    """Start the clocks once what others wrote is on the disk: whoever syncs a file would wait for theirs too."""
    os.sync()
    return time.perf_counter(), time.process_time()


def floor(folder: Path) -> dict[str, Any]:
    """Rewrite the columns the connector reads, and nothing else."""
    target = folder / "floor.parquet"
    columns = _columns_read(bills_in(folder)[0])
    start, busy = settled()
    pl.scan_parquet(bills_in(folder)).select(columns).sink_parquet(target)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    size = target.stat().st_size
    target.unlink()
    return {"seconds": seconds, "busy": busy, "peak": peak(), "bytes": size}


def _columns_read(path: Path) -> list[str]:
    """Find the columns without which the connector's frame cannot be made."""
    from connectors import aws_charges, tabular
    from connectors.aws_columns import AwsColumns

    schema = tabular.native_schema(path, path.name)
    columns = AwsColumns(schema, path.name, tabular.contents(path, path.name))

    def needed(column: str) -> bool:
        try:
            aws_charges.charges(tabular.scan(path).drop(column), columns, net=True).collect_schema()
        except pl.exceptions.ColumnNotFoundError:
            return True
        return False

    return [column for column in schema if needed(column)]


def aggregated(folder: Path) -> dict[str, Any]:
    """Let DuckDB add the bill up by day and by what tells its keys apart, and nothing else."""
    start, busy = settled()
    with duckdb.connect() as connection:
        files = [str(file) for file in bills_in(folder)]
        asked = AGGREGATED.format(columns=", ".join(bill.key_columns()))
        rows = connection.execute(f"select count(*) from ({asked})", {"files": files}).fetchall()[0][0]
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"seconds": seconds, "busy": busy, "peak": peak(), "rows": rows}


def parsed(folder: Path) -> dict[str, Any]:
    """Let polars inflate a gzipped CSV and read the text of every cell, and nothing else."""
    (file,) = (folder / "bills").glob("*.csv.gz")
    start, busy = settled()
    lines = sum(batch.height for batch in pl.scan_csv(file, infer_schema=False).collect_batches())
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"seconds": seconds, "busy": busy, "peak": peak(), "lines": lines}


def load(folder: Path) -> dict[str, Any]:
    """Load the bill into an empty ledger, then tag it and make its daily rows and GPU-hours."""
    from pipelines.ledger.load import load as load_version
    from pipelines.ledger.tables import Ledger
    from pipelines.orchestration.plan import tagging_of
    from pipelines.settings import Settings
    from pipelines.warehouse.database import warehouse
    from pipelines.warehouse.keys import Tagging
    from pipelines.warehouse.month import MonthBuilder, Reason
    from pipelines.warehouse.reporting import Reporting

    shutil.rmtree(folder / "home", ignore_errors=True)
    settings = Settings.load(folder / "apportion.yaml")
    watch = Watch()

    class Watched(Tagging):
        def attribute(self, keys: pl.DataFrame, source: str) -> pl.DataFrame:
            with watch.timed("attribute"):
                return super().attribute(keys, source)

    start, busy = settled()
    ledger = replace(Ledger.of(settings), engine=watch)
    source = settings.open(settings.sources[0].name)
    for version in source.versions():
        load_version(ledger, source, version)
    found: dict[str, Any] = {"seconds": time.perf_counter() - start, "busy": time.process_time() - busy, "peak": peak()}
    found |= {"write": watch.seconds.pop("write"), "read_back": watch.seconds.pop("summed")}
    with warehouse(settings) as connection:
        tagging = tagging_of(settings)
        watched = Watched(tagging.rulebook, tagging.dimensions, tagging.ai_scope)
        months = MonthBuilder(ledger, connection, watched, Reporting(settings.currency, []))
        for partition in ledger.charges.partitions().values():
            months.refresh(partition, retag=True, reason=Reason())
        daily = connection.sql("select count(*) from ledger.charges_daily").fetchall()[0][0]
    tables = time.perf_counter() - start - found["seconds"]
    written = sum(path.stat().st_size for path in (settings.home / "ledger" / "charges").rglob("*.parquet"))
    shutil.rmtree(folder / "home")
    return found | {
        "bytes": written,
        "tables_seconds": tables,
        "tables_busy": time.process_time() - busy - found["busy"],
        "tables_peak": peak(),
        "keys": watch.seconds["distinct"],
        "attribute": watch.seconds["attribute"],
        "sums": watch.seconds["summed"],
        "daily_rows": daily,
    }


def pull(folder: Path) -> dict[str, Any]:
    """Fetch the bill from an S3 that speaks HTTP on this machine, into an empty landing folder."""
    from pipelines.settings import Settings

    os.environ |= KEYS
    endpoint = f"http://127.0.0.1:{PORT}"
    home = folder / "pulled"
    home.mkdir(exist_ok=True)
    source = f"{{ name: aws, type: aws_cur, location: 's3://bench/exports', endpoint_url: '{endpoint}' }}"
    (home / "apportion.yaml").write_text(f"home: home\nsources: [{source}]\n", encoding="utf-8")
    with _served(folder / "bills", endpoint):
        landing = Settings.load(home / "apportion.yaml").open("aws")
        start, busy = settled()
        for version in landing.versions():
            landing.fetch(version)
        found = {"seconds": time.perf_counter() - start, "busy": time.process_time() - busy, "peak": peak()}
    shutil.rmtree(home)
    return found


@contextmanager
def _served(bills: Path, endpoint: str) -> Iterator[None]:
    command = [sys.executable, "-m", "moto.server", "-p", str(PORT)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while server.poll() is None and not _listens():
            time.sleep(0.1)
        s3 = boto3.client("s3", endpoint_url=endpoint)
        s3.create_bucket(Bucket="bench")
        for file in sorted(path for path in bills.rglob("*") if path.is_file()):
            s3.upload_file(str(file), "bench", f"exports/{file.relative_to(bills)}")
        yield
    finally:
        server.terminate()
        server.wait()


def _listens() -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", PORT)) == 0


MEASURES: Final[dict[str, Callable[[Path], dict[str, Any]]]] = {
    "floor": floor,
    "aggregated": aggregated,
    "parsed": parsed,
    "load": load,
    "pull": pull,
}
