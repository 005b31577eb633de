from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer

from models.errors import ApportionError
from pipelines.definitions import definitions
from pipelines.orchestration.assets import Progress, run_in_process
from pipelines.orchestration.close import GATES, close
from pipelines.orchestration.notify import news, send, without_secrets
from pipelines.settings import Settings
from tests.orchestration.conftest import QUIET, Ran, configure, look

pytestmark = pytest.mark.pipeline

CANARY = "canary-4f9d2c-secret"


@pytest.fixture
def after(ran: Ran, tmp_path: Path) -> Path:
    return shutil.copytree(ran.folder, tmp_path / "after", symlinks=True)


def requested(tick: Any) -> list[dg.RunRequest]:
    assert tick.run_requests, tick.skip_message
    return list(tick.run_requests)


def skipped(tick: Any) -> str:
    assert not tick.run_requests
    return str(tick.skip_message)


def hook(httpserver: HTTPServer, status: int = 200) -> list[str]:
    """Give an apprise address of a server here, with a secret in it."""
    httpserver.expect_request("/hook", method="POST").respond_with_data("", status=status)
    return [f"json://user:{CANARY}@127.0.0.1:{httpserver.port}/hook"]


def messages(httpserver: HTTPServer) -> list[dict[str, str]]:
    return [request.get_json() for request, _ in httpserver.log]


def test_new_months_start_one_run_and_the_cursor_survives_a_restart(
    company: Path, instance: dg.DagsterInstance
) -> None:
    tick = look(company, "new_bills", instance)
    (request,) = requested(tick)
    assert request.tags["dagster/asset_partition_range_start"] == "2026-07"
    assert request.tags["dagster/asset_partition_range_end"] == "2026-09"
    again = look(company, "new_bills", instance, tick.cursor)
    assert "started for this already" in skipped(again)


def test_after_the_run_that_was_asked_for_nothing_is_new(ran: Ran, instance: dg.DagsterInstance) -> None:
    assert skipped(look(ran.folder, "new_bills", instance)) == "Nothing changed."


def test_changed_rules_start_a_run_without_the_sources(after: Path, instance: dg.DagsterInstance) -> None:
    configure(after, dimensions={"team": [{"tag": "cost-center"}]})
    (request,) = requested(look(after, "new_bills", instance))
    assert "dagster/asset_partition_range_start" not in request.tags
    chosen = {key.path[0] for key in request.asset_selection or ()}
    assert chosen >= {"ledger", "computed", "intermediate", "marts", "reports"}
    assert "sources" not in chosen


def test_a_source_that_cannot_be_listed_is_named(after: Path, instance: dg.DagsterInstance) -> None:
    shutil.rmtree(after / "bills")
    assert "aws: " in skipped(look(after, "new_bills", instance))


def test_every_day_the_open_and_the_previous_month_are_refreshed(company: Path, instance: dg.DagsterInstance) -> None:
    whole = definitions(Settings.load(company / "apportion.yaml"))
    at = datetime(2026, 1, 3, 5, tzinfo=UTC)
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=at, repository_def=whole.get_repository_def()
    )
    (request,) = requested(whole.get_repository_def().get_schedule_def("daily").evaluate_tick(context))
    assert request.tags["dagster/asset_partition_range_start"] == "2025-12"
    assert request.tags["dagster/asset_partition_range_end"] == "2026-01"


def closing(folder: Path, instance: dg.DagsterInstance, day: int) -> Any:
    whole = definitions(Settings.load(folder / "apportion.yaml"))
    at = datetime(2026, 8, day, 8, tzinfo=UTC)
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=at, repository_def=whole.get_repository_def()
    )
    return whole.get_repository_def().get_schedule_def("monthly").evaluate_tick(context)


def test_a_month_is_closed_by_the_clock_once_its_gates_hold(after: Path, instance: dg.DagsterInstance) -> None:
    settings = configure(after, closing={"coverage": 1})
    run_in_process(settings, [], Progress())
    assert "2026-07 cannot be closed yet: " in skipped(closing(after, instance, 5))
    (insisting,) = closing(after, instance, 20).run_requests
    job = definitions(settings).resolve_job_def("monthly_close")
    config = {**insisting.run_config, **QUIET}
    refused = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    assert not refused.success
    config["ops"]["close_month"]["config"] |= {"why": "the board meets", "accept": list(GATES)}
    assert job.execute_in_process(instance=instance, run_config=config).success
    assert skipped(closing(after, instance, 20)) == "2026-07 is closed."
    with pytest.raises(ApportionError, match="2026-07 was closed on"):
        close(settings, datetime(2026, 7, 1, tzinfo=UTC).date(), why="")


def test_schedules_and_sensors_wait_to_be_turned_on_unless_unattended(company: Path) -> None:
    quiet = definitions(Settings.load(company / "apportion.yaml"))
    alone = definitions(configure(company, unattended=True))
    for name in ("new_bills", "failed_runs", "odd_spending"):
        assert quiet.get_repository_def().get_sensor_def(name).default_status == dg.DefaultSensorStatus.STOPPED
        assert alone.get_repository_def().get_sensor_def(name).default_status == dg.DefaultSensorStatus.RUNNING
    for name in ("daily", "monthly"):
        assert alone.get_repository_def().get_schedule_def(name).default_status == dg.DefaultScheduleStatus.RUNNING


def test_budgets_and_odd_days_are_told_once_with_a_link(
    after: Path, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    settings = configure(after, notify=hook(httpserver), ui_url="https://dagster.acme.example/")
    assert news(settings), "the sample company breaks a budget"
    tick = look(after, "odd_spending", instance)
    (message,) = messages(httpserver)
    assert "thing" in message["title"]
    assert "Budget training, 2026-" in message["message"]
    assert "https://dagster.acme.example/assets/reports/reports_duckdb" in message["message"]
    assert CANARY not in str(message)
    assert skipped(look(after, "odd_spending", instance, tick.cursor)) == "Nothing new to tell."
    assert len(messages(httpserver)) == 1


def test_what_was_not_delivered_is_not_counted_as_told(
    after: Path, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    configure(after, notify=hook(httpserver, status=500))
    with pytest.raises(ApportionError, match=r"entry 1 of `notify` \(json://…\) did not take the message") as caught:
        look(after, "odd_spending", instance)
    assert CANARY not in str(caught.value)


def test_a_failed_run_is_told_with_a_link_and_no_secret(
    after: Path, instance: dg.DagsterInstance, httpserver: HTTPServer
) -> None:
    settings = configure(
        after,
        notify=hook(httpserver),
        invoices=str(after / "none.csv"),
        sources=[{"name": "aws", "type": "aws_cur", "location": f"s3://nobody/{CANARY}"}],
    )
    job = definitions(settings).resolve_job_def("refresh")
    everything = definitions(settings).resolve_asset_graph().get_all_asset_keys()
    keys = [key for key in everything if key.path[0] in {"staging", "intermediate", "marts"}]
    failed = job.execute_in_process(instance=instance, asset_selection=keys, run_config=QUIET, raise_on_error=False)
    assert not failed.success
    (event,) = (event for event in failed.all_events if event.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_instance=instance,
        dagster_run=failed.dagster_run,
        dagster_event=event,
        partition_key=None,
    )
    definitions(settings).get_repository_def().get_sensor_def("failed_runs")(context.for_run_failure())
    (message,) = messages(httpserver)
    assert message["title"] == "Apportion: refresh failed"
    assert "none.csv: cannot be read as CSV" in message["message"]
    assert f"http://127.0.0.1:3000/runs/{failed.run_id}" in message["message"]
    assert CANARY not in str(message)


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{CANARY}@host/path",
        f"https://host/path?X-Amz-Signature={CANARY}",
        "sk-ant-api03-abcdefghijklmnop",
        f"key {CANARY} in an error",
    ],
)
def test_secrets_are_taken_out_of_messages(text: str) -> None:
    sources = [{"name": "openai", "type": "openai", "api_key": CANARY}]
    settings = Settings.model_validate({"sources": sources})
    said = without_secrets(settings, text)
    assert CANARY not in said
    assert "sk-ant" not in said
    assert "(hidden)" in said


def test_an_address_that_nobody_knows_is_named_by_its_place() -> None:
    settings = Settings.model_validate({"notify": [f"nosuch://{CANARY}"]})
    with pytest.raises(ApportionError, match=r"entry 1 of `notify` \(nosuch://…\) is no address") as error:
        send(settings, "title", "body")
    assert CANARY not in str(error.value)
