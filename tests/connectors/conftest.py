"""A source over a folder of the test, and an S3 that speaks HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from botocore.httpsession import URLLib3Session
from moto.server import ThreadedMotoServer

from connectors.aws_cur import AwsCur
from connectors.gcp_billing import GcpBilling
from connectors.source import Totals
from models.facts import CHARGES, Fact, schema
from tests.connectors import bigquery_emulator
from tests.connectors.bigquery_emulator import Emulator
from tests.connectors.gcp_rows import Row


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


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run a BigQuery on this machine."""
    with bigquery_emulator.running(tmp_path_factory.mktemp("emulator") / "log") as found:
        yield found


@pytest.fixture
def append(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Append rows to this test's table, which is made with the columns it then has; its name is given back."""
    # Google's clients take a second to import, and few tests need them.
    from tests.connectors.bigquery_tables import client_of, load

    client = client_of(emulator)
    name = f"acme-billing.export.t{abs(hash(request.node.name)) % 10**9}"

    def append_to(rows: Sequence[Row], drop: Sequence[str] = ()) -> str:
        load(client, name, rows, drop)
        return name

    yield append_to
    client.delete_table(name, not_found_ok=True, timeout=20)
    client.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def open_table(emulator: Emulator, tmp_path: Path) -> Callable[..., GcpBilling]:
    """Make a source that reads a table, and lands in a folder of this test."""

    def make(table: str, on_bytes: Callable[[int], None] = lambda _: None, **options: Any) -> GcpBilling:
        chosen = GcpBilling.Options(
            table=table,
            partition_expression="DATE(export_time)",
            api_endpoint=emulator.rest,
            storage_endpoint=emulator.storage,
            **options,
        )
        return GcpBilling("gcp", chosen, tmp_path / "landing", on_bytes)

    return make
