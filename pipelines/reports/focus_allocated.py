"""What FOCUS's Allocated columns say of a part of a line: how it was divided, to whom, which ratio of it.

Whoever a part belongs to is no resource of the bill, so `AllocatedResourceId` is what tells the parts of a line apart:
workload, model, team and the other dimensions, those that are known. A part that belongs to nobody (`unattributed`,
`shared`) has a method and no resource, as FOCUS asks of what an allocation leaves over, unless it is shown to a team:
then the team is that team, and the pool it was shared from stands beside it. Our words stand in `AllocatedTags` with a
prefix, so that they repeat none of the bill's own tags.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from models.machines import OWNER
from models.workloads import Workload

PREFIX: Final = "apportion/"
_NOBODY: Final = (Workload.UNATTRIBUTED, Workload.SHARED)
_WHO: Final = {
    **{name: pl.col(name) for name in OWNER if name != "evidence"},
    "team": pl.col("showback_team"),
    "pool": pl.col("sharing_pool"),
}


def allocated() -> dict[str, pl.Expr]:
    """Give the Allocated columns of a line or part; all are null on a line that is whole."""
    is_part = pl.col("method").is_not_null()
    somebody = ~pl.col("workload").is_in(_NOBODY) | pl.col("showback_team").is_not_null()
    to_somebody = pl.when(is_part & somebody)
    tags = [_known(who, quoted(pl.lit(PREFIX + name)) + ":" + quoted(who)) for name, who in _WHO.items()]
    ratio = pl.lit('{"Elements":[{"AllocatedRatio":') + pl.col("ratio").cast(pl.String) + "}]}"
    return {
        "AllocatedMethodId": pl.col("method"),
        "AllocatedMethodDetails": pl.when(is_part).then(ratio),
        "AllocatedResourceId": to_somebody.then(_joined([name + "=" + who for name, who in _WHO.items()])),
        "AllocatedResourceName": to_somebody.then(_joined([_WHO[name] for name in ("workload", "llm_model", "team")])),
        "AllocatedTags": to_somebody.then("{" + _joined(tags, ",") + "}"),
    }


def _known(value: pl.Expr, text: pl.Expr) -> pl.Expr:
    return pl.when(value.is_not_null()).then(text)


def _joined(texts: list[pl.Expr], separator: str = ", ") -> pl.Expr:
    return pl.concat_str(texts, separator=separator, ignore_nulls=True)


def json_text(column: str) -> pl.Expr:
    """Write a map as the JSON text of an object."""
    entry = pl.element().struct
    pair = quoted(entry.field("key")) + pl.lit(":") + quoted(entry.field("value"))
    entries = pl.col(column).cast(pl.List(pl.Struct({"key": pl.String, "value": pl.String})))
    return pl.lit("{") + entries.list.eval(pair).list.join(",") + pl.lit("}")


def quoted(text: pl.Expr) -> pl.Expr:
    """Write text as a JSON string."""
    # Polars writes JSON of structs only: {"v":…}.
    return pl.struct(v=text).struct.json_encode().str.slice(5).str.head(-1)
