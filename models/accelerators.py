"""The catalogue of accelerator shapes: which machine carries how many of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models.money import MONEY

Kind = Literal["gpu", "neuron", "gaudi", "inference", "fpga", "media"]
# FPGAs and transcoders are listed so that nobody adds them as AI by mistake.
AI_KINDS: Final = ("gpu", "neuron", "gaudi", "inference")

SCHEMA: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "instance_type": pl.String,
    "accelerator": pl.String,
    "count": MONEY,  # Per machine; g6f and gr6f carry fractions of one.
    "memory_mib": pl.Int64,  # Of one accelerator.
    "kind": pl.String,
    "source_url": pl.String,
    "checked_on": pl.Date,  # Blank: taken from memory, nobody has compared it with the source yet.
}

_SHAPE: Final = (
    r"(?:^|[:\- ])(?:ml\.)?([a-z]+[0-9][a-z0-9]*(?:-[a-z0-9]+)?\.(?:metal(?:-\w+)?|[0-9]*x?large|medium|small))"
)
_FAMILY: Final = r"^([^.]+)\."
# AWS keeps these family letters for accelerators, so a shape newer than the catalogue is still seen.
_AI_FAMILY: Final = r"^(?:p|g|gr|trn|inf|dl)[0-9]"
# Lines whose quantity is machine hours. Fees, surcharges and the zero-cost halves of a reservation repeat the shape.
_HOURS: Final = r"(?:^|-)(?:BoxUsage|SpotUsage|DedicatedUsage|HostBoxUsage|UnusedBox|UnusedDed):|[:\-]ml\."
_HOURLY_SERVICES: Final = ("AmazonEC2", "AmazonSageMaker")


class Shape(BaseModel):
    """A machine shape of the team's own, added to the catalogue or put in place of a listed one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance_type: str = Field(min_length=1)
    accelerator: str = Field(min_length=1)
    count: Decimal = Field(gt=0)
    memory_mib: int | None = None
    kind: Kind = "gpu"
    source_url: str | None = None
    checked_on: date | None = None


@cache
def _shipped() -> pl.DataFrame:
    return pl.read_csv(Path(__file__).with_name("accelerators.csv"), schema=SCHEMA)


def catalogue(extra: Sequence[Shape] = ()) -> pl.DataFrame:
    """Give all known shapes, one row each; `extra` wins over ours."""
    own = pl.DataFrame([shape.model_dump() for shape in extra], schema=SCHEMA)
    return pl.concat([own, _shipped()]).unique("instance_type", keep="first", maintain_order=True)


def stale(today: date, days: int, shapes: pl.DataFrame | None = None) -> pl.DataFrame:
    """Give the shapes that nobody has checked within so many days; those never checked come with them."""
    shapes = catalogue() if shapes is None else shapes
    return shapes.filter((pl.col("checked_on") < today - timedelta(days=days)) | pl.col("checked_on").is_null())


def with_accelerator(keys: pl.DataFrame, shapes: pl.DataFrame) -> pl.DataFrame:
    """Add `accelerator` and `accelerator_count` to keys, in their order.

    The shape comes from `instance_type`, else from the usage type, else (a FOCUS bill) from the description. A size
    the catalogue lacks takes its family's accelerator and no count; a family it lacks is named `unknown (<family>)`,
    so that new hardware is seen rather than lost. The count is null on lines whose quantity is not machine hours:
    hours must not be counted twice.
    """
    known = shapes.filter(pl.col("kind").is_in(AI_KINDS))
    families = (
        known.group_by(pl.col("instance_type").str.extract(_FAMILY).alias("family"))
        .agg(pl.col("accelerator").unique())
        .filter(pl.col("accelerator").list.len() == 1)
        .select("family", pl.col("accelerator").list.first().alias("family_accelerator"))
    )
    family = pl.col("family")
    named_in = ("instance_type", "usage_type", "charge_description")
    looked_up = ("service_code", *named_in)
    hours = pl.col("usage_type").str.contains(_HOURS) & pl.col("service_code").is_in(_HOURLY_SERVICES)
    found = (
        keys.select(looked_up)
        .unique()
        .with_columns(pl.coalesce(pl.col(name).str.extract(_SHAPE) for name in named_in).alias("shape"))
        .with_columns(pl.col("shape").str.extract(_FAMILY).alias("family"))
        .join(known.select("accelerator", "count", shape="instance_type"), on="shape", how="left")
        .join(families, on="family", how="left")
        .select(
            *looked_up,
            pl.coalesce(
                "accelerator",
                "family_accelerator",
                pl.when(family.str.contains(_AI_FAMILY)).then(pl.format("unknown ({})", family)),
            ),
            pl.when(hours | pl.col("usage_type").is_null()).then("count").alias("accelerator_count"),
        )
    )
    return keys.join(found, on=looked_up, how="left", nulls_equal=True, maintain_order="left")
