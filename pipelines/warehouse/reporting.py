"""The reporting currency: what an amount of another is worth in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from models.errors import Refused
from models.facts import COST_COLUMNS
from models.money import MONEY
from pipelines.settings import ExchangeRate


@dataclass(frozen=True)
class Reporting:
    """The reporting currency and the exchange rates into it."""

    currency: str
    rates: Sequence[ExchangeRate]

    def rate_of(self, currencies: Iterable[str], month: str, period: date) -> Mapping[str, Decimal]:
        """Find the rate of each currency in force in a month.

        Raises:
            Refused: a currency has none; names it and the month.
        """
        found = {self.currency: Decimal(1)}
        for native in set(currencies) - {self.currency}:
            rate = rate_in_force(self.rates, native, period)
            if rate is None:
                raise Refused(
                    f"{month}: the bill is in {native}, the report in {self.currency}, and there is no rate. "
                    f"Add one for {native} to `exchange_rates`."
                )
            found[native] = rate
        return found


def rate_in_force(rates: Iterable[ExchangeRate], currency: str, month: date) -> Decimal | None:
    """Give what one unit of a currency is worth in a month; None where nothing is configured for it."""
    begun = [rate for rate in rates if rate.currency == currency and rate.effective_from <= month]
    return max(begun, key=lambda rate: rate.effective_from).rate if begun else None


def converted(frame: pl.DataFrame, rate_of: Mapping[str, Decimal]) -> pl.DataFrame:
    """Turn the costs of rows, each in its `billing_currency`, into the reporting currency."""
    if len(rate_of) == 1:
        return frame
    rate = pl.col("billing_currency").cast(pl.String).replace_strict(rate_of, return_dtype=MONEY)
    # A rate is not money: this product is rounded once, to the twelve decimals money has.
    return frame.with_columns((pl.col(name) * rate).cast(MONEY) for name in COST_COLUMNS)
