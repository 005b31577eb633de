"""Token usage by day, priced, and what it says about billed money: the tables of API tokens.

Requests are priced at their own size and only then summed. Which records count is decided on the daily rows; those
divide the bill where there is one and are estimated at the rate card's prices where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

import polars as pl

from models.llm_providers import SELF_HOSTED
from models.money import MONEY
from models.rate_card import RateCard
from models.token_allocation import divide_charges
from models.token_alternatives import SAVINGS, api_prices, savings
from models.token_authority import choose_authority
from models.token_estimates import covered, estimate
from models.token_pricing import COSTS, price, to_money
from models.token_sizes import TOKENS, sum_requests

DAILY_KEYS: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "source": pl.String,
    "usage_date": pl.Date,
    "provider_name": pl.String,
    "reported_by": pl.String,
    "llm_model_id": pl.String,
    "llm_model": pl.String,
    "llm_model_is_known": pl.Boolean,
    "project_id": pl.String,
    "workspace_id": pl.String,
    "sub_account_id": pl.String,
    "team": pl.String,
    "api_key_id": pl.String,
    "user_id": pl.String,
    "feature": pl.String,
    "endpoint": pl.String,
    "namespace": pl.String,
    "is_batch": pl.Boolean,
    "service_tier": pl.String,
    "context_band": pl.String,
    "workload": pl.String,
    "unit": pl.String,
    "price_status": pl.String,
    "price_reason": pl.String,
    "price_source": pl.String,
    "price_precision": pl.String,
}
"""The grain of `ledger.token_usage_daily`: a row is priced as a whole or not at all."""

DAILY: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "usage_id": pl.Int64,
    **DAILY_KEYS,
    "usage_records": pl.Int64,
    "requests": pl.Int64,
    **dict.fromkeys(TOKENS, pl.Int64),
    "quantity": MONEY,
    **dict.fromkeys(COSTS, MONEY),
    "priced_cost": MONEY,
    **dict.fromkeys(SAVINGS, MONEY),
}


@dataclass(frozen=True)
class TokenTables:
    """What becomes tables; usage rows are known by `usage_id`, lines of the bill by `charge_id`."""

    daily: pl.DataFrame
    """`ledger.token_usage_daily`: `DAILY`, and `counts_as`: billed, estimated, self_hosted or repeated."""
    prices: pl.DataFrame
    """`computed.token_prices`: `models.token_pricing.PRICES`."""
    allocations: pl.DataFrame
    """`computed.token_allocations`: `models.token_allocation.PARTS`, Σ parts = line."""
    unexplained: pl.DataFrame
    """Lines of the bill that usage does not divide, with the reason."""
    billed: pl.DataFrame
    """Usage by bucket, of days that a bill covers, and how it met the bill (`Division.usage`)."""
    estimated: pl.DataFrame
    """`computed.estimated_charges`: usage that no bill covers; `estimated_cost` is null where unpriced."""
    left_out: pl.DataFrame
    """Records that repeat what others count: `models.token_authority.LEFT_OUT`."""
    api_prices: pl.DataFrame
    """What providers' APIs would ask for the tokens of self-hosted models: `models.token_alternatives.API_PRICES`."""

    @property
    def unbilled(self) -> pl.DataFrame:
        """Usage by bucket, of days that a bill covers, that no line is about."""
        return self.billed.filter(pl.col("bill_match") == "unbilled")


def usage_daily(
    usage: pl.LazyFrame, card: RateCard, *, by_user: bool = False, rates: Mapping[date, Decimal] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Price token usage at request grain and sum it by day.

    Args:
        usage: the ledger's token_usage with `source`; columns that no source fills may be absent.
        card: prices.
        by_user: keep `user_id`; where a product has many users, there are as many rows.
        rates: what a dollar is worth in the reporting currency, by month of use; dollars stay if not given.

    Returns:
        `DAILY` rows and the distinct prices, those in dollars. A cost is null unless the row is priced.
    """
    return _daily(_summed(usage, card, by_user=by_user), card, rates)


def _summed(usage: pl.LazyFrame, card: RateCard, *, by_user: bool) -> pl.DataFrame:
    """Sum requests that cannot differ in price, with whoever used them."""
    schema = usage.collect_schema()
    present = [*schema.names(), "namespace"]
    of_record = (
        pl.col("tags").map.get("namespace") if "tags" in schema else pl.lit(None, pl.String)
    )  # metrics of a server in a cluster say theirs there
    kept = [name for name in DAILY_KEYS if name in present and name not in _DERIVED and (by_user or name != "user_id")]
    if "response_cache_hit" not in present:
        usage = usage.with_columns(pl.lit(None, pl.Boolean).alias("response_cache_hit"))
    spelling = pl.when(_is_self_hosted()).then(pl.lit(SELF_HOSTED)).otherwise("provider_name")
    usage = usage.with_columns(spelling.alias("provider_name"), of_record.alias("namespace"))
    return sum_requests(usage, card, kept).collect(engine="streaming")


def _is_self_hosted() -> pl.Expr:
    return pl.col("provider_name").str.to_lowercase().str.replace("_", "-", literal=True) == SELF_HOSTED.lower()


_DERIVED: Final = frozenset(
    {
        *("usage_date", "llm_model", "llm_model_is_known"),
        *("price_status", "price_reason", "price_source", "price_precision"),
    }
)


def _daily(
    classes: pl.DataFrame, card: RateCard, rates: Mapping[date, Decimal] | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    priced, prices = price(classes, card)
    priced = savings(priced, card).with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in DAILY_KEYS.items() if name not in priced.columns
    )
    daily = (
        priced.group_by(list(DAILY_KEYS))
        .agg(
            pl.col("usage_records").sum(),
            pl.when(pl.col("requests").null_count() == 0).then(pl.col("requests").sum()).alias("requests"),
            *(pl.col(name).sum() for name in TOKENS),
            pl.when(pl.col("unit").first().is_not_null()).then(pl.col("quantity").sum()).alias("quantity"),
            *(pl.col(name).sum() for name in COSTS),
            *(pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()).alias(name) for name in SAVINGS),
        )
        .sort(list(DAILY_KEYS))
        .with_row_index("usage_id", 1)
    )
    is_priced = pl.col("price_status") == "priced"
    daily = daily.with_columns(
        pl.when(is_priced).then(to_money(pl.col(name))).alias(name) for name in (*COSTS, *SAVINGS)
    )
    daily = in_currency(daily, (*COSTS, *SAVINGS), rates).with_columns(
        # Costs are rounded once each; what they sum to is the row's, so that no part is ever left over.
        pl.when(is_priced).then(sum((pl.col(name) for name in COSTS[1:]), pl.col(COSTS[0]))).alias("priced_cost")
    )
    return daily.select(pl.col(name).cast(dtype) for name, dtype in DAILY.items()), prices


def in_currency(frame: pl.DataFrame, names: Sequence[str], rates: Mapping[date, Decimal] | None) -> pl.DataFrame:
    """Turn dollars of a day into the reporting currency, at its month's rate.

    A rate is not money: each product is rounded once, to the twelve decimals money has.
    """
    if rates is None:
        return frame
    month = pl.col("usage_date").dt.month_start()
    rate = month.replace_strict(list(rates), pl.Series(list(rates.values()), dtype=MONEY), return_dtype=MONEY)
    return frame.with_columns((pl.col(name) * rate).cast(MONEY) for name in names)


def token_tables(
    usage: pl.LazyFrame,
    charges: pl.DataFrame,
    card: RateCard,
    *,
    by_user: bool = False,
    rates: Mapping[date, Decimal] | None = None,
) -> TokenTables:
    """Work out all tables of API tokens.

    Args:
        usage: as for `usage_daily`; all records, of whichever system.
        charges: billed lines about language models, at daily grain with what attribution says of them: `charge_id`,
            `usage_date`, `provider_name`, what there is of `models.token_allocation.STATED`, `tokens_per_unit`, and
            the cost columns. Usage lines only: a top-up or prepaid invoice neither covers a day nor is divided here.
        card: prices, and the settings on authority and on tiers that bills leave out.
        by_user: keep users apart in the daily rows.
        rates: what a dollar is worth in the reporting currency, by month of use; dollars stay if not given.
    """
    classes = _summed(usage, card, by_user=by_user)
    daily, prices = _daily(classes, card, rates)
    counted, left_out = choose_authority(daily, card.settings.authority)
    # Tokens of one's own machines are paid for by the hour of the machine: nobody bills them, nothing estimates them.
    own = counted.filter(_is_self_hosted()).select("usage_id", pl.lit("self_hosted").alias("counts_as"))
    bought = counted.filter(~_is_self_hosted())
    is_covered = covered(bought, charges, card.settings.bill_omits)
    division = divide_charges(charges, bought.filter(is_covered))
    estimated = estimate(bought.filter(~is_covered))
    role = bought.select(
        "usage_id", pl.when(is_covered).then(pl.lit("billed")).otherwise(pl.lit("estimated")).alias("counts_as")
    )
    with_role = daily.join(pl.concat([role, own]), on="usage_id", how="left", maintain_order="left")
    listed = in_currency(api_prices(classes.filter(_is_self_hosted()), card), ["list_cost"], rates)
    return TokenTables(
        with_role.with_columns(pl.col("counts_as").fill_null("repeated")),
        prices,
        division.parts,
        division.unexplained,
        division.usage,
        estimated.drop("provider_id"),
        left_out,
        listed,
    )
