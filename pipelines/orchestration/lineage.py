"""Which columns each column of a SQL model is made from, found by sqlglot in the models' own text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from pipelines.warehouse.facts import digest

if TYPE_CHECKING:
    from dbt_like_sql.sql_model import SqlModel

Columns: TypeAlias = Mapping[str, Sequence[tuple[str, str]]]
"""Column → the tables, as `schema.name`, and their columns that it is read from."""


def column_lineage(
    models: Sequence[SqlModel], tables: Mapping[str, Sequence[str]], cache: Path
) -> Mapping[str, Columns]:
    """Give the lineage of every column of every SQL model.

    Parsing sixty models takes seconds, so what was found is kept until a model or a table changes.

    Args:
        models: what to look through.
        tables: columns of the tables that exist without them.
        cache: folder to keep the answer in.
    """
    known = {name: list(columns) for name, columns in tables.items()} | {
        model.table: list(model.columns) for model in models
    }
    kept = cache / f"lineage-{digest([known, [model.sql for model in models]])[:16]}.json"
    try:
        found: Mapping[str, Columns] = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {model.table: dict(_columns(model, known)) for model in models}
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".part")
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.rename(kept)
    return found


def _columns(model: SqlModel, known: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for table in model.depends_on:
        folder, _, name = table.partition(".")
        schema.setdefault(folder, {})[name] = dict.fromkeys(known[table], "unknown")
    try:
        query = qualify(
            sqlglot.parse_one(model.sql, dialect="duckdb"),
            dialect="duckdb",
            schema=schema,
            validate_qualify_columns=False,
            identify=False,
        )
    except SqlglotError:
        # A construct that sqlglot does not resolve costs this model its lineage, never a run.
        return
    scope = build_scope(query)
    for column in model.columns:
        try:
            node = lineage(column, query, dialect="duckdb", scope=scope)
        except (SqlglotError, ValueError):
            continue
        yield column, sorted(set(_sources(node, model.depends_on)))


def _sources(node: Node, tables: frozenset[str]) -> Iterator[tuple[str, str]]:
    for leaf in node.walk():
        table = leaf.expression
        if isinstance(table, exp.Table) and (name := f"{table.db}.{table.name}") in tables:
            yield name, leaf.name.rpartition(".")[2]
