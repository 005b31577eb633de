"""Requests as rows of token_usage, and what the price library says of each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from genai_prices import Usage
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot

from models.facts import TOKEN_USAGE, schema
from models.llm_names import name_of, provider_id
from models.money import MONEY, quantize_decimal
from models.rate_card import PriceKey, RateCard, contexts_of
from models.token_pricing import COSTS, price, to_money
from models.token_sizes import sized

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
LIBRARY = DataSnapshot(providers=providers, from_auto_update=False)
CARD = RateCard()


def usage(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """One row per mapping, with what is left out filled in or null."""
    filled = [
        {"source_file": "log.jsonl", "source_row": number, "usage_start": NOON, "reported_by": "gateway", **row}
        for number, row in enumerate(rows, 1)
    ]
    for row in filled:
        row.setdefault("usage_end", row["usage_start"])
    columns = schema(TOKEN_USAGE)
    return pl.DataFrame(filled, schema={"source": pl.String, **columns})


def bucket(**row: Any) -> dict[str, Any]:
    """A bucket of one UTC day."""
    start = datetime(2026, 7, 1, tzinfo=UTC)
    return {"usage_start": start, "usage_end": start + timedelta(days=1), **row}


def priced(rows: pl.DataFrame, card: RateCard | None = None) -> pl.DataFrame:
    """The rows with their costs as money and `priced_cost`, their sum."""
    card = card or RateCard()
    result, _ = price(sized(rows.lazy(), card).collect(), card)
    total = sum((pl.col(name) for name in COSTS[1:]), pl.col(COSTS[0]))
    return result.with_columns(to_money(total).alias("priced_cost"), *(to_money(pl.col(name)) for name in COSTS))


def library_price(row: Mapping[str, Any]) -> Decimal:
    """What one call of the library says, rounded once to money."""
    reads, short, long = (
        row[name] or 0 for name in ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    )
    counts = {
        "input_tokens": (row["uncached_input_tokens"] or 0) + reads + short + long,
        "cache_read_tokens": reads,
        "cache_write_tokens": short + long,
        "cache_write_1h_tokens": long,
        "output_tokens": row["output_tokens"] or 0,
        "output_reasoning_tokens": row["reasoning_tokens"] or 0,
        "input_audio_tokens": row["input_audio_tokens"] or 0,
        "output_audio_tokens": row["output_audio_tokens"] or 0,
    }
    provider = provider_id(row["provider_name"])
    context = contexts_of(
        PriceKey(
            row["provider_name"],
            None,
            None,
            row["llm_model_id"],
            row["usage_start"].date(),
            service_tier=row["service_tier"],
            is_batch=bool(row["is_batch"]),
        ),
        provider,
    )
    answer = LIBRARY.calc(
        Usage(**{name: count for name, count in counts.items() if count}),
        name_of(row["provider_name"], row["llm_model_id"], {}, CARD.is_known).price_id or "",
        provider,
        None,
        row["usage_start"],
        context,
    )
    return quantize_decimal(answer.total_price)


def money(text: str) -> Decimal:
    """An amount with money's twelve decimals."""
    amount: Decimal = pl.Series([text]).cast(MONEY)[0]
    return amount


def one(card: RateCard | None = None, **row: Any) -> dict[str, Any]:
    """Price one row of gpt-4o on OpenAI unless told otherwise."""
    defaults = {"provider_name": "OpenAI", "llm_model_id": "gpt-4o", "uncached_input_tokens": 1000, "output_tokens": 10}
    return priced(usage([{**defaults, **row}]), card).row(0, named=True)
