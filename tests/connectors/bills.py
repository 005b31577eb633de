"""Bills as AWS lays them out, written line by line; timestamps have no zone, as in AWS's Parquet."""
# ruff: noqa: DTZ001

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

Line = Mapping[str, Any]
TAGS: Final = pl.Map(pl.String, pl.String)
GROUPS: Final = {
    "bill": "bill",
    "identity": "identity",
    "line_item": "lineItem",
    "pricing": "pricing",
    "product": "product",
    "reservation": "reservation",
    "savings_plan": "savingsPlan",
    "split_line_item": "splitLineItem",
}
USAGE: Final[Line] = {
    "bill_billing_entity": "AWS",
    "bill_billing_period_start_date": datetime(2026, 1, 1),
    "bill_invoice_id": "INV-1",
    "bill_payer_account_id": "999900000000",
    "line_item_currency_code": "USD",
    "line_item_line_item_description": "$0.0052 per On Demand Linux t3.nano Instance Hour",
    "line_item_line_item_type": "Usage",
    "line_item_operation": "RunInstances",
    "line_item_product_code": "AmazonEC2",
    "line_item_unblended_cost": 0.0052,
    "line_item_usage_account_id": "111100000000",
    "line_item_usage_amount": 1.0,
    "line_item_usage_end_date": datetime(2026, 1, 10, 1),
    "line_item_usage_start_date": datetime(2026, 1, 10),
    "line_item_usage_type": "BoxUsage:t3.nano",
}


def line(**columns: Any) -> dict[str, Any]:
    """Make a line of usage that says otherwise only what a test is about."""
    return {**USAGE, **columns}


def table(lines: Sequence[Line], drop: Sequence[str] = ()) -> pl.DataFrame:
    """Give CUR 2.0 columns their types: doubles, timestamps in milliseconds, maps, and text."""
    names = [name for name in dict.fromkeys(name for one in lines for name in one) if name not in drop]
    types: dict[str, Any] = {}
    for name in names:
        example = next((one[name] for one in lines if one.get(name) is not None), None)
        match example:
            case float() | int():
                types[name] = pl.Float64
            case datetime():
                types[name] = pl.Datetime("ms")
            case dict():
                types[name] = TAGS
            case _:
                types[name] = pl.String
    columns = {name: [_cell(one.get(name)) for one in lines] for name in names}
    pairs = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
    raw: dict[str, Any] = {name: pairs if dtype == TAGS else dtype for name, dtype in types.items()}
    frame = pl.DataFrame(columns, schema=raw)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in types.items())


def _cell(value: Any) -> Any:
    return [{"key": key, "value": item} for key, item in value.items()] if isinstance(value, dict) else value


def csv_text(lines: Sequence[Line], header: Callable[[str], str] = lambda name: name) -> str:
    """Write lines as AWS writes CSV: ISO timestamps with Z, blank for null, maps as JSON."""
    names = list(dict.fromkeys(name for one in lines for name in one))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([header(name) for name in names])
    writer.writerows([_text(one.get(name)) for name in names] for one in lines)
    return out.getvalue()


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case dict():
            return json.dumps(value)
        case _:
            return str(value)


def slash(name: str) -> str:
    """Name a column as a legacy CSV does; names that have a slash already are tags."""
    if "/" in name:
        return name
    group = next(group for group in GROUPS if name.startswith(f"{group}_"))
    words = name.removeprefix(f"{group}_").split("_")
    column = "".join("ARN" if word == "arn" else word.capitalize() for word in words)
    return f"{GROUPS[group]}/{column}"


def write(path: Path, lines: Sequence[Line], header: Callable[[str], str] = lambda name: name) -> Path:
    """Write one data file in the format its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table(lines).write_parquet(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(csv_text(lines, header).encode()))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../../etc/passwd.csv", csv_text(lines, header))
    else:
        path.write_text(csv_text(lines, header))
    return path


def data_export(
    root: Path,
    *files: Sequence[Line],
    execution: str = "execution-1",
    delivery: str = "",
    suffix: str = "snappy.parquet",
    key: str = "BILLING_PERIOD",
    month: str = "2026-01",
) -> Path:
    """Deliver a month of a CUR 2.0 export named `prod`; with `delivery` in the create-new layout."""
    period = f"{key}={month}" + (f"/{delivery}" if delivery else "")
    names = [f"data/{period}/prod-{number:05d}.{suffix}" for number in range(1, len(files) + 1)]
    for name, lines in zip(names, files, strict=True):
        write(root / name, lines)
    manifest = root / f"metadata/{period}/prod-Manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    listed = [f"s3://acme-billing/exports/{name}" for name in names]
    manifest.write_text(json.dumps({"executionId": execution, "exportArn": "arn:aws:x", "dataFiles": listed}))
    return manifest


def legacy_report(
    root: Path, *files: Sequence[Line], assembly: str = "assembly-1", overwrite: bool = False, suffix: str = "csv.gz"
) -> Path:
    """Deliver January 2026 of a legacy report named `report`."""
    period = "report/20260101-20260201"
    folder = period if overwrite else f"{period}/{assembly}"
    keys = [f"{folder}/report-{number}.{suffix}" for number in range(1, len(files) + 1)]
    for key, lines in zip(keys, files, strict=True):
        write(root / key, lines, slash)
    text = json.dumps({"assemblyId": assembly, "reportKeys": [f"prefix/{key}" for key in keys]})
    manifest = root / period / "report-Manifest.json"
    manifest.write_text(text)
    if not overwrite:
        (root / folder / "report-Manifest.json").write_text(text)
    return manifest
