"""Read the SQL files beside this module: one SELECT each, documented in place, dependencies inferred.

The folder is the schema and the file name the relation. sqlglot hangs a header comment on the WITH node and forgets
which column a trailing comment belongs to, so both kinds of comment are read from the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

ROOT: Final = Path(__file__).parent
RELATION: Final = {"staging": "view", "intermediate": "table", "marts": "table"}
# As long as the daily rows and five times as wide, nearly all of it said by the row's key already: to write it down
# would take longer than to read it in every report that does.
VIEWS: Final = frozenset({"intermediate.int_charges_allocated"})
_HEADER: Final = re.compile(r"/\*\s*(.+?)\s*\*/\s*", re.DOTALL)
_GRAIN: Final = re.compile(r"One\s+row\s+per\s[^.]+\.")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class SqlModel:
    """One SQL file: a relation people query, or a check whose rows are what is wrong."""

    schema: str
    name: str
    comment: str
    """The header: what it is, its grain, how to read it."""
    columns: Mapping[str, str]
    """Output columns in order, each with its comment; those of a check need none."""
    depends_on: frozenset[str]
    """Tables read, as `schema.name`."""
    sql: str
    path: Path

    @property
    def table(self) -> str:
        """Give the name that other files use."""
        return f"{self.schema}.{self.name}"

    @property
    def relation(self) -> str:
        """Say what it becomes: a view or a table."""
        return "view" if self.table in VIEWS else RELATION[self.schema]

    @property
    def grain(self) -> str:
        """Give the sentence of the header that says what one row is."""
        found = _GRAIN.search(self.comment)
        return " ".join(found[0].split()) if found else ""


def quote(identifier: str) -> str:
    """Quote a name for DuckDB."""
    return '"' + identifier.replace('"', '""') + '"'


def load_models(outside: Collection[str], root: Path = ROOT) -> list[SqlModel]:
    """Read every SQL model, in an order in which they can be built.

    Args:
        outside: tables that exist without these files, as `schema.name`.
        root: folder that holds `staging`, `intermediate` and `marts`.

    Raises:
        ValueError: a file breaks a convention, reads a table nobody makes, or reads itself in a circle; names it.
    """
    models = [_read(path) for schema in RELATION for path in sorted((root / schema).glob("*.sql"))]
    by_table = {model.table: model for model in models}
    for model in models:
        _require(model, model.grain, "the header does not say its grain: `One row per …`")
        for column, comment in model.columns.items():
            _require(model, comment, f"column {column} has no comment on its line: `{column}, -- What it is.`")
    _require_known(models, {*outside, *by_table})
    try:
        order = TopologicalSorter({model.table: sorted(model.depends_on) for model in models}).static_order()
        return [by_table[table] for table in order if table in by_table]
    except CycleError as error:
        circle = " → ".join(str(by_table[table].path) for table in error.args[1])
        raise ValueError(f"{circle}: these files read each other in a circle") from error


def behind(readers: Iterable[SqlModel], models: Iterable[SqlModel]) -> set[str]:
    """Name those of some SQL models that the readers read, and that those read in turn."""
    known = {model.table: model for model in models}
    found, ahead = set[str](), list(readers)
    while ahead:
        news = ahead.pop().depends_on & known.keys() - found
        found |= news
        ahead += [known[table] for table in news]
    return found


def load_checks(known: Collection[str], root: Path = ROOT) -> list[SqlModel]:
    """Read `checks/assert_*.sql`; each returns the rows that are wrong.

    Args:
        known: every table there is, SQL models among them, as `schema.name`.
        root: folder that holds `checks`.

    Raises:
        ValueError: as `load_models`.
    """
    checks = [_read(path) for path in sorted((root / "checks").glob("assert_*.sql"))]
    _require_known(checks, known)
    return checks


def build_statements(model: SqlModel) -> list[str]:
    """Give the statements that build a SQL model and hand its comments to whoever opens the database."""
    name = f"{quote(model.schema)}.{quote(model.name)}"
    return [
        f"create or replace {model.relation} {name} as\n{model.sql}",
        f"comment on {model.relation} {name} is {_text(model.comment)}",
        *(f"comment on column {name}.{quote(column)} is {_text(note)}" for column, note in model.columns.items()),
    ]


def _read(path: Path) -> SqlModel:
    sql = path.read_text(encoding="utf-8")
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except SqlglotError as error:
        raise ValueError(f"{path}: {error}") from error
    header, select = _HEADER.match(sql), statements[0]
    start = sql.rfind("\nselect")
    if not (_NAME.fullmatch(path.stem) and header):
        raise ValueError(f"{path}: expected a lower-case name and a /* header */")
    if len(statements) != 1 or not isinstance(select, exp.Select) or start < 0:
        raise ValueError(f"{path}: expected one statement, a `select` at the left margin")
    if select.is_star:
        raise ValueError(f"{path}: the outer select must name its columns, not `*`")
    if not all(column.alias_or_name for column in select.selects):
        raise ValueError(f"{path}: a column has no name, add `as …`")
    return SqlModel(
        schema=path.parent.name,
        name=path.stem,
        comment=header[1].strip(),
        columns={name: _column_comment(sql[start:], name) for name in select.named_selects},
        # A scope's sources are tables and scopes; a common table expression is a scope.
        depends_on=frozenset(
            f"{source.db}.{source.name}"
            for scope in traverse_scope(select)
            for source in scope.sources.values()
            if isinstance(source, exp.Table)
        ),
        sql=sql,
        path=path,
    )


def _column_comment(outer_select: str, name: str) -> str:
    found = re.search(rf"\b{re.escape(name)}\"?,? *-- *(.+)$", outer_select, re.MULTILINE)
    return found[1].strip() if found else ""


def _require(model: SqlModel, value: object, otherwise: str) -> None:
    if not value:
        raise ValueError(f"{model.path}: {otherwise}")


def _require_known(models: Collection[SqlModel], known: Collection[str]) -> None:
    for model in models:
        missing = sorted(model.depends_on - set(known))
        _require(model, not missing, f"reads {', '.join(missing)}, which nobody makes")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
