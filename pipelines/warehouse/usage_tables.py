"""The tables of token usage: what was used by day, its prices, and what it says about billed money."""

from __future__ import annotations

from typing import Final

_MONEY: Final = "decimal(38, 12)"
_BILL_ROW: Final = {
    "source": ("varchar", "Name of the bill's source in the configuration."),
    "billing_period": ("date", "First day of the invoice month."),
    "daily_id": ("bigint", "Row of ledger.charges_daily."),
}
_COSTS: Final = {
    "billed_cost": (_MONEY, "What the provider asks for (unblended), reporting currency."),
    "effective_cost": (_MONEY, "Amortized cost after negotiated discounts, reporting currency."),
    "net_cost": (_MONEY, "effective_cost after promotional credits, reporting currency."),
    "list_cost": (_MONEY, "Cost at public on-demand price; null where the bill does not say."),
}
_OWNERS: Final = {
    "llm_model": ("varchar", "Language model, in the form bills and logs share."),
    "sub_account_id": ("varchar", "Cloud account or project that called."),
    "project_id": ("varchar", "Provider's project."),
    "workspace_id": ("varchar", "Provider's workspace."),
    "team": ("varchar", "Team as the log says."),
    "api_key_id": ("varchar", "Key id or alias."),
    "feature": ("varchar", "Feature tag where the log has one."),
    "endpoint": ("varchar", "Endpoint, deployment or ARN."),
    "workload": ("varchar", "Only where the record itself says it."),
}
_USAGE: Final = {
    "usage_id": ("bigint", "Number of the row."),
    "source": ("varchar", "Name of the source in the configuration."),
    "usage_date": ("date", "Day of use, UTC."),
    "provider_name": ("varchar", "Who serves and bills it."),
    "reported_by": ("varchar", "usage_api, invocation_log, gateway, trace, metric or file."),
    "llm_model_id": ("varchar", "Model as the source writes it."),
    "llm_model_is_known": ("boolean", "The id names a model that somebody knows."),
    **_OWNERS,
    "user_id": ("varchar", "User; kept only where asked for."),
    "is_batch": ("boolean", "Ran as a batch."),
    "service_tier": ("varchar", "Tier of the response."),
    "context_band": ("varchar", "Band of input length the bucket states."),
    "unit": ("varchar", "Unit of what is not billed in tokens."),
    "price_status": ("varchar", "priced, unpriced, not_bought (a gateway's own cache) or provisioned."),
    "price_reason": ("varchar", "Why it is not priced."),
    "price_source": ("varchar", "The library or the team's override."),
    "price_precision": ("varchar", "request, band or sum: how near to single requests it could be priced."),
    "usage_records": ("bigint", "Records summed."),
    "requests": ("bigint", "Requests; null where not all records count them."),
    "uncached_input_tokens": ("bigint", "Input tokens at full price."),
    "cache_read_tokens": ("bigint", "Input tokens read from a prompt cache."),
    "cache_write_5m_tokens": ("bigint", "Input tokens written to a cache for five minutes."),
    "cache_write_1h_tokens": ("bigint", "Input tokens written to a cache for an hour."),
    "output_tokens": ("bigint", "Output tokens, reasoning included."),
    "reasoning_tokens": ("bigint", "The part of output_tokens spent on reasoning."),
    "input_audio_tokens": ("bigint", "The part of the input that is audio."),
    "output_audio_tokens": ("bigint", "The part of the output that is audio."),
    "quantity": (_MONEY, "Amount in unit."),
    "uncached_input_cost": (_MONEY, "At the rate card, reporting currency; null unless priced."),
    "cache_read_cost": (_MONEY, "Likewise."),
    "cache_write_cost": (_MONEY, "Likewise."),
    "output_cost": (_MONEY, "Likewise."),
    "request_fee": (_MONEY, "Likewise."),
    "unit_cost": (_MONEY, "Likewise, of what is not billed in tokens."),
    "priced_cost": (_MONEY, "Sum of these: what the rate card asks for the row; null unless priced."),
    "counts_as": ("varchar", "billed: divides a bill; estimated: no bill covers it; repeated: others count it."),
}

USAGE_TABLES: Final[dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {
    "ledger.token_usage_daily": (
        "Token usage by day, priced. One row per source, day, model, tier and whoever used it.",
        _USAGE,
    ),
    "computed.token_prices": (
        "Prices that usage was priced at. One row per provider, model, day, tier and size class.",
        {
            "price_id": ("integer", "Number of the row."),
            "provider_name": ("varchar", "Provider."),
            "llm_model_id": ("varchar", "Model as the source writes it."),
            "llm_model": ("varchar", "Language model."),
            "usage_date": ("date", "Day, UTC."),
            "service_tier": ("varchar", "Tier of the response."),
            "is_batch": ("boolean", "Batch."),
            "input_from": ("bigint", "Input size the price holds from, in tokens."),
            "input_to": ("bigint", "Input size it holds to; null for no end."),
            "unit": ("varchar", "Unit of what is not billed in tokens."),
            "price_status": ("varchar", "priced, unpriced, not_bought or provisioned."),
            "price_reason": ("varchar", "Why it is not priced."),
            "price_source": ("varchar", "The library or the team's override."),
            "price_version": ("varchar", "Name and version of the library."),
            "matched_model": ("varchar", "The library's name of the model."),
            "uncached_input_price": (_MONEY, "Dollars per million tokens."),
            "cache_read_price": (_MONEY, "Dollars per million tokens."),
            "cache_write_5m_price": (_MONEY, "Dollars per million tokens."),
            "cache_write_1h_price": (_MONEY, "Dollars per million tokens."),
            "output_price": (_MONEY, "Dollars per million tokens."),
            "request_price": (_MONEY, "Dollars per thousand requests."),
            "unit_price": (_MONEY, "Dollars per units_per_price units."),
            "units_per_price": ("bigint", "Units that unit_price is for."),
        },
    ),
    "computed.token_allocations": (
        "Billed rows divided by the usage beside them. One row per daily row of a bill and part; parts sum to the row.",
        {
            **_BILL_ROW,
            "part": ("integer", "1, 2, …"),
            **_OWNERS,
            "method": ("varchar", "How it was divided."),
            "tokens": ("bigint", "Tokens of the part."),
            "priced_cost": (_MONEY, "What the rate card asks for the part: its weight."),
            **_COSTS,
        },
    ),
    "computed.unexplained_charges": (
        "Billed rows about models that usage does not divide. One row per daily row of a bill.",
        {
            **_BILL_ROW,
            "usage_date": ("date", "Day of use, UTC."),
            "provider_name": ("varchar", "Who bills it."),
            "reason": ("varchar", "Why not."),
            **_COSTS,
        },
    ),
    "computed.unbilled_usage": (
        "Usage of days that a bill covers, which no line of it is about. One row per usage row and bucket.",
        {
            "usage_id": ("bigint", "Row of ledger.token_usage_daily."),
            "token_bucket": ("varchar", "Bucket; null where another unit counts."),
            "unit": ("varchar", "Unit of what is not billed in tokens."),
            "amount": (_MONEY, "Tokens, or units."),
            "priced_cost": (_MONEY, "At the rate card; null where unpriced."),
        },
    ),
    "computed.estimated_charges": (
        "Usage that no bill covers, at the rate card's price. One row per usage row; a bill that arrives replaces it.",
        {
            "usage_id": ("bigint", "Row of ledger.token_usage_daily."),
            "usage_date": ("date", "Day of use, UTC."),
            "provider_name": ("varchar", "Who serves it."),
            **_OWNERS,
            "estimated_cost": (_MONEY, "At the rate card's price, reporting currency; null where unpriced."),
        },
    ),
    "computed.repeated_usage": (
        "Records that describe requests others count. One row per source, kind of record, account and day.",
        {
            "provider_name": ("varchar", "Provider."),
            "scope": ("varchar", "Account; null for all of the provider."),
            "usage_date": ("date", "Day of use, UTC."),
            "source": ("varchar", "Name of the source in the configuration."),
            "reported_by": ("varchar", "Kind of record."),
            "authority": ("varchar", "Whose records count instead."),
            "usage_records": ("bigint", "Records left out."),
            "requests": ("bigint", "Their requests."),
            "tokens": ("bigint", "Their tokens."),
        },
    ),
    "computed.usage_builds": (
        "What the tables of usage were made from. One row.",
        {"kind": ("varchar", "Which tables."), "digest": ("varchar", "Digest of loads, prices and bills.")},
    ),
}
