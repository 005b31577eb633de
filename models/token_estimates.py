"""Which usage a bill covers, and what the rest is estimated to cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from models.llm_names import provider_id
from models.token_authority import SCOPE, complete, with_provider_id


def covered(usage: pl.DataFrame, charges: pl.DataFrame, bill_omits: Mapping[str, Sequence[str]]) -> pl.Series:
    """Tell for each row of daily usage whether a bill covers its provider, account, UTC day and tier.

    A bill covers each day from its first to its last line about tokens, of the account it names or, where it names
    none, of the whole provider. Usage that names no account is covered where any account of its provider is, so that
    nothing counts twice. A tier that a provider's bill leaves out (`bill_omits`) is not covered.
    """
    lines = complete(with_provider_id(charges), (SCOPE,))
    spans = lines.group_by("provider_id", SCOPE).agg(
        pl.col("usage_date").min().alias("first"), pl.col("usage_date").max().alias("last")
    )
    rows = complete(with_provider_id(usage), (SCOPE, "service_tier")).with_row_index("_row")
    pairs = rows.select("_row", "provider_id", pl.col(SCOPE).alias("_scope"), "usage_date").join(
        spans, on="provider_id"
    )
    met = pairs.filter(
        pl.col("usage_date").is_between(pl.col("first"), pl.col("last")),
        pl.col(SCOPE).is_null() | pl.col("_scope").is_null() | (pl.col(SCOPE) == pl.col("_scope")),
    )
    omitted = pl.lit(value=False)
    for provider, tiers in bill_omits.items():
        theirs = pl.col("provider_id") == provider_id(provider)
        omitted |= theirs & pl.col("service_tier").str.to_lowercase().is_in(list(tiers)).fill_null(value=False)
    return rows.select(
        (pl.col("_row").is_in(met["_row"].unique().implode()) & ~omitted).alias("is_covered")
    ).to_series()


def estimate(usage: pl.DataFrame) -> pl.DataFrame:
    """Give usage that no bill covers as charges: `cost_basis` estimated, `estimated_cost` at the rate card's prices.

    Unpriced usage stands among them with its tokens and no cost; what was not bought or is paid by the hour does not.
    """
    kept = usage.filter(~pl.col("price_status").is_in(["not_bought", "provisioned"]))
    return kept.with_columns(pl.lit("estimated").alias("cost_basis"), pl.col("priced_cost").alias("estimated_cost"))
