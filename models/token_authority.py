"""Whose records of token usage count where several systems saw the same requests, and what the others still tell.

A gateway's log, the provider's usage report and a trace often describe the same tokens. One kind of record counts for a
provider, account and day; the others only say whose a key is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from models.facts import Schema
from models.llm_names import provider_id
from models.price_settings import Authority

ORDER: Final = ("usage_api", "invocation_log", "gateway", "trace", "file")
"""Who is believed unless configured: the provider's own count, its log, and then those who stood farther away."""

SCOPE: Final = "sub_account_id"
_WHERE: Final = ("provider_id", "scope", "usage_date")
OWNERS_OF_KEYS: Final = ("project_id", "workspace_id", "sub_account_id", "team", "feature")

LEFT_OUT: Final[Schema] = {
    "provider_name": pl.String,
    "scope": pl.String,
    "usage_date": pl.Date,
    "source": pl.String,
    "reported_by": pl.String,
    "authority": pl.String,
    "usage_records": pl.Int64,
    "requests": pl.Int64,
    "tokens": pl.Int64,
}
"""What did not count, and which kind of record counted instead."""


def with_provider_id(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `provider_id`, in which bills and usage spell a provider alike."""
    names = frame["provider_name"].unique().to_list()
    return frame.with_columns(
        pl.col("provider_name").replace_strict(names, [provider_id(name) for name in names]).alias("provider_id")
        if names
        else pl.lit(None, pl.String).alias("provider_id")
    )


def complete(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Add columns that are absent, as null."""
    types = {"is_batch": pl.Boolean, "tokens_per_unit": pl.Int64}
    absent = [name for name in names if name not in frame.columns]
    return frame.with_columns(pl.lit(None, types.get(name, pl.String)).alias(name) for name in absent)


def choose_authority(daily: pl.DataFrame, configured: Sequence[Authority] = ()) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split daily usage into what counts and what repeats it.

    A record that names no account speaks for the whole provider: where one stands among a provider's records of a day,
    one kind is chosen for all of that provider's accounts, so that nothing counts twice.

    Returns:
        The rows that count, with owners of their keys filled in from the rows that do not where those agree; and
        `LEFT_OUT`, one row for each of the others' source, kind, account and day.
    """
    rows = with_provider_id(daily)
    unnamed = pl.col(SCOPE).is_null().any().over("provider_id", "usage_date")
    rows = rows.with_columns(pl.when(~unnamed).then(pl.col(SCOPE)).alias("scope"))
    seen = rows.select(*_WHERE, "reported_by", "source").unique().sort(*_WHERE, "reported_by", "source")
    chosen = []
    for where, group in seen.group_by(_WHERE, maintain_order=True):
        rule = _rule(where, group, configured)
        kinds = group["reported_by"].to_list()
        if rule is not None and rule.source is not None:
            chosen.append((*where, None, rule.source, f"source {rule.source}"))
        else:
            kind = rule.reported_by if rule is not None else min(kinds, key=_rank)
            chosen.append((*where, kind, None, kind))
    schema = {"provider_id": pl.String, "scope": pl.String, "usage_date": pl.Date, "_kind": pl.String}
    authority = pl.DataFrame(chosen, schema={**schema, "_source": pl.String, "authority": pl.String}, orient="row")
    rows = rows.join(authority, on=_WHERE, how="left", nulls_equal=True, maintain_order="left")
    counts = (pl.col("reported_by") == pl.col("_kind")).fill_null(pl.col("source") == pl.col("_source"))
    counted, others = rows.filter(counts), rows.filter(~counts)
    return _owned(counted, others).drop("scope", "_kind", "_source", "authority"), _left_out(others)


def _rank(kind: str) -> tuple[int, str]:
    return (ORDER.index(kind) if kind in ORDER else len(ORDER), kind)


def _rule(where: tuple[object, ...], group: pl.DataFrame, configured: Sequence[Authority]) -> Authority | None:
    """Give the last rule that fits and whose records are there; without them the next kind counts, not nothing."""
    for rule in reversed(configured):
        fits = provider_id(rule.provider) == where[0] and rule.scope in {None, where[1]}
        if fits and (rule.reported_by in group["reported_by"] or rule.source in group["source"]):
            return rule
    return None


def _owned(counted: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Fill in whose a key is, where all other records of that key say the same."""
    for name in OWNERS_OF_KEYS:
        said = (
            others.filter(pl.col("api_key_id").is_not_null(), pl.col(name).is_not_null())
            .group_by("provider_id", "api_key_id")
            .agg(pl.col(name).first().alias("_said"), pl.col(name).n_unique().alias("_count"))
            .filter(pl.col("_count") == 1)
            .drop("_count")
        )
        counted = (
            counted.join(said, on=("provider_id", "api_key_id"), how="left", maintain_order="left")
            .with_columns(pl.coalesce(name, "_said").alias(name))
            .drop("_said")
        )
    return counted


def _left_out(others: pl.DataFrame) -> pl.DataFrame:
    tokens = pl.sum_horizontal(name for name in others.columns if name in _COUNTED)
    return (
        others.group_by("provider_name", "scope", "usage_date", "source", "reported_by", "authority")
        .agg(pl.col("usage_records").sum(), pl.col("requests").sum(), tokens.sum().alias("tokens"))
        .select(pl.col(name).cast(dtype) for name, dtype in LEFT_OUT.items())
        .sort(pl.all())
    )


_COUNTED: Final = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
)
