"""Secrets are planted wherever a configuration and its environment may hold one; then all that is written is searched.

Sources fail, each in its way: unreachable, refused with what was sent, or by a mistake of ours that quotes the secret.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import stamina
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipelines.definitions import definitions
from pipelines.orchestration import assets, faults
from pipelines.orchestration.notify import send
from pipelines.redaction import hidden
from pipelines.reports.review import write_review
from pipelines.settings import Settings
from pipelines.warehouse.reader import report
from tests.pipelines.conftest import AUGUST, Company

pytestmark = pytest.mark.pipeline

ENVIRONMENT = {
    "OPENAI_ADMIN_KEY": "sk-admin-canary-openai-71c2",
    "ANTHROPIC_ADMIN_KEY": "canary-anthropic-9d3e",
    "LITELLM_KEY": "canary-litellm-55aa",
    "PROMETHEUS_TOKEN": "canary-prometheus-08fe",
    "SLACK_WEBHOOK": "canary-webhook-2b6d",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret-4e4e",
    "AWS_SESSION_TOKEN": "canary-aws-session-1f1f",
}
PASSWORD, TENANT, LOGGED = "canary-password-c0de", "canary-tenant-77bb", "canary-logged-key-3c3c"
CANARY = re.compile("canary-[a-z-]+-[0-9a-f]{4}")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(faults, "FIRST_WAIT", 0)
    stamina.set_testing(True, attempts=1)
    yield
    stamina.set_testing(False)


@pytest.fixture
def company(copied: Company, httpserver: HTTPServer) -> Company:
    """A company that ran well, to which sources are added that answer badly, each with a secret."""

    def repeat(request: Request) -> Response:
        return Response(f"refused: {dict(request.headers)} {request.url}", status=403)

    httpserver.expect_request(re.compile("/(openai|litellm).*")).respond_with_handler(repeat)
    httpserver.expect_request(re.compile("/hook.*")).respond_with_data("", status=500)
    url = httpserver.url_for("")
    logs = copied.folder / "logs"
    logs.mkdir()
    line = {"time": "2026-08-02T00:00:00Z", "model": "gpt-4o", "input": 10, "authorization": LOGGED, "team": "search"}
    (logs / "a.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    month = {"since": "2026-08-01", "until": "2026-08-03"}
    columns = {"usage_start": "time", "llm_model_id": "model", "input_tokens": "input", "team": "team"}
    return copied.configure(
        sources=[
            {"name": "aws", "type": "aws_cur", "location": "bills"},
            {"name": "gateway", "type": "generic_tokens", "location": "logs", "columns": columns},
            {"name": "openai", "type": "openai", "api_key": "${OPENAI_ADMIN_KEY}", "base_url": f"{url}openai", **month},
            {"name": "anthropic", "type": "anthropic", "api_key": "${ANTHROPIC_ADMIN_KEY}", "base_url": NOWHERE}
            | month,
            {
                "name": "gpus",
                "type": "prometheus",
                "url": NOWHERE,
                "token": "${PROMETHEUS_TOKEN}",
                "headers": {"X-Scope-OrgID": TENANT},
                "since": "2026-08-01",
            },
            {"name": "bucket", "type": "aws_cur", "location": "s3://acme/exports", "endpoint_url": f"{url}openai"},
        ],
        notify=[f"json://user:{PASSWORD}@127.0.0.1:{httpserver.port}/hook?token=${{SLACK_WEBHOOK}}"],
        aws_invoices=[{"account_id": "777700000001", "endpoint_url": NOWHERE}],
        prices={},
    )


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Give everything readable below a folder: files, members of archives, tables of databases."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        content = path.read_bytes()
        yield str(path), content.decode("utf-8", "replace")
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    yield f"{path}/{member}", archive.read(member).decode("utf-8", "replace")
        if content.startswith(b"SQLite"):
            with closing(sqlite3.connect(path)) as database:
                yield str(path), "\n".join(database.iterdump())
        if path.suffix == ".parquet":  # compressed: bytes alone would not tell
            yield str(path), str(pl.read_parquet(path).rows())


def published(company: Company) -> str:
    """Give every row of every table people query, and of the warehouse behind them."""
    with report(company.home) as connection:
        named = connection.sql("select schema_name, table_name from duckdb_tables()").fetchall()
        return "\n".join(str(connection.sql(f'from {schema}."{name}"').fetchall()) for schema, name in named)


def found(text: str) -> list[str]:
    return sorted(set(CANARY.findall(text)))


def test_no_output_holds_a_planted_secret(
    company: Company, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    # A process that was asked for JSON once goes on writing it, and other tests run in this one.
    for logger in map(logging.getLogger, ("apportion", "connectors", "apprise")):
        monkeypatch.setattr(logger, "handlers", [*logger.handlers])
        monkeypatch.setattr(logger, "propagate", logger.propagate)
    before = {path for path, _ in texts(company.folder)}
    said: dict[str, str] = {}
    for command, log in (("run", ""), ("doctor", "json"), ("split", "")):
        monkeypatch.setenv("APPORTION_LOG", log)
        answer = company.apportion(command, "--json")
        assert answer.status == (0 if command == "split" else 1), answer.said
        said[command] = answer.out + answer.said
    assert "403" in said["run"]
    assert all(f'"{name}"' in said["run"] for name in ("openai", "anthropic", "gpus", "bucket"))
    write_review(company.settings, AUGUST, company.home / "reports" / "2026-08")
    try:
        send(company.settings, "title", f"the key is {ENVIRONMENT['OPENAI_ADMIN_KEY']}")
    except Exception as error:  # noqa: BLE001 - whatever it is, its text is searched
        said["notify"] = str(error)
    assert "did not take the message" in said["notify"]
    said["log"] = caplog.text
    said["published"] = published(company)
    assert {name: found(text) for name, text in said.items() if found(text)} == {}
    written = {path: found(text) for path, text in texts(company.home)}
    assert {path: canaries for path, canaries in written.items() if canaries} == {}
    assert set(written) - before, "nothing was written that could be searched"


def run_under_dagster(company: Company, folder: Path) -> tuple[bool, str]:
    """Run all assets as the UI would and give the event log, its files included."""
    settings = Settings.load(company.config)
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        job = definitions(settings).resolve_job_def("refresh")
        tags = assets.month_range(AUGUST, AUGUST)
        done = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
        events = "\n".join(str(entry) for entry in instance.all_logs(done.run_id))
    return done.success, events + "\n".join(text for _, text in texts(folder))


def test_the_event_log_of_dagster_holds_none(
    company: Company, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, events = run_under_dagster(company, tmp_path / "dagster")
    assert "refused" in events
    assert "403" in events
    assert found(events) == []
    seen = capfd.readouterr()
    assert found(seen.out + seen.err) == []


def broken(*_: Any, **__: Any) -> Any:
    """Fail as a library does that quotes what it was given, with a cause that does, too."""
    try:
        raise ConnectionError(  # noqa: TRY301 - a chain of two is what is tried
            f"GET http://reader:{PASSWORD}@host/?key={ENVIRONMENT['LITELLM_KEY']}"
        )
    except ConnectionError as error:
        raise ValueError(f"headers were Bearer {ENVIRONMENT['PROMETHEUS_TOKEN']}") from error


def test_a_mistake_of_ours_that_quotes_secrets_is_told_without_them(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(assets, "refresh_reference", broken)
    company.configure(currency="USD", idle={"idle_below": 0.06})  # something to do
    answer = company.apportion("run")
    assert answer.status == 1
    assert "Traceback" in answer.said
    assert "ValueError" in answer.said
    assert "mistake of ours" in answer.said
    assert found(answer.out + answer.said) == []
    success, events = run_under_dagster(company, tmp_path / "dagster")
    assert not success
    assert "ValueError: headers were (hidden)" in events
    assert found(events) == []
    seen = capfd.readouterr()
    assert found(seen.out + seen.err) == []


def test_every_planted_secret_is_hidden_by_itself(company: Company) -> None:
    assert company.settings
    for name, value in ENVIRONMENT.items():
        if "canary" in value:
            assert found(hidden(f"{name} is {value}.")) == [], name
    assert hidden("postgres://user:pass@host/x and GOOGLE=/etc/key.json") == (
        "postgres://(hidden)@host/x and GOOGLE=/etc/key.json"
    )
