"""What the same tokens would have cost otherwise: without a prompt cache, as a batch, or from a provider's API.

All of it at the rate card's prices; an alternative that has no price stays null.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Final

import polars as pl

from models.facts import Schema
from models.money import MONEY
from models.rate_card import RateCard
from models.token_pricing import COSTS, price, to_money
from models.token_sizes import INPUT, KEY, TOKENS

SAVINGS: Final = ("caching_saved", "batching_would_save")
"""Quanta of 10⁻²⁴ dollars: less than without a cache (negative where writing it cost more than reading it saved), and
less than now if it ran as a batch (null for what does)."""

API_PROVIDERS: Final = (
    "AWS",
    "Cerebras",
    "DeepSeek",
    "Fireworks AI",
    "Google Cloud",
    "Groq",
    "Mistral AI",
    "OpenRouter",
    "Together AI",
)
"""Who sells models that anybody may serve; asked for each self-hosted model."""

API_PRICES: Final[Schema] = {
    "usage_date": pl.Date,
    "llm_model": pl.String,
    "llm_model_id": pl.String,
    "endpoint": pl.String,
    "namespace": pl.String,
    "reported_by": pl.String,
    "source": pl.String,
    "api_provider": pl.String,
    "matched_model": pl.String,
    "list_cost": MONEY,
}
"""One row per day, fleet, source and provider whose API has a price for all of it."""

_CACHED: Final = INPUT[1:]


def savings(priced: pl.DataFrame, card: RateCard) -> pl.DataFrame:
    """Add `SAVINGS` to rows of `models.token_pricing.price`.

    A prompt that was not cached is all fresh input; of the same size, it falls on the same side of every cliff.
    """
    rows = priced.with_row_index("_row")
    bits = {name: 1 << place for place, name in enumerate(TOKENS)}
    cached_bits = sum(bits[name] for name in _CACHED)
    is_priced = pl.col("price_status") == "priced"
    used = (pl.col("uses") & pl.lit(cached_bits, pl.UInt16)) != 0
    fresh = rows.filter(is_priced & used).with_columns(
        pl.sum_horizontal(INPUT).alias(INPUT[0]),
        *(pl.lit(0, pl.Int64).alias(name) for name in _CACHED),
        ((pl.col("uses") & pl.lit(~cached_bits & 0xFFFF, pl.UInt16)) | pl.lit(bits[INPUT[0]], pl.UInt16)).alias("uses"),
    )
    # A batch has no tier of its own.
    batch = rows.filter(is_priced & ~pl.col("is_batch")).with_columns(
        pl.lit(value=True).alias("is_batch"), pl.lit(None, pl.String).alias("service_tier")
    )
    total = _total()
    without_cache, as_batch = _repriced(fresh, card, "_fresh"), _repriced(batch, card, "_batch")
    return (
        rows.join(without_cache, on="_row", how="left", maintain_order="left")
        .join(as_batch, on="_row", how="left", maintain_order="left")
        .with_columns(
            pl.when(is_priced & ~used).then(pl.lit(0, pl.Int128)).otherwise(pl.col("_fresh") - total).alias(SAVINGS[0]),
            (total - pl.col("_batch")).alias(SAVINGS[1]),
        )
        .drop("_row", "_fresh", "_batch")
    )


def _total() -> pl.Expr:
    return reduce(add, (pl.col(name) for name in COSTS))


def _repriced(rows: pl.DataFrame, card: RateCard, name: str) -> pl.DataFrame:
    unpriced = rows.select("_row", *KEY, *TOKENS, "requests", "quantity", "uses")
    priced, _ = price(unpriced, card)
    cost = pl.when(pl.col("price_status") == "priced").then(_total())
    return priced.select("_row", cost.cast(pl.Int128).alias(name))


def api_prices(classes: pl.DataFrame, card: RateCard) -> pl.DataFrame:
    """Price the tokens of self-hosted models at each API that lists the model, at its list price.

    Args:
        classes: sums of requests (`models.token_sizes.sum_requests`) of self-hosted models with `endpoint` and
            `namespace`.
        card: prices; the team's names of models hold here too.

    Returns:
        `API_PRICES`, in dollars.
    """
    if classes.is_empty():
        return pl.DataFrame(schema=API_PRICES)
    names = [name for name in API_PRICES if name not in {"list_cost", "api_provider", "matched_model"}]
    absent = [name for name in names if name not in {*classes.columns, "llm_model"}]
    own = price(classes, card)[0].with_row_index("_row").select("_row", pl.col("llm_model").alias("_own_name"))
    frames = []
    for provider in API_PROVIDERS:
        asked = classes.with_columns(pl.lit(provider).alias("provider_name")).with_row_index("_row")
        priced, prices = price(asked, card)
        cost = pl.when(pl.col("price_status") == "priced").then(_total())
        matched = prices.select("price_id", "matched_model")
        frames.append(
            priced.join(matched, on="price_id", how="left", maintain_order="left")
            .join(own, on="_row", maintain_order="left")
            .with_columns(pl.col("_own_name").alias("llm_model"), pl.lit(provider).alias("api_provider"))
            .with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
            .group_by(*names, "api_provider")
            .agg(
                pl.col("matched_model").first(),
                pl.when(cost.null_count() == 0).then(cost.sum()).alias("list_cost"),
            )
            .filter(pl.col("list_cost").is_not_null())
            .with_columns(to_money(pl.col("list_cost")).alias("list_cost"))
        )
    return pl.concat(frames).select(pl.col(name).cast(kind) for name, kind in API_PRICES.items()).sort(pl.all())
