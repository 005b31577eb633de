"""Labels of every kind in one map: a resource's own as written, the others with a prefix that says whose they are."""

from __future__ import annotations

from typing import Final

import polars as pl

from connectors.gcp_columns import GcpColumns, field
from models.facts import TAGS

PAIRS: Final = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
PREFIXES: Final = {"labels": "", "project.labels": "project:", "system_labels": "system:", "tags": "tag:"}
# Exchange rates are no label, but there is no other place where a bill in another currency could keep its own.
RATE: Final = "system:currency_conversion_rate"


def tags(bill: GcpColumns) -> pl.Expr:
    """Give the labels, project labels, system labels and tags of each row."""
    lists = [_prefixed(bill.cell(path), prefix) for path, prefix in PREFIXES.items() if bill.has(path)]
    if bill.has("currency_conversion_rate"):
        rate = pl.struct(key=pl.lit(RATE), value=bill.text("currency_conversion_rate"))
        foreign = pl.when(bill.text("currency") != "USD").then(pl.concat_list(rate))
        lists.append(foreign.fill_null(pl.lit([], dtype=PAIRS)))
    if not lists:
        return pl.lit(None, TAGS)
    return pl.concat_list(lists).cast(TAGS)


def _prefixed(pairs: pl.Expr, prefix: str) -> pl.Expr:
    """Give key and value alone; a pair without a key says nothing."""
    pair = pl.struct(key=pl.lit(prefix) + field("key"), value=field("value"))
    named = pairs.list.eval(pair.filter(field("key").is_not_null()))
    return named.fill_null(pl.lit([], dtype=PAIRS))
