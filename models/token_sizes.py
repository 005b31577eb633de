"""What about a request's size can change its price, and sums of requests that cannot differ in it.

A tier is a cliff that a whole request falls off, so the size of each request (or the band its bucket states) is part of
what decides its price. Pricing a sum of requests of one size class is exactly pricing the requests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import polars as pl

from models.facts import Schema
from models.money import MONEY
from models.rate_card import RateCard

INPUT: Final = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
PARTS: Final = ("reasoning_tokens", "input_audio_tokens", "output_audio_tokens")
TOKENS: Final = (*INPUT, "output_tokens", *PARTS)
"""Columns of counts, in the order of the bits of `uses`."""
# Bits of `uses` beside one for each column of TOKENS.
UNCOUNTED: Final = 1 << 8  # the row does not say how many requests it is
TOO_MUCH_AUDIO: Final = 1 << 9
TOO_MANY_PARTS: Final = 1 << 10
NOTHING: Final = 1 << 11  # the row states no amount
NOT_BOUGHT: Final = 1 << 12  # the gateway answered from its own cache

SIZE: Final[Schema] = {
    "usage_date": pl.Date,
    "day_time": pl.UInt8,
    "is_single": pl.Boolean,
    "input_class": pl.UInt8,
    "total_class": pl.UInt8,
    "uses": pl.UInt16,
}
"""What `sized` adds: the day, and everything about a row's size that can change its price."""

KEY: Final = (
    "provider_name",
    "llm_model_id",
    "usage_date",
    "day_time",
    "service_tier",
    "is_batch",
    "context_band",
    "is_single",
    "input_class",
    "total_class",
    "unit",
    "workload",
)
SPANS: Final = 255
_BAND: Final = re.compile(
    r"^\s*([<>]=?)?\s*([0-9.]+)\s*([km]?)\s*(?:[-–]\s*([0-9.]+)\s*([km]?)|(\+))?\s*$", re.IGNORECASE
)


def sized(rows: pl.LazyFrame, card: RateCard) -> pl.LazyFrame:
    """Add `SIZE` to rows of token_usage; columns that a source never fills are added as null.

    Searches of files get a `unit` of their own, `file_searches`.
    """
    present = rows.collect_schema()
    absent: dict[str, pl.DataType | type[pl.DataType]] = {
        **dict.fromkeys((*TOKENS, "requests"), pl.Int64),
        **dict.fromkeys(("llm_model_id", "operation", "service_tier", "context_band", "unit", "workload"), pl.String),
        **dict.fromkeys(("is_batch", "response_cache_hit"), pl.Boolean),
        "quantity": MONEY,
    }
    rows = rows.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in absent.items() if name not in present.names()
    )
    # OpenAI reports searches of the web and of files in the same word, at different prices.
    of_files = (pl.col("unit") == "searches") & (pl.col("operation") == "file_search")
    rows = rows.with_columns(pl.when(of_files).then(pl.lit("file_searches")).otherwise("unit").alias("unit"))
    one = pl.col("usage_start") == pl.col("usage_end")
    single = (pl.col("requests") == 1).fill_null(one)
    requests = pl.when(single).then(1).otherwise(pl.col("requests"))
    total = pl.sum_horizontal(INPUT)
    starts = card.tier_starts
    input_class = pl.sum_horizontal((total > start * requests).fill_null(value=False) for start in starts)
    total_class = pl.sum_horizontal(total > start for start in starts)
    banded = pl.col("context_band").is_not_null()
    return rows.with_columns(
        pl.col("usage_start").dt.date().alias("usage_date"),
        _day_time(card).alias("day_time"),
        single.alias("is_single"),
        requests.alias("requests"),
        # What a stated band decides needs no size of its own.
        pl.when(single | ~banded).then(input_class).otherwise(0).cast(pl.UInt8).alias("input_class"),
        pl.when(single | banded).then(0).otherwise(total_class).cast(pl.UInt8).alias("total_class"),
        _uses([name for name in TOKENS if name in present.names()], requests).alias("uses"),
        pl.col("is_batch").fill_null(value=False),
    )


def _day_time(card: RateCard) -> pl.Expr:
    def part(instant: pl.Expr) -> pl.Expr:
        return pl.sum_horizontal((instant.dt.time() >= start).cast(pl.UInt8) for start in card.day_times) - 1

    first = part(pl.col("usage_start"))
    last = part(pl.max_horizontal(pl.col("usage_end") - pl.duration(microseconds=1), pl.col("usage_start")))
    days = (pl.col("usage_end") - pl.col("usage_start")) >= pl.duration(days=1)
    varies = pl.col("provider_name").str.to_lowercase().is_in(card.day_time_providers)
    spans = (last != first) | days
    return pl.when(~varies).then(0).when(spans).then(SPANS).otherwise(first).cast(pl.UInt8)


def _uses(present: Sequence[str], requests: pl.Expr) -> pl.Expr:
    """Note which counts are positive and what is odd about a row, so that sums know it of each of their rows."""

    def bit(condition: pl.Expr, value: int) -> pl.Expr:
        return pl.when(condition).then(value).otherwise(0).cast(pl.UInt16)

    def count(name: str) -> pl.Expr:
        return pl.col(name).fill_null(0)

    bits = [bit(pl.col(name) > 0, 1 << TOKENS.index(name)) for name in present]
    bits.append(bit(requests.is_null(), UNCOUNTED))
    if "input_audio_tokens" in present:
        bits.append(bit(pl.col("input_audio_tokens") > count("uncached_input_tokens"), TOO_MUCH_AUDIO))
    if {"reasoning_tokens", "output_audio_tokens"} & set(present):
        parts = count("reasoning_tokens") + count("output_audio_tokens")
        bits.append(bit(parts > count("output_tokens"), TOO_MANY_PARTS))
    stated = pl.any_horizontal(*(pl.col(name).is_not_null() for name in (*INPUT, "output_tokens")), pl.lit(value=False))
    quantity = pl.col("unit").is_not_null() & pl.col("quantity").is_not_null()
    bits.append(bit(~(stated & pl.col("unit").is_null()) & ~quantity, NOTHING))
    bits.append(bit(pl.col("response_cache_hit"), NOT_BOUGHT))
    # Different bits: their sum is their union.
    return pl.sum_horizontal(bits).cast(pl.UInt16)


def sum_requests(rows: pl.LazyFrame, card: RateCard, by: Sequence[str]) -> pl.LazyFrame:
    """Sum rows of token_usage that cannot differ in price; `by` are further columns to keep.

    Returns:
        One row per `by`, price-deciding columns and `SIZE`, with Σ of counts, `requests`, `quantity` and
        `usage_records`. What one row of several requests lacks in `requests` makes the sum's `requests` null.
    """
    keys = [*dict.fromkeys((*by, *KEY, "uses"))]
    ready = sized(rows, card)
    return ready.group_by(keys).agg(
        *(pl.col(name).sum() for name in TOKENS),
        # Rows that state no number are of their own in `uses`, so a sum has all of them or none.
        pl.when(pl.col("requests").null_count() == 0).then(pl.col("requests").sum()).alias("requests"),
        pl.col("quantity").sum(),
        pl.len().cast(pl.Int64).alias("usage_records"),
    )


def band_bounds(text: object) -> tuple[int, int | None] | None:
    """Read a band of input length such as `0-200k`, `200k-1M` or `>200k`; null where it is none."""
    found = _BAND.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    sign, first, unit, last, last_unit, _ = found.groups()

    def tokens(number: str, suffix: str) -> int:
        return int(Decimal(number) * {"": 1, "k": 1_000, "m": 1_000_000}[suffix.lower()])

    try:
        low = tokens(first, unit)
        if last is not None:
            return low, tokens(last, last_unit)
    except ArithmeticError:
        return None
    return (0, low) if sign and sign.startswith("<") else (low, None)
