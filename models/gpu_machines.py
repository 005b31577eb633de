"""Find the billed machine that a metric or a job record speaks of: each names it in its own way."""

from __future__ import annotations

from typing import Final

import polars as pl

# What a metric or record says of its machine.
NAMED: Final = ("resource_id", "resource_name", "sub_account_id")
# A name as it stands, its last step (an ARN's or a path's), and the first label of a host's full name.
_STEPS: Final = r"[^/:]+$"
_HOST: Final = r"^([^./:]+)\.[^/:]*$"


def matched(named: pl.DataFrame, machines: pl.DataFrame) -> pl.DataFrame:
    """Say which billed machine each name belongs to.

    The id is tried before the name, and each as it stands before its last step. A name that several billed machines
    answer to, after accounts that are known to differ are left out, belongs to none of them.

    Args:
        named: distinct `NAMED` of metrics or records.
        machines: billed machines: their number `machine`, `resource_id`, `resource_name`, `sub_account_id`.

    Returns:
        `named` with `machine` (null where there is none) and `match`: matched, ambiguous or on_no_bill.
    """
    known = _aliases(machines.rename({"resource_id": "billed_id"}), ("billed_id", "resource_name")).select(
        "alias", "machine", billed_account="sub_account_id"
    )
    asked = named.unique().with_row_index("asked")
    found = (
        _aliases(asked, ("resource_id", "resource_name"))
        .join(known.unique(), on="alias")
        .filter((pl.col("sub_account_id") == pl.col("billed_account")).fill_null(value=True))
        .group_by("asked", "order")
        .agg(pl.col("machine").unique())
        .sort("asked", "order")
        .group_by("asked", maintain_order=True)
        .agg(pl.col("machine").first())
        .with_columns(count=pl.col("machine").list.len(), machine=pl.col("machine").list.first())
    )
    one = pl.col("count") == 1
    return asked.join(found, on="asked", how="left", maintain_order="left").select(
        *named.columns,
        pl.when(one).then("machine").alias("machine"),
        pl.when(one)
        .then(pl.lit("matched"))
        .when(pl.col("count") > 1)
        .then(pl.lit("ambiguous"))
        .otherwise(pl.lit("on_no_bill"))
        .alias("match"),
    )


def _aliases(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """Repeat rows once per name they answer to; `order` 0 is the surest."""
    spelt = [
        text
        for column in columns
        for name in [pl.col(column).str.strip_chars().str.to_lowercase()]
        for text in (name, name.str.extract(f"({_STEPS})"), name.str.extract(_HOST))
    ]
    named = [frame.with_columns(alias=text, order=pl.lit(order)) for order, text in enumerate(spelt)]
    return pl.concat(named).filter(pl.col("alias").is_not_null() & (pl.col("alias") != ""))
