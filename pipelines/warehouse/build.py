"""Build the SQL models over the facts, show the lines as a view, and run every check over the whole warehouse."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from dbt_like_sql.sql_model import SqlModel, build_statements, load_checks, load_models, quote
from models.attribution import COLUMNS as TAGGED
from models.errors import Refused
from models.facts import CHARGES, KEY_COLUMNS
from pipelines.warehouse.database import UNMERGED, builds
from pipelines.warehouse.facts import MACHINE_HOURS
from pipelines.warehouse.keys import MAPS
from pipelines.warehouse.tables import MONEY, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from pipelines.ledger.tables import Ledger

_DUCKDB_TYPES = {
    "Date": "date",
    "String": "varchar",
    "Int64": "bigint",
    "Datetime(time_unit='us', time_zone='UTC')": "timestamptz",
    "Decimal(precision=38, scale=12)": MONEY,
    "Map(String, String)": "map(varchar, varchar)",
}


@cache
def sql_models() -> tuple[SqlModel, ...]:
    """Give every SQL model in the order it can be built."""
    return tuple(load_models(TABLES))


@cache
def sql_checks() -> tuple[SqlModel, ...]:
    """Give every check of the whole warehouse."""
    return tuple(load_checks({*TABLES, *(model.table for model in sql_models())}))


def build(connection: duckdb.DuckDBPyConnection, model: SqlModel) -> None:
    """Build one SQL model with its comments.

    In one transaction: outside of any, DuckDB waits for the disk after every comment, nine hundred times a run.
    """
    connection.execute(UNMERGED)
    connection.begin()
    for statement in build_statements(model):
        connection.execute(statement)
    connection.commit()


def check(connection: duckdb.DuckDBPyConnection) -> int:
    """Run every `assert_*.sql` and give their number.

    Raises:
        Refused: a check returned rows; names it and shows the first of them.
    """
    failed = []
    for assertion in sql_checks():
        found = connection.execute(assertion.sql).fetchmany(3)
        if found:
            names = [name for name, *_ in connection.description]
            failed.append(f"{assertion.name}: {[dict(zip(names, row, strict=True)) for row in found]}")
    if failed:
        raise Refused(
            "Not published, the last report stays: "
            + "; ".join(failed)
            + ". Run `apportion run --rebuild`; if it fails again, please report it."
        )
    return len(sql_checks())


def show_lines(connection: duckdb.DuckDBPyConnection, ledger: Ledger) -> None:
    """Make the view `ledger.charges`: every line with its attribution, over the exact files of the current version.

    A ledger on object storage has no such view: DuckDB would download an extension for it. `warehouse.reader` reads
    its lines instead.
    """
    if "://" in ledger.root:
        return
    built = builds(connection)
    months = [
        _month_lines([f"{ledger.charges.uri}/{path}" for path in partition.files], month, built[month].spelt)
        for month, partition in sorted(ledger.charges.partitions().items())
        if month in built
    ]
    if months:
        connection.execute("create or replace view ledger.charges as\n" + "\nunion all by name\n".join(months))


def _month_lines(files: Sequence[str], month: tuple[str, object], spelt: Mapping[str, Sequence[str]]) -> str:
    listed = ", ".join(_text(file) for file in files)
    # A file may lack any column. No row of every column's type stands in for that: to ask first which there are would
    # open each file once more.
    columns = (f"null::{_DUCKDB_TYPES[str(column.dtype)]} as {quote(name)}" for name, column in CHARGES.items())
    lines = (
        f"(from read_parquet([{listed}], union_by_name = true, hive_partitioning = false)\n"
        f"union all by name select {', '.join(columns)} where false)"
    )
    tags = [(name, tag) for name, prefix in MAPS.items() for tag in sorted(spelt) if tag.startswith(prefix)]
    values = [
        "coalesce(" + ", ".join([*(f"nullif(line.{name}[{_text(raw)}], '')" for raw in spelt[tag]), "null"]) + ")"
        for name, tag in tags
    ]
    names = [f"attribution.tags ->> {_text(_pointer(tag))}" for _, tag in tags]
    matches = [f"line.{quote(name)} is not distinct from attribution.{quote(name)}" for name in KEY_COLUMNS]
    matches += [f"{value} is not distinct from {name}" for value, name in zip(values, names, strict=True)]
    tagged = [f"attribution.{quote(name)}" for name in TAGGED if name != "dimensions"]
    units = ", ".join(map(_text, MACHINE_HOURS))
    # As in `ledger.gpu_hours`; null where no such hours are. Decimals of these sizes have a product that fits.
    quantity, count = "line.consumed_quantity as decimal(24, 12)", "attribution.accelerator_count as decimal(14, 9)"
    hours = f"(try_cast({quantity}) * try_cast({count}))::{MONEY}"
    tagged.append(f"if(lower(line.pricing_unit) in ({units}), {hours}, null) as accelerator_hours")
    return (
        f"select {_text(month[0])} as source, {_text(str(month[1]))}::date as billing_period, "
        f"{', '.join(f'line.{quote(name)}' for name in CHARGES)}, {', '.join(tagged)}, 'billed' as cost_basis\n"
        f"from {lines} as line\nleft join computed.attributions as attribution\n"
        f"on attribution.source = {_text(month[0])} and attribution.billing_period = {_text(str(month[1]))}::date\n"
        f"and {' and '.join(matches)}"
    )


def _pointer(name: str) -> str:
    # A JSON pointer takes any name; DuckDB's JSON path has no way to write a quote.
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
