"""Write a bill of `bill.py` once more as AWS's legacy CSV: one file with slash headers, plain or gzipped.

Columns that only `focus-converter` asks for are there too, mostly blank, so that all who are compared read one file.
"""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks import bill

RENAMED: Final = {
    "savings_plan_savings_plan_a_r_n": "savingsPlan/SavingsPlanARN",
    "reservation_reservation_a_r_n": "reservation/ReservationARN",
    "product_product_family": "product/productFamily",
    "product_region_code": "product/regionCode",
    "product_instance_type": "product/instanceType",
    "pricing_public_on_demand_cost": "pricing/publicOnDemandCost",
    "pricing_unit": "pricing/unit",
    "pricing_term": "pricing/term",
    "pricing_currency": "pricing/currency",
}
SERVICES: Final = ("bill", "identity", "line_item", "pricing", "product", "reservation", "savings_plan")
MAPS: Final = {
    "resource_tags": ("resourceTags/", ("user_team", "user_env", "user_app", "aws_createdBy")),
    "cost_category": ("costCategory/", ("business_unit",)),
    "product": ("product/", ("product_name", "region")),
}
BLANK: Final = (
    "bill/InvoicingEntity",
    "pricing/RateCode",
    "pricing/RateId",
    "pricing/publicOnDemandRate",
    "product/PurchaseOption",
    "reservation/TotalReservedUnits",
    "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod",
    "reservation/UnusedRecurringFee",
    "savingsPlan/TotalCommitmentToDate",
    "savingsPlan/UsedCommitment",
)


def write_legacy_bill(folder: Path, lines: int, *, gzipped: bool = False) -> Path:
    """Write the CSV under `folder` and give its file; one that is there already is kept."""
    file = folder / f"{bill.EXPORT}.csv"
    target = file.with_suffix(".csv.gz") if gzipped else file
    if target.exists():
        return target
    source = bill.write_bill(folder.with_name(f"{folder.name}-parquet"), lines)
    folder.mkdir(parents=True, exist_ok=True)
    native = pl.scan_parquet(sorted(source.rglob("*.parquet")))
    half = file.with_suffix(".part")
    native.select(_columns(native)).sink_csv(half, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    if gzipped:
        with half.open("rb") as plain, gzip.open(f"{half}.gz", "wb", compresslevel=6) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
        half.unlink()
        half = Path(f"{half}.gz")
    half.rename(target)
    return target


def _columns(native: pl.LazyFrame) -> list[pl.Expr]:
    names = native.collect_schema().names()
    maps = [
        pl.col(column)
        .map.get(key)
        .alias(prefix + (key.replace("_", ":", 1) if prefix == "resourceTags/" else _camel(key)))
        for column, (prefix, keys) in MAPS.items()
        for key in keys
    ]
    blank = [pl.lit("").alias(name) for name in BLANK]
    return [pl.col(name).alias(_header(name)) for name in names if name not in MAPS] + maps + blank


def _header(name: str) -> str:
    """Write `line_item_usage_type` as `lineItem/UsageType`."""
    group = next(group for group in SERVICES if name.startswith(f"{group}_"))
    rest = name.removeprefix(f"{group}_")
    return RENAMED.get(name) or f"{_camel(group)}/{rest if group == 'product' else _camel(f'_{rest}')}"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
