"""Columns of CSV and Parquet files by a mapping, as polars expressions: text, numbers and instants of any writing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from models.facts import INSTANT

# Seconds since 1970 stay below the first until the year 5138, milliseconds below the second, microseconds the third.
_EPOCHS: Final = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))
_ISO: Final = "%Y-%m-%dT%H:%M:%S%.f"
_MINUTES: Final = "%Y-%m-%dT%H:%M"


class MappedColumns:
    """The columns of one file under our names.

    Args:
        schema: the file's columns and their types.
        columns: our name → the file's.
        values: our name → what it is in every row.
        timezone: of times that do not say theirs.
    """

    def __init__(
        self, schema: Mapping[str, pl.DataType], columns: Mapping[str, str], values: Mapping[str, str], timezone: str
    ) -> None:
        self._schema = schema
        self._columns = columns
        self._values = values
        self._zone = timezone

    def header(self, name: str) -> str:
        """Give the file's name of a column, for errors."""
        return self._columns.get(name, name)

    def has(self, name: str) -> bool:
        """Tell whether there is such a column or value."""
        return name in self._values or self._columns.get(name) in self._schema

    def text(self, name: str) -> pl.Expr:
        """Give a cell as text; blank is null."""
        if name in self._values:
            return pl.lit(self._values[name], dtype=pl.String)
        if not self.has(name):
            return pl.lit(None, dtype=pl.String)
        text = pl.col(self._columns[name]).cast(pl.String)
        return pl.when(text != "").then(text)

    def number(self, name: str) -> pl.Expr:
        """Give a cell as a number; what is none is null."""
        if name in self._values or self._is_text(name):
            return self.text(name).str.strip_chars().cast(pl.Float64, strict=False)
        if not self.has(name):
            return pl.lit(None, dtype=pl.Float64)
        return pl.col(self._columns[name]).cast(pl.Float64, strict=False)

    def instant(self, name: str) -> pl.Expr:
        """Give a cell as an instant; what is no time is null."""
        cell = pl.col(self._columns[name])
        dtype = self._schema[self._columns[name]]
        if isinstance(dtype, pl.Datetime):
            return (cell if dtype.time_zone else self._here(cell)).cast(INSTANT)
        if dtype.is_numeric():
            return _epoch(cell.cast(pl.Float64))
        text = cell.cast(pl.String).str.strip_chars()
        plain = text.str.replace(r" ?(UTC|Z)$", "+00:00").str.replace(" ", "T", literal=True)
        bare = plain.str.replace(r"(\d{2}:\d{2})$", "${1}:00")
        naive = pl.coalesce(plain.str.to_datetime(_ISO, strict=False), bare.str.to_datetime(_ISO, strict=False))
        return pl.coalesce(
            plain.str.to_datetime(f"{_ISO}%#z", time_unit="us", strict=False).cast(INSTANT),
            self._here(naive).cast(INSTANT),
            _epoch(text.cast(pl.Float64, strict=False)),
        )

    def _here(self, naive: pl.Expr) -> pl.Expr:
        return naive.cast(pl.Datetime("us")).dt.replace_time_zone(self._zone, ambiguous="earliest", non_existent="null")

    def _is_text(self, name: str) -> bool:
        return self.has(name) and self._schema[self._columns[name]] == pl.String


def _epoch(number: pl.Expr) -> pl.Expr:
    microseconds = pl.coalesce(*[pl.when(number.abs() < limit).then(number * factor) for limit, factor in _EPOCHS])
    return microseconds.round().cast(pl.Int64, strict=False).cast(INSTANT)
