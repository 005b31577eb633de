from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import boto3
import pytest

from tests.pipelines.conftest import AUGUST, JULY, Company
from tests.pipelines.orchestration.moto_process import moto_process

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.pipeline

# Where the sample's manifests say its files are.
BILLS = "meridian-billing"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Server:
    """S3 over HTTP, and its log of requests."""

    url: str
    log: Path

    def asked(self, method: str, name: str, since: int = 0) -> list[str]:
        """Give the paths in the bucket of bills that a method asked for."""
        log = unquote(self.log.read_text()[since:])
        return [path.split("?")[0] for path in re.findall(rf'"{method} /{BILLS}/(\S*{name}\S*) HTTP', log)]

    @property
    def now(self) -> int:
        """Give the place in the log where later requests begin."""
        return len(self.log.read_text())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("moto") / "requests.log"
    with moto_process(log) as url:
        yield Server(url, log)


@pytest.fixture
def s3(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    """An empty bucket for bills and one for the ledger."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1")
    for bucket in (BILLS, "ledger"):
        client.create_bucket(Bucket=bucket)
    yield client
    for bucket in (BILLS, "ledger"):
        for item in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
        client.delete_bucket(Bucket=bucket)
    client.close()


def upload(s3: S3Client, company: Company) -> None:
    """Put the bills where the company's manifests say they are."""
    bills = company.folder / "bills"
    for path in sorted(path for path in bills.rglob("*") if path.is_file()):
        s3.upload_file(str(path), BILLS, f"exports/{path.relative_to(bills)}")


def at(folder: Path, server: Server, **changed: Any) -> Company:
    """Configure a company whose bills are in the bucket."""
    source = {"name": "aws", "type": "aws_cur", "location": f"s3://{BILLS}/exports", "endpoint_url": server.url}
    return Company(folder).configure(sources=[source], **changed)


def test_bills_are_pulled_once_and_a_restated_month_is_replaced_whole(
    company: Company, server: Server, s3: S3Client, tmp_path: Path
) -> None:
    bills = Company(tmp_path / "bills").bill(deliveries=1)
    upload(s3, bills)
    remote = at(tmp_path / "remote", server)
    remote.run()
    assert len(server.asked("GET", "parquet")) == 2
    first = remote.load_ids()

    start = server.now
    answer = remote.apportion("run")
    assert "Nothing changed" in answer.said
    assert server.asked("GET", "Manifest.json", start)
    assert server.asked("GET", "parquet", start) == []

    upload(s3, bills.bill(deliveries=2))
    start = server.now
    remote.run()
    (fetched,) = server.asked("GET", "parquet", start)
    assert "BILLING_PERIOD=2026-08" in fetched
    assert remote.load_ids()["aws", JULY] == first["aws", JULY]
    assert remote.load_ids()["aws", AUGUST] != first["aws", AUGUST]
    assert remote.marts() == company.marts()
    assert (remote.home / "landing").is_dir()


def test_a_ledger_on_s3_gives_the_marts_of_one_on_disk(
    company: Company, server: Server, s3: S3Client, tmp_path: Path
) -> None:
    upload(s3, company)
    options = {"aws_endpoint_url": server.url, "aws_allow_http": "true", "aws_region": "us-east-1"}
    remote = at(tmp_path / "remote", server, ledger="s3://ledger/apportion", ledger_options=options)
    remote.run()
    assert remote.marts() == company.marts()
    assert not (remote.home / "ledger").exists()
    assert s3.list_objects_v2(Bucket="ledger", Prefix="apportion/charges/_delta_log/")["KeyCount"]
    before = remote.versions()
    assert "Nothing changed" in remote.apportion("run").said
    remote.run("--rebuild")
    assert (remote.versions(), remote.marts()) == (before, company.marts())


@pytest.mark.usefixtures("s3")
def test_what_s3_refuses_is_said_without_the_secret(server: Server, tmp_path: Path) -> None:
    source = {"name": "aws", "type": "aws_cur", "location": "s3://nobodys/exports", "endpoint_url": server.url}
    remote = Company(tmp_path / "remote").configure(sources=[source])
    answer = remote.apportion("run")
    assert answer.status == 1
    assert "refused: aws: s3://nobodys/exports/: there is no such object or bucket (NoSuchBucket)" in answer.said
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in answer.said
