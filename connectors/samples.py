"""Samples of metrics as they are landed: one Parquet file per group of series and UTC day.

A row is one sample. What names a series stands once, as JSON in the file's footer, and rows refer to it by number, so
that millions of samples carry no text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from connectors import tabular
from models.errors import BadInput

NAME: Final = "__name__"
SECOND: Final = 1_000_000
_FOOTER: Final = b"series"
_SCHEMA: Final = pa.schema(
    [("series", pa.int32()), ("at", pa.timestamp("us", "UTC")), ("seconds", pa.int32()), ("value", pa.float64())]
)


@dataclass(frozen=True)
class Series:
    """One series of a metric within a day.

    Attributes:
        labels: what names it, `__name__` being the metric.
        seconds: how long one sample stands for, from its instant on.
        at: instants in microseconds since 1970, ascending.
        value: one value per instant.
    """

    labels: Mapping[str, str]
    seconds: int
    at: Sequence[int]
    value: Sequence[float]

    @property
    def text(self) -> str:
        """Write the labels in one way only."""
        return json.dumps(dict(self.labels), sort_keys=True, ensure_ascii=False)


def write(path: Path, found: Sequence[Series]) -> int:
    """Write a file; equal samples give equal bytes, whatever order they came in. Gives the number of samples."""
    ordered = sorted(found, key=lambda series: series.text)
    footer = json.dumps([json.loads(series.text) for series in ordered], sort_keys=True, ensure_ascii=False)
    schema = _SCHEMA.with_metadata({_FOOTER: footer.encode()})
    written = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for number, series in enumerate(ordered):
            count = len(series.at)
            columns: list[Any] = [[number] * count, list(series.at), [series.seconds] * count, list(series.value)]
            arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            written += count
    return written


def labels(path: Path, name: str) -> list[dict[str, str]]:
    """Read what names each series, in the order of their numbers.

    Raises:
        BadInput: the file is damaged.
    """
    with tabular.readable(name):
        footer = parquet.read_schema(path).metadata or {}
    if _FOOTER not in footer:
        raise BadInput(name, "the file holds no samples of metrics", "Delete it and run again")
    found: list[dict[str, str]] = json.loads(footer[_FOOTER])
    return found


def scan(path: Path) -> pl.LazyFrame:
    """Scan the samples lazily: `tabular.ROW`, series, at, seconds, value."""
    return pl.scan_parquet(path, row_index_name=tabular.ROW, row_index_offset=1, glob=False).with_columns(
        pl.col(tabular.ROW).cast(pl.Int64)
    )


def table(path: Path, name: str) -> Any:
    """Read the samples with Arrow, for sums that do not go through `scan`."""
    with tabular.readable(name):
        return parquet.read_table(path)
