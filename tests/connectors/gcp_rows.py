"""Rows of Google's billing export, written to the files that exports come in."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from tests.connectors.fake_bigquery import FakeBigQuery

Row = dict[str, Any]
KEY_VALUE: Final = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
INSTANT: Final = pa.timestamp("us", tz="UTC")


def _record(*names: str, **typed: pa.DataType) -> pa.DataType:
    return pa.struct([*((name, pa.string()) for name in names), *typed.items()])


# The detailed export as BigQuery writes it to Parquet; the standard one has no `resource`.
SCHEMA: Final = pa.schema(
    {
        "billing_account_id": pa.string(),
        "service": _record("id", "description"),
        "sku": _record("id", "description"),
        "usage_start_time": INSTANT,
        "usage_end_time": INSTANT,
        "project": _record("id", "number", "name", labels=KEY_VALUE),
        "labels": KEY_VALUE,
        "system_labels": KEY_VALUE,
        "tags": pa.list_(_record("key", "value", "namespace", inherited=pa.bool_())),
        "location": _record("location", "country", "region", "zone"),
        "resource": _record("name", "global_name"),
        "subscription": _record("instance_id"),
        "export_time": INSTANT,
        "cost": pa.float64(),
        "currency": pa.string(),
        "currency_conversion_rate": pa.float64(),
        "usage": _record("unit", "pricing_unit", amount=pa.float64(), amount_in_pricing_units=pa.float64()),
        "credits": pa.list_(_record("name", "full_name", "id", "type", amount=pa.float64())),
        "invoice": _record("month", "publisher_type"),
        "cost_type": pa.string(),
        "adjustment_info": _record("id", "description", "mode", "type"),
        "cost_at_list": pa.float64(),
        "cost_at_list_consumption_model": pa.decimal128(38, 9),
        "consumption_model": _record("id", "description"),
    }
)
USAGE: Final[Mapping[str, Any]] = {
    "billing_account_id": "0123AB-456789-CDEF01",
    "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
    "sku": {"id": "CORE", "description": "A3 Instance Core running in Americas"},
    "usage_start_time": "2026-01-10T08:00:00Z",
    "usage_end_time": "2026-01-10T09:00:00Z",
    "project": {"id": "acme-train", "number": "42", "name": "Acme Train", "labels": []},
    "labels": [],
    "system_labels": [],
    "tags": [],
    "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": "us-central1-a"},
    "resource": None,
    "subscription": None,
    "export_time": "2026-01-10T15:00:00Z",
    "cost": 2.5,
    "currency": "USD",
    "currency_conversion_rate": 1.0,
    "usage": {"amount": 7200.0, "unit": "seconds", "amount_in_pricing_units": 2.0, "pricing_unit": "hour"},
    "credits": [],
    "invoice": {"month": "202601", "publisher_type": "GOOGLE"},
    "cost_type": "regular",
    "adjustment_info": None,
    "cost_at_list": 3.0,
    "consumption_model": None,
}


def row(**columns: Any) -> Row:
    """Make a row of usage that says otherwise only what a test is about."""
    return {**USAGE, **columns}


def line(**columns: Any) -> Row:
    """Make a row whose labels may be said as a mapping."""
    labels = columns.get("labels")
    if isinstance(labels, Mapping):
        columns["labels"] = [{"key": key, "value": value} for key, value in labels.items()]
    return row(**columns)


def write_lines(path: Path, *lines: Row) -> Path:
    """Write rows; a column that the first lacks is left out of the file."""
    return write(path, lines, drop=[name for name in USAGE if name not in lines[0]])


def credit(amount: Any, kind: str) -> Row:
    """Make a credit."""
    return {"name": kind.lower(), "amount": amount, "type": kind}


def pairs(**labels: str) -> list[Row]:
    """Make labels; `__` in a name stands for a hyphen."""
    return [{"key": key.replace("__", "-"), "value": value} for key, value in labels.items()]


def write(path: Path, rows: Sequence[Row], drop: Sequence[str] = ()) -> Path:
    """Write rows in the format that the name says; columns in `drop` are left out of the file, unknown ones kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [{name: value for name, value in one.items() if name not in drop} for one in rows]
    plain = path.name.removesuffix(".gz")
    if plain.endswith(".parquet"):
        parquet.write_table(table(kept, drop), path)
        return path
    text = _csv(kept) if plain.endswith(".csv") else _json(kept)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def table(rows: Sequence[Row], drop: Sequence[str] = ()) -> pa.Table:
    """Give rows their types."""
    unknown = {name: pa.string() for one in rows for name in one if name not in SCHEMA.names}
    schema = pa.schema([*(field for field in SCHEMA if field.name not in drop), *unknown.items()])
    return pa.Table.from_pylist([_typed({**USAGE, **one}) for one in rows], schema)


def _typed(row: Row) -> Row:
    times = [name for name in row if name.endswith("_time")]
    return {**row, **{name: pa.scalar(row[name]).cast(INSTANT).as_py() for name in times if row[name]}}


def _json(rows: Sequence[Row]) -> str:
    """Write as BigQuery does: what is null is left out."""
    return "".join(json.dumps(_filled(row)) + "\n" for row in rows)


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner) for key, inner in value.items() if inner is not None}
    return value


def _csv(rows: Sequence[Row]) -> str:
    """Write dotted names, repeated records as JSON."""
    flat = [_flat(row) for row in rows]
    header = list(dict.fromkeys(name for one in flat for name in one))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([one.get(name, "") for name in header] for one in flat)
    return out.getvalue()


def _flat(row: Row) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in row.items():
        inner = {f"{name}.{key}": cell for key, cell in value.items()} if isinstance(value, dict) else {name: value}
        for key, cell in inner.items():
            if cell is not None:
                flat[key] = json.dumps(cell) if isinstance(cell, list) else str(cell)
    return flat


NEWEST: Final = 1_769_760_000_000_000  # 2026-01-30 08:00 UTC, in microseconds


def fake_table(name: str) -> FakeBigQuery:
    """Give a BigQuery that holds 25 rows of one partition in one table, which cost 0, 1, 2 … dollars."""
    resource = {
        "tableReference": dict(zip(("projectId", "datasetId", "tableId"), name.split("."), strict=True)),
        "type": "TABLE",
        "location": "EU",
        "schema": {"fields": [described(field) for field in SCHEMA]},
    }
    rows = table([{"cost": float(number)} for number in range(25)])
    return FakeBigQuery(resource, rows, [("2026-01-30", "202601", str(NEWEST), 25)])


def described(field: pa.Field) -> dict[str, Any]:
    dtype, mode = field.type, "NULLABLE"
    if pa.types.is_list(dtype):
        dtype, mode = dtype.value_type, "REPEATED"
    if pa.types.is_struct(dtype):
        return {"name": field.name, "type": "RECORD", "mode": mode, "fields": [described(one) for one in dtype]}
    return {"name": field.name, "type": "STRING", "mode": mode}
