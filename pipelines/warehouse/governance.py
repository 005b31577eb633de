"""What a monthly review needs beside the marts: configuration as tables, shared money, reasons of change, outlook.

Everything Python works out here stands on `intermediate` tables, so these are built first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from dbt_like_sql.sql_model import behind
from models.sharing import Sharing, share
from models.variance import vary
from pipelines.warehouse.build import build, sql_models
from pipelines.warehouse.database import replace_rows, replace_table
from pipelines.warehouse.outlook import refresh_outlook
from pipelines.warehouse.restatements import refresh_restatements

if TYPE_CHECKING:
    import duckdb

    from pipelines.ledger.tables import Ledger
    from pipelines.settings import Settings
    from pipelines.warehouse.keys import Tagging

_READ: Final = (
    "intermediate.int_costs_by_key",
    "intermediate.int_showback_pools",
    "intermediate.int_costs_by_day",
    "intermediate.int_budget_days",
    "intermediate.int_reported_until",
)
_VARIANCE: Final = """
select
    usage_period, provider_name, workload, service_name, usage_type, pricing_unit,
    sum(effective_cost)::decimal(38, 12) as effective_cost,
    -- The quantity of a divided row stands on its first part, whoever that belongs to.
    if(
        bool_or(charge_category = 'Usage' and method != 'direct'),
        null,
        sum(consumed_quantity) filter (where charge_category = 'Usage')
    )::decimal(38, 12) as quantity
from intermediate.int_costs_by_key
group by all
"""


def refresh_governance(
    connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings, tagging: Tagging
) -> set[str]:
    """Bring what the governance marts read up to date, and name the SQL models it built on the way.

    Call it after `refresh_reference` and before the other SQL models are built.
    """
    _configuration(connection, settings, ledger)
    built = build_read(connection)
    sharing = settings.sharing
    refresh_shared_costs(connection, Sharing(sharing.method, frozenset(sharing.pools), sharing.weights))
    refresh_cost_variance(connection)
    refresh_outlook(connection, settings.anomalies.minimum)
    refresh_restatements(connection, ledger, settings, tagging)
    return built


def refresh_shared_costs(connection: duckdb.DuckDBPyConnection, sharing: Sharing) -> None:
    """Divide money without a team among teams."""
    pools = connection.sql("from intermediate.int_showback_pools").pl()
    replace_table(connection, "computed.shared_costs", share(pools, sharing))


def refresh_cost_variance(connection: duckdb.DuckDBPyConnection) -> None:
    """Explain each month's change against the month before."""
    replace_table(connection, "computed.cost_variance", vary(connection.sql(_VARIANCE).pl()))


def _configuration(connection: duckdb.DuckDBPyConnection, settings: Settings, ledger: Ledger) -> None:
    replace_rows(
        connection,
        "reference.budgets",
        ((each.name, each.workload, each.team, each.llm_model, each.monthly) for each in settings.budgets),
    )
    replace_rows(
        connection,
        "reference.credit_grants",
        (
            (each.name, each.kind, each.source, each.amount, each.starts, each.expires, each.description)
            for each in settings.credits
        ),
    )
    replace_rows(
        connection,
        "reference.cogs_conditions",
        ((each.workload, each.environment, each.team, each.project) for each in settings.cogs),
    )
    expected = settings.expected
    named = {"payer": expected.payers, "account": expected.accounts, "provider": expected.providers}
    replace_rows(connection, "reference.expected", ((kind, name) for kind, names in named.items() for name in names))
    acts = ledger.acts()
    in_force = acts.join(ledger.pins(), on=["source", "billing_period", "pinned_at"], how="semi")["pinned_at"]
    replace_table(
        connection,
        "reference.closings",
        acts.select(
            "source",
            "billing_period",
            pl.col("pinned_at").dt.replace_time_zone(None).alias("acted_at"),
            pl.col("pinned_by").alias("acted_by"),
            "reason",
            pl.col("is_reopening").cast(pl.Boolean),
            pl.col("pinned_at").is_in(in_force.implode()).alias("is_in_force"),
        ),
    )


def build_read(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Build the tables read here and what they stand on."""
    needed = {*_READ, *behind((model for model in sql_models() if model.table in _READ), sql_models())}
    for model in sql_models():
        if model.table in needed:
            build(connection, model)
    return needed
