"""Write one invoice month of Google's detailed export as nested Parquet of any length, fast and with flat memory.

The catalogue is invented, its proportions are those of ordinary services with one row in six for AI; rows carry labels,
project labels, system labels, tags and credits as an organisation's do. The same number of rows writes the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

MONTH: Final = datetime(2026, 7, 1, 7, tzinfo=UTC)
HOURS: Final = 31 * 24
ROWS_PER_FILE: Final = 1_000_000
ROWS_PER_GROUP: Final = 100_000
PROJECTS: Final = 40
VARIANTS: Final = 24
"""Labels of one SKU in one project: what multiplies keys in a large organisation's bill."""


class Sku(NamedTuple):
    """One kind of row: how often it comes, what it says, its price, and how its resource is called."""

    share: int
    service: tuple[str, str]
    text: str
    unit: str
    price: float
    resource: str
    machine: str = ""
    credit: str = ""


COMPUTE: Final = ("6F81-5844-456A", "Compute Engine")
VERTEX: Final = ("C7E2-9256-1C43", "Vertex AI")
STORAGE: Final = ("95FF-2EF5-5EA1", "Cloud Storage")
WAREHOUSE: Final = ("24E6-581D-38E5", "BigQuery")
LOGS: Final = ("5490-F7B7-8DF6", "Cloud Logging")
SQL: Final = ("9662-B51E-5089", "Cloud SQL")
N2, A2, N1 = "n2-standard-16", "a2-highgpu-8g", "n1-standard-16"
DISCOUNT, USE, FREE = "DISCOUNT", "SUSTAINED_USAGE_DISCOUNT", "FREE_TIER"

SKUS: Final = (
    Sku(120, COMPUTE, "N2 Instance Core running in Americas", "hour", 0.031611, "gke-web-pool", N2),
    Sku(120, COMPUTE, "N2 Instance Ram running in Americas", "gibibyte hour", 0.004237, "gke-web-pool", N2),
    Sku(40, COMPUTE, "Nvidia Tesla A100 GPU running in Americas", "hour", 2.934, "gke-ml-a100", A2),
    Sku(40, COMPUTE, "A2 Instance Core running in Americas", "hour", 0.031611, "gke-ml-a100", A2),
    Sku(40, COMPUTE, "A2 Instance Ram running in Americas", "gibibyte hour", 0.004237, "gke-ml-a100", A2),
    Sku(10, COMPUTE, "Nvidia Tesla T4 GPU running in Americas", "hour", 0.35, "notebook", N1, USE),
    Sku(10, COMPUTE, "N1 Predefined Instance Core running in Americas", "hour", 0.0316, "notebook", N1, USE),
    Sku(10, COMPUTE, "N1 Predefined Instance Ram running in Americas", "gibibyte hour", 0.0042, "notebook", N1, USE),
    Sku(90, COMPUTE, "Balanced PD Capacity in Americas", "gibibyte month", 0.1, "pvc"),
    Sku(110, COMPUTE, "Network Internet Data Transfer Out from Americas to Americas", "gibibyte", 0.08, "vm"),
    Sku(80, STORAGE, "Standard Storage US Regional", "gibibyte month", 0.02, "bucket"),
    Sku(80, STORAGE, "Regional Standard Class A Operations", "count", 5e-6, "bucket", "", FREE),
    Sku(80, WAREHOUSE, "Analysis (us-central1)", "tebibyte", 6.25, "", "", DISCOUNT),
    Sku(60, LOGS, "Log Storage cost", "gibibyte", 0.5, "bucket", "", FREE),
    Sku(60, SQL, "Cloud SQL for PostgreSQL: Zonal - vCPU in Americas", "hour", 0.0413, "sql", "", DISCOUNT),
    Sku(30, VERTEX, "Gemini 2.5 Flash GA Text Input - Predictions", "count", 3e-7, ""),
    Sku(20, VERTEX, "Vertex AI: Training/Pipelines on NVIDIA H100 80GB in Iowa", "hour", 11.266, "job"),
)

PAIR: Final = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
SCHEMA: Final = pa.schema(
    {
        "billing_account_id": pa.string(),
        "service": pa.struct([("id", pa.string()), ("description", pa.string())]),
        "sku": pa.struct([("id", pa.string()), ("description", pa.string())]),
        "usage_start_time": pa.timestamp("us", tz="UTC"),
        "usage_end_time": pa.timestamp("us", tz="UTC"),
        "project": pa.struct([("id", pa.string()), ("number", pa.string()), ("name", pa.string()), ("labels", PAIR)]),
        "labels": PAIR,
        "system_labels": PAIR,
        "tags": PAIR,
        "location": pa.struct([(name, pa.string()) for name in ("location", "country", "region", "zone")]),
        "resource": pa.struct([("name", pa.string()), ("global_name", pa.string())]),
        "export_time": pa.timestamp("us", tz="UTC"),
        "cost": pa.float64(),
        "currency": pa.string(),
        "currency_conversion_rate": pa.float64(),
        "usage": pa.struct(
            [
                ("amount", pa.float64()),
                ("unit", pa.string()),
                ("amount_in_pricing_units", pa.float64()),
                ("pricing_unit", pa.string()),
            ]
        ),
        "credits": pa.list_(
            pa.struct([("name", pa.string()), ("amount", pa.float64()), ("id", pa.string()), ("type", pa.string())])
        ),
        "invoice": pa.struct([("month", pa.string()), ("publisher_type", pa.string())]),
        "cost_type": pa.string(),
        "cost_at_list": pa.float64(),
        "consumption_model": pa.struct([("id", pa.string()), ("description", pa.string())]),
    }
)


def write_bill(folder: Path, rows: int) -> Path:
    """Write the export under `folder` and give its location; one that is there already is kept."""
    done = folder / "done"
    if done.exists():
        return folder / "export"
    (folder / "export").mkdir(parents=True, exist_ok=True)
    keys = catalogue()
    for number, start in enumerate(range(0, rows, ROWS_PER_FILE)):
        path = folder / "export" / f"export-{number:012d}.parquet"
        with pq.ParquetWriter(path, SCHEMA, compression="snappy", store_schema=False) as writer:
            for frame in _frames(keys, start, min(rows, start + ROWS_PER_FILE)):
                writer.write_table(frame.select(SCHEMA.names).to_arrow().cast(SCHEMA))
    done.touch()
    return folder / "export"


def catalogue() -> pl.DataFrame:
    """Give one row per key: every column that a row takes from what it is, not from when it was."""
    rows = [
        _key(sku, number, project, variant)
        for number, sku in enumerate(SKUS)
        for project in range(PROJECTS)
        for variant in range(VARIANTS)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _pairs(**values: str) -> list[dict[str, str]]:
    return [{"key": key.replace("__", "-"), "value": value} for key, value in values.items()]


def _key(sku: Sku, number: int, project: int, variant: int) -> dict[str, Any]:
    labels = _pairs(team=f"team-{project % 12}", env=("prod", "dev")[variant % 2], app=f"app-{variant}")[: variant % 4]
    if sku.resource.startswith("gke"):
        cluster = _pairs(goog__k8s__cluster__name=f"cluster-{project % 7}", goog__k8s__location="us-central1")
        labels += cluster + _pairs(k8s__namespace=f"app-{variant % 9}", k8s__workload__name=f"serve-{variant}")
    prefix = "compute.googleapis.com/"
    machine = [{"key": f"{prefix}machine_spec", "value": sku.machine}, {"key": f"{prefix}cores", "value": "16"}]
    return {
        "billing_account_id": "01B4C7-9D2E60-F3A815",
        "service": {"id": sku.service[0], "description": sku.service[1]},
        "sku": {"id": f"{number:04X}-BE7C-{number:04X}", "description": sku.text},
        "project": {
            "id": f"acme-{project}",
            "number": f"48151623{project:04d}",
            "name": f"Acme {project}",
            "labels": _pairs(env="prod", unit=f"unit-{project % 5}"),
        },
        "labels": labels,
        "system_labels": machine if sku.machine else [],
        "tags": _pairs(cost__center=f"cc-{project % 9}"),
        "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": "us-central1-a"},
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "invoice": {"month": f"{MONTH:%Y%m}", "publisher_type": "GOOGLE"},
        "cost_type": "regular",
        "consumption_model": {"id": "7754-699E-0EBF", "description": "Default"},
        "__resource": sku.resource,
        "__place": project * VARIANTS + variant,
        "__price": sku.price,
        "__unit": sku.unit,
        "__credit": sku.credit,
        "__weight": sku.share,
    }


def _frames(keys: pl.DataFrame, start: int, end: int) -> Iterator[pl.DataFrame]:
    bounds = (keys["__weight"].cum_sum() / keys["__weight"].sum() * 2**32).cast(pl.UInt64)
    for first in range(start, end, ROWS_PER_GROUP):
        number = pl.Series("number", range(first, min(end, first + ROWS_PER_GROUP)), dtype=pl.UInt64)
        drawn = bounds.search_sorted(number.hash(1) % 2**32).clip(0, keys.height - 1)
        yield _rows(keys[drawn], number)


def _rows(keys: pl.DataFrame, number: pl.Series) -> pl.DataFrame:
    begin = pl.lit(MONTH).dt.cast_time_unit("us") + pl.duration(hours=(pl.col("number").hash(2) % HOURS).cast(pl.Int64))
    amount = ((pl.col("number").hash(3) % 10**6).cast(pl.Float64) / 10**6 * 37).round(10)
    cost = (pl.col("__used") * pl.col("__price")).round(10)
    # A dozen of each: nodes, disks and buckets come and go.
    name = pl.format("{}-{}", "__resource", (pl.col("__place") * 12 + pl.col("number").hash(4) % 12).cast(pl.String))
    path = pl.format("//compute.googleapis.com/projects/481516/zones/us-central1-a/instances/{}", name)
    resource = pl.when(pl.col("__resource") != "").then(pl.struct(name.alias("name"), path.alias("global_name")))
    given = pl.struct(
        pl.col("__credit").alias("name"),
        (-0.2 * pl.col("cost")).round(10).alias("amount"),
        pl.col("__credit").alias("id"),
        pl.col("__credit").alias("type"),
    )
    return (
        keys.with_columns(number)
        .with_columns(__used=amount)
        .with_columns(
            cost=cost,
            cost_at_list=cost,
            usage_start_time=begin,
            usage_end_time=begin + timedelta(hours=1),
            export_time=begin + timedelta(hours=9),
            resource=resource,
            usage=pl.struct(
                (pl.col("__used") * 3600).alias("amount"),
                pl.lit("seconds").alias("unit"),
                pl.col("__used").alias("amount_in_pricing_units"),
                pl.col("__unit").alias("pricing_unit"),
            ),
        )
        .with_columns(credits=pl.concat_list(given).list.filter(pl.element().struct.field("type") != ""))
    )
