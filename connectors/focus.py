"""FOCUS bills of any provider, versions 1.0 to 1.4: AWS's own FOCUS exports, and plain files, as charges."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors import checking, focus_charges, focus_prepaid, gcp_focus, tabular
from connectors.checking import Amount, Check, Sums
from connectors.delivered import DeliveredFiles, DeliveryOptions
from connectors.focus_columns import AMOUNTS, INSTANTS, PROVIDERS, REQUIRED, FocusColumns
from connectors.misplaced import LITELLM_FOCUS, LITELLM_FOCUS_FIX
from connectors.source import Landed, Totals
from models.errors import BadInput
from models.facts import Fact

NATIVE: Final = {"billed_cost": "BilledCost", "effective_cost": "EffectiveCost", "list_cost": "ListCost"}
MAPS: Final = ("Tags", "x_CostCategories", "SkuPriceDetails")
BLANK: Final = ("BilledCost", "EffectiveCost", "BillingAccountId", "BillingCurrency", "ChargeCategory")
ASK: Final = "Export the file again; if the cell is the same, report it to whoever makes the export"
EMPTY: Final = "Wait for the first full delivery of the month"


class Focus(DeliveredFiles):
    """Read FOCUS bills; a file that no manifest lists may hold several months, each a version of its own."""

    Options = DeliveryOptions
    # 2: Google's labels, SKU texts and commitments are read.
    READER = 2

    def periods_in(self, path: Path, name: str) -> Collection[date]:
        """Read the months that a file without a manifest bills.

        Raises:
            BadInput: the file does not say, or has no line.
        """
        bill = _bill(path, name)
        _require(path, bill)
        with tabular.readable(name):
            months = tabular.scan(path).select(bill.month().unique()).collect(engine="streaming").to_series()
        if months.is_empty():
            raise BadInput(name, "the export has no lines", EMPTY)
        if months.null_count():
            _tally(path, bill, [_no_instant(bill, "BillingPeriodStart")], {})
        return sorted(months.drop_nulls())

    def totals(self, landed: Landed) -> Totals:
        """Check every cell `read` needs and sum the native cost columns.

        Raises:
            BadInput: a column is missing, a cell cannot be read, or there are no lines at all.
        """
        return totals(landed, listed=self.delivery(landed.version).manifest is not None)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame of charges per native file."""
        return {Fact.CHARGES: charges(landed)}


def totals(landed: Landed, *, listed: bool) -> Totals:
    """Check and sum landed FOCUS files; where they are `listed` as one month's, they may hold no other."""
    period = landed.version.billing_period
    sums: dict[str, Any] = {}
    for path, bill in _bills(landed):
        _require(path, bill)
        checking.add(sums, _tally(path, bill, _checks(bill, period if listed else None), _sums(bill, period)))
    if sums["bought"]:
        focus_prepaid.refuse(_bills(landed), period)
    if not sums["lines"]:
        raise BadInput(landed.version.files[0].name, "the export has no lines", EMPTY)
    return Totals(
        lines=sums["lines"],
        split_lines=0,
        quantized={name: Decimal(sums[name]) for name in NATIVE if name in sums},
        exact={name: checking.exact(sums, name) for name in NATIVE if name in sums},
        is_final=not sums["open"],
    )


def charges(landed: Landed) -> list[pl.LazyFrame]:
    """Give one lazy frame of charges per landed FOCUS file."""
    told = (gcp_focus.told(bill.stream(path), bill) for path, bill in _bills(landed))
    return [focus_charges.charges(frame, bill, landed.version.billing_period) for frame, bill in told]


def _bill(path: Path, name: str) -> FocusColumns:
    return FocusColumns(tabular.native_schema(path, name), name, tabular.contents(path, name).filled)


def _bills(landed: Landed) -> list[tuple[Path, FocusColumns]]:
    files = zip(landed.version.files, landed.paths, strict=True)
    return [(path, _bill(path, file.name)) for file, path in files]


def _require(path: Path, bill: FocusColumns) -> None:
    """Check that it is a bill, and that no column is missing."""
    with tabular.readable(bill.name):
        first = tabular.scan(path).head(1).filter(_is_litellm(bill)).collect()
    if first.height:
        raise BadInput(bill.name, LITELLM_FOCUS, LITELLM_FOCUS_FIX, "row 1")
    bill.require()


def _is_litellm(bill: FocusColumns) -> pl.Expr:
    """Tell lines of LiteLLM's FOCUS export: a model's requests, which no provider bills a language model by."""
    requests = pl.all_horizontal(bill.text(name) == "Requests" for name in ("ConsumedUnit", "PricingUnit"))
    model = bill.text("ChargeDescription") == bill.text("ResourceId")
    return (requests & model & (bill.text("ServiceSubcategory") == "Generative AI")).fill_null(value=False)


def _tally(path: Path, bill: FocusColumns, checks: Sequence[Check], sums: Sums) -> dict[str, Any]:
    columns = (*REQUIRED, *PROVIDERS, *AMOUNTS, *INSTANTS, *MAPS, "InvoiceId", "CommitmentDiscountId")
    return checking.summed(path, bill.name, bill.headers(dict.fromkeys(columns)), sums, checks)


def _sums(bill: FocusColumns, period: date) -> Sums:
    """Sum the month's own lines; the invoice id came with 1.2, and without it nothing says that a bill is final."""
    own = (bill.month() == pl.lit(period)).fill_null(value=False)
    bought = (own & focus_prepaid.is_purchase(bill)).fill_null(value=False)
    sums: dict[str, pl.Expr | Amount] = {
        "lines": own.sum(),
        "open": (own & bill.text("InvoiceId").is_null()).sum(),
        "bought": bought.sum(),
    }
    for name, column in NATIVE.items():
        if bill.has(column):
            sums[name] = Amount(pl.when(own).then(bill.cell(column)))
    return sums


def _checks(bill: FocusColumns, period: date | None) -> list[Check]:
    checks = [_no_instant(bill, column) for column in INSTANTS]
    checks += [Check(bill.header(column), bill.text(column).is_null(), "is blank", ASK) for column in BLANK]
    provider = next(column for column in PROVIDERS if bill.stands(column))
    checks.append(Check(bill.header(provider), bill.text(*PROVIDERS).is_null(), "is blank", ASK))
    for column in AMOUNTS:
        if bill.has(column):
            bad = checking.no_number(bill.cell(column), bill.dtype(column))
            checks.append(Check(bill.header(column), bad, "is no amount", ASK))
    kind = focus_charges.word(bill, "charge_category")
    problem = f"is none of {', '.join(focus_charges.CHARGE_CATEGORIES)}"
    checks.append(Check(bill.header("ChargeCategory"), ~kind.is_in(focus_charges.CHARGE_CATEGORIES), problem, ASK))
    for column in MAPS:
        if (bad_map := bill.no_tags(column)) is not None:
            fix = "Write each cell as one JSON object of texts and numbers"
            checks.append(Check(bill.header(column), bad_map, "is no flat JSON object", fix))
    if period is not None:
        other = bill.month() != pl.lit(period)
        problem = f"is not of {period:%Y-%m}, as the manifest says"
        checks.append(Check(bill.header("BillingPeriodStart"), other, problem, ASK))
    return checks


def _no_instant(bill: FocusColumns, column: str) -> Check:
    return Check(bill.header(column), bill.no_instant(column), "is no date and time", ASK)
