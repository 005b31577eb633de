"""The columns of a Google Cloud billing export under their own dotted names, as expressions over its nested rows.

The same rows come as a BigQuery table, as Parquet (typed), and as JSONL or CSV, whose cells land as text. Amounts are
floats, decimals or text; timestamps are typed or text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from connectors import tabular
from models.errors import BadInput
from models.facts import INSTANT

KEY_VALUE: Final = [{"key": None, "value": None}]
# What is read of the export, and nothing else: None is a cell, a mapping a record, a list a repeated record.
WANTED: Final[Mapping[str, Any]] = {
    "billing_account_id": None,
    "service": {"id": None, "description": None},
    "sku": {"id": None, "description": None},
    "usage_start_time": None,
    "usage_end_time": None,
    "project": {"id": None, "name": None, "labels": KEY_VALUE},
    "labels": KEY_VALUE,
    "system_labels": KEY_VALUE,
    "tags": KEY_VALUE,
    "location": {"location": None, "region": None, "zone": None},
    "resource": {"name": None, "global_name": None},
    "subscription": {"instance_id": None},
    "cost": None,
    "cost_at_list": None,
    "currency": None,
    "currency_conversion_rate": None,
    "usage": {"amount": None, "unit": None, "amount_in_pricing_units": None, "pricing_unit": None},
    "credits": [{"amount": None, "type": None}],
    "invoice": {"month": None, "publisher_type": None},
    "cost_type": None,
    "adjustment_info": {"description": None},
    "consumption_model": {"id": None, "description": None},
}
REQUIRED: Final = (
    "billing_account_id",
    "service.id",
    "service.description",
    "sku.id",
    "sku.description",
    "usage_start_time",
    "usage_end_time",
    "project.id",
    "cost",
    "currency",
    "credits.amount",
    "credits.type",
    "invoice.month",
    "cost_type",
)
AMOUNTS: Final = (
    "cost",
    "cost_at_list",
    "currency_conversion_rate",
    "usage.amount",
    "usage.amount_in_pricing_units",
)
INSTANTS: Final = ("usage_start_time", "usage_end_time")
INSTANT_TEXT: Final = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00(:?00)?| UTC)$"
MONTH_TEXT: Final = r"^\d{4}(0[1-9]|1[0-2])$"
FOCUS: Final = "BilledCost"
# What rows that BigQuery added up say beside the export's columns: a digest of what their lines share, and how many.
KEY: Final = "apportion_key"
LINES: Final = "apportion_lines"


class GcpColumns:
    """One file's or table's columns, asked for by dotted name.

    Args:
        schema: native name and type of each column.
        name: the file or table as the user knows it.
    """

    def __init__(self, schema: Mapping[str, pl.DataType], name: str) -> None:
        self.name = name
        self._schema = schema

    @property
    def is_focus(self) -> bool:
        """Tell Google's FOCUS export from its own."""
        return FOCUS in self._schema and "cost" not in self._schema

    def require(self) -> None:
        """Check that the columns no bill can do without are there.

        Raises:
            BadInput: names the first missing column and what was found, or says that these are files of FOCUS.
        """
        if self.is_focus:
            fix = "Read FOCUS files with a source of type `focus`; of FOCUS, only the table in BigQuery is read here"
            raise BadInput(self.name, f"is the FOCUS export (it has a column {FOCUS!r})", fix)
        for path in REQUIRED:
            if self.dtype(path) is None:
                found = tabular.nearest(path, self._paths())
                raise BadInput(self.name, f"column {path!r} is missing; {found}", "Export the whole table")

    def _paths(self) -> list[str]:
        paths = []
        for name, dtype in self._schema.items():
            inner = dtype.inner if isinstance(dtype, pl.List) else dtype
            fields = inner.fields if isinstance(inner, pl.Struct) else []
            paths += [f"{name}.{field.name}" for field in fields] or [name]
        return sorted(paths)

    def dtype(self, path: str) -> Any:
        """Give the type at a dotted name, or None where there is no such column."""
        dtype: Any = pl.Struct(dict(self._schema))
        for part in path.split("."):
            inner = dtype.inner if isinstance(dtype, pl.List) else dtype
            fields = {field.name: field.dtype for field in inner.fields} if isinstance(inner, pl.Struct) else {}
            dtype = fields.get(part)
        return dtype

    def has(self, path: str) -> bool:
        """Tell whether there is such a column."""
        return self.dtype(path) is not None

    def cell(self, path: str) -> pl.Expr:
        """Give a cell as it is; null where there is no such column."""
        if not self.has(path):
            return pl.lit(None, pl.String)
        first, *rest = path.split(".")
        cell = pl.col(first)
        for part in rest:
            cell = cell.struct.field(part)
        return cell

    def text(self, path: str) -> pl.Expr:
        """Give a cell as text, null where it is blank."""
        text = self.cell(path).cast(pl.String)
        return pl.when(text != "").then(text)

    def instant(self, path: str) -> pl.Expr:
        """Give a timestamp in UTC; text that is no timestamp becomes null."""
        dtype, cell = self.dtype(path), self.cell(path)
        if dtype == pl.String:
            seconds = cell.str.slice(0, 19).str.replace("T", " ", literal=True)
            return seconds.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC", strict=False)
        if isinstance(dtype, pl.Datetime) and dtype.time_zone:
            return cell.dt.convert_time_zone("UTC").cast(INSTANT)
        return cell.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")

    def values(self, path: str, *keys: str) -> pl.Expr:
        """Give the value of the first of the keys that a list of key and value holds."""
        if not self.has(path):
            return pl.lit(None, pl.String)
        key, value = field("key"), field("value")
        return self.cell(path).list.agg(value.filter(key.is_in(keys)).first())


def field(name: str) -> pl.Expr:
    """Give a field of the elements of a list."""
    return pl.element().struct.field(name)
