"""Which columns each column of a SQL model is made from, found by sqlglot in the models' own text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

if TYPE_CHECKING:
    from dbt_like_sql.sql_model import SqlModel

Columns: TypeAlias = Mapping[str, Sequence[tuple[str, str]]]
"""Column → the tables, as `schema.name`, and their columns that it is read from."""


def column_lineage(models: Sequence[SqlModel], tables: Mapping[str, Sequence[str]]) -> dict[str, Columns]:
    """Give the lineage of every column of every SQL model; about half a second, so only where somebody looks at it.

    Args:
        models: what to look through.
        tables: columns of the tables that exist without them.
    """
    known = dict(tables) | {model.table: list(model.columns) for model in models}
    return {model.table: dict(_columns(model, known)) for model in models}


def _columns(model: SqlModel, known: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    schema: dict[str, Any] = {}
    for table in model.depends_on:
        folder, _, name = table.partition(".")
        schema.setdefault(folder, {})[name] = dict.fromkeys(known[table], "unknown")
    try:
        scope = build_scope(
            qualify(
                sqlglot.parse_one(model.sql, dialect="duckdb"),
                dialect="duckdb",
                schema=schema,
                validate_qualify_columns=False,
                identify=False,
            )
        )
    except SqlglotError:
        # A construct that sqlglot does not resolve costs this model its lineage, never a run.
        return
    if scope:
        trace = _Trace()
        for column in model.columns:
            yield column, sorted(trace.of(scope, column))


class _Trace:
    """Follow columns through common table expressions, subqueries and unions down to tables.

    sqlglot's own `lineage` takes the columns of `union all by name` by position, and several seconds.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], set[tuple[str, str]]] = {}

    def of(self, scope: Scope, name: str) -> set[tuple[str, str]]:
        key = (id(scope), name)
        if key not in self._known:
            self._known[key] = set()  # A recursive expression reads itself; it finds nothing new there.
            self._known[key] = set(self._find(scope, name))
        return self._known[key]

    def _find(self, scope: Scope, name: str) -> Iterator[tuple[str, str]]:
        query = scope.expression
        if isinstance(query, exp.SetOperation):
            position = query.named_selects.index(name) if name in query.named_selects else -1
            for branch in scope.set_operation_scopes:
                inner: Any = branch.expression
                names = inner.named_selects
                here = name if query.args.get("by_name") else names[position] if 0 <= position < len(names) else ""
                yield from self.of(branch, here)
        elif isinstance(query, exp.Select):
            for select in query.selects:
                if select.alias_or_name == name:
                    yield from self._read(scope, select)

    def _read(self, scope: Scope, select: exp.Expr) -> Iterator[tuple[str, str]]:
        sources = {name: source for inner in scope.subquery_scopes for name, source in inner.sources.items()}
        sources |= scope.sources
        for column in select.find_all(exp.Column):
            source = sources.get(column.table)
            if isinstance(source, Scope):
                yield from self.of(source, column.name)
            elif isinstance(source, exp.Table) and source.db:
                yield f"{source.db}.{source.name}", column.name
