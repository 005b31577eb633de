"""Price token usage: resolve each distinct price once, join it, multiply in integers.

Amounts are counted in 10⁻²⁴ dollars as 128-bit integers: every price of the library is a whole number of them per
token, so nothing is rounded before money is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import time
from decimal import Decimal
from typing import Final

import polars as pl

from models.facts import Schema
from models.llm_names import resolve_names
from models.money import ARITHMETIC, MONEY, units_to_money
from models.price_settings import BUCKETS
from models.rate_card import Price, PriceKey, RateCard
from models.token_sizes import (
    KEY,
    NOT_BOUGHT,
    NOTHING,
    SPANS,
    TOKENS,
    TOO_MANY_PARTS,
    TOO_MUCH_AUDIO,
    UNCOUNTED,
    band_bounds,
)

DIGITS: Final = 24
_PER_MONEY_UNIT: Final = 10**12  # quanta of 10⁻²⁴ in a unit of 10⁻¹²
QUANTA: Final = pl.Int128

COSTS: Final = (
    "uncached_input_cost",
    "cache_read_cost",
    "cache_write_cost",
    "output_cost",
    "request_fee",
    "unit_cost",
)
"""What a price is made of; `priced_cost` is their sum."""

PRICES: Final[Schema] = {
    "price_id": pl.Int32,
    **dict.fromkeys(("provider_name", "llm_model_id", "llm_model"), pl.String),
    "usage_date": pl.Date,
    "usage_time": pl.Time,
    "service_tier": pl.String,
    "is_batch": pl.Boolean,
    "input_from": pl.Int64,
    "input_to": pl.Int64,
    "unit": pl.String,
    **dict.fromkeys(("price_status", "price_reason", "price_source", "price_version", "matched_model"), pl.String),
    **{f"{bucket}_price": MONEY for bucket in BUCKETS},
    "request_price": MONEY,
    "unit_price": MONEY,
    "units_per_price": pl.Int64,
}
"""One row per distinct price: dollars per million tokens, per thousand requests, per `units_per_price` units."""


def price(rows: pl.DataFrame, card: RateCard) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Price rows that carry `SIZE`, single requests or the sums of `sum_requests`.

    Returns:
        The rows in their order with `llm_model`, `llm_model_is_known`, `price_id`, `price_status` (priced, unpriced,
        provisioned, not_bought), `price_reason`, `price_source`, `price_precision` (request, band, sum) and `COSTS` in
        quanta of 10⁻²⁴ dollars, null unless priced; and the distinct prices (`PRICES`).
    """
    names = resolve_names(rows, card.settings.models, card.is_known)
    keys = (
        rows.select(KEY)
        .unique()
        .sort(KEY)  # a price's number must not depend on the order in which usage was summed
        .join(names, on=("provider_name", "llm_model_id"), how="left", nulls_equal=True, maintain_order="left")
    )
    asked = [_price_key(row, card) for row in keys.iter_rows(named=True)]
    resolved = [card.resolve(key) for key in asked]
    priced = keys.select(*KEY, "llm_model", "llm_model_is_known").hstack(_rates(resolved))
    joined = rows.join(priced, on=KEY, how="left", nulls_equal=True, maintain_order="left")
    return _costs(joined), _listed(asked, resolved, card)


def _price_key(row: dict[str, object], card: RateCard) -> PriceKey:
    starts: tuple[int | None, ...] = (0, *card.tier_starts, None)
    values: dict[str, object] = {name: row[name] for name in ("provider_name", "price_model_id", "llm_model")}
    values |= {
        name: row[name] for name in ("llm_model_id", "usage_date", "service_tier", "is_batch", "unit", "workload")
    }
    input_class, total_class = int(str(row["input_class"])), int(str(row["total_class"]))
    band = None if row["is_single"] else band_bounds(row["context_band"])
    if band is not None:
        bounds: dict[str, object] = {"input_above": band[0], "input_from": band[0], "input_to": band[1]}
    elif row["is_single"]:
        above = starts[input_class]
        bounds = {"input_above": above, "input_from": above, "input_to": starts[input_class + 1]}
    else:
        bounds = {"input_above": starts[input_class], "input_from": 0, "input_to": starts[total_class + 1]}
    spans = row["day_time"] == SPANS
    at = time(0) if spans else card.day_times[int(str(row["day_time"]))]
    return PriceKey(**values, **bounds, usage_time=at, spans_day_times=spans)  # type: ignore[arg-type]


def _rates(resolved: Sequence[Price]) -> pl.DataFrame:
    def quanta(amounts: Iterable[Decimal | None], per: int) -> list[int | None]:
        scale = ARITHMETIC.divide(Decimal(10) ** DIGITS, per)
        return [None if amount is None else int((amount * scale).to_integral_value()) for amount in amounts]

    columns: dict[str, pl.Series] = {
        "price_id": pl.Series(range(1, len(resolved) + 1), dtype=pl.Int32),
        **{
            name: pl.Series([getattr(price, field) for price in resolved], dtype=pl.String)
            for name, field in (
                ("price_status", "status"),
                ("price_reason", "reason"),
                ("price_source", "price_source"),
            )
        },
        **{
            f"{bucket}_rate": pl.Series(quanta((price.rates.get(bucket) for price in resolved), 10**6), dtype=QUANTA)
            for bucket in BUCKETS
        },
        "request_rate": pl.Series(quanta((price.per_thousand_requests for price in resolved), 1000), dtype=QUANTA),
        # A quantity counts 10⁻¹² units, so that its product with 10⁻¹² dollars is in quanta.
        "unit_rate": pl.Series(quanta((price.unit_price for price in resolved), 10**12), dtype=QUANTA),
        "units_per_price": pl.Series([price.units_per_price for price in resolved], dtype=pl.Int64),
        "has_tiers": pl.Series([price.has_tiers for price in resolved], dtype=pl.Boolean),
        "is_exact": pl.Series([price.is_exact for price in resolved], dtype=pl.Boolean),
    }
    return pl.DataFrame(columns)


def _costs(joined: pl.DataFrame) -> pl.DataFrame:
    def has(mask: int) -> pl.Expr:
        return (pl.col("uses") & pl.lit(mask, pl.UInt16)) != 0

    def rate(bucket: str) -> pl.Expr:
        return pl.col(f"{bucket}_rate").fill_null(0)

    def count(name: str) -> pl.Expr:
        return pl.col(name).fill_null(0).cast(QUANTA)

    bits = {name: 1 << place for place, name in enumerate(TOKENS)}
    cached = bits["cache_read_tokens"] | bits["cache_write_5m_tokens"] | bits["cache_write_1h_tokens"]
    audio_apart = has(bits["input_audio_tokens"]) & (rate("input_audio") != rate("uncached_input"))
    parts_apart = (has(bits["output_audio_tokens"]) & (rate("output_audio") != rate("output"))) | (
        has(bits["reasoning_tokens"]) & (rate("reasoning") != rate("output"))
    )
    priced = pl.col("price_status") == "priced"
    no_price = [
        (has(bits[f"{bucket}_tokens"]) & pl.col(f"{bucket}_rate").is_null(), f"no price for {bucket} in this context")
        for bucket in BUCKETS
    ]
    faults = [
        (has(NOTHING), "the usage states no amount"),
        *no_price,
        (audio_apart & has(cached), "the usage does not say how much of the audio was cached"),
        (audio_apart & has(TOO_MUCH_AUDIO), "more audio than uncached input"),
        (parts_apart & has(TOO_MANY_PARTS), "more reasoning and audio than output"),
        (has(UNCOUNTED) & pl.col("request_rate").is_not_null(), "requests cost a fee and are not counted"),
    ]
    fault = pl.coalesce(pl.when(condition).then(pl.lit(reason)) for condition, reason in faults)
    costs = {
        "uncached_input_cost": count("uncached_input_tokens") * rate("uncached_input")
        + count("input_audio_tokens")
        * pl.when(audio_apart).then(rate("input_audio") - rate("uncached_input")).otherwise(0),
        "cache_read_cost": count("cache_read_tokens") * rate("cache_read"),
        "cache_write_cost": count("cache_write_5m_tokens") * rate("cache_write_5m")
        + count("cache_write_1h_tokens") * rate("cache_write_1h"),
        "output_cost": count("output_tokens") * rate("output")
        + count("output_audio_tokens") * pl.when(parts_apart).then(rate("output_audio") - rate("output")).otherwise(0)
        + count("reasoning_tokens") * pl.when(parts_apart).then(rate("reasoning") - rate("output")).otherwise(0),
        "request_fee": count("requests") * pl.col("request_rate").fill_null(0),
        "unit_cost": pl.col("quantity").fill_null(0).to_physical().cast(QUANTA)
        * pl.col("unit_rate").fill_null(0)
        // pl.col("units_per_price").fill_null(1),
    }
    precision = (
        pl.when(pl.col("is_single")).then(pl.lit("request"))
        .when(~pl.col("is_exact")).then(pl.lit("sum"))
        .when(pl.col("has_tiers") & pl.col("context_band").is_not_null()).then(pl.lit("band"))
        .otherwise(pl.lit("request"))
    )  # fmt: skip
    return (
        joined.with_columns(fault.alias("_fault"))
        .with_columns(
            pl.when(has(NOT_BOUGHT)).then(pl.lit("not_bought"))
            .when(priced & pl.col("_fault").is_not_null()).then(pl.lit("unpriced"))
            .otherwise("price_status").alias("price_status"),
            pl.when(has(NOT_BOUGHT)).then(pl.lit("answered from the gateway's own cache"))
            .otherwise(pl.coalesce("price_reason", "_fault")).alias("price_reason"),
        )
        .with_columns(
            pl.when(priced).then(precision).alias("price_precision"),
            *(pl.when(priced).then(cost).cast(QUANTA).alias(name) for name, cost in costs.items()),
        )
        .drop("_fault", "has_tiers", "is_exact", "request_rate", "unit_rate", "units_per_price")
        .drop(f"{bucket}_rate" for bucket in BUCKETS)
    )  # fmt: skip


def _listed(asked: Sequence[PriceKey], resolved: Sequence[Price], card: RateCard) -> pl.DataFrame:
    rows = [
        {
            **{name: getattr(key, name) for name in PRICES if hasattr(key, name)},
            "price_id": number,
            "price_status": price.status,
            "price_reason": price.reason,
            "price_source": price.price_source,
            "price_version": card.version,
            "matched_model": price.matched_model,
            **{f"{bucket}_price": _money(price.rates.get(bucket)) for bucket in BUCKETS},
            "request_price": _money(price.per_thousand_requests),
            "unit_price": _money(price.unit_price),
            "units_per_price": price.units_per_price,
        }
        for number, (key, price) in enumerate(zip(asked, resolved, strict=True), 1)
    ]
    return pl.DataFrame(rows, schema=PRICES)


def _money(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(Decimal("1e-12"), context=ARITHMETIC)


def to_money(quanta: pl.Expr) -> pl.Expr:
    """Turn quanta of 10⁻²⁴ dollars into `MONEY`, half to even: the one rounding."""
    floor, rest = quanta // _PER_MONEY_UNIT, quanta % _PER_MONEY_UNIT
    half = _PER_MONEY_UNIT // 2
    up = (rest > half) | ((rest == half) & (floor % 2 != 0))
    units = floor + pl.when(up).then(1).otherwise(0).cast(QUANTA)
    return units_to_money(units)
