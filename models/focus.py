"""What FOCUS asks of a file: its columns per version, and the rows of a frame that break a rule.

Facts from the specification, https://focus.finops.org/focus-specification/. An enumeration or a null is judged row by
row: a validator that passes a column because one of its rows is right has proved nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import polars as pl

from models.money import MONEY

VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3", "1.4")
# Prices are rounded to twelve decimals, so price × quantity misses the cost by up to half of one per unit. Providers
# round costs too: to ten or eleven decimals, and to about seven digits.
PRICE_ERROR: Final = 1e-12
COST_ERROR: Final = 1e-9
SHARE_ERROR: Final = 1e-6
VIOLATIONS: Final = {"row": pl.UInt32, "column": pl.String, "rule": pl.String, "value": pl.String}


@dataclass(frozen=True)
class FocusColumn:
    """One column of one version."""

    name: str
    kind: str
    """`String`, `Decimal`, `DateTime` or `JSON`."""
    feature_level: str
    allows_null: bool
    form: str
    """`currency`, `non-negative` or nothing."""
    allowed: tuple[str, ...]

    @property
    def is_mandatory(self) -> bool:
        """Tell whether every file has the column, whatever its provider offers."""
        return self.feature_level == "Mandatory"


@dataclass(frozen=True)
class Violation:
    """A rule: rows where `broken` is true break it; asked only where all of `needs` are there."""

    column: str
    rule: str
    broken: pl.Expr
    needs: tuple[str, ...]


@cache
def columns(version: str) -> Mapping[str, FocusColumn]:
    """Give the Cost and Usage columns of a version."""
    table = pl.read_csv(Path(__file__).with_name("focus_columns.csv"), infer_schema=False)
    place = VERSIONS.index(version)
    return {
        row["column"]: FocusColumn(
            row["column"],
            row["type"],
            row["feature_level"],
            row["allows_null"] == "true",
            row["format"] or "",
            tuple((row["allowed_values"] or "").split("|")) if row["allowed_values"] else (),
        )
        for row in table.iter_rows(named=True)
        if VERSIONS.index(row["first_version"]) <= place <= VERSIONS.index(row["last_version"])
    }


@cache
def subcategories() -> Mapping[str, tuple[str, ...]]:
    """Give the subcategories of each service category."""
    table = pl.read_csv(Path(__file__).with_name("focus_services.csv"))
    grouped = table.group_by("service_category", maintain_order=True).agg("service_subcategory")
    return {category: tuple(names) for category, names in grouped.iter_rows()}


def dtype(kind: str) -> pl.DataType:
    """Give the polars type that a FOCUS type is written as; JSON is text."""
    return {"Decimal": MONEY, "DateTime": pl.Datetime("us", "UTC")}.get(kind, pl.String())


def violations(frame: pl.DataFrame, version: str) -> pl.DataFrame:
    """Give every row that breaks a rule of FOCUS, with `VIOLATIONS`; row 0 stands for the file as a whole.

    Args:
        frame: FOCUS columns, money as decimals or floats, timestamps as such; columns beyond FOCUS start with `x_`.
        version: the version to judge by.
    """
    known = columns(version)
    found = [
        _whole(name, "is mandatory") for name, column in known.items() if column.is_mandatory and name not in frame
    ]
    found += [
        _whole(name, "is not a column of this version, and has no x_")
        for name in frame.columns
        if name not in known and not name.startswith("x_")
    ]
    found += [
        _whole(name, f"is a {frame.schema[name]}, not a {known[name].kind}")
        for name in frame.columns
        if name in known and not _is_a(frame.schema[name], known[name].kind)
    ]
    wrong = {row["column"] for one in found for row in one.iter_rows(named=True)}
    numbered = frame.with_row_index("row", offset=1)
    for rule in (*_of_each(known, frame), *_across(frame)):
        if all(name in frame.columns and name not in wrong for name in rule.needs):
            rows = numbered.filter(rule.broken.fill_null(value=False))
            found.append(
                rows.select(
                    pl.col("row").cast(pl.UInt32),
                    pl.lit(rule.column).alias("column"),
                    pl.lit(rule.rule).alias("rule"),
                    pl.col(rule.column).cast(pl.String).alias("value"),
                )
            )
    return pl.concat([pl.DataFrame(schema=VIOLATIONS), *found]).sort("row", "column", "rule")


def _whole(column: str, rule: str) -> pl.DataFrame:
    return pl.DataFrame({"row": [0], "column": [column], "rule": [rule], "value": [None]}, schema=VIOLATIONS)


def _is_a(found: pl.DataType, kind: str) -> bool:
    match kind:
        case "Decimal":
            return found.is_numeric()
        case "DateTime":
            return isinstance(found, pl.Datetime)
    return found in (pl.String, pl.Null)


def _of_each(known: Mapping[str, FocusColumn], frame: pl.DataFrame) -> Iterator[Violation]:
    """Judge columns one by one: nulls, closed lists, formats."""
    for name, column in known.items():
        cell = pl.col(name)
        if not column.allows_null:
            yield Violation(name, "must not be null", cell.is_null(), (name,))
        if name in frame.columns and frame.schema[name] == pl.String:
            yield Violation(name, "must not be empty text; nothing is null", cell == "", (name,))
        if column.allowed:
            yield Violation(name, "must be an allowed value", ~cell.is_in(column.allowed), (name,))
        if column.form == "currency":
            yield Violation(name, "must be a currency code", ~cell.str.contains("^[A-Z]{3}$"), (name,))
        if column.form == "non-negative":
            yield Violation(name, "must not be negative", cell < 0, (name,))
        if column.kind == "JSON":
            is_object = cell.str.contains(r"(?s)^\s*\{.*\}\s*$")
            yield Violation(name, "must be a JSON object", ~is_object, (name,))


def _across(frame: pl.DataFrame) -> Iterator[Violation]:
    """Judge columns beside one another."""
    category = pl.col("ChargeCategory")
    correction = (pl.col("ChargeClass") == "Correction").fill_null(value=False)
    priced = category.is_in(("Usage", "Purchase")) & ~correction
    unused = (
        (pl.col("CommitmentDiscountStatus") == "Unused").fill_null(value=False)
        if "CommitmentDiscountStatus" in frame.columns
        else pl.lit(value=False)
    )
    uses = category == "Usage"
    kinds = ("ChargeCategory", "ChargeClass")
    for name in ("PricingQuantity", "PricingCategory", "ListUnitPrice", "ContractedUnitPrice", "SkuId", "SkuPriceId"):
        cell = pl.col(name)
        yield Violation(name, "must not be null on usage and purchases", priced & cell.is_null(), (name, *kinds))
        yield Violation(name, "must be null on tax", (category == "Tax") & cell.is_not_null(), (name, *kinds))
    needed = uses & ~unused & ~correction
    consumed = pl.col("ConsumedQuantity")
    yield Violation("ConsumedQuantity", "must not be null on usage", needed & consumed.is_null(), _with("Consumed"))
    only = (~uses | unused) & consumed.is_not_null()
    yield Violation("ConsumedQuantity", "must be null where nothing was used", only, _with("Consumed"))
    yield Violation(
        "ChargeFrequency",
        "must not be Usage-Based on a purchase",
        (category == "Purchase") & (pl.col("ChargeFrequency") == "Usage-Based"),
        ("ChargeFrequency", "ChargeCategory"),
    )
    for thing in ("CommitmentDiscount", "CapacityReservation"):
        name, status, held = f"{thing}Status", pl.col(f"{thing}Status"), pl.col(f"{thing}Id").is_not_null() & uses
        needs = (name, f"{thing}Id", "ChargeCategory")
        yield Violation(name, f"must not be null on usage with {thing}Id", held & status.is_null(), needs)
        yield Violation(name, f"is only for usage with {thing}Id", ~held & status.is_not_null(), needs)
    yield Violation(
        "EffectiveCost",
        "must be 0 where a commitment is bought: it stands on what it covers",
        (category == "Purchase") & pl.col("CommitmentDiscountId").is_not_null() & (pl.col("EffectiveCost") != 0),
        ("EffectiveCost", "CommitmentDiscountId", "ChargeCategory"),
    )
    yield from _pairs()
    yield from _amounts(priced)
    for period in ("Charge", "Billing"):
        start, end = f"{period}PeriodStart", f"{period}PeriodEnd"
        yield Violation(end, f"must be after {start}", pl.col(end) <= pl.col(start), (start, end))
    paired = [f"{category}\0{name}" for category, names in subcategories().items() for name in names]
    both = pl.concat_str("ServiceCategory", "ServiceSubcategory", separator="\0")
    names = ("ServiceSubcategory", "ServiceCategory")
    yield Violation(names[0], "must be of its ServiceCategory", ~both.is_in(paired), names)


def _with(prefix: str) -> tuple[str, ...]:
    return (f"{prefix}Quantity", "ChargeCategory", "ChargeClass")


def _pairs() -> Iterator[Violation]:
    """Columns that stand and fall together, and columns that say nothing without another."""
    together = {
        "ConsumedUnit": "ConsumedQuantity",
        "PricingUnit": "PricingQuantity",
        "CommitmentDiscountUnit": "CommitmentDiscountQuantity",
        "CommitmentDiscountCategory": "CommitmentDiscountId",
        "CommitmentDiscountType": "CommitmentDiscountId",
        "RegionName": "RegionId",
        "SubAccountType": "SubAccountId",
        "AllocatedResourceName": "AllocatedResourceId",
    }
    after = {
        **together,
        "CommitmentDiscountName": "CommitmentDiscountId",
        "CommitmentDiscountQuantity": "CommitmentDiscountId",
        "SubAccountName": "SubAccountId",
        "SkuMeter": "SkuId",
        "SkuPriceDetails": "SkuPriceId",
        # What a division leaves to nobody has a method and no resource.
        "AllocatedResourceId": "AllocatedMethodId",
        "AllocatedMethodDetails": "AllocatedMethodId",
        "AllocatedTags": "AllocatedMethodId",
    }
    resource, needs = pl.coalesce("ResourceId", "ResourceName"), ("ResourceType", "ResourceId", "ResourceName")
    kind = pl.col("ResourceType")
    yield Violation(needs[0], "must not be null beside a resource", kind.is_null() & resource.is_not_null(), needs)
    yield Violation(needs[0], "must be null without a resource", kind.is_not_null() & resource.is_null(), needs)
    for name, other in together.items():
        missing = pl.col(name).is_null() & pl.col(other).is_not_null()
        yield Violation(name, f"must not be null beside {other}", missing, (name, other))
    for name, other in after.items():
        alone = pl.col(name).is_not_null() & pl.col(other).is_null()
        yield Violation(name, f"must be null without {other}", alone, (name, other))


def _amounts(priced: pl.Expr) -> Iterator[Violation]:
    """Unit price × quantity is the cost, up to what rounding the price costs."""
    quantity = pl.col("PricingQuantity").cast(pl.Float64)
    for kind in ("List", "Contracted"):
        price, cost = pl.col(f"{kind}UnitPrice").cast(pl.Float64), pl.col(f"{kind}Cost").cast(pl.Float64)
        tolerance = quantity.abs() * PRICE_ERROR + cost.abs() * SHARE_ERROR + COST_ERROR
        off = (price * quantity - cost).abs() > tolerance
        needs = (f"{kind}Cost", f"{kind}UnitPrice", "PricingQuantity", "ChargeCategory", "ChargeClass")
        yield Violation(f"{kind}Cost", f"must be {kind}UnitPrice × PricingQuantity", priced & off, needs)
