"""S3 over HTTP: a moto server on this machine."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.response import StreamingBody
from pytest_httpserver import HTTPServer

from connectors.aws_cur import AwsCur
from models.errors import BadInput, BadSettings, Refused
from pipelines.ledger.load import load
from pipelines.ledger.tables import Ledger
from tests.connectors.bills import data_export, legacy_report, line, write

pytestmark = pytest.mark.pipeline

WHERE = "s3://acme-billing/exports"
DATA = "exports/data/BILLING_PERIOD=2026-01/prod-00001.snappy.parquet"
Requests = list[tuple[str, str, str]]
Upload = Callable[[Path], None]


@pytest.fixture
def s3(source: Callable[..., AwsCur], s3_server: str) -> Callable[..., AwsCur]:
    return lambda where=WHERE, **options: source(where, endpoint_url=s3_server, **options)


def many(count: int = 3000) -> list[Any]:
    return [line(line_item_resource_id=f"i-{number * 7919:017x}") for number in range(count)]


def data_gets(requests: Requests) -> list[str]:
    return [span for method, path, span in requests if method == "GET" and ".parquet" in path]


@pytest.mark.parametrize("deliver", [data_export, legacy_report])
def test_a_bill_is_landed_whole_and_verified(
    tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur], deliver: Callable[..., Path]
) -> None:
    deliver(tmp_path / "bucket", [line()], many())
    if deliver is legacy_report:  # its manifest names keys of the bucket, prefix included
        for manifest in (tmp_path / "bucket").rglob("*-Manifest.json"):
            manifest.write_text(manifest.read_text().replace("prefix/", "exports/"))
    upload(tmp_path / "bucket")
    received: list[int] = []
    aws = s3(received=received)
    (version,) = aws.versions()
    landed = aws.fetch(version)
    assert aws.totals(landed).lines == 3001
    assert sum(received) == sum(file.size or 0 for file in version.files)
    assert all((tmp_path / "landing" / "aws" / "2026-01") in path.parents for path in landed.paths)
    assert not list((tmp_path / "landing").rglob("*.part"))


def test_an_unchanged_manifest_fetches_no_data(
    tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur], requests: Requests
) -> None:
    data_export(tmp_path / "bucket", many(10))
    upload(tmp_path / "bucket")
    first = s3()
    (version,) = first.versions()
    assert data_gets(requests) == []
    first.fetch(version)
    assert len(data_gets(requests)) == 1
    again = s3()
    assert again.versions()[0].fingerprint == version.fingerprint
    again.fetch(version)
    assert len(data_gets(requests)) == 1


def test_a_restated_month_is_fetched_anew(tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur]) -> None:
    data_export(tmp_path / "bucket", many(10))
    upload(tmp_path / "bucket")
    aws = s3()
    (old,) = aws.versions()
    assert aws.totals(aws.fetch(old)).lines == 10
    data_export(tmp_path / "bucket", many(11), execution="execution-2")
    upload(tmp_path / "bucket")
    (new,) = aws.versions()
    assert new.fingerprint != old.fingerprint
    assert aws.totals(aws.fetch(new)).lines == 11


def test_a_download_resumes_where_it_stopped(
    tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur], requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_export(tmp_path / "bucket", many())
    upload(tmp_path / "bucket")
    whole = StreamingBody.iter_chunks
    broken: list[bool] = []

    def break_once(self: StreamingBody, size: int) -> Iterator[bytes]:
        if broken:
            yield from whole(self, size)
            return
        broken.append(True)
        yield self.read(1000)
        raise ReadTimeoutError(endpoint_url="s3")

    monkeypatch.setattr(StreamingBody, "iter_chunks", break_once)
    aws = s3()
    (version,) = aws.versions()
    assert aws.totals(aws.fetch(version)).lines == 3000
    assert data_gets(requests) == ["", "bytes=1000-"]


def test_a_download_that_never_ends_says_how_far_it_came(
    tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur], monkeypatch: pytest.MonkeyPatch
) -> None:
    data_export(tmp_path / "bucket", many())
    upload(tmp_path / "bucket")
    monkeypatch.setattr(StreamingBody, "iter_chunks", lambda self, size: iter([self.read(min(size, 100))]))
    aws = s3()
    (version,) = aws.versions()
    with pytest.raises(BadInput, match=r"the download stopped at 500 of [\d,]+ bytes\. Run again: it resumes"):
        aws.fetch(version)
    monkeypatch.undo()


@pytest.mark.parametrize("fault", ["a part of the file", "an expired credential"])
def test_a_pull_that_breaks_in_mid_run_changes_nothing_and_the_next_one_goes_on(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    upload: Upload,
    s3: Callable[..., AwsCur],
    requests: Requests,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    data_export(tmp_path / "bucket", many(10), many(20))
    upload(tmp_path / "bucket")
    ledger, aws = Ledger(str(tmp_path / "ledger")), s3()
    (version,) = aws.versions()
    load(ledger, aws, version)
    before = ledger.current_loads()
    data_export(tmp_path / "bucket", many(30), many(40), execution="execution-2")
    upload(tmp_path / "bucket")
    (version,) = aws.versions()
    send = URLLib3Session.send

    def break_off(self: URLLib3Session, request: Any) -> Any:
        answer = send(self, request)
        if "prod-00002" in request.url and fault == "an expired credential":
            body = "<Error><Code>ExpiredToken</Code><Message>canary-secret has expired</Message></Error>"
            answer = AWSResponse(request.url, 400, {"Content-Type": "application/xml"}, None)  # type: ignore[arg-type]
            answer._content = body.encode()  # type: ignore[attr-defined]  # noqa: SLF001 - as botocore's own recorder
        return answer

    with monkeypatch.context() as broken:
        broken.setattr(URLLib3Session, "send", break_off)
        if fault == "a part of the file":
            broken.setattr(StreamingBody, "iter_chunks", lambda self, size: iter([self.read(min(size, 100))]))
        with pytest.raises(BadInput, match=r"prod-0000[12].*(ExpiredToken|the download stopped at 500)") as error:
            load(ledger, aws, version)
    assert "canary-secret" not in str(error.value)
    assert ledger.current_loads().equals(before)
    requests.clear()
    load(ledger, s3(), version)
    assert ledger.current_loads()["lines_loaded"].item() == 70
    # What had landed is not fetched again.
    assert len(data_gets(requests)) == (1 if fault == "an expired credential" else 2)


def test_bytes_that_differ_from_the_stated_checksum_are_thrown_away(
    tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur], monkeypatch: pytest.MonkeyPatch
) -> None:
    data_export(tmp_path / "bucket", many(10))
    upload(tmp_path / "bucket")
    monkeypatch.setattr(StreamingBody, "iter_chunks", lambda self, _: iter([self.read()[::-1]]))
    aws = s3()
    (version,) = aws.versions()
    with pytest.raises(BadInput, match="checksum differs from what S3 states"):
        aws.fetch(version)
    assert not [path for path in (tmp_path / "landing").rglob("*") if path.is_file()]


def test_an_object_that_was_put_in_parts_is_taken_though_its_checksum_is_that_of_its_parts(
    tmp_path: Path, upload: Upload, bucket: Any, s3: Callable[..., AwsCur]
) -> None:
    data_export(tmp_path / "bucket", many())
    upload(tmp_path / "bucket")
    in_parts = TransferConfig(multipart_threshold=1)
    bucket.upload_file(str(tmp_path / "bucket" / DATA.removeprefix("exports/")), DATA, Config=in_parts)
    aws = s3()
    (landed,) = [aws.fetch(version) for version in aws.versions()]
    assert aws.totals(landed).lines == 3000


def test_a_truncated_object_is_damaged(tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur]) -> None:
    data_export(tmp_path / "bucket", many(10))
    data = tmp_path / "bucket" / DATA.removeprefix("exports/")
    data.write_bytes(data.read_bytes()[:-10])
    upload(tmp_path / "bucket")
    aws = s3()
    (version,) = aws.versions()
    with pytest.raises(BadInput, match=r"prod-00001\.snappy\.parquet: the file is damaged"):
        aws.totals(aws.fetch(version))


def test_a_listed_object_that_is_missing_is_named(
    tmp_path: Path, upload: Upload, bucket: Any, s3: Callable[..., AwsCur]
) -> None:
    data_export(tmp_path / "bucket", many(10))
    upload(tmp_path / "bucket")
    bucket.Object(DATA).delete()
    aws = s3()
    with pytest.raises(BadInput, match=r"lists 's3://acme-billing/exports/data/.*', which is not there"):
        aws.fetch(aws.versions()[0])


@pytest.mark.parametrize("replaced", ["manifest", "data"])
def test_a_delivery_that_changes_while_it_is_fetched_is_an_error(
    tmp_path: Path, upload: Upload, bucket: Any, s3: Callable[..., AwsCur], replaced: str
) -> None:
    manifest = data_export(tmp_path / "bucket", many(10))
    upload(tmp_path / "bucket")
    aws = s3()
    (version,) = aws.versions()
    if replaced == "manifest":
        key = f"exports/{manifest.relative_to(tmp_path / 'bucket').as_posix()}"
        bucket.Object(key).put(Body=manifest.read_text().replace("execution-1", "execution-2"))
    else:
        bucket.Object(DATA).put(Body=b"newer")
    with pytest.raises(BadInput, match=r"changed while reading\. Run again"):
        aws.fetch(version)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("s3://acme-billing/exports/../secrets.parquet", "would leave the landing folder"),
        ("s3://acme-billing/exports//etc/passwd", "would leave the landing folder"),
        ("s3://other-bucket/exports/data.parquet", "is in another bucket"),
        ("s3://acme-billing/payroll/data.parquet", "is outside s3://acme-billing/exports/"),
    ],
)
def test_a_manifest_cannot_reach_outside_the_location(
    tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur], key: str, problem: str
) -> None:
    data_export(tmp_path / "bucket", many(10)).write_text(json.dumps({"executionId": "e", "dataFiles": [key]}))
    upload(tmp_path / "bucket")
    aws = s3()
    with pytest.raises(Refused, match=problem):
        aws.fetch(aws.versions()[0])


def test_a_single_object_is_fetched_once(
    tmp_path: Path, upload: Upload, s3: Callable[..., AwsCur], requests: Requests
) -> None:
    write(tmp_path / "bucket/one.parquet", many(5))
    write(tmp_path / "bucket/two.parquet", many(5))
    upload(tmp_path / "bucket")
    aws = s3(f"{WHERE}/one.parquet")
    (version,) = aws.versions()
    assert [file.name for file in version.files] == ["one.parquet"]
    assert aws.totals(aws.fetch(version)).lines == 5
    assert s3(f"{WHERE}/one.parquet").versions() == [version]
    assert len(data_gets(requests)) == 1


def test_a_bucket_that_is_not_there_says_so(bucket: Any, s3: Callable[..., AwsCur]) -> None:
    assert bucket.name == "acme-billing"
    with pytest.raises(BadInput, match=r"s3://nobody/x/: there is no such object or bucket"):
        s3("s3://nobody/x").versions()


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (403, r"access denied \(AccessDenied\)\. Allow s3:ListBucket"),
        (503, r"S3 asks to slow down \(SlowDown\)\. Run again later"),
        (500, "S3 answers 500 InternalError"),
    ],
)
def test_an_answer_of_s3_is_explained_without_credentials(
    source: Callable[..., AwsCur],
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    problem: str,
) -> None:
    code = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}[status]
    answer = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    httpserver.expect_request(re.compile(".*")).respond_with_data(answer, status, content_type="application/xml")
    with monkeypatch.context() as patched:
        patched.setattr("time.sleep", lambda _: None)
        with pytest.raises(BadInput, match=problem) as error:
            source(WHERE, endpoint_url=httpserver.url_for("")).versions()
    assert "canary-secret" not in str(error.value)
    # What may pass is asked for again, a bounded number of times.
    assert len(httpserver.log) == (1 if status == 403 else 5)


def test_a_profile_that_is_not_there_is_a_wrong_setting(bucket: Any, s3: Callable[..., AwsCur]) -> None:
    assert bucket.name == "acme-billing"
    with pytest.raises(BadSettings, match="nobody"):
        s3(profile="nobody").versions()
