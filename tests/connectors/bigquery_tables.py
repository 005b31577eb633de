"""Tables of the billing export in a BigQuery on this machine, and what of it stands in for the real one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from pyarrow import parquet

from connectors import gcp_aggregate
from connectors.gcp_queries import Queries
from tests.connectors.bigquery_emulator import Emulator
from tests.connectors.gcp_rows import Row

Append: TypeAlias = Callable[..., str]
STRUCTURE: Final[dict[str, Any]] = {
    "billing_account_id": "STRING",
    "service": {"id": "STRING", "description": "STRING"},
    "sku": {"id": "STRING", "description": "STRING"},
    "usage_start_time": "TIMESTAMP",
    "usage_end_time": "TIMESTAMP",
    "project": {"id": "STRING", "number": "STRING", "name": "STRING", "labels": [{"key": "STRING", "value": "STRING"}]},
    "labels": [{"key": "STRING", "value": "STRING"}],
    "system_labels": [{"key": "STRING", "value": "STRING"}],
    "location": {"location": "STRING", "country": "STRING", "region": "STRING", "zone": "STRING"},
    "resource": {"name": "STRING", "global_name": "STRING"},
    "tags": [{"key": "STRING", "value": "STRING", "inherited": "BOOLEAN", "namespace": "STRING"}],
    "subscription": {"instance_id": "STRING"},
    "export_time": "TIMESTAMP",
    "cost": "FLOAT",
    "currency": "STRING",
    "currency_conversion_rate": "FLOAT",
    "usage": {"amount": "FLOAT", "unit": "STRING", "amount_in_pricing_units": "FLOAT", "pricing_unit": "STRING"},
    "credits": [{"name": "STRING", "amount": "FLOAT", "full_name": "STRING", "id": "STRING", "type": "STRING"}],
    "invoice": {"month": "STRING", "publisher_type": "STRING"},
    "cost_type": "STRING",
    "adjustment_info": {"id": "STRING", "description": "STRING", "mode": "STRING", "type": "STRING"},
    "cost_at_list": "FLOAT",
    "consumption_model": {"id": "STRING", "description": "STRING"},
    "a_field_google_adds": "STRING",
}


def fields(structure: dict[str, Any]) -> list[bigquery.SchemaField]:
    return [
        bigquery.SchemaField(
            name,
            inner if isinstance(inner, str) else "RECORD",
            mode="REPEATED" if isinstance(inner, list) else "NULLABLE",
            fields=() if isinstance(inner, str) else fields(inner[0] if isinstance(inner, list) else inner),
        )
        for name, inner in structure.items()
    ]


def typed(field: pa.Field) -> bigquery.SchemaField:
    """Say what BigQuery calls a column's type."""
    dtype, mode = field.type, "NULLABLE"
    if pa.types.is_list(dtype):
        dtype, mode = dtype.value_type, "REPEATED"
    if pa.types.is_struct(dtype):
        return bigquery.SchemaField(field.name, "RECORD", mode=mode, fields=[typed(inner) for inner in dtype])
    names = {"string": "STRING", "double": "FLOAT", "bool": "BOOLEAN"}
    kind = "NUMERIC" if pa.types.is_decimal(dtype) else names.get(str(dtype), "TIMESTAMP")
    return bigquery.SchemaField(field.name, kind, mode=mode)


def client_of(emulator: Emulator) -> bigquery.Client:
    """Give a client of its own, with the dataset `export` there."""
    client = bigquery.Client(
        project="acme-billing",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options=ClientOptions(api_endpoint=emulator.rest),
    )
    client.create_dataset("export", exists_ok=True, timeout=20)
    return client


def load(client: bigquery.Client, name: str, rows: Sequence[Row], drop: Sequence[str] = ()) -> None:
    """Append rows to a table, which is made with the columns it then has."""
    schema = [field for field in fields(STRUCTURE) if field.name not in drop]
    client.create_table(bigquery.Table(name, schema=schema), exists_ok=True, timeout=20)
    if rows:
        text = "\n".join(json.dumps({k: v for k, v in one.items() if k not in drop}) for one in rows)
        config = bigquery.LoadJobConfig(schema=schema, source_format="NEWLINE_DELIMITED_JSON")
        client.load_table_from_file(io.BytesIO(text.encode()), name, job_config=config).result(timeout=20)


def load_parquet(client: bigquery.Client, name: str, table: pa.Table, schema: Sequence[bigquery.SchemaField]) -> None:
    """Make a table of Arrow's rows."""
    file = io.BytesIO()
    parquet.write_table(table, file)
    file.seek(0)
    client.create_table(bigquery.Table(name, schema=schema), timeout=20)
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    client.load_table_from_file(file, name, job_config=config).result(timeout=60)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do for the emulator what BigQuery does by itself.

    Its BIGNUMERIC has five decimals, and half to even makes a float; and no result of a query can be streamed. So the
    tests name more decimals, round no exact halves, and put a result into a table on its way to the stream.
    """
    monkeypatch.setattr(gcp_aggregate, "ROUNDED", "CAST({text} AS BIGNUMERIC(50, 12))")
    monkeypatch.setattr(gcp_aggregate, "WHOLE", "CAST({text} AS BIGNUMERIC(60, 22))")
    results = iter(range(1000))

    def destination(queries: Queries, sql: str, parameters: Sequence[Any]) -> bigquery.TableReference:
        queries.dry_run(sql, parameters)
        client = queries.connection.client
        config = bigquery.QueryJobConfig(query_parameters=list(parameters))
        rows = client.query(sql, job_config=config, job_retry=None).result(timeout=60)
        name = f"{queries.name}_{id(results)}_{next(results)}"
        load_parquet(client, name, rows.to_arrow(create_bqstorage_client=False), rows.schema)
        return bigquery.TableReference.from_string(name)

    monkeypatch.setattr(Queries, "destination", destination)
