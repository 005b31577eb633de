"""The columns of a FOCUS file, whichever version and dialect: CSV or Parquet, tags as map, struct or JSON text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from connectors import tabular
from connectors.checking import FLAT_JSON
from connectors.distinct_texts import once_each
from connectors.tag_maps import map_of
from models.errors import BadInput
from models.facts import INSTANT, TAGS

REQUIRED: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "EffectiveCost",
)
PROVIDERS: Final = ("ServiceProviderName", "ProviderName")
AMOUNTS: Final = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ConsumedQuantity", "PricingQuantity")
INSTANTS: Final = ("BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd")
# Columns that no earlier version had, newest first; 1.4 is known by what it dropped.
INTRODUCED: Final = (
    ("1.3", ("ServiceProviderName", "HostProviderName")),
    ("1.2", ("InvoiceId", "PricingCurrency", "BillingAccountType", "SubAccountType")),
    ("1.1", ("CapacityReservationId", "CommitmentDiscountQuantity", "ServiceSubcategory", "SkuMeter")),
)
INSTANT_TEXT: Final = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|UTC|[+-]\d\d:?\d\d))?)?$"
ZONE: Final = r"[T ]\d\d:\d\d:\d\d(?:\.\d+)? ?([+-])(\d\d):?(\d\d)$"
# What stands for nothing in a cell: some writers export a database's NULL as a word.
NOTHING: Final = ("", "NULL")


def _plain(header: str) -> str:
    return header.replace("_", "").lower()


class FocusColumns:
    """One file's columns, asked for by FOCUS name and given as polars expressions over the native file.

    Args:
        schema: native header and type of each column; case and underscores do not matter (`billed_cost`).
        name: the file as the user knows it.
        filled: native headers of the columns that hold anything; the others count as absent.
    """

    def __init__(self, schema: Mapping[str, pl.DataType], name: str, filled: Collection[str] | None = None) -> None:
        self.name = name
        self._schema = schema
        self._filled = schema.keys() if filled is None else filled
        self._headers: dict[str, str] = {}
        for header in schema:
            if (other := self._headers.setdefault(_plain(header), header)) != header:
                raise BadInput(name, f"columns {other!r} and {header!r} mean the same", "Export one of them")

    def stream(self, path: Path) -> pl.LazyFrame:
        """Give the rows of the file."""
        return tabular.stream(path, self._schema)

    @property
    def version(self) -> str:
        """Recognize the version of FOCUS by the columns there are."""
        if self.stands("ServiceProviderName") and not self.stands("ProviderName"):
            return "1.4"
        return next((version for version, new in INTRODUCED if any(map(self.stands, new))), "1.0")

    def require(self) -> None:
        """Check that the columns no bill can do without are there.

        Raises:
            BadInput: names the first missing column and what was found.
        """
        for wanted in (*REQUIRED, PROVIDERS):
            names = (wanted,) if isinstance(wanted, str) else wanted
            if not any(map(self.stands, names)):
                found = tabular.nearest(names[0], sorted(self._schema))
                problem = f"column {' or '.join(map(repr, names))} is missing (read as FOCUS {self.version}); {found}"
                raise BadInput(self.name, problem, "Add the column to the export")

    def stands(self, column: str) -> bool:
        """Tell whether the file has the column, be it empty."""
        return _plain(column) in self._headers

    def header(self, column: str) -> str:
        """Give the native header of a column that is there, else its FOCUS name."""
        return self._headers.get(_plain(column), column)

    def headers(self, columns: Iterable[str]) -> list[str]:
        """Give the native headers of those columns that are there."""
        return [self.header(column) for column in columns if self.stands(column)]

    def has(self, *columns: str) -> bool:
        """Tell whether the file ever fills one of the columns."""
        return any(self.stands(column) and self.header(column) in self._filled for column in columns)

    def dtype(self, column: str) -> pl.DataType:
        """Give the native type of a column that is there."""
        return self._schema[self.header(column)]

    def cell(self, column: str) -> pl.Expr:
        """Give one column as it is written, null where its text says nothing."""
        cell = pl.col(self.header(column))
        return pl.when(~cell.is_in(NOTHING)).then(cell) if self.dtype(column) == pl.String else cell

    def text(self, *columns: str) -> pl.Expr:
        """Give the first of the columns that is not blank, as text; null where all are."""
        texts = [self.cell(column).cast(pl.String) for column in columns if self.has(column)]
        return pl.coalesce(texts) if texts else pl.lit(None, pl.String)

    def instant(self, column: str) -> pl.Expr:
        """Give a timestamp in UTC; without a zone it is UTC already; text that is no timestamp becomes null."""
        cell, dtype = self.cell(column), self.dtype(column)
        if isinstance(dtype, pl.Datetime) and dtype.time_zone:
            return cell.dt.convert_time_zone("UTC").cast(INSTANT)
        if dtype != pl.String:
            return cell.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return once_each(cell, _instant_said, INSTANT)

    def no_instant(self, column: str) -> pl.Expr:
        """Tell the cells that are no date and time."""
        if self.dtype(column) != pl.String:
            return self.instant(column).is_null()
        return once_each(self.cell(column), _says_no_instant, pl.Boolean()).fill_null(value=True)

    def month(self) -> pl.Expr:
        """Give the billing period of each line."""
        return self.instant("BillingPeriodStart").dt.date().dt.month_start()

    def tags(self, column: str) -> pl.Expr | None:
        """Give a map with its keys as written, or None where the file has none; values that are null are left out."""
        if not self.has(column):
            return None
        cell, dtype = self.cell(column), self.dtype(column)
        if dtype == pl.String:
            return pl.when(cell.str.contains(FLAT_JSON)).then(cell).str.json_decode(TAGS)
        if isinstance(dtype, pl.Struct):
            texts = {field.name: cell.struct.field(field.name).cast(pl.String) for field in dtype.fields}
            return pl.when(cell.is_not_null()).then(map_of(texts))
        return cell.cast(TAGS)

    def no_tags(self, column: str) -> pl.Expr | None:
        """Tell the cells of a JSON text column that are no flat JSON object."""
        if not self.has(column) or self.dtype(column) != pl.String:
            return None
        return ~self.cell(column).str.contains(FLAT_JSON)


def _instant_said(text: pl.Expr) -> pl.Expr:
    clock = text.str.slice(11, 8)
    both = text.str.slice(0, 10) + " " + pl.when(clock == "").then(pl.lit("00:00:00")).otherwise(clock)
    instant = both.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC", strict=False)
    zone = text.str.extract_groups(ZONE).struct
    minutes = zone.field("2").cast(pl.Int64) * 60 + zone.field("3").cast(pl.Int64)
    ahead = pl.when(zone.field("1") == "+").then(minutes).otherwise(-minutes)
    return instant - pl.duration(minutes=ahead.fill_null(0))


def _says_no_instant(text: pl.Expr) -> pl.Expr:
    return _instant_said(text).is_null() | ~text.str.contains(INSTANT_TEXT)
