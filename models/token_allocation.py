"""Divide billed money over those who used the tokens.

A line of a bill states some of: account, project, key, model, token bucket, tier, day. Usage that agrees in all of it
is the line's cell. The line is divided in proportion to what the cell's usage costs at the rate card's prices, provided
that all of it is priced; its own amount, not the priced one, is what the parts sum to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from models.facts import COST_COLUMNS, Schema
from models.money import MONEY, from_units, largest_remainder, to_units, units_to_money
from models.token_authority import complete, with_provider_id

STATED: Final = (
    "sub_account_id",
    "project_id",
    "workspace_id",
    "api_key_id",
    "llm_model",
    "is_batch",
    "service_tier",
    "context_band",
    "token_bucket",
    "unit",
)
"""What both a bill's line and usage may state; a line is matched by whatever of it is not null."""
OWNERS: Final = (
    "llm_model",
    "sub_account_id",
    "project_id",
    "workspace_id",
    "team",
    "api_key_id",
    "feature",
    "endpoint",
    "workload",
)
"""Over whom a line is divided."""

PARTS: Final[Schema] = {
    "charge_id": pl.Int64,
    "part": pl.Int32,
    **dict.fromkeys(OWNERS, pl.String),
    "method": pl.String,
    "tokens": pl.Int64,
    "priced_cost": MONEY,
    **dict.fromkeys(COST_COLUMNS, MONEY),
}
UNEXPLAINED: Final[Schema] = {
    "charge_id": pl.Int64,
    "usage_date": pl.Date,
    "provider_name": pl.String,
    "reason": pl.String,
    **dict.fromkeys(COST_COLUMNS, MONEY),
}
_AMOUNTS: Final = (
    ("uncached_input", ("uncached_input_tokens",), "uncached_input_cost"),
    ("cache_read", ("cache_read_tokens",), "cache_read_cost"),
    ("cache_write", ("cache_write_5m_tokens", "cache_write_1h_tokens"), "cache_write_cost"),
    ("output", ("output_tokens",), "output_cost"),
    ("request", ("requests",), "request_fee"),
    (None, (), "unit_cost"),
)
_WHAT: Final = frozenset({"llm_model", "token_bucket", "unit"})
_OF_USAGE: Final = tuple(name for name in (*STATED, *OWNERS) if name not in {"token_bucket", "unit"})
_METHOD: Final = "priced_usage_of_the_cell"
_FIRST: Final = pl.lit(None, pl.Int64).alias("first")
_SAFE: Final = 2**126  # products of 128-bit integers must stay below their sign


@dataclass(frozen=True)
class Division:
    """Billed lines met by usage.

    Σ `parts` of a charge = the charge, in each cost column; a charge is either in `parts` or in `unexplained`.
    """

    parts: pl.DataFrame
    """`PARTS`."""
    unexplained: pl.DataFrame
    """`UNEXPLAINED`: whole lines that usage cannot divide, and why."""
    usage: pl.DataFrame
    """Usage by bucket (`by_bucket`) and how it met the bill. `bill_match` is divided (it divides a line; `charge_id` is
    the first such), unexplained (a line is about it that cannot be divided) or unbilled (no line is)."""

    @property
    def unbilled(self) -> pl.DataFrame:
        """Usage by bucket that no line is about."""
        return self.usage.filter(pl.col("bill_match") == "unbilled")


def by_bucket(usage: pl.DataFrame) -> pl.DataFrame:
    """Turn daily usage into one row per row and token bucket (or unit) with `amount` and `priced_cost`.

    What was not bought (a gateway's own cache) and what is paid by the hour has no place on a bill of tokens.
    """
    bought = usage.filter(~pl.col("price_status").is_in(["not_bought", "provisioned"]))
    kept = ["usage_id", "usage_date", "provider_id", "provider_name", "price_status", "price_precision"]
    kept += _OF_USAGE
    frames = []
    for bucket, columns, cost in _AMOUNTS:
        is_unit = bucket is None
        amount = pl.col("quantity") if is_unit else pl.sum_horizontal(columns).cast(MONEY)
        frame = bought.filter(pl.col("unit").is_not_null() if is_unit else pl.col("unit").is_null()).select(
            *dict.fromkeys(kept),
            # An id that nobody knows may be any of the models that the bill names.
            ((pl.col("price_status") == "unpriced") & ~pl.col("llm_model_is_known")).alias("is_nameless"),
            pl.lit(bucket, pl.String).alias("token_bucket"),
            "unit",
            amount.fill_null(0).alias("amount"),
            pl.col(cost).alias("priced_cost"),
        )
        # A fee per request is no amount of tokens: it is there only where the price has one.
        there = pl.col("priced_cost").fill_null(0) > 0 if bucket == "request" else pl.col("amount") > 0
        frames.append(frame.filter(there))
    # Usage without a tier ran in the ordinary one, as it is priced.
    return pl.concat(frames).with_columns(_tier().fill_null("standard"))


def divide_charges(charges: pl.DataFrame, usage: pl.DataFrame) -> Division:
    """Divide billed lines by usage.

    Args:
        charges: `charge_id` (unique), `usage_date`, `provider_name`, what there is of `STATED` and `tokens_per_unit`,
            and `COST_COLUMNS`. A line must state a model, bucket or unit, or it is not known to be about tokens.
            What none of a provider's usage states (a gateway that knows no projects) does not tell cells apart.
        usage: rows that count (`choose_authority`) with `usage_id`, their keys, counts, `price_status` and
            `models.token_pricing.COSTS` as `MONEY`.
    """
    long = by_bucket(complete(with_provider_id(usage), _OF_USAGE))
    lines = complete(with_provider_id(charges), (*STATED, "tokens_per_unit")).with_columns(
        pl.col("is_batch").cast(pl.Boolean), _tier()
    )
    about_tokens = pl.col("token_bucket").is_not_null() | pl.col("tokens_per_unit").is_not_null()
    lines = lines.with_columns(
        about_tokens.alias("_tokens"), pl.concat_str(pl.col(STATED).is_not_null().cast(pl.Int8)).alias("_says")
    )
    parts, unexplained, matched = [], [], [long.select("usage_id", "token_bucket", _FIRST).clear()]
    for (provider, _, _), group in lines.group_by("provider_id", "_says", "_tokens", maintain_order=True):
        theirs = long.filter(pl.col("provider_id") == provider)
        stated = [name for name in STATED if group[name].null_count() == 0]
        on = ["provider_id", "usage_date", *(name for name in stated if name in _WHAT or _states(theirs, name))]
        if not _WHAT & set(stated):
            unexplained.append(_whole(group, pl.lit("the line says neither model nor token bucket nor unit")))
            continue
        # Lines counted in tokens meet tokens only; lines that name a unit meet it by `stated`.
        candidates = theirs.filter(pl.col("unit").is_null()) if group["_tokens"][0] else theirs
        cells = candidates.join(group.select(on).unique(), on=on, how="semi", nulls_equal=True)
        said = cells.group_by(on).agg(
            (pl.col("price_status") != "priced").sum().alias("_unpriced"),
            pl.col("unit").fill_null("tokens").n_unique().alias("_units"),
            pl.col("priced_cost").sum().alias("_total"),
        )
        elsewhere = [name for name in on if name != "llm_model"]
        nameless = candidates.filter("is_nameless").group_by(elsewhere).agg(pl.len().alias("_nameless"))
        beside = group.join(said, on=on, how="left", nulls_equal=True, maintain_order="left")
        judged = beside.join(
            nameless, on=elsewhere, how="left", nulls_equal=True, maintain_order="left"
        ).with_columns(
            pl.when(pl.col("_total").is_null()).then(pl.lit("no usage beside it"))
            .when(pl.col("_nameless").is_not_null() & pl.lit("llm_model" in on))
            .then(pl.lit("usage beside it may be of this model: its id names none (prices.models)"))
            .when(pl.col("_units") > 1).then(pl.lit("its usage is counted in several units"))
            .when(pl.col("_unpriced") > 0).then(pl.lit("not all of its usage is priced"))
            .when(pl.col("_total") <= 0).then(pl.lit("its usage costs nothing at the rate card's prices"))
            .alias("reason")
        )  # fmt: skip
        unexplained.append(_whole(judged.filter(pl.col("reason").is_not_null()), pl.col("reason")))
        divided = judged.filter(pl.col("reason").is_null())
        parts.append(_divided(divided, cells, on))
        first = divided.group_by(on).agg(pl.col("charge_id").min().cast(pl.Int64).alias("first"))
        met = cells.join(first, on=on, how="left", nulls_equal=True)
        matched.append(met.select("usage_id", "token_bucket", "first"))
    seen = pl.concat(matched).group_by("usage_id", "token_bucket").agg(pl.col("first").min().alias("charge_id"))
    met = long.join(
        seen.with_columns(pl.lit(value=True).alias("_is_met")),
        on=("usage_id", "token_bucket"),
        how="left",
        nulls_equal=True,
        maintain_order="left",
    ).with_columns(
        pl.when(pl.col("charge_id").is_not_null()).then(pl.lit("divided"))
        .when(pl.col("_is_met")).then(pl.lit("unexplained"))
        .otherwise(pl.lit("unbilled"))
        .alias("bill_match")
    )  # fmt: skip
    return Division(
        pl.concat([pl.DataFrame(schema=PARTS), *parts]).sort("charge_id", "part"),
        pl.concat([pl.DataFrame(schema=UNEXPLAINED), *unexplained]).sort("charge_id"),
        met.drop("_is_met"),
    )


def _states(usage: pl.DataFrame, name: str) -> bool:
    return usage[name].null_count() < usage.height


def _tier() -> pl.Expr:
    """Spell the ordinary tier alike on both sides; null stays what is not stated."""
    tier = pl.col("service_tier").str.to_lowercase()
    return (
        pl.when(tier.is_in(["default", "auto", "on_demand"]))
        .then(pl.lit("standard"))
        .otherwise(tier)
        .alias("service_tier")
    )


def _whole(lines: pl.DataFrame, reason: pl.Expr) -> pl.DataFrame:
    return lines.with_columns(reason.alias("reason")).select(
        pl.col(name).cast(kind) for name, kind in UNEXPLAINED.items()
    )


def _divided(lines: pl.DataFrame, cells: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """Divide each line over the owners in its cell, owners in a fixed order."""
    owners = [name for name in OWNERS if name not in on]
    tokens = pl.col("amount").filter(pl.col("unit").is_null() & (pl.col("token_bucket") != "request"))
    weighed = (
        cells.group_by(*on, *owners)
        .agg(pl.col("priced_cost").sum(), tokens.sum().cast(pl.Int64).alias("tokens"))
        .filter(pl.col("priced_cost") > 0)
        .sort(*on, *owners)
    )
    joined = lines.join(weighed, on=on, how="inner", nulls_equal=True, maintain_order="left_right")
    joined = joined.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("charge_id").alias("part"))
    weight = joined["priced_cost"].to_physical()
    costs = [shares(joined["charge_id"], joined[name], weight).alias(name) for name in COST_COLUMNS]
    return joined.with_columns(pl.lit(_METHOD).alias("method"), *costs).select(
        pl.col(name).cast(dtype) for name, dtype in PARTS.items()
    )


def shares(whole_id: pl.Series, amount: pl.Series, weight: pl.Series) -> pl.Series:
    """Divide amounts by `models.money.largest_remainder`, all at once.

    Rows of one whole share its id and amount (null stays null); weights are positive integers.
    """
    frame = pl.DataFrame({"id": whole_id, "units": amount.to_physical().cast(pl.Int128), "w": weight.cast(pl.Int128)})
    if frame.is_empty():
        return amount
    largest = frame.group_by("id").agg(pl.col("units").abs().first().fill_null(0), pl.col("w").sum())
    if any(units * total >= _SAFE for units, total in largest.select("units", "w").iter_rows()):
        return _shares_one_by_one(whole_id, amount, weight)
    product = pl.col("units").abs() * pl.col("w")
    total = pl.col("w").sum().over("id")
    divided = frame.with_columns((product // total).alias("part"), (product % total).alias("rest")).with_columns(
        # Ties go to the earlier part.
        pl.col("rest").rank("ordinal", descending=True).over("id").alias("place"),
        (pl.col("units").abs() - pl.col("part").sum().over("id")).alias("left"),
    )
    parts = pl.col("part") + pl.when(pl.col("place").cast(pl.Int128) <= pl.col("left")).then(1).otherwise(0)
    signed = divided.select((parts * pl.col("units").sign()).alias("units"))
    return signed.select(units_to_money(pl.col("units"))).to_series()


def _shares_one_by_one(whole_id: pl.Series, amount: pl.Series, weight: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"id": whole_id, "amount": amount, "w": weight}).with_row_index("row")
    values: list[object] = [None] * frame.height
    for (_,), group in frame.group_by("id", maintain_order=True):
        whole = group["amount"][0]
        if whole is not None:
            for row, units in zip(group["row"], largest_remainder(to_units(whole), group["w"].to_list()), strict=True):
                values[row] = from_units(units)
    return pl.Series(values, dtype=MONEY)
