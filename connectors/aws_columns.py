"""The columns of an AWS bill under one set of names, whichever of AWS's formats they come in.

Names are those of CUR 2.0, with `_arn` for `_a_r_n`. Legacy headers come as `lineItem/UsageType` (CSV) or
`line_item_usage_type` (Parquet, Athena); what CUR 2.0 keeps in the maps `product`, `resource_tags` and `cost_category`
stands in columns of its own there, and in its CSV files a map is JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from connectors import tabular
from connectors.distinct_texts import once_each
from connectors.tabular import Contents
from connectors.tag_maps import map_of
from models.errors import BadInput
from models.facts import INSTANT, TAGS

# Maps of CUR 2.0, and how a legacy CSV starts the columns that stand for them (`tags` has none).
TAG_GROUPS: Final = {"resource_tags": "resourceTags/", "cost_category": "costCategory/", "tags": "tags/"}
# What CUR 2.0 says in the map `product` only.
IN_PRODUCT: Final = ("product_product_name", "product_region")
# What split cost allocation appends: rows that repeat the cost of an EC2 instance, one per pod or task.
SPLIT_OPERATIONS: Final = ("EKSPod-EC2", "ECSTask-EC2")
REQUIRED: Final = (
    "bill_billing_entity",
    "bill_invoice_id",
    "bill_payer_account_id",
    "line_item_currency_code",
    "line_item_line_item_description",
    "line_item_line_item_type",
    "line_item_operation",
    "line_item_product_code",
    "line_item_unblended_cost",
    "line_item_usage_account_id",
    "line_item_usage_amount",
    "line_item_usage_end_date",
    "line_item_usage_start_date",
    "line_item_usage_type",
)
AMOUNTS: Final = (
    "line_item_unblended_cost",
    "line_item_net_unblended_cost",
    "line_item_usage_amount",
    "pricing_public_on_demand_cost",
    "reservation_effective_cost",
    "reservation_net_effective_cost",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "reservation_net_unused_recurring_fee",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
    "savings_plan_amortized_upfront_commitment_for_billing_period",
    "savings_plan_net_amortized_upfront_commitment_for_billing_period",
    "savings_plan_recurring_commitment_for_billing_period",
    "savings_plan_net_recurring_commitment_for_billing_period",
    "split_line_item_split_cost",
    "split_line_item_net_split_cost",
    "split_line_item_unused_cost",
    "split_line_item_net_unused_cost",
)
INSTANTS: Final = ("line_item_usage_start_date", "line_item_usage_end_date")
# 2018 exports mix `2018-08-01T00:00:00Z` and `2018-08-01 01:00:00` in one file; later ones add `.000`.
INSTANT_TEXT: Final = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:?00| UTC)?$"


def canonical(header: str) -> str:
    """Translate a native header: `reservation/ReservationARN` is `reservation_reservation_arn`."""
    group, slash, column = header.partition("/")
    if slash:
        header = f"{_snake(group)}_{_snake(column)}"
    return re.sub("_a_r_n$", "_arn", header.lower())


def _snake(name: str) -> str:
    """Apply AWS's own rule: an underscore before each capital, others to underscores, none doubled or leading."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"([A-Z])", r"_\1", name).lower()).strip("_")


class AwsColumns:
    """One file's columns, asked for by canonical name and given as polars expressions over the native file.

    Args:
        schema: native header and type of each column.
        name: the file as the user knows it.
        contents: native headers of the columns that hold anything, the others count as absent; and of those that may
            hold blank text.
    """

    def __init__(self, schema: Mapping[str, pl.DataType], name: str, contents: Contents | None = None) -> None:
        self.name = name
        self._schema = schema
        self._filled, self._blank = contents or Contents(set(schema), set(schema))
        self._tags = {group: _tag_columns(schema, group) for group in TAG_GROUPS}
        tags = {header for columns in self._tags.values() for header in columns}
        self._headers: dict[str, str] = {}
        for header in schema.keys() - tags:
            if (other := self._headers.setdefault(canonical(header), header)) != header:
                raise BadInput(name, f"columns {other!r} and {header!r} mean the same", "Export one of them")
        self.floats = all(schema[header] == pl.Float64 for header in self.headers(AMOUNTS))

    def stream(self, path: Path) -> pl.LazyFrame:
        """Give the rows of the file."""
        return tabular.stream(path, self._schema)

    def require(self) -> None:
        """Check that the columns no bill can do without are there.

        Raises:
            BadInput: names the first missing column and what was found.
        """
        for wanted in REQUIRED:
            if wanted not in self._headers:
                found = tabular.nearest(wanted, sorted(self._headers))
                raise BadInput(self.name, f"column {wanted!r} is missing; {found}", "Add the column to the export")
        for header in self.headers(INSTANTS):
            if not isinstance(dtype := self._schema[header], pl.String | pl.Datetime | pl.Date):
                raise BadInput(self.name, f"column {header!r} holds {dtype}, not time", "Export it as AWS writes it")

    def headers(self, columns: Iterable[str]) -> list[str]:
        """Give the native headers of those columns that are there."""
        return [self._headers[column] for column in columns if column in self._headers]

    def header(self, column: str) -> str:
        """Give the native header of a column that is there, else its canonical name."""
        return self._headers.get(column, column)

    def has(self, *columns: str) -> bool:
        """Tell whether the bill ever fills one of the columns."""
        return any(self._cell(column) is not None for column in columns)

    def text(self, *columns: str) -> pl.Expr:
        """Give the first of the columns that is not blank, as text; null where all are."""
        cells = [cell for column in columns if (cell := self._cell(column)) is not None]
        texts = [_text(cell, dtype, blank=blank) for cell, dtype, blank in cells]
        return pl.coalesce(texts) if texts else pl.lit(None, pl.String)

    def amount(self, *columns: str) -> pl.Expr:
        """Give the first of the columns that is not blank, as written: all amounts floats, or all text."""
        cells = [cell for column in columns if (cell := self._cell(column)) is not None]
        if not cells:
            return pl.lit(None, pl.Float64 if self.floats else pl.String)
        return pl.coalesce(cell if self.floats else _text(cell, dtype, blank=blank) for cell, dtype, blank in cells)

    def is_text(self, column: str) -> bool:
        """Tell whether the file writes the column as text."""
        return self._schema[self._headers[column]] == pl.String

    def has_json(self, group: str) -> bool:
        """Tell whether a map is written as JSON text."""
        return self._headers.get(group) in self._filled and self.is_text(group)

    @property
    def nothing(self) -> pl.Expr:
        """Give an amount of zero in the type that `amount` has."""
        return pl.lit(0.0) if self.floats else pl.lit("0")

    def instant(self, column: str) -> pl.Expr:
        """Give a timestamp in UTC; text that is no timestamp becomes null."""
        header = self._headers[column]
        return _instant(pl.col(header), self._schema[header])

    def no_instant(self, column: str) -> pl.Expr:
        """Tell the cells that are no date and time, as text in one of AWS's own formats."""
        if not self.is_text(column):
            return self.instant(column).is_null()
        return once_each(self.text(column), _says_no_instant, pl.Boolean()).fill_null(value=True)

    def tags(self, group: str) -> pl.Expr | None:
        """Give a map of the bill's tags or cost categories with their keys as written, or None where it has none."""
        if (cell := self._cell(group)) is not None:
            return _as_map(*cell[:2])
        columns = {header: key for header, key in self._tags[group].items() if header in self._filled}
        if not columns:
            return None
        texts = {
            key: _text(pl.col(header), self._schema[header], blank=header in self._blank)
            for header, key in columns.items()
        }
        return map_of(texts)

    def _cell(self, column: str) -> tuple[pl.Expr, pl.DataType, bool] | None:
        """Give a column that is filled, its type, and whether it may hold blank text."""
        header, key = self._headers.get(column), ""
        if header is None and column in IN_PRODUCT and "product" in self._headers:
            header, key = self._headers["product"], column.removeprefix("product_")
        if header is None or (header not in self._filled and column not in REQUIRED):
            return None
        cell, dtype = pl.col(header), self._schema[header]
        return (_as_map(cell, dtype).map.get(key), pl.String(), True) if key else (cell, dtype, header in self._blank)


def _tag_columns(schema: Iterable[str], group: str) -> dict[str, str]:
    prefixes = (f"{TAG_GROUPS[group]}", f"{group}_")
    return {
        header: header.removeprefix(prefix) for header in schema for prefix in prefixes if header.startswith(prefix)
    }


def _text(cell: pl.Expr, dtype: pl.DataType, *, blank: bool = True) -> pl.Expr:
    text = cell if dtype == pl.String else cell.cast(pl.String)
    # Testing every cell of a column for blanks that its statistics rule out costs as much as reading it.
    return pl.when(text != "").then(text) if blank else text


def _instant(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String:
        return once_each(cell, _instant_said, INSTANT)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return cell.dt.convert_time_zone("UTC").cast(INSTANT)
    return cell.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _instant_said(text: pl.Expr) -> pl.Expr:
    seconds = text.str.slice(0, 19).str.replace("T", " ", literal=True)
    return seconds.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC", strict=False)


def _says_no_instant(text: pl.Expr) -> pl.Expr:
    return _instant_said(text).is_null() | ~text.str.contains(INSTANT_TEXT)


def _as_map(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == TAGS:
        return cell
    if dtype == pl.String:
        return _text(cell, dtype).str.json_decode(TAGS)
    return cell.cast(TAGS)
