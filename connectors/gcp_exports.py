"""The exports that a table can hold, told apart by its columns: what to select, and what months and changes go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from connectors import gcp_focus
from connectors.focus_columns import FocusColumns
from connectors.gcp_columns import WANTED, GcpColumns
from models.errors import BadInput


@dataclass(frozen=True)
class Export:
    """One kind of export.

    Attributes:
        wanted: columns to read, of those there are.
        month: SQL of a row's invoice month, as 202601.
        said_by: the column that `month` reads.
        export_time: the column that says when a row was written.
    """

    wanted: Sequence[str]
    month: str
    said_by: str
    export_time: str


USAGE: Final = Export(tuple(WANTED), "invoice.month", "invoice.month", "export_time")
# A billing period begins at midnight, in California or UTC: its month in UTC is the invoice's either way.
FOCUS: Final = Export(
    gcp_focus.WANTED, "FORMAT_TIMESTAMP('%Y%m', BillingPeriodStart)", "BillingPeriodStart", "x_ExportTime"
)


def export_of(schema: Mapping[str, pl.DataType], name: str) -> Export:
    """Tell which export a table holds, and check that the columns no bill can do without are there.

    Raises:
        BadInput: names the first missing column and what was found.
    """
    detailed = GcpColumns(schema, name)
    export = FOCUS if detailed.is_focus else USAGE
    if detailed.is_focus:
        FocusColumns(schema, name).require()
    else:
        detailed.require()
    if export.export_time not in schema:
        problem = f"column {export.export_time!r} is missing"
        raise BadInput(name, problem, "Name a table of the billing export, or keep the column in the view")
    return export
