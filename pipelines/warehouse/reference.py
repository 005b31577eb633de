"""Configuration and history as tables, so that a question about them is a query."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import polars as pl

from models.claims import load_claims
from models.facts import Fact
from pipelines.warehouse.database import replace_rows, replace_table
from pipelines.warehouse.invoices import invoices_of
from pipelines.warehouse.tables import TABLES
from pipelines.warehouse.what_if import refresh_what_if

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from models.rulebook import Rulebook
    from pipelines.ledger.tables import Ledger
    from pipelines.settings import Settings


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
    replace_rows(
        connection,
        "reference.claims",
        ({**claim.model_dump(), "claim_id": claim.id} for claim in load_claims()),
    )
    refresh_what_if(connection, ledger, settings)
    replace_rows(connection, "reference.versions", _versions(settings, rulebook))
    replace_rows(connection, "reference.invoices", invoices_of(settings))
    replace_rows(
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
