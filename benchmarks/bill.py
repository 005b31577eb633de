"""Write one month of CUR 2.0 Parquet of any length and at least 20,000 distinct keys, fast and with flat memory.

The sample company of `examples/` has few keys; a large organisation has many services in many accounts. Nothing here
is the product's: the catalogue below is invented, its proportions are those of a bill of ordinary services with one
line in eight for AI. The same number of lines writes the same file contents.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

EXPORT: Final = "bench-cur"
MONTH: Final = datetime(2026, 7, 1)  # noqa: DTZ001 - CUR timestamps have no zone
DAYS: Final = timedelta(days=31)
HOURS: Final = 31 * 24
LINES_PER_FILE: Final = 1_000_000
LINES_PER_GROUP: Final = 250_000
ACCOUNTS: Final = 40
VARIANTS: Final = 16
"""Descriptions of one service in one account: what multiplies keys in a large organisation's bill."""
MAP: Final = pl.Map(pl.String, pl.String)
PLAN: Final = "arn:aws:savingsplans::100000000000:savingsplan/5d0e4a86-7f2b-9c41-b3f7-1c9e8d6a5042"


class Service(NamedTuple):
    """One kind of line: what the bill says, how often, and how many resources have it per key."""

    share: int
    code: str
    usage_type: str
    operation: str
    unit: str
    rate: float
    resource: str
    resources: int
    shape: str = ""
    line_type: str = "Usage"


SERVICES: Final = (
    Service(60, "AmazonEC2", "BoxUsage:m7i.xlarge", "RunInstances", "Hrs", 0.2016, "i-0", 40, "m7i.xlarge"),
    Service(50, "AmazonEC2", "BoxUsage:c7g.2xlarge", "RunInstances", "Hrs", 0.29, "i-0", 30, "c7g.2xlarge"),
    Service(60, "AmazonEC2", "BoxUsage:r7g.4xlarge", "RunInstances", "Hrs", 0.8568, "i-0", 9, "r7g.4xlarge", "Covered"),
    Service(60, "AmazonEC2", "BoxUsage:r7g.4xlarge", "RunInstances", "Hrs", 0.8568, "i-0", 9, "r7g.4xlarge", "Negated"),
    Service(90, "AmazonEC2", "EBS:VolumeUsage.gp3", "CreateVolume-Gp3", "GB-Mo", 0.08, "vol-0", 60),
    Service(110, "AmazonEC2", "DataTransfer-Regional-Bytes", "InterZone-In", "GB", 0.01, "i-0", 40),
    Service(60, "AmazonEC2", "USE1-DataTransfer-Out-Bytes", "RunInstances", "GB", 0.09, "i-0", 40),
    Service(80, "AmazonS3", "TimedStorage-ByteHrs", "StandardStorage", "GB-Mo", 0.023, "bucket-", 1),
    Service(80, "AmazonS3", "Requests-Tier2", "GetObject", "Requests", 4e-7, "bucket-", 1),
    Service(60, "AWSLambda", "Lambda-GB-Second", "Invoke", "Lambda-GB-Second", 0.0000166667, "arn:aws:lambda:", 60),
    Service(100, "AmazonCloudWatch", "CW:Requests", "GetMetricData", "Metrics", 0.00001, "", 1),
    Service(60, "AmazonRDS", "InstanceUsage:db.r6g.xl", "CreateDBInstance:0021", "Hrs", 0.5, "arn:aws:rds:", 6),
    Service(50, "AmazonDynamoDB", "ReadRequestUnits", "GetItem", "ReadRequestUnits", 1.25e-7, "arn:aws:dynamodb:", 9),
    Service(40, "awskms", "us-east-1-KMS-Requests", "Decrypt", "Requests", 0.000003, "arn:aws:kms:", 20),
    Service(30, "AmazonEC2", "BoxUsage:p5.48xlarge", "RunInstances", "Hrs", 55.04, "i-0", 3, "p5.48xlarge"),
    Service(30, "AmazonEC2", "BoxUsage:g6.xlarge", "RunInstances", "Hrs", 0.8048, "i-0", 6, "g6.xlarge"),
    Service(20, "AmazonSageMaker", "USE1-Train:ml.p4d.24xlarge", "RunInstance", "Hrs", 25.25, "training-job", 6),
    Service(30, "AmazonSageMaker", "USE1-Host:ml.g5.2xlarge", "RunInstance", "Hrs", 1.515, "endpoint", 4),
    Service(20, "AmazonBedrock", "USE1-Claude4.5Sonnet-input-tokens", "InvokeModelInference", "1K", 0.003, "", 1),
    Service(20, "AmazonBedrock", "USE1-NovaLite-output-tokens", "InvokeModelInference", "1K tokens", 0.00024, "", 1),
)


def write_bill(folder: Path, lines: int, month: datetime = MONTH, accounts: int = ACCOUNTS) -> Path:
    """Write the export of one month of 31 days under `folder` and give its location; one that is there is kept."""
    period = f"BILLING_PERIOD={month:%Y-%m}"
    manifest = folder / EXPORT / "metadata" / period / f"{EXPORT}-Manifest.json"
    if manifest.exists():
        return folder
    data = folder / EXPORT / "data" / period / "2026-08-08T04:12:01.113Z-00000000"
    data.mkdir(parents=True, exist_ok=True)
    names = _write(data, lines, month, accounts)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    listed = [f"s3://bench/exports/{(data / name).relative_to(folder).as_posix()}" for name in names]
    body = {"executionId": "00000000", "dataFiles": listed, "additionalOutputFiles": [], "columns": []}
    manifest.write_text(json.dumps(body), encoding="utf-8")
    return folder


def _write(folder: Path, lines: int, month: datetime, accounts: int) -> list[str]:
    keys = catalogue(accounts)
    names: list[str] = []
    for start in range(0, lines, LINES_PER_FILE):
        names.append(f"{EXPORT}-{len(names) + 1:05d}.snappy.parquet")
        end = min(lines, start + LINES_PER_FILE)
        writer: pq.ParquetWriter | None = None
        for frame in _frames(keys, start, end, month):
            table: pa.Table = frame.to_arrow()
            writer = writer or pq.ParquetWriter(
                folder / names[-1], table.schema, compression="snappy", store_schema=False
            )
            writer.write_table(table)
        if writer is not None:
            writer.close()
    return names


def catalogue(accounts: int = ACCOUNTS) -> pl.DataFrame:
    """Give one row per key: every column that a line takes from what it is, not from when it was."""
    rows: list[dict[str, object]] = []
    for service in SERVICES:
        for account in range(accounts):
            for variant in range(VARIANTS * service.share // 50 + 8):
                rows.append(_key(service, account, variant, len(rows)))
    return pl.DataFrame(rows).with_columns(
        pl.col("resource_tags", "product", "cost_category")
        .cast(pl.List(pl.Struct({"key": pl.String, "value": pl.String})))
        .cast(MAP)
    )


def _key(service: Service, account: int, variant: int, number: int) -> dict[str, object]:
    committed = service.line_type in {"Covered", "Negated"}
    kinds = {"Covered": "SavingsPlanCoveredUsage", "Negated": "SavingsPlanNegation"}
    region = ("us-east-1", "eu-west-1", "us-west-2")[account % 3]
    tags = [
        {"key": "user_team", "value": f"team-{account % 12}"},
        {"key": "user_env", "value": ("prod", "dev")[variant % 2]},
    ]
    tags += [
        {"key": "user_app", "value": f"app-{number % 300}"},
        {"key": "aws_createdBy", "value": f"AssumedRole:{number % 90}"},
    ]
    description = f"${service.rate} per {service.unit} of {service.usage_type} (tier {variant})"
    resource = f"{service.resource}{account:03d}{variant:03d}{number:06d}"
    if service.code == "AmazonSageMaker":
        resource = f"arn:aws:sagemaker:{region}:{100000000000 + account}:{service.resource}/app-{number % 300}"
    return {
        "line_item_usage_account_id": str(100000000000 + account),
        "line_item_usage_account_name": f"account-{account}",
        "line_item_product_code": service.code,
        "line_item_usage_type": service.usage_type,
        "line_item_operation": service.operation,
        "line_item_line_item_description": description,
        "line_item_line_item_type": kinds.get(service.line_type, "Usage"),
        "line_item_availability_zone": f"{region}a" if service.resource.startswith("i-") else "",
        "line_item_unblended_rate": str(service.rate),
        "pricing_unit": service.unit,
        "pricing_term": "OnDemand" if service.rate > 0.001 else "",  # noqa: PLR2004
        "product_instance_type": service.shape,
        "product_region_code": region,
        "product_servicecode": service.code,
        "product_sku": f"SKU{SERVICES.index(service):013d}",
        "product_product_family": "Compute Instance" if service.shape else "",
        "product_usagetype": service.usage_type,
        "product_operation": service.operation,
        "savings_plan_savings_plan_a_r_n": PLAN if committed else "",
        "resource_tags": tags[: variant % 5],
        "cost_category": [{"key": "business_unit", "value": f"unit-{account % 5}"}],
        "product": [{"key": "product_name", "value": f"Amazon {service.code}"}, {"key": "region", "value": region}],
        "__resource": resource if service.resource else "",
        "__resources": service.resources,
        "__rate": service.rate,
        "__sign": -1.0 if service.line_type == "Negated" else 1.0,
        "__plan_rate": service.rate * 0.7 if service.line_type == "Covered" else 0.0,
        "__weight": service.share / (ACCOUNTS * (VARIANTS * service.share // 50 + 8)),
    }


def _frames(keys: pl.DataFrame, start: int, end: int, month: datetime) -> Iterator[pl.DataFrame]:
    bounds = (keys["__weight"].cum_sum() / keys["__weight"].sum() * 2**32).cast(pl.UInt64)
    for first in range(start, end, LINES_PER_GROUP):
        number = pl.Series("number", range(first, min(end, first + LINES_PER_GROUP)), dtype=pl.UInt64)
        drawn = bounds.search_sorted(number.hash(1) % 2**32).clip(0, keys.height - 1)
        # Every key stands once before any is drawn, so that the shortest bill has them all.
        position = number.zip_with(number < keys.height, drawn.cast(pl.UInt64))
        yield _lines(keys[position.cast(pl.UInt32)], number, month)


def _lines(keys: pl.DataFrame, number: pl.Series, month: datetime) -> pl.DataFrame:
    hour = (pl.col("number").hash(2) % HOURS).cast(pl.Int64)
    start = pl.lit(month, pl.Datetime("ms")) + pl.duration(hours=hour)
    share = (pl.col("number").hash(3) % 10**6).cast(pl.Float64) / 10**6
    usage = pl.when(pl.col("pricing_unit") == "Hrs").then(1.0).otherwise((share * 37).round(10))
    cost = (usage * pl.col("__rate") * pl.col("__sign")).round(10)
    which = (pl.col("number").hash(4) % pl.col("__resources").cast(pl.UInt64)).cast(pl.String).str.zfill(3)
    covered = pl.col("line_item_line_item_type") == "SavingsPlanCoveredUsage"
    plan = (usage * pl.col("__plan_rate")).round(10)
    return (
        keys.with_columns(number)
        .with_columns(
            _usage=usage,
            _cost=cost,
            _plan=pl.when(covered).then(plan).otherwise(0.0),
            _start=start,
            _resource=pl.when(pl.col("__resource") == "").then(pl.lit("")).otherwise(pl.col("__resource") + which),
        )
        .select(
            pl.lit("Anniversary").alias("bill_bill_type"),
            pl.lit("AWS").alias("bill_billing_entity"),
            pl.lit(month + DAYS, pl.Datetime("ms")).alias("bill_billing_period_end_date"),
            pl.lit(month, pl.Datetime("ms")).alias("bill_billing_period_start_date"),
            pl.lit("1234567890").alias("bill_invoice_id"),
            pl.lit("100000000000").alias("bill_payer_account_id"),
            pl.lit("bench-payer").alias("bill_payer_account_name"),
            pl.concat_str(
                pl.lit("qs7pbxn4"),
                pl.col("number").hash(5).cast(pl.String).str.zfill(20),
                pl.col("number").cast(pl.String).str.zfill(12),
            ).alias("identity_line_item_id"),
            pl.concat_str(
                pl.col("_start").dt.to_string("%FT%TZ"),
                pl.lit("/"),
                (pl.col("_start") + timedelta(hours=1)).dt.to_string("%FT%TZ"),
            ).alias("identity_time_interval"),
            pl.lit("USD").alias("line_item_currency_code"),
            pl.lit("Amazon Web Services, Inc.").alias("line_item_legal_entity"),
            pl.col("_cost").alias("line_item_unblended_cost"),
            pl.col("_cost").alias("line_item_blended_cost"),
            (pl.col("_cost") * 0.94).alias("line_item_net_unblended_cost"),
            pl.col("_resource").alias("line_item_resource_id"),
            pl.col("_usage").alias("line_item_usage_amount"),
            pl.col("_start").alias("line_item_usage_start_date"),
            (pl.col("_start") + timedelta(hours=1)).alias("line_item_usage_end_date"),
            pl.lit("USD").alias("pricing_currency"),
            pl.col("_cost").abs().alias("pricing_public_on_demand_cost"),
            pl.lit("").alias("reservation_reservation_a_r_n"),
            pl.lit(0.0).alias("reservation_effective_cost"),
            pl.col("_plan").alias("savings_plan_savings_plan_effective_cost"),
            (pl.col("_plan") * 0.94).alias("savings_plan_net_savings_plan_effective_cost"),
            *(name for name in keys.columns if not name.startswith("__")),
        )
    )


def key_columns() -> Sequence[str]:
    """Name the native columns whose combinations make the keys counted in the results."""
    return (
        "line_item_usage_account_id",
        "line_item_product_code",
        "line_item_usage_type",
        "line_item_operation",
        "line_item_line_item_description",
        "line_item_line_item_type",
    )
