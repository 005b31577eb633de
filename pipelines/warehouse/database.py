"""`warehouse.duckdb`: the pipeline's own database, rebuilt from the ledger at any time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from dbt_like_sql.sql_model import RELATION, VIEWS
from models import money
from models.errors import Refused
from models.facts import Schema
from pipelines.settings import Settings
from pipelines.warehouse.keys import digest
from pipelines.warehouse.tables import MONEY, TABLES, comment_statements, create_statement

_SCHEMAS: Final = ("ledger", "computed", "reference", "staging", "intermediate", "marts")
_POLARS: Final[Schema] = {
    "varchar": pl.String,
    "date": pl.Date,
    "integer": pl.Int32,
    "bigint": pl.Int64,
    "double": pl.Float64,
    "timestamp": pl.Datetime("us"),
    "boolean": pl.Boolean,
    MONEY: money.MONEY,
}
_BUILDS: Final = """
create table computed.builds (
    source varchar, billing_period date, charges_id varchar, attributions_id varchar, spelt varchar
)
"""

UNMERGED: Final = "set max_vacuum_tasks = 0"
"""Leave the row groups that two threads wrote as they are: to merge them takes as long as to write them, and tables of
SQL models are made anew each run."""
# In SQL, so that six million hours are summed where they are and with the memory DuckDB was given.
GPU_DAYS: Final = """
insert into ledger.gpu_days by name
select
    source, billing_period, key_id, usage_hour::date as usage_date, resource_id, region_id, commitment_discount_id,
    bit_or(1 << hour(usage_hour))::integer as billed_hours, max(gpu_hours) as largest_hour,
    sum(gpu_hours)::decimal(38, 12) as gpu_hours
from ledger.gpu_hours
where source = $source and billing_period = $period and gpu_hours is not null
group by all
"""


@dataclass(frozen=True)
class Build:
    """What a month in the warehouse was built from.

    Attributes:
        charges_id: load id of its lines.
        attributions_id: load id of its attributions.
        spelt: how the bill spells each relevant tag.
    """

    charges_id: str
    attributions_id: str
    spelt: Mapping[str, Sequence[str]] = field(hash=False, compare=False)


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file and close it whatever happens."""
    connection = duckdb.connect(str(path), read_only=read_only)
    try:
        connection.execute("set timezone = 'UTC'")
        yield connection
    finally:
        connection.close()


def warehouse_path(settings: Settings) -> Path:
    """Say where the warehouse is."""
    return settings.home / "warehouse.duckdb"


@contextmanager
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse for writing.

    One that other code made, or for another reporting currency, or a damaged one is thrown away: the ledger has
    everything.
    """
    path = warehouse_path(settings)
    settings.home.mkdir(parents=True, exist_ok=True)
    rates = [rate.model_dump_json() for rate in settings.exchange_rates]
    made_with = digest([TABLES, RELATION, sorted(VIEWS), _BUILDS, settings.currency, rates])
    try:
        with ExitStack() as stack:
            connection = _opened_if_made_with(stack, path, made_with)
            if connection is None:
                path.unlink(missing_ok=True)
                path.with_suffix(".duckdb.wal").unlink(missing_ok=True)
                connection = stack.enter_context(opened(path))
                _create(connection, made_with)
            yield connection
    except (duckdb.IOException, duckdb.TransactionException) as error:
        # A commit that fails is a disk that does not take it: nobody else writes here.
        raise not_written(path, error) from error


def not_written(path: Path, error: Exception) -> Refused:
    """Say that a database could not be written and why."""
    why = " ".join(str(error).split())
    return Refused(f"{path}: cannot be written ({why}). Nothing was published; correct that and run again.")


def _opened_if_made_with(stack: ExitStack, path: Path, made_with: str) -> duckdb.DuckDBPyConnection | None:
    """Open a warehouse that is there and was made with just this."""
    if not path.exists():
        return None
    with suppress(duckdb.Error):
        connection = stack.enter_context(opened(path))
        if connection.sql("select digest from computed.made_with").fetchall() == [(made_with,)]:
            return connection
    with suppress(duckdb.Error):  # a damaged one may not even close
        stack.close()
    return None


def _create(connection: duckdb.DuckDBPyConnection, made_with: str) -> None:
    connection.begin()
    for schema in _SCHEMAS:
        connection.execute(f"create schema if not exists {schema}")
    for table in TABLES:
        for statement in [create_statement(table), *comment_statements(table)]:
            connection.execute(statement)
    connection.execute(_BUILDS)
    connection.execute("create table computed.made_with as select $digest as digest", {"digest": made_with})
    connection.commit()


def builds(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, date], Build]:
    """Say what each month in the warehouse was built from."""
    rows = connection.sql("from computed.builds").fetchall()
    return {
        (source, period): Build(charges, attributions, json.loads(spelt))
        for source, period, charges, attributions, spelt in rows
    }


# Arrow writes text out in full, row by row, so that millions of rows are handed over in pieces.
_PIECE: Final = 500_000


def replace_month(
    connection: duckdb.DuckDBPyConnection,
    month: tuple[str, date],
    frames: Mapping[str, pl.DataFrame],
    build: Build,
) -> None:
    """Replace one month of some tables in one transaction.

    Args:
        connection: the warehouse.
        month: source and billing period.
        frames: table → rows, partition columns left out; columns the table lacks are ignored.
        build: what they were built from.
    """
    source, period = month
    where = {"source": source, "period": period}
    connection.begin()
    for table, frame in frames.items():
        connection.execute(f"delete from {table} where source = $source and billing_period = $period", where)
        columns = [name for name in TABLES[table][1] if name not in ("source", "billing_period")]
        for piece in frame.select(columns).iter_slices(_PIECE):
            connection.register("incoming", piece.to_arrow())
            connection.execute(
                f"insert into {table} by name select $source as source, $period as billing_period, * from incoming",
                where,
            )
            connection.unregister("incoming")
    if "ledger.gpu_hours" in frames:
        connection.execute("delete from ledger.gpu_days where source = $source and billing_period = $period", where)
        connection.execute(GPU_DAYS, where)
    connection.execute("delete from computed.builds where source = $source and billing_period = $period", where)
    connection.execute(
        "insert into computed.builds values (?, ?, ?, ?, ?)",
        [source, period, build.charges_id, build.attributions_id, json.dumps(build.spelt)],
    )
    connection.commit()


def drop_months(connection: duckdb.DuckDBPyConnection, keep: set[tuple[str, date]]) -> None:
    """Remove months that the ledger no longer has."""
    for source, period in set(builds(connection)) - keep:
        connection.begin()
        for table, (_, columns) in TABLES.items():
            if "billing_period" in columns and table.startswith(("ledger.", "computed.")):
                connection.execute(f"delete from {table} where source = ? and billing_period = ?", [source, period])
        connection.execute("delete from computed.builds where source = ? and billing_period = ?", [source, period])
        connection.commit()


def replace_rows(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, object] | Sequence[object]]
) -> None:
    """Replace a whole small table by rows: mappings, of which a column may be absent, or cells in the table's order."""
    types = {name: _POLARS[dtype] for name, (dtype, _) in TABLES[table][1].items()}
    cells = [[row.get(name) for name in types] if isinstance(row, Mapping) else row for row in rows]
    replace_table(connection, table, pl.DataFrame(cells, schema=types, orient="row"))


def is_made_from(connection: duckdb.DuckDBPyConnection, kind: str, content: str) -> bool:
    """Tell whether tables of usage were made from just this."""
    made = connection.sql("select digest from computed.usage_builds where kind = ?", params=[kind]).fetchall()
    return made == [(content,)]


def set_made_from(connection: duckdb.DuckDBPyConnection, kind: str, content: str) -> None:
    """Remember what tables of usage were made from."""
    connection.execute("delete from computed.usage_builds where kind = ?", [kind])
    connection.execute("insert into computed.usage_builds values (?, ?)", [kind, content])


def replace_table(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    """Replace a whole small table."""
    connection.begin()
    connection.execute(f"delete from {table}")
    connection.register("incoming", frame.select(list(TABLES[table][1])).to_arrow())
    connection.execute(f"insert into {table} by name select * from incoming")
    connection.unregister("incoming")
    connection.commit()
