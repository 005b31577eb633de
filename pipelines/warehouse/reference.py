"""Configuration and history as tables, so that a question about them is a query."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import polars as pl

from models.claims import load_claims
from models.facts import Fact, Schema
from pipelines.warehouse.database import replace_table
from pipelines.warehouse.invoices import invoices_of
from pipelines.warehouse.tables import TABLES
from pipelines.warehouse.what_if import refresh_what_if

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from models.rulebook import Rulebook
    from pipelines.ledger.tables import Ledger
    from pipelines.settings import Settings

_POLARS: Final[Schema] = {
    "varchar": pl.String,
    "date": pl.Date,
    "integer": pl.Int32,
    "bigint": pl.Int64,
    "timestamp": pl.Datetime("us"),
    "boolean": pl.Boolean,
    "decimal(38, 12)": pl.Decimal(38, 12),
}


def refresh_reference(
    connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings, rulebook: Rulebook
) -> None:
    """Write what is configured and what the ledger's history says into the warehouse."""
    loads = ledger.current_loads().with_columns(pl.col("loaded_at").dt.replace_time_zone(None))
    bills = pl.col("fact") == Fact.CHARGES.value
    replace_table(connection, "ledger.loads", loads.filter(bills).select(*TABLES["ledger.loads"][1]))
    told = loads.select("source", "billing_period", "identities").explode("identities", empty_as_null=False)
    told = told.filter(pl.col("identities").is_not_null()).unnest("identities")
    told = told.rename({"left": "left_side", "right": "right_side", "lines": "line_count"})  # words of SQL
    replace_table(connection, "ledger.load_identities", told.select(*TABLES["ledger.load_identities"][1]))
    replace_table(connection, "ledger.usage_loads", loads.filter(~bills).select(*TABLES["ledger.usage_loads"][1]))
    _replace(
        connection,
        "reference.claims",
        ({**claim.model_dump(), "claim_id": claim.id} for claim in load_claims()),
    )
    refresh_what_if(connection, ledger, settings)
    _replace(connection, "reference.versions", _versions(settings, rulebook))
    _replace(connection, "reference.invoices", invoices_of(settings))
    _replace(
        connection,
        "reference.rules",
        (
            {**rule.model_dump(), "rule_id": rule.id, "position": position}
            for position, rule in enumerate(rulebook.rules, 1)
        ),
    )
    log = pl.DataFrame(
        [commit for commit in ledger.attributions.history() if "rules_digest" in commit],
        schema=dict.fromkeys(("source", "period", "at", "by", "why", "rules_digest", "keys_changed"), pl.String),
    )
    replace_table(
        connection,
        "reference.attribution_log",
        log.select(
            "source",
            pl.col("period").str.to_date().alias("billing_period"),
            pl.col("at").str.to_datetime("%+").dt.replace_time_zone(None).alias("tagged_at"),
            pl.col("by").alias("tagged_by"),
            pl.col("why").alias("reason"),
            "rules_digest",
            pl.col("keys_changed").cast(pl.Int64),
        ),
    )


def _versions(settings: Settings, rulebook: Rulebook) -> Iterable[Mapping[str, object]]:
    parts = {"apportion": version("apportion"), "duckdb": version("duckdb")}
    parts |= {"rules": rulebook.digest, "reporting currency": settings.currency}
    return ({"part": part, "version": said} for part, said in parts.items())


def _replace(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, object]]) -> None:
    types: Schema = {name: _POLARS[dtype] for name, (dtype, _) in TABLES[table][1].items()}
    frame = pl.DataFrame([{name: row.get(name) for name in types} for row in rows], schema=types)
    replace_table(connection, table, frame)
