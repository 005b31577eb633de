"""What claims and what-ifs compare the bills with: settings as a table, and list prices on the days of the bills."""

from __future__ import annotations

from calendar import monthrange
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from models.facts import Fact
from models.llm_names import provider_id
from models.rate_card import PriceKey
from pipelines.warehouse.database import replace_rows, replace_table
from pipelines.warehouse.prices import rate_card

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    import duckdb

    from models.rate_card import Price, RateCard
    from pipelines.ledger.tables import Ledger
    from pipelines.settings import ExchangeRate, Settings

# A request of usual size, and one long enough for every cliff in a price list.
_SIZES: Final = (1_000, 500_000)
# Claimed list prices are about these, whether or not anybody here uses them.
_CLAIMED: Final = (("OpenAI", "gpt-4o"),)
# A cloud that sells another company's model may have no entry for it under the short name that bills write.
_MAKERS: Final = {"claude-": "Anthropic", "gpt-": "OpenAI", "gemini-": "Google Cloud"}
_IN_USE: Final = """
select distinct usage_period, provider_name, llm_model
from computed.attributions where llm_model is not null and token_bucket is not null
union
select distinct date_trunc('month', usage_date)::date, provider_name, llm_model
from ledger.token_usage_daily where llm_model is not null
order by all
"""
_MONTHS: Final = """
select distinct usage_period from computed.attributions where usage_period is not null
union select distinct date_trunc('month', usage_date)::date from ledger.token_usage_daily
order by all
"""


def refresh_what_if(connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings) -> None:
    """Write settings, list prices and requests by hour; attributions and token usage must be there."""
    replace_rows(connection, "reference.claim_settings", _settings(settings))
    alternatives = settings.plan.alternatives
    replace_rows(
        connection,
        "reference.alternatives",
        ({"provider_name": each.provider, "llm_model": each.model, "replaces": each.replaces} for each in alternatives),
    )
    replace_table(connection, "computed.hourly_requests", _hourly_requests(connection, ledger))
    used = connection.sql(_IN_USE).fetchall()
    months = [month for (month,) in connection.sql(_MONTHS).fetchall()]
    asked = {(month, *model): False for month in months for model in _CLAIMED}
    asked |= {(month, each.provider, each.model): False for month in months for each in alternatives}
    asked |= dict.fromkeys(used, True)
    replace_rows(connection, "reference.list_prices", _prices(rate_card(settings), asked))


def _hourly_requests(connection: duckdb.DuckDBPyConnection, ledger: Ledger) -> pl.DataFrame:
    """Count requests by hour, of sources whose records stand for themselves and name a time within the hour."""
    empty = pl.DataFrame(schema={"usage_hour": pl.Datetime("us"), "requests": pl.Int64})
    counts = connection.sql(
        "select source from ledger.token_usage_daily group by source having not bool_or(counts_as = 'repeated')"
    ).fetchall()
    table = ledger.fact(Fact.TOKEN_USAGE)
    if not counts or not table.exists():
        return empty
    usage = table.scan(table.files())
    if "requests" not in usage.collect_schema():
        return empty
    hour = pl.col("usage_start").dt.truncate("1h")
    return (
        usage.filter(
            pl.col("source").is_in([source for (source,) in counts]),
            pl.col("usage_end") <= hour.dt.offset_by("1h"),
            pl.col("requests").is_not_null(),
        )
        .group_by(usage_hour=hour.dt.replace_time_zone(None).cast(pl.Datetime("us")))
        .agg(pl.col("requests").sum())
        .collect(engine="streaming")
        .sort("usage_hour")
        .upsample("usage_hour", every="1h")
        .with_columns(pl.col("requests").fill_null(0))
        .pipe(lambda hours: hours if hours.height else empty)
    )


def _settings(settings: Settings) -> Iterator[Mapping[str, Any]]:
    # List prices are in dollars.
    dollar = max((rate for rate in settings.exchange_rates if rate.currency == "USD"), key=_begins, default=None)
    rates = {"dollar_rate": Decimal(1) if settings.currency == "USD" else dollar and dollar.rate}
    own = settings.claims.model_dump() | settings.plan.model_dump(exclude={"alternatives"})
    for name, value in (rates | own).items():
        for each in value if isinstance(value, list) else [value]:
            text = isinstance(each, (str, bool)) or each is None
            yield {
                "name": name,
                "value": None if each is None else str(each).lower(),
                "amount": None if text else each,
            }


def _begins(rate: ExchangeRate) -> date:
    return rate.effective_from


def _prices(card: RateCard, asked: Mapping[tuple[date, str, str], bool]) -> Iterator[Mapping[str, Any]]:
    for (month, provider, model), is_used in sorted(asked.items()):
        day = month.replace(day=monthrange(month.year, month.month)[1])
        for size in _SIZES:
            seller, price = _price(card, provider, model, day, size)
            if price.status == "priced":
                yield {
                    "priced_on": day,
                    "provider_name": provider,
                    "listed_by": seller,
                    "llm_model": model,
                    "is_used": is_used,
                    "input_tokens": size,
                    "uncached_input_price": price.rates.get("uncached_input"),
                    "cache_read_price": price.rates.get("cache_read"),
                    "cache_write_price": price.rates.get("cache_write_5m"),
                    "output_price": price.rates.get("output"),
                    "price_source": price.price_source,
                }


def _price(card: RateCard, provider: str, model: str, day: date, size: int) -> tuple[str, Price]:
    """Ask the seller's list and then the maker's, by the name that bills write and by the one lists write."""
    maker = next((maker for start, maker in _MAKERS.items() if model.startswith(start)), provider)
    tries = [
        (seller, PriceKey(seller, name, model, model, day, input_above=size, input_from=size, input_to=size))
        for seller in dict.fromkeys((provider, maker))
        for name in dict.fromkeys((model, model.replace(".", "-")))
        if card.is_known(provider_id(seller), name) or card.settings.overrides
    ]
    found = [(seller, card.resolve(key)) for seller, key in tries]
    unknown = provider, card.resolve(PriceKey(provider, model, model, model, day))
    return next((each for each in found if each[1].status == "priced"), unknown)
