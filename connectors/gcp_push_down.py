"""The billing export added up where it is: BigQuery makes the rows that are read here, and its lines stay there.

A partition's rows land as its lines would, with what BigQuery makes of all its lines at once beside them in the file:
the ledger must hold just that. A row that people ask about is walked back to its lines by the digest it landed with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import polars as pl
from google.cloud import bigquery
from pyarrow import compute, parquet

from connectors import gcp_aggregate, gcp_charges, tabular
from connectors.gcp_aggregate import Aggregate
from connectors.gcp_bigquery import SAID, BigQueryTable, day_of, newest_of, parameters
from connectors.gcp_client import explained
from connectors.gcp_columns import KEY, LINES, GcpColumns
from connectors.gcp_queries import PERMISSIONS
from connectors.gcp_totals import MONTH, Sums
from connectors.landing import jailed
from connectors.source import SourceFile, SourceVersion
from models.errors import BadInput

MOST_LINES: Final = 10_000
AGAIN: Final = "Run `apportion run`, then ask about a row of the new report"


class AggregatedTable(BigQueryTable):
    """Read a table of the export, its lines added up by BigQuery."""

    def _said_of_rows(self) -> Sequence[str]:
        return ("added up", str(gcp_aggregate.QUERY))

    @cached_property
    def _aggregate(self) -> Aggregate:
        return Aggregate(self.name.quoted, _kinds(self.queries.table.schema), self._where())

    def versions(self) -> Sequence[SourceVersion]:
        """List the invoice months there are, oldest first.

        Raises:
            BadInput: the table cannot be read, is empty, or is another export.
        """
        if self.queries.export.said_by != MONTH:
            fix = "Leave out `push_down`: it is for the detailed and the standard export"
            raise BadInput(str(self.name), "is Google's FOCUS export, and its lines cannot be added up there", fix)
        return super().versions()

    def _rows_of(self, files: Sequence[SourceFile]) -> tuple[str, list[Any]]:
        return self._aggregate.rows(), parameters(files)

    def _readable(self, file: SourceFile) -> tuple[str, Any]:
        return self._result(*self._rows_of([file]))

    def _lines_in(self, batch: Any) -> int:
        if LINES not in batch.schema.names:
            return super()._lines_in(batch)
        found: int = compute.sum(batch.column(LINES)).as_py()
        return found

    def _ask(self, missing: Sequence[SourceFile]) -> Mapping[date, str]:
        sql = self._aggregate.sums(self.partition, self.queries.export.month)
        found: dict[date, dict[str, Any]] = {}
        for row in self.queries.rows(sql, parameters(missing)):
            sums = dict(row)
            found.setdefault(sums.pop("day"), {})[sums.pop("month")] = sums
        newest = {day_of(file): newest_of(file).isoformat() for file in missing}
        return {day: json.dumps({"newest": newest[day], "months": found.get(day, {})}) for day in newest}

    def lines(self, file: str, row: int) -> pl.DataFrame:
        """Fetch the lines that a row which landed stands for, as charges; at most `MOST_LINES`.

        Raises:
            BadInput: the row is not here, or the table cannot be read.
            Refused: reading the row's partition would cost more bytes than allowed.
        """
        landed = self._landed(file)
        found = pl.scan_parquet(landed, row_index_name=tabular.ROW, row_index_offset=1).filter(
            pl.col(tabular.ROW) == row
        )
        rows = found.select(KEY, pl.col("invoice").struct.field("month")).collect()
        if rows.is_empty():
            raise BadInput(file, f"has no row {row} any more", AGAIN)
        key, month = rows.row(0)
        partition = SourceFile(file, None, f"{_said(landed)['newest']}/0")
        sql = f"{self._aggregate.lines(self._columns())} LIMIT {MOST_LINES}"
        asked = [*parameters([partition]), bigquery.ScalarQueryParameter("key", "STRING", key)]
        with TemporaryDirectory() as folder, explained(self.name, PERMISSIONS):
            part = Path(folder) / "lines.parquet"
            if not self._stream(*self._result(sql, asked), part):
                raise BadInput(file, f"BigQuery has no lines of row {row} any more", AGAIN)
            bill = GcpColumns(tabular.native_schema(part, file), file)
            return gcp_charges.charges(tabular.scan(part), bill, month).collect()

    def _landed(self, file: str) -> Path:
        folder = jailed(self.landing, date.fromisoformat(file.removesuffix(".parquet")).isoformat())
        landed = sorted(folder.glob("*.parquet"))
        if not landed:
            raise BadInput(file, "its rows did not land on this machine", "Ask where `apportion run` runs")
        return landed[0]


def native_sums(path: Path, month: str) -> Sums:
    """Give what BigQuery made of all lines of a partition and invoice month."""
    sums = Sums()
    said: dict[str, str] = _said(path)["months"].get(month, {})
    sums.add({name: int(text) if name == "lines" else Decimal(text) for name, text in said.items()})
    return sums


def _said(path: Path) -> Any:
    return json.loads(parquet.read_metadata(path).metadata[SAID.encode()])


def _kinds(fields: Sequence[Any]) -> dict[str, Any]:
    """Give BigQuery's type of each column, or the columns of a record."""
    return {field.name: _kinds(field.fields) if field.fields else field.field_type for field in fields}
