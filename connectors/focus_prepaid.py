"""Money paid in advance, and the usage that it pays for: where both have an effective cost it would count twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from connectors import checking, focus_charges
from connectors.checking import Check, Grouping
from connectors.focus_columns import PROVIDERS, FocusColumns

# Clouds take commitments in place of top-ups, and their purchases are often beside usage that they do not pay for.
_CLOUDS: Final = r"^(?i:AWS$|Amazon|Google|Microsoft|Azure|Oracle)"
_TOP_UP: Final = r"(?i)\btop[ -]?ups?\b|\bpre-?(?:paid|payment|purchased?)\b|\bcredits?\b|\bwallet\b"
_SAID_IN: Final = ("ChargeDescription", "ServiceName", "SkuMeter", "ResourceName")
_ASKED: Final = (
    *(
        "BilledCost",
        "BillingAccountId",
        "BillingPeriodStart",
        "ChargeCategory",
        "CommitmentDiscountId",
        "EffectiveCost",
    ),
    *PROVIDERS,
    *_SAID_IN,
)
_LINES: Final = {"lines": pl.len()}
_FIX: Final = (
    "Export what is paid in advance with EffectiveCost 0, as FOCUS says, or leave it out: the usage carries the cost"
)


def is_purchase(bill: FocusColumns) -> pl.Expr:
    """Tell purchases that have an effective cost, are no commitment's and no cloud's."""
    # Asked of every line of every bill, so the word is compared as it stands, and the rest of purchases only.
    is_bought = bill.text("ChargeCategory").is_in(("Purchase", "purchase", "PURCHASE"))
    is_bought &= bill.text("CommitmentDiscountId").is_null()
    costs = pl.when(is_bought).then(bill.cell("EffectiveCost")).cast(pl.Float64, strict=False) > 0
    is_clouds = pl.when(is_bought).then(bill.text(*PROVIDERS)).str.contains(_CLOUDS)
    return is_bought & costs & ~is_clouds


def refuse(bills: Sequence[tuple[Path, FocusColumns]], period: date) -> None:
    """Refuse a month in which a purchase and the usage that it pays for both have an effective cost.

    A purchase that says it is of credits does beside any usage of its provider and account that has a cost; one that
    does not say so, beside usage that has an effective cost and was billed as nothing.

    Raises:
        BadInput: names the purchase.
    """
    groups = [frame for path, bill in bills for frame in _grouped(path, bill, period)]
    found = pl.concat(groups).group_by("provider", "account").agg(pl.all().sum())
    said = found.filter((pl.col("top_ups") > 0) & (pl.col("usage") > 0))
    seen = found.filter((pl.col("purchases") > 0) & (pl.col("prepaid_usage") > 0))
    for path, bill in bills:
        own = is_purchase(bill) & (bill.month() == pl.lit(period))
        checks = [
            _twice(bill, own & which, provider, account)
            for guilty, which in ((said, _is_top_up(bill)), (seen, pl.lit(value=True)))
            for provider, account in guilty.select("provider", "account").sort("provider", "account").rows()
        ]
        checking.summed(path, bill.name, bill.headers(_ASKED), _LINES, checks)


def _twice(bill: FocusColumns, lines: pl.Expr, provider: str, account: str) -> Check:
    theirs = (bill.text("BillingAccountId") == account) & (bill.text(*PROVIDERS) == provider)
    problem = f"is paid in advance for usage of {provider} that has an effective cost too: it would count twice"
    return Check(bill.header("EffectiveCost"), lines & theirs, problem, _FIX)


def _grouped(path: Path, bill: FocusColumns, period: date) -> list[pl.DataFrame]:
    own = bill.month() == pl.lit(period)
    is_usage = own & (focus_charges.word(bill, "charge_category") == "Usage")
    is_usage &= bill.cell("EffectiveCost").cast(pl.Float64, strict=False) > 0
    is_committed = bill.text("CommitmentDiscountId").is_not_null()
    counted = {
        "top_ups": own & is_purchase(bill) & _is_top_up(bill),
        "purchases": own & is_purchase(bill),
        "usage": is_usage,
        "prepaid_usage": is_usage & ~is_committed & (bill.cell("BilledCost").cast(pl.Float64, strict=False) == 0),
    }
    by = {"provider": bill.text(*PROVIDERS), "account": bill.text("BillingAccountId")}
    sums = {name: lines.fill_null(value=False).sum() for name, lines in counted.items()}
    return checking.tallied(path, bill.name, bill.headers(_ASKED), _LINES, [], Grouping(by, sums))[1]


def _is_top_up(bill: FocusColumns) -> pl.Expr:
    texts = [bill.text(name) for name in _SAID_IN]
    return pl.any_horizontal(text.str.contains(_TOP_UP).fill_null(value=False) for text in texts)
