"""From a cell of a mart to the rows it is the sum of, and from these to lines; one step down where it is no sum.

A cell is one column of the mart's rows that a question selects, added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

import polars as pl

from models.errors import ApportionError
from pipelines.ledger.tables import Ledger
from pipelines.warehouse.gpu_walks import GPU_WALKS
from pipelines.warehouse.lines import Row, lines_of
from pipelines.warehouse.reader import Connection, NotFound, report
from pipelines.warehouse.walks import WALKS, WORDS, Walk

EVERY: Final = WALKS | GPU_WALKS
"""What can be walked of each mart."""
_PERIODS: Final = ("usage_period", "period", "billing_period", "usage_date")
"""Columns that `--period` asks about; the first that a mart has."""
# What any row of a walk may say of where it stands; one that says less has nulls.
_PLACE: Final = """
select null::varchar as source, null::date as billing_period, null::bigint as daily_id, null::integer as part,
    null::varchar as key_id, null::date as usage_date, null::varchar as resource_id, null::varchar as region_id,
    null::varchar as method, null::bigint as usage_id, null::varchar as pool, null::varchar as team
where false
"""
_PLACED: Final = (
    "source, billing_period, daily_id, part, key_id, usage_date, resource_id, region_id, method, usage_id, pool, team"
)
_MONEY: Final = ("billed_cost", "net_cost", "list_cost")


@dataclass(frozen=True)
class Question:
    """Which cell is asked about.

    Attributes:
        mart: its name, without `marts.`.
        column: what is asked; empty for the first column that can be walked.
        where: column → text it must be; empty text for null.
        period: a month, of whatever month the mart has.
    """

    mart: str
    column: str
    where: Mapping[str, str]
    period: date | None


@dataclass(frozen=True)
class Part:
    """One row that a cell is a sum of.

    Attributes:
        place: where it stands; what is null is left out.
        amount: what it adds to the cell.
        lines: its largest lines: `charge` (the place `apportion explain` takes) and `amount`, in the bill's currency.
        line_count: all of them.
        lines_amount: their sum; more than `amount` where the row is divided among several owners.
        currency: of the lines; empty where it has none.
    """

    place: dict[str, Any]
    amount: Any
    lines: list[dict[str, Any]]
    line_count: int
    lines_amount: Any
    currency: str


@dataclass(frozen=True)
class Cell:
    """What was asked, and what it is the sum of, the largest first."""

    column: str
    comment: str
    row_count: int
    value: Any
    part_count: int
    parts_value: Any
    parts: list[Part]


@dataclass(frozen=True)
class Step:
    """A figure that is no sum of lines: why, its rows, and the relations that its mart reads."""

    column: str
    comment: str
    why: str
    row_count: int
    rows: list[dict[str, Any]]
    relations: list[dict[str, Any]]


Answer: TypeAlias = Cell | Step


def marts(home: Path) -> list[str]:
    """Name the marts of the published report."""
    with report(home) as connection:
        found = connection.sql("select table_name from duckdb_tables() where schema_name = 'marts' order by 1")
        return [name for (name,) in found.fetchall()]


def explained(home: Path, ledger: Ledger, question: Question, *, limit: int, reads: frozenset[str]) -> Answer:
    """Walk a cell to its parts and lines, or say why not and what it is made from.

    Args:
        home: folder of the report.
        ledger: where the lines are.
        question: which cell.
        limit: parts, or rows of each table, that are shown.
        reads: tables that the mart reads, as `schema.name`.

    Raises:
        NotFound: no row of the mart is meant.
    """
    with report(home) as connection:
        asked = _asked(connection, question)
        row_count = asked.one(f"select count(*) from ({asked.rows})")
        if not row_count:
            raise NotFound(f"marts.{question.mart} has no row {said(question)}".rstrip() + ".")
        walks = EVERY.get(question.mart, ())
        column = question.column or next((walk.columns[0] for walk in walks), "")
        walk = next((walk for walk in walks if column in walk.columns), None)
        comment = asked.notes[column].comment if column else ""
        if walk is None:
            shown = asked.all(f"{asked.rows} limit {limit}")
            relations = [_relation(asked, table, limit) for table in sorted(reads)]
            return Step(column, comment, _why(question.mart, column), row_count, shown, relations)
        value = asked.one(f"select sum({column}) from ({asked.rows})")
        parts = _parts(walk, column, asked.rows)
        (totals,) = asked.all(f"select count(*) as count, sum(amount) as amount from ({parts})")
        shown = asked.all(f"{parts} order by abs(amount) desc, usage_date, key_id, daily_id, part limit {limit}")
    found = [_part(home, ledger, row, column) for row in shown]
    return Cell(column, comment, row_count, value, totals["count"], totals["amount"], found)


def said(question: Question) -> str:
    """Say which rows a question selects; empty where it selects all."""
    asked = [f"{name} is {value or 'null'}" for name, value in question.where.items()]
    if question.period:
        asked.append(f"the month is {question.period:%Y-%m}")
    return f"where {' and '.join(asked)}" if asked else ""


def _why(mart: str, column: str) -> str:
    walked = [name for walk in EVERY.get(mart, ()) for name in walk.columns]
    if not walked:
        return WORDS[mart]
    return f"{column} is no sum of lines: it is worked out for each row of the mart. Sums: {', '.join(walked)}."


@dataclass(frozen=True)
class _Note:
    type: str
    comment: str


@dataclass(frozen=True)
class _Asked:
    """The rows of a mart that are meant, and what to ask about them."""

    connection: Connection
    notes: Mapping[str, _Note]
    rows: str
    parameters: dict[str, object]

    def all(self, sql: str) -> list[dict[str, Any]]:
        found: pl.DataFrame = self.connection.sql(sql, params=self.parameters).pl()
        return found.to_dicts()

    def one(self, sql: str) -> Any:
        return self.connection.sql(sql, params=self.parameters).fetchall()[0][0]


def _asked(connection: Connection, question: Question) -> _Asked:
    notes = _notes(connection, "marts", question.mart)
    for name in (*question.where, *([question.column] if question.column else [])):
        if name not in notes:
            raise NotFound(f"marts.{question.mart} has no column {name}; it has {', '.join(notes)}.")
    where, parameters = _conditions(question, notes)
    return _Asked(connection, notes, f"select * from marts.{question.mart} {where}", parameters)


def _notes(connection: Connection, schema: str, table: str) -> dict[str, _Note]:
    found = connection.sql(
        "select column_name, data_type, coalesce(comment, '') from duckdb_columns() "
        "where schema_name = $schema and table_name = $table order by column_index",
        params={"schema": schema, "table": table},
    )
    return {name: _Note(kind, comment) for name, kind, comment in found.fetchall()}


def _conditions(question: Question, notes: Mapping[str, _Note]) -> tuple[str, dict[str, object]]:
    """Give the WHERE of a question; names are looked up and values are parameters, so neither can be SQL."""
    parts, parameters = [], dict[str, object]()
    for number, (name, value) in enumerate(question.where.items()):
        parts.append(f"{name}::varchar = $value{number}" if value else f"{name} is null")
        if value:
            is_month = notes[name].type == "DATE" and len(value) == len("2026-07")
            parameters[f"value{number}"] = f"{value}-01" if is_month else value
    if question.period:
        month = next((name for name in _PERIODS if name in notes), "")
        if not month:
            raise NotFound(f"marts.{question.mart} has no month; leave --period out.")
        parts.append(f"date_trunc('month', {month})::date = $period")
        parameters["period"] = question.period
    return "where " + " and ".join(parts) if parts else "", parameters


def _parts(walk: Walk, column: str, rows: str) -> str:
    grain = f"row({', '.join(walk.grain)}, 1)"
    return f"""
    with cells as (select {grain} as grain from ({rows})),
    placed as ({_PLACE} union all by name select * from ({walk.rows})),
    walked as (select {_PLACED}, {column} as amount, {grain} as grain from placed)
    select {_PLACED}, amount from walked inner join cells using (grain) where amount != 0
    """


def _relation(asked: _Asked, table: str, limit: int) -> dict[str, Any]:
    """Give the rows of a table that agree with a cell's in whatever text, day and flag both have."""
    schema, _, name = table.partition(".")
    own = _notes(asked.connection, schema, name)
    same = [each for each, note in own.items() if each in asked.notes and note.type in {"VARCHAR", "DATE", "BOOLEAN"}]
    grain = f"row({', '.join([*same, '1'])})"
    found = f"""
    select * exclude (grain) from (select *, {grain} as grain from {table})
    semi join (select {grain} as grain from ({asked.rows})) using (grain)
    """
    ((comment,),) = asked.connection.sql(
        "select coalesce(comment, '') from ("
        "select schema_name, table_name, comment from duckdb_tables() "
        "union all select schema_name, view_name, comment from duckdb_views()"
        ") where schema_name = $schema and table_name = $name",
        params={"schema": schema, "name": name},
    ).fetchall()
    return {
        "table": table,
        "comment": " ".join(comment.split()),
        "agrees_in": same,
        "row_count": asked.one(f"select count(*) from ({found})"),
        "rows": asked.all(f"{found} limit {limit}"),
    }


def _part(home: Path, ledger: Ledger, row: dict[str, Any], column: str) -> Part:
    amount = row.pop("amount")
    place = {name: value for name, value in row.items() if value is not None}
    if row["key_id"] is None:
        return Part(place, amount, [], 0, None, "")
    found = lines_of(home, ledger, Row.of(row))
    what = "consumed_quantity" if column.endswith("_hours") else _money(column)
    lines = found.lines.sort(pl.col(what).abs(), descending=True, nulls_last=True)
    largest = [
        {
            "charge": f"{line['source']}/{line['billing_period']:%Y-%m}/{line['source_file']}#{line['source_row']}",
            "amount": line[what],
        }
        for line in lines.head(_LINES).iter_rows(named=True)
    ]
    place |= {"service_name": found.key["service_name"], "usage_type": found.key["usage_type"]}
    return Part(place, amount, largest, lines.height, lines[what].sum() if lines.height else None, found.currency)


_LINES: Final = 3


def _money(column: str) -> str:
    return next((name for name in _MONEY if name in column), "effective_cost")


def difference(cell: Cell) -> Decimal | int:
    """Give what the parts of a cell lack; 0, or the walk is wrong and says so."""
    answer: Decimal | int = (cell.value or 0) - (cell.parts_value or 0)
    return answer


def require_equal(cell: Cell) -> None:
    """Refuse to show parts that are not the cell: a wrong walk is worse than none."""
    if difference(cell):
        raise ApportionError(
            f"The parts of {cell.column} sum to {cell.parts_value} and the cell is {cell.value}: that is a mistake of "
            "ours. Please report it with the question."
        )
