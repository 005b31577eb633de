"""Bring the tables of token usage up to date: priced, joined to the bills, estimated where there is no bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from models.errors import Refused
from models.facts import Fact
from pipelines.warehouse.database import is_made_from, replace_table, set_made_from
from pipelines.warehouse.keys import digest
from pipelines.warehouse.prices import rate_card
from pipelines.warehouse.reporting import rate_in_force
from pipelines.warehouse.usage_tables import USAGE_TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    import duckdb

    from models.rate_card import RateCard
    from pipelines.ledger.tables import Ledger
    from pipelines.settings import Settings

_CARD: Final = "USD"
# Usage lines about language models. A cloud's SKU says batch and tier in its text; Anthropic's cost report in fields of
# their own; another API's line does not say. What an API calls an account is its project or workspace.
# Purchases and credits are left out: a top-up paid before, or a grant, is other money than the usage it pays for.
CHARGES: Final = r"""
with lines as (
    select
        row_number() over (order by daily.source, daily.billing_period, daily.daily_id) as charge_id,
        daily.source, daily.billing_period, daily.daily_id, daily.usage_date, keys.provider_name,
        keys.sub_account_id as account, keys.llm_model, keys.token_bucket, keys.tokens_per_unit,
        lower(concat_ws(' ', keys.usage_type, keys.operation, keys.charge_description)) as said,
        keys.provider_name in ('AWS', 'Google Cloud') and keys.tokens_per_unit is not null as says_tier,
        lower(json_extract_string(keys.tags, '$."tag:service_tier"')) as tier,
        json_extract_string(keys.tags, '$."tag:context_window"') as context_band,
        daily.billed_cost, daily.effective_cost, daily.net_cost, daily.list_cost
    from ledger.charges_daily as daily
    inner join computed.attributions as keys using (source, billing_period, key_id)
    where
        keys.charge_category = 'Usage' and keys.accelerator is null
        and (keys.llm_model is not null or keys.token_bucket is not null)
)

select
    * exclude (account, said, says_tier, tier),
    if(provider_name in ('OpenAI', 'Anthropic', 'OpenRouter'), null, account) as sub_account_id,
    if(provider_name = 'OpenAI', account, null) as project_id,
    if(provider_name = 'Anthropic', account, null) as workspace_id,
    -- Usage types write `_Global_Batch`: a word ends at any sign that is no letter.
    if(says_tier, regexp_matches(said, '(^|[^a-z])batch([^a-z]|$)'), tier = 'batch') as is_batch,
    if(
        says_tier,
        coalesce(
            nullif(regexp_extract(said, '(^|[^a-z])(flex|priority|latency[- ]optimized)([^a-z]|$)', 2), ''), 'standard'
        ),
        tier
    ) as service_tier
from lines
"""


def refresh_tokens(connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings) -> bool:
    """Make the tables of token usage agree with usage, prices and bills; tell whether anything was to be done."""
    table = ledger.fact(Fact.TOKEN_USAGE)
    partitions = table.partitions() if table.exists() else {}
    card = rate_card(settings)
    content = digest(
        [
            sorted(partition.load_id for partition in partitions.values()),
            card.digest,
            sorted(connection.sql("select charges_id, attributions_id from computed.builds").fetchall()),
        ]
    )
    if is_made_from(connection, "tokens", content):
        return False
    if partitions:
        usage = table.scan([path for partition in partitions.values() for path in partition.files])
        rates = _dollar_rates(settings, {month for _, month in partitions})
        _replace_tables(connection, usage, card, rates)
    else:
        for name in _FILLED:
            connection.execute(f"delete from {name}")
    set_made_from(connection, "tokens", content)
    return True


_FILLED: Final = tuple(name for name in USAGE_TABLES if name != "computed.usage_builds")


def _replace_tables(
    connection: duckdb.DuckDBPyConnection, usage: pl.LazyFrame, card: RateCard, rates: Mapping[date, Decimal] | None
) -> None:
    from pipelines.warehouse.tokens import token_tables

    charges = connection.sql(CHARGES).pl()
    made = token_tables(usage, charges, card, rates=rates)
    rows = charges.select("charge_id", "source", "billing_period", "daily_id")

    def of_bill(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(rows, on="charge_id", how="left", maintain_order="left")

    frames = {
        "ledger.token_usage_daily": made.daily,
        "computed.token_prices": made.prices,
        "computed.token_allocations": of_bill(made.allocations),
        "computed.unexplained_charges": of_bill(made.unexplained),
        "computed.billed_usage": of_bill(made.billed),
        "computed.estimated_charges": made.estimated,
        "computed.repeated_usage": made.left_out,
        "computed.api_prices": made.api_prices,
    }
    for name, frame in frames.items():
        replace_table(connection, name, frame)


def _dollar_rates(settings: Settings, months: set[date]) -> Mapping[date, Decimal] | None:
    """Find what a dollar, in which the rate card is, is worth in each month of use; null where reports are in dollars.

    Raises:
        Refused: a month has no rate; names it.
    """
    if settings.currency == _CARD:
        return None
    rates = {}
    for month in sorted(months):
        rate = rate_in_force(settings.exchange_rates, _CARD, month)
        if rate is None:
            raise Refused(
                f"token usage of {month:%Y-%m}: prices of models are in {_CARD}, the report is in {settings.currency}, "
                f"and there is no rate. Add one for {_CARD} to `exchange_rates`."
            )
        rates[month] = rate
    return rates
