"""Google's own implementation of GoogleSQL, which BigQuery speaks: what a query means, without tables, bytes or speed.

It is ZetaSQL compiled to WebAssembly, in an environment of its own; compiling that for this machine takes twenty
seconds once, and is kept there. Its default time zone is California's.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.connectors.own_environment import environment

PACKAGES: Final = ("zetasql==0.1.5", "wasmtime==50.0.1", "grpcio==1.85.3", "protobuf==7.36.2", "tzdata==2026.6")
PROGRAM: Final = """
import json, sys, wasmtime

make = wasmtime.Engine

def cached(config):
    config.cache = True
    return make(config)

wasmtime.Engine = cached

from zetasql.api import CatalogBuilder, PreparedQuery
from zetasql.types import AnalyzerOptions, LanguageOptions, ZetaSQLBuiltinFunctionOptions

language = LanguageOptions.maximum_features()
functions = ZetaSQLBuiltinFunctionOptions(language_options=language)
catalog = CatalogBuilder("here").with_builtin_functions(functions).build()
options = AnalyzerOptions(language_options=language)
answers = []
for sql in json.load(sys.stdin):
    builder = PreparedQuery.builder().set_sql(sql).set_analyzer_options(options).set_catalog(catalog)
    with builder.prepare() as query:
        rows = query.execute().content.table_data.row
        answers.append([cell.string_value for row in rows for cell in row.cell])
json.dump(answers, sys.stdout)
"""
_NAMES: Final = {"FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def answers(*queries: str) -> list[list[dict[str, Any]]]:
    """Ask queries, and give the rows of each."""
    folder = environment("zetasql-0.1.5", PACKAGES)
    asked = json.dumps([f"SELECT TO_JSON_STRING(row) FROM ({query}) AS row" for query in queries])
    home = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [str(folder / "venv/bin/python"), "-c", PROGRAM]
    done = subprocess.run(command, input=asked, env=home, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [[json.loads(text) for text in rows] for rows in json.loads(done.stdout)]


def table(rows: Sequence[Mapping[str, Any]], structure: Mapping[str, Any]) -> str:
    """Write rows as something to select from; a structure is as of `bigquery_tables`."""
    written = ",\n".join(_literal(row, structure) for row in rows)
    return f"(SELECT * FROM UNNEST([{written}]))"


def _kind(structure: Any) -> str:
    if isinstance(structure, list):
        return f"ARRAY<{_kind(structure[0])}>"
    if isinstance(structure, Mapping):
        return f"STRUCT<{', '.join(f'{name} {_kind(inner)}' for name, inner in structure.items())}>"
    return _NAMES.get(structure, str(structure))


def _literal(value: Any, structure: Any) -> str:
    kind = _kind(structure)
    if isinstance(structure, list):
        return f"{kind}[{', '.join(_literal(one, structure[0]) for one in value or [])}]"
    if value is None:
        return f"CAST(NULL AS {kind})"
    if isinstance(structure, Mapping):
        return f"{kind}({', '.join(_literal(value.get(name), inner) for name, inner in structure.items())})"
    if structure == "FLOAT":
        return f"CAST('{value!r}' AS FLOAT64)"
    return f"TIMESTAMP '{value}'" if structure == "TIMESTAMP" else json.dumps(value)
