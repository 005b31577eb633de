"""Labels of every kind in one map: a resource's own as written, the others with a prefix that says whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from connectors.gcp_columns import GcpColumns, field
from models.facts import TAGS

PAIRS: Final = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
PREFIXES: Final = {"labels": "", "project.labels": "project:", "system_labels": "system:", "tags": "tag:"}


def tags(bill: GcpColumns) -> pl.Expr:
    """Give the labels, project labels, system labels and tags of each row."""
    lists = [_prefixed(bill.cell(path), prefix) for path, prefix in PREFIXES.items() if bill.has(path)]
    if not lists:
        return pl.lit(None, TAGS)
    return pl.map_batches(lists, _joined, return_dtype=PAIRS, is_elementwise=True).cast(TAGS)


def _prefixed(pairs: pl.Expr, prefix: str) -> pl.Expr:
    """Give key and value alone; a pair without a key says nothing."""
    pair = pl.struct(key=pl.lit(prefix) + field("key"), value=field("value"))
    return pairs.list.eval(pair.filter(field("key").is_not_null()))


def _joined(lists: Sequence[pl.Series]) -> pl.Series:
    """Join lists row by row; polars' own `concat_list` takes many times as long on lists of structs."""
    parts = [_flat(one) for one in lists]
    lengths = reduce(add, (length for *_, length in parts))
    ends = lengths.cum_sum()
    # Where the next list's pairs of each row go, and how many pairs stand before that list.
    place, before = ends - lengths, 0
    order = pl.Series([0], dtype=pl.Int64).new_from_index(0, sum(len(rows) for rows, *_ in parts))
    for rows, _, length in parts:
        number = pl.int_range(len(rows), dtype=pl.Int64, eager=True)
        first = length.cum_sum() - length
        order = order.scatter((place - first).gather(rows) + number, number + before)
        place, before = place + length, before + len(rows)
    offsets = pl.concat([pl.Series([0], dtype=pl.Int64), ends.rename("")]).to_arrow()
    values = pa.concat_arrays([values for _, values, _ in parts]).take(order.to_arrow())
    joined = pl.from_arrow(pa.LargeListArray.from_arrays(offsets, values))
    if not isinstance(joined, pl.Series):
        raise TypeError(type(joined))
    return joined.cast(PAIRS)


def _flat(series: pl.Series) -> tuple[pl.Series, Any, pl.Series]:
    """Give each pair's row, the pairs, and how many each row has."""
    # Arrow imports pandas, a second of every run, where it is given a Python value: to see whether pandas made it.
    array = _arrow(series.cast(PAIRS))
    rows = pc.list_parent_indices(array).cast(pa.int64())
    return pl.Series(values=rows), pc.list_flatten(array), series.list.len().fill_null(0).cast(pl.Int64)


def _arrow(series: pl.Series) -> Any:
    return series.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
