"""Bring the tables of token usage up to date: priced, joined to the bills, estimated where there is no bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from models.facts import Fact
from pipelines.warehouse.database import replace_table
from pipelines.warehouse.facts import digest
from pipelines.warehouse.prices import rate_card
from pipelines.warehouse.usage_tables import USAGE_TABLES

if TYPE_CHECKING:
    import duckdb

    from pipelines.ledger.tables import Ledger
    from pipelines.settings import Settings

# Usage lines about language models. A cloud's SKU says batch and tier in its text; an API's cost line does not say, and
# what it calls its account is the provider's project or workspace.
_CHARGES: Final = """
with lines as (
    select
        row_number() over (order by daily.source, daily.billing_period, daily.daily_id) as charge_id,
        daily.source, daily.billing_period, daily.daily_id, daily.usage_date, keys.provider_name,
        keys.sub_account_id as account, keys.llm_model, keys.token_bucket, keys.tokens_per_unit,
        lower(concat_ws(' ', keys.usage_type, keys.operation, keys.charge_description)) as said,
        keys.provider_name in ('AWS', 'Google Cloud') and keys.tokens_per_unit is not null as says_tier,
        daily.billed_cost, daily.effective_cost, daily.net_cost, daily.list_cost
    from ledger.charges_daily as daily
    inner join computed.attributions as keys using (source, billing_period, key_id)
    where
        keys.charge_category = 'Usage' and keys.accelerator is null
        and (keys.llm_model is not null or keys.token_bucket is not null)
)

select
    * exclude (account, said, says_tier),
    if(provider_name in ('OpenAI', 'Anthropic', 'OpenRouter'), null, account) as sub_account_id,
    if(provider_name = 'OpenAI', account, null) as project_id,
    if(provider_name = 'Anthropic', account, null) as workspace_id,
    if(says_tier, regexp_matches(said, '\\bbatch\\b'), null) as is_batch,
    if(
        says_tier,
        coalesce(nullif(regexp_extract(said, '\\b(flex|priority|latency[- ]optimized)\\b', 1), ''), 'standard'),
        null
    ) as service_tier
from lines
"""


def refresh_tokens(connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings) -> bool:
    """Make the tables of token usage agree with usage, prices and bills; tell whether anything was to be done."""
    table = ledger.fact(Fact.TOKEN_USAGE)
    partitions = table.partitions() if table.exists() else {}
    card = rate_card(settings)
    made_from = digest(
        [
            sorted(partition.load_id for partition in partitions.values()),
            card.digest,
            sorted(connection.sql("select charges_id, attributions_id from computed.builds").fetchall()),
        ]
    )
    known = connection.sql("select digest from computed.usage_builds where kind = 'tokens'").fetchall()
    if known == [(made_from,)]:
        return False
    if partitions:
        _replace_tables(connection, ledger, settings)
    else:
        for name in _FILLED:
            connection.execute(f"delete from {name}")
    connection.execute("delete from computed.usage_builds where kind = 'tokens'")
    connection.execute("insert into computed.usage_builds values ('tokens', ?)", [made_from])
    return True


_FILLED: Final = tuple(name for name in USAGE_TABLES if name != "computed.usage_builds")


def _replace_tables(connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings) -> None:
    from pipelines.warehouse.tokens import token_tables

    table = ledger.fact(Fact.TOKEN_USAGE)
    files = [path for partition in table.partitions().values() for path in partition.files]
    charges = connection.sql(_CHARGES).pl()
    made = token_tables(table.scan(files), charges, rate_card(settings))
    rows = charges.select("charge_id", "source", "billing_period", "daily_id")

    def of_bill(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(rows, on="charge_id", how="left", maintain_order="left")

    frames = {
        "ledger.token_usage_daily": made.daily,
        "computed.token_prices": made.prices,
        "computed.token_allocations": of_bill(made.allocations),
        "computed.unexplained_charges": of_bill(made.unexplained),
        "computed.unbilled_usage": made.unbilled,
        "computed.estimated_charges": made.estimated,
        "computed.repeated_usage": made.left_out,
    }
    for name, frame in frames.items():
        replace_table(connection, name, frame)
