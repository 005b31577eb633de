"""Bills as AWS lays them out, written line by line, and an S3 to put them in."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import boto3
import polars as pl
import pytest
from botocore.httpsession import URLLib3Session
from moto.server import ThreadedMotoServer

from connectors.aws_cur import AwsCur
from connectors.source import Totals
from models.facts import CHARGES, Fact, schema

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
    raw = {name: pairs if dtype == TAGS else dtype for name, dtype in types.items()}
    return pl.DataFrame(columns, schema=raw).cast(types)


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


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., AwsCur]:
    """Make a source that lands in a folder of this test."""

    def make(location: object, **options: Any) -> AwsCur:
        received: list[int] = options.pop("received", [])
        chosen = AwsCur.Options(location=str(location), **options)
        return AwsCur("aws", chosen, tmp_path / "landing", received.append)

    return make


@pytest.fixture
def read(source: Callable[..., AwsCur]) -> Callable[..., tuple[pl.DataFrame, Totals]]:
    """Read the one version of a location, all the way."""

    def read_all(location: object, **options: Any) -> tuple[pl.DataFrame, Totals]:
        aws = source(location, **options)
        (version,) = aws.versions()
        landed = aws.fetch(version)
        totals = aws.totals(landed)
        frames = [frame.collect() for frame in aws.read(landed)[Fact.CHARGES]]
        whole = pl.DataFrame(schema=schema(CHARGES))
        return pl.concat([whole, *frames], how="diagonal"), totals

    return read_all


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run an S3 that speaks HTTP on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give an empty bucket `acme-billing`; only this machine can be reached."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "canary-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    found = boto3.resource("s3", endpoint_url=s3_server).create_bucket(Bucket="acme-billing")
    yield found
    found.objects.all().delete()
    found.delete()


@pytest.fixture
def upload(bucket: Any) -> Callable[[Path], None]:
    """Put a folder under `exports/` in the bucket."""

    def put(folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                bucket.upload_file(str(path), f"exports/{path.relative_to(folder).as_posix()}")

    return put


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Record every request as (method, path, range)."""
    seen: list[tuple[str, str, str]] = []
    send = URLLib3Session.send

    def record(self: URLLib3Session, request: Any) -> Any:
        span = request.headers.get("Range", b"")
        path = request.url.partition("?")[0].partition("//")[2].partition("/")[2]
        seen.append((request.method, path, span.decode() if isinstance(span, bytes) else span))
        return send(self, request)

    monkeypatch.setattr(URLLib3Session, "send", record)
    return seen


NOW: Final = datetime(2026, 2, 3, tzinfo=UTC)
