"""Accelerators that a bill names in words: the neoclouds, Azure and Oracle have no shapes like AWS's or Google's."""

from __future__ import annotations

from typing import Final

import polars as pl

from models.money import MONEY

# Their bills name shapes, and the catalogue knows those; a Google SKU's text has a grammar of its own.
SHAPED: Final = ("AWS", "Google Cloud")
NAMED_IN: Final = ("instance_type", "usage_type", "charge_description", "service_name")
_BEGIN: Final = r"(?i)(?:^|[^a-z0-9])"
_END: Final = r"(?:$|[^a-z0-9]|x\d)"
_CERTAIN: Final = (
    rf"{_BEGIN}(GB300|GB200|GH200|B300|B200|H200|H100|H800|A100|A800|L40S|V100|MI3[0-9]{{2}}X|MI2[0-9]{{2}}X?){_END}"
)
# `T4`, `L4` and `A10` are also sizes of disks and of machines without a GPU, so something else must say that it is one.
_AMBIGUOUS: Final = rf"{_BEGIN}(A10G?|A16|A40|L4|L40|T4|P100|K80|M60){_END}"
_IS_GPU: Final = r"(?i)gpu|nvidia|(?:^|[^a-z])n[cdgv]\d+[a-z]*(?:[ _]|$)"
_RTX: Final = r"(?i)\b(RTX (?:PRO |A)?[0-9]{4})\b"
# `BM.GPU.H100.8`, `8x H100`, `8 x NVIDIA H100`, `H100x8`.
_COUNT: Final = (
    r"(?i)GPU(?:\.[A-Z0-9-]+)?\.([0-9]{1,2})$",
    r"(?i)(?:^|[^a-z0-9])([0-9]{1,2})[ _]?x[ _]?(?:nvidia |amd )?[a-z]{1,2}[0-9]{2,3}",
    r"(?i)[a-z]{1,2}[0-9]{2,3}[a-z]? ?x ?([0-9]{1,2})(?:$|[^0-9a-z])",
)


def with_named_accelerator(keys: pl.DataFrame) -> pl.DataFrame:
    """Fill `accelerator` and `accelerator_count` where no shape has told them and the bill's words do.

    The count is what the words say, 1 where the unit is the GPU's own hour, and else unknown: null.
    """
    asked = pl.col("accelerator").is_null() & pl.col("provider_name").is_not_null()
    asked &= ~pl.col("provider_name").is_in(SHAPED)
    texts = [pl.when(asked).then(pl.col(name)) for name in NAMED_IN]
    said = pl.concat_str(texts, separator=" | ", ignore_nulls=True)
    certain = pl.coalesce(text.str.extract(_CERTAIN) for text in texts)
    ambiguous = pl.when(said.str.contains(_IS_GPU)).then(pl.coalesce(text.str.extract(_AMBIGUOUS) for text in texts))
    name = pl.coalesce(certain, ambiguous).str.to_uppercase()
    rtx = pl.coalesce(text.str.extract(_RTX) for text in texts).str.to_uppercase()
    named = pl.coalesce(name, rtx)
    written = pl.coalesce(text.str.extract(pattern) for text in texts for pattern in _COUNT).cast(MONEY)
    by_gpu = pl.when(pl.col("pricing_unit").str.contains("(?i)gpu")).then(pl.lit("1").cast(MONEY))
    return keys.with_columns(
        pl.coalesce("accelerator", named).alias("accelerator"),
        pl.when(asked & named.is_not_null())
        .then(pl.coalesce(by_gpu, written))
        .otherwise("accelerator_count")
        .alias("accelerator_count"),
    )
