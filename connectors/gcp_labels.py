"""Labels of every kind in one map: a resource's own as written, the others with a prefix that says whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
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
    rows, values, lengths = zip(*(_flat(one) for one in lists), strict=True)
    # The sort is stable, so that within a row the lists keep their order.
    order = pc.sort_indices(pa.concat_arrays(rows))
    ends = pc.cumulative_sum(reduce(pc.add, lengths))
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends])
    joined = pl.from_arrow(pa.LargeListArray.from_arrays(offsets, pa.concat_arrays(values).take(order)))
    if not isinstance(joined, pl.Series):
        raise TypeError(type(joined))
    return joined.cast(PAIRS)


def _flat(series: pl.Series) -> tuple[Any, Any, Any]:
    """Give each pair's row, the pairs, and how many each row has."""
    array = _arrow(series.cast(PAIRS))
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    return pc.list_parent_indices(array), pc.list_flatten(array), lengths


def _arrow(series: pl.Series) -> Any:
    return series.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
