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

Kind = Literal["gpu", "tpu", "neuron", "gaudi", "inference", "fpga", "media"]
# FPGAs and transcoders are listed so that nobody adds them as AI by mistake.
AI_KINDS: Final = ("gpu", "tpu", "neuron", "gaudi", "inference")

SCHEMA: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "instance_type": pl.String,
    "accelerator": pl.String,
    "generation": pl.String,
    "count": MONEY,  # Per machine; g6f and gr6f carry fractions of one.
    "memory_mib": pl.Int64,  # Of one accelerator.
    "kind": pl.String,
    "source_url": pl.String,
    "checked_on": pl.Date,  # Blank: taken from memory, nobody has compared it with the source yet.
}

_SHAPE: Final = (
    r"(?:^|[:\- ])(?:ml\.)?([a-z]+[0-9][a-z0-9]*(?:-[a-z0-9]+)?\.(?:metal(?:-\w+)?|[0-9]*x?large|medium|small))"
)
# `p5.48xlarge` is of family p5, `a3-highgpu-8g` of a3-highgpu.
_FAMILIES: Final = (r"^([^.]+)\.", r"^([a-z]+[0-9]+[a-z]*-[a-z]+)-")
# AWS keeps these family letters for accelerators and Google these words, so a shape newer than the catalogue is seen.
_AI_FAMILY: Final = r"^(?:p|g|gr|trn|inf|dl)[0-9]|-[a-z]*[gt]pu$"
# Lines whose quantity is machine hours. Fees, surcharges and the zero-cost halves of a reservation repeat the shape.
_HOURS: Final = r"(?:^|-)(?:BoxUsage|SpotUsage|DedicatedUsage|HostBoxUsage|UnusedBox|UnusedDed):|[:\-]ml\."
_HOURLY_SERVICES: Final = ("AmazonEC2", "AmazonSageMaker")

# Google bills a machine in parts: the accelerators by themselves, its cores and its memory. Service ids look like this.
_GOOGLE: Final = r"^[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}$"
_GPU: Final = r"(?i)\bnvidia (?:tesla )?([a-z]{1,2}[0-9]{1,3})\b|\b([a-z]{1,2}[0-9]{2,3}) [0-9]+GB\b"
_RTX: Final = r"(?i)\brtx (?:pro )?(6000)\b"
_TPU: Final = r"(?i)tpu[ -]?(v[0-9]+[a-z]?|[0-9]+x)"
_SERIES: Final = r"\b([AG][2-9][0-9]?X?(?: ?(?:Ultra|Mega|Plus|Max))?)\b"
# What the SKUs of cores and memory call a machine series, and the family it is in the catalogue.
_FAMILY_OF_SERIES: Final = {
    "a2": "a2-highgpu",
    "a2ultra": "a2-ultragpu",
    "a3": "a3-highgpu",
    "a3plus": "a3-megagpu",
    "a3mega": "a3-megagpu",
    "a3ultra": "a3-ultragpu",
    "a4": "a4-highgpu",
    "a4x": "a4x-highgpu",
    "a4xmax": "a4x-maxgpu",
    "g2": "g2-standard",
    "g4": "g4-standard",
}
_NOT_HARDWARE: Final = r"(?i)\blicen[cs]"
# Fees repeat the hours of lines beside them.
_FEE: Final = r"(?i)^commitment\b|\bmanagement fee\b"
_SLICES: Final = r"(?i)\(([0-9]+) gpu slices?\)"
_CHIPS_PER_DEVICE: Final = 4  # TPU v2 and v3 are billed by the device of eight cores, two to a chip.


class Shape(BaseModel):
    """A machine shape of the team's own, added to the catalogue or put in place of a listed one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance_type: str = Field(min_length=1)
    accelerator: str = Field(min_length=1)
    generation: str | None = None
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

    On a Google bill the SKU's text names the accelerator, one to each unit hour; lines of cores, memory and disks take
    it from the machine's shape, else from the series that their SKU names, and have no count.
    """
    known = shapes.filter(pl.col("kind").is_in(AI_KINDS))
    families = (
        known.group_by(_family(pl.col("instance_type")).alias("family"))
        .agg(pl.col("accelerator").unique())
        .filter(pl.col("accelerator").list.len() == 1)
        .select("family", pl.col("accelerator").list.first().alias("family_accelerator"))
    )
    family, shape = pl.col("family"), pl.col("shape")
    series = pl.coalesce(_series_family(), pl.when(_family(shape).str.contains("-[a-z]*[gt]pu$")).then(_family(shape)))
    named_in = ("instance_type", "usage_type", "charge_description")
    looked_up = ("service_code", *named_in)
    google = pl.col("service_code").str.contains(_GOOGLE).fill_null(value=False)
    hours = pl.col("usage_type").str.contains(_HOURS) & pl.col("service_code").is_in(_HOURLY_SERVICES)
    found = (
        keys.select(looked_up)
        .unique()
        .with_columns(
            pl.when(google)
            .then("instance_type")
            .otherwise(pl.coalesce(pl.col(name).str.extract(_SHAPE) for name in named_in))
            .alias("shape"),
            pl.when(google).then(_named_by_google()).alias("named"),
        )
        .with_columns(
            pl.when(google)
            .then(pl.coalesce(pl.when(_family(shape).is_in(families["family"].to_list())).then(_family(shape)), series))
            .otherwise(_family(shape))
            .alias("family")
        )
        .join(known.select("accelerator", "count", shape="instance_type"), on="shape", how="left")
        .join(families, on="family", how="left")
        .select(
            *looked_up,
            pl.coalesce(
                "named",
                "accelerator",
                "family_accelerator",
                pl.when(family.str.contains(_AI_FAMILY)).then(pl.format("unknown ({})", family)),
            ).alias("accelerator"),
            pl.when(google)
            .then(pl.when(pl.col("named").is_not_null()).then(_counted_by_google()))
            .when(hours | pl.col("usage_type").is_null())
            .then("count")
            .alias("accelerator_count"),
        )
    )
    return keys.join(found, on=looked_up, how="left", nulls_equal=True, maintain_order="left")


def _family(shape: pl.Expr) -> pl.Expr:
    return pl.coalesce(shape.str.extract(pattern) for pattern in _FAMILIES)


def _series_family() -> pl.Expr:
    """Name the family that a SKU of cores or memory speaks of; a series newer than this list stands for itself."""
    series = pl.col("usage_type").str.extract(_SERIES).str.replace(" ", "").str.to_lowercase()
    return series.replace_strict(
        list(_FAMILY_OF_SERIES), list(_FAMILY_OF_SERIES.values()), default=pl.format("{}-gpu", series)
    )


def _named_by_google() -> pl.Expr:
    """Read the accelerator out of a SKU's text, spelt as the catalogue spells it."""
    text = pl.col("usage_type")
    gpu = pl.coalesce(text.str.extract(_GPU, 1), text.str.extract(_GPU, 2)).str.to_uppercase()
    tpu = text.str.extract(_TPU).str.to_lowercase().str.replace("^([0-9])", "v$1")
    return pl.when(~text.str.contains(_NOT_HARDWARE)).then(
        pl.coalesce(
            pl.when(text.str.contains(_RTX)).then(pl.lit("RTX PRO Server 6000")),
            gpu,
            pl.when(tpu.is_not_null()).then(pl.format("TPU {}", tpu)),
        )
    )


def _counted_by_google() -> pl.Expr:
    """Say how many accelerators one unit hour is: one, or as many as the slices sold together."""
    text = pl.col("usage_type")
    devices = pl.when(text.str.contains(r"(?i)tpu[ -]?v[23]\b")).then(pl.lit(_CHIPS_PER_DEVICE))
    count = pl.coalesce(text.str.extract(_SLICES).cast(pl.Int64), devices, pl.lit(1))
    return pl.when(~text.str.contains(_FEE)).then(count.cast(MONEY))
