"""Prometheus as a source: a real server where there is one, and always its HTTP API as it answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import stamina
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from connectors.metric_pulls import Pace
from connectors.prometheus import Prometheus
from connectors.prometheus_series import share
from connectors.source import Totals
from models.errors import BadInput
from models.facts import FACTS, Fact, schema
from tests.connectors import prometheus_server
from tests.connectors.prometheus_server import Held, every_minute

NINE = datetime(2026, 7, 1, 9, tzinfo=UTC)
NOW = datetime(2026, 7, 2, 6, tzinfo=UTC)
BLANK = 9223372036854775794.0
EXAMPLES = Path(__file__).parents[3] / "shared" / "reference" / "tokens" / "examples"
Read = Callable[..., tuple[dict[Fact, pl.DataFrame], Totals]]


@pytest.fixture(params=["recorded", pytest.param("real", marks=pytest.mark.pipeline)])
def serve(
    request: pytest.FixtureRequest, tmp_path: Path, httpserver: HTTPServer
) -> Callable[[Held], AbstractContextManager[str]]:
    if request.param == "recorded":
        return lambda held: nullcontext(prometheus_server.recorded(held, httpserver))
    if not prometheus_server.installed():
        pytest.skip("there is no Prometheus here: put one on the PATH, or name its program in PROMETHEUS")
    (tmp_path / "server").mkdir()
    return lambda held: prometheus_server.real(held, tmp_path / "server")


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Prometheus]:
    def make(url: str, now: datetime = NOW, **options: Any) -> Prometheus:
        chosen = Prometheus.Options(url=url, since=date(2026, 7, 1), **options)
        return Prometheus("dcgm", chosen, tmp_path / "landing", lambda _: None, lambda: now)

    return make


@pytest.fixture
def read(serve: Callable[[Held], AbstractContextManager[str]], source: Callable[..., Prometheus]) -> Read:
    def read_all(held: Held, **options: Any) -> tuple[dict[Fact, pl.DataFrame], Totals]:
        with serve(held) as url:
            return everything(source(url, **options))

    return read_all


def everything(source: Prometheus) -> tuple[dict[Fact, pl.DataFrame], Totals]:
    (version,) = source.versions()
    landed = source.fetch(version)
    totals = source.totals(landed)
    found = {}
    for fact, frames in source.read(landed).items():
        whole = pl.DataFrame(schema=schema(FACTS[fact]))
        found[fact] = pl.concat([whole, *[frame.collect() for frame in frames]], how="diagonal")
        agree(fact, found[fact], totals)
    return found, totals


def agree(fact: Fact, frame: pl.DataFrame, totals: Totals) -> None:
    said = dict(totals.usage[fact])
    assert frame.height == said.pop("rows")
    for column, total in said.items():
        assert frame[column].sum() == total, column
    required = [name for name, column in FACTS[fact].items() if column.required]
    assert frame.select(required).null_count().sum_horizontal().sum() == 0


def dcgm(metric: str, samples: Any, **labels: str) -> tuple[str, dict[str, str], Any]:
    own = {"Hostname": "node-1", "UUID": "GPU-1", "gpu": "0", "modelName": "NVIDIA H100 80GB HBM3", **labels}
    return f"DCGM_FI_{metric}", own, samples


def gpu(read: Read, *held: Any, **options: Any) -> list[dict[str, Any]]:
    return read(list(held), **options)[0][Fact.GPU_UTILIZATION].sort("hour", "device").to_dicts()


def test_the_engines_activity_is_preferred_and_memory_and_tensor_cores_stand_beside(read: Read) -> None:
    (row,) = gpu(
        read,
        dcgm("PROF_GR_ENGINE_ACTIVE", every_minute(NINE, 55, 0.25)),
        dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 90)),
        dcgm("PROF_PIPE_TENSOR_ACTIVE", every_minute(NINE, 55, 0.125)),
        dcgm("DEV_FB_USED", every_minute(NINE, 55, 30)),
        dcgm("DEV_FB_FREE", every_minute(NINE, 55, 90)),
    )
    assert row["hour"] == NINE
    assert (row["resource_kind"], row["resource_name"], row["device"]) == ("node", "node-1", "GPU-1")
    assert (row["busy_fraction"], row["memory_fraction"], row["tensor_fraction"]) == (0.25, 0.25, 0.125)
    assert (row["metric"], row["accelerator"]) == ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "NVIDIA H100 80GB HBM3")
    assert (row["device_share"], row["device_count"]) == (1.0, 1)


def test_utilization_in_percent_serves_where_the_engine_is_not_measured(read: Read) -> None:
    (row,) = gpu(read, dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, *[40] * 30, 80)))
    assert row["busy_fraction"] == pytest.approx(0.6, abs=0.05)
    assert row["metric"] == "DCGM_FI_DEV_GPU_UTIL"


def test_a_gap_is_not_measured_and_a_series_that_is_absent_gives_no_row(read: Read) -> None:
    rows = gpu(read, dcgm("DEV_GPU_UTIL", every_minute(NINE, 20, 50)))
    assert len(rows) == 1
    # Prometheus goes on with the last sample for five minutes.
    assert 20 * 60 <= rows[0]["measured_seconds"] <= 25 * 60
    assert rows[0]["sample_count"] * 60 == rows[0]["measured_seconds"]


@pytest.mark.parametrize("blank", [BLANK, 2147483632.0, 140737488355328.0, float("nan"), float("inf")])
def test_a_blank_is_no_measurement(read: Read, blank: float) -> None:
    (row,) = gpu(read, dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, *[blank] * 30, 50)))
    assert row["busy_fraction"] == 0.5
    assert row["measured_seconds"] < 1900 + 300


def test_a_device_shared_by_time_slicing_is_one_row_that_names_its_pods(read: Read) -> None:
    (row,) = gpu(
        read,
        dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 80), exported_pod="b", exported_namespace="ml", pod="dcgm-x"),
        dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 80), exported_pod="a", exported_namespace="ml", pod="dcgm-x"),
    )
    assert (row["busy_fraction"], row["pod"], row["namespace"]) == (0.8, "a,b", "ml")
    assert row["measured_seconds"] <= 3600


def test_the_exporters_own_pod_holds_nothing(read: Read) -> None:
    labels = {
        "pod": "dcgm-exporter-dev-78z52",
        "namespace": "monitoring",
        "container": "exporter",
        "endpoint": "metrics",
    }
    (row,) = gpu(read, dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 80), **labels))
    assert (row["pod"], row["namespace"]) == (None, None)


def test_slices_of_a_card_carry_their_share_and_replace_the_whole(read: Read) -> None:
    rows = gpu(
        read,
        dcgm("PROF_GR_ENGINE_ACTIVE", every_minute(NINE, 55, 0.5)),
        dcgm("PROF_GR_ENGINE_ACTIVE", every_minute(NINE, 55, 1.0), GPU_I_ID="1", GPU_I_PROFILE="4g.40gb"),
        dcgm("PROF_GR_ENGINE_ACTIVE", every_minute(NINE, 55, 0.0), GPU_I_ID="2", GPU_I_PROFILE="3g.40gb"),
    )
    assert [row["device"] for row in rows] == ["GPU-1/MIG-1", "GPU-1/MIG-2"]
    assert [row["device_share"] for row in rows] == pytest.approx([4 / 7, 3 / 7])
    assert [row["busy_fraction"] for row in rows] == [1.0, 0.0]


def test_an_a30_is_cut_into_four() -> None:
    assert share("2g.12gb", "NVIDIA A30") == 0.5
    assert share("1g.10gb+me", "NVIDIA A100 80GB PCIe") == pytest.approx(1 / 7)
    assert share(None, "NVIDIA A100 80GB PCIe") is None


def test_the_newer_spelling_of_the_host_is_the_same_node(read: Read) -> None:
    held = dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 80))
    renamed = {("hostname" if key == "Hostname" else key): value for key, value in held[1].items()}
    assert gpu(read, (held[0], renamed, held[2]))[0]["resource_name"] == "node-1"


def test_a_node_is_known_by_the_machine_on_the_bill(read: Read) -> None:
    info = {"node": "node-1", "provider_id": "aws:///us-east-1a/i-0abc"}
    (row,) = gpu(
        read,
        dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 80)),
        ("kube_node_info", info, every_minute(NINE - timedelta(hours=1), 180, 1)),
    )
    assert row["resource_id"] == "i-0abc"


def test_requests_of_a_server_stand_on_the_devices_it_holds(read: Read) -> None:
    holder = {"exported_pod": "vllm-0", "exported_namespace": "serving", "pod": "dcgm-x"}
    server = {"model_name": "m", "namespace": "serving", "pod": "vllm-0"}
    (row,) = gpu(
        read,
        dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 80), **holder),
        ("vllm:num_requests_running", {**server, "engine": "0"}, every_minute(NINE, 55, 3)),
        ("vllm:num_requests_running", {**server, "engine": "1"}, every_minute(NINE, 55, 2)),
        ("vllm:num_requests_waiting", {**server, "engine": "0"}, every_minute(NINE, 55, 7)),
    )
    assert (row["requests_running"], row["requests_waiting"]) == (5.0, 7.0)


@pytest.mark.parametrize(
    ("metric", "value"), [("DEV_GPU_UTIL", 120), ("PROF_GR_ENGINE_ACTIVE", 45), ("DEV_GPU_UTIL", -1)]
)
def test_utilization_that_is_no_share_is_refused_by_row(read: Read, metric: str, value: float) -> None:
    with pytest.raises(
        BadInput, match=rf"gpu/2026-07-01\.parquet, row 2, column DCGM_FI_{metric}: {value} at 2026-07-01 09:01"
    ):
        gpu(read, dcgm(metric, every_minute(NINE, 55, 0.5, value)))


def test_a_little_more_than_all_is_all(read: Read) -> None:
    assert gpu(read, dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 100.4)))[0]["busy_fraction"] == 1.0


def vllm(metric: str, *values: float, pod: str = "vllm-0", start: datetime = NINE, **labels: str) -> Any:
    own = {"model_name": "qwen3", "engine": "0", "namespace": "serving", "pod": pod, "service": "chat", **labels}
    return f"vllm:{metric}", own, every_minute(start, len(values), *values)


def tokens(read: Read, *held: Any, **options: Any) -> list[dict[str, Any]]:
    return read(list(held), **options)[0][Fact.TOKEN_USAGE].sort("usage_start").to_dicts()


def test_counters_become_tokens_by_the_hour_and_falls_begin_at_zero(read: Read) -> None:
    (row,) = tokens(
        read,
        vllm("prompt_tokens_total", 1000, 1500, 200, 300),
        vllm("generation_tokens_total", 10, 30, 4, 5),
        vllm("request_success_total", 5, 7, 1, 2, finished_reason="stop"),
        vllm("request_success_total", 0, 1, 0, 0, finished_reason="length"),
    )
    assert (row["usage_start"], row["usage_end"]) == (NINE, NINE + timedelta(hours=1))
    assert (row["uncached_input_tokens"], row["output_tokens"], row["requests"]) == (800, 25, 5)
    assert row["cache_read_tokens"] is None
    assert (row["provider_name"], row["reported_by"], row["llm_model_id"]) == ("self_hosted", "metric", "qwen3")
    assert (row["endpoint"], dict(row["tags"])) == ("chat", {"namespace": "serving", "pod": "vllm-0"})


def test_tokens_by_source_tell_the_cached_from_the_computed(read: Read) -> None:
    (row,) = tokens(
        read,
        vllm("prompt_tokens_total", 0, 1000),
        vllm("prompt_tokens_by_source_total", 0, 100, source="local_compute"),
        vllm("prompt_tokens_by_source_total", 0, 850, source="local_cache_hit"),
        vllm("prompt_tokens_by_source_total", 0, 50, source="external_kv_transfer"),
    )
    assert (row["uncached_input_tokens"], row["cache_read_tokens"]) == (100, 900)


def test_cached_tokens_are_taken_off_the_prompts(read: Read) -> None:
    (row,) = tokens(read, vllm("prompt_tokens_total", 0, 1000), vllm("prompt_tokens_cached_total", 0, 400))
    assert (row["uncached_input_tokens"], row["cache_read_tokens"]) == (600, 400)


def scraped(name: str) -> list[tuple[str, dict[str, str], float]]:
    """Read a documented scrape: metric, labels and value of each line that has one."""
    if not EXAMPLES.exists():
        pytest.skip("the examples are not beside this checkout")
    text = json.loads((EXAMPLES / f"{name}.json").read_text())["payload"]
    lines = re.findall(r"^([\w:]+)\{(.*)\} (\S+)$", text, re.MULTILINE)
    return [(metric, dict(re.findall(r'(\w+)="([^"]*)"', said)), float(value)) for metric, said, value in lines]


@pytest.mark.real_data
def test_a_captured_scrape_of_vllm_counts_each_token_once(read: Read) -> None:
    held = [(metric, labels, every_minute(NINE, 2, 0, value)) for metric, labels, value in scraped("vllm_metrics")]
    (row,) = tokens(read, *held)
    assert (row["uncached_input_tokens"], row["cache_read_tokens"]) == (5_371_914, 92_941_632)
    assert (row["output_tokens"], row["requests"], row["llm_model_id"]) == (496_231, 803, "qwen3.8-27b")


@pytest.mark.real_data
def test_a_documented_scrape_of_dcgm_is_one_slice_that_did_nothing(read: Read) -> None:
    # The documentation leaves out the host, which every exporter says.
    held = [
        (metric, {"Hostname": "node-1", **labels}, every_minute(NINE, 55, value))
        for metric, labels, value in scraped("dcgm_exporter_metrics")
    ]
    (row,) = gpu(read, *held)
    assert (row["busy_fraction"], row["metric"]) == (0, "DCGM_FI_PROF_GR_ENGINE_ACTIVE")
    assert (row["accelerator"], row["device_share"]) == ("NVIDIA A100 80GB PCIe", pytest.approx(4 / 7))


def test_tokens_across_midnight_are_counted_once(read: Read) -> None:
    late = datetime(2026, 7, 1, 23, 58, tzinfo=UTC)
    rows = tokens(read, vllm("prompt_tokens_total", 0, 10, 100, 1000, start=late))
    assert [(row["usage_start"].hour, row["uncached_input_tokens"]) for row in rows] == [(23, 100), (0, 900)]


def pod(name: str, samples: Any, gpus: float = 2, node: str = "node-1", **labels: str) -> Any:
    asked = {"namespace": "ml", "pod": name, "node": node, "container": "main", "resource": "nvidia_com_gpu"}
    return "kube_pod_container_resource_requests", {**asked, **labels}, [(at, gpus) for at, _ in samples]


def kube(metric: str, name: str, samples: Any, **labels: str) -> Any:
    return f"kube_pod_{metric}", {"namespace": "ml", "pod": name, **labels}, samples


def jobs(read: Read, *held: Any, **options: Any) -> list[dict[str, Any]]:
    beat = kube("info", "beat", every_minute(NINE - timedelta(hours=1), 300, 1))
    return read([beat, *held], **options)[0][Fact.GPU_JOBS].sort("job_id").to_dicts()


def test_a_pod_that_asked_for_accelerators_is_a_job(read: Read) -> None:
    here = every_minute(NINE, 120, 1)
    (row,) = jobs(
        read,
        pod("train-1-abc", here),
        pod("train-1-abc", here, gpus=1, container="side"),
        kube("owner", "train-1-abc", here, owner_kind="Job", owner_name="train-1"),
        kube("labels", "train-1-abc", here, label_workload_type="Fine-tuning", label_team="search"),
        kube("status_phase", "train-1-abc", every_minute(NINE + timedelta(minutes=90), 30, 1), phase="Succeeded"),
        pod_labels={"workload": "workload-type", "team": "team"},
        cluster="prod",
    )
    assert (row["job_id"], row["resource_name"], row["accelerator_count"]) == ("ml/train-1-abc", "node-1", 3.0)
    assert (row["started_at"], row["ended_at"]) == (NINE, NINE + timedelta(minutes=90))
    assert (row["owner"], row["outcome"], row["cluster"]) == ("Job/train-1", "completed", "prod")
    assert (row["workload"], row["team"]) == ("fine_tuning", "search")
    assert dict(row["tags"]) == {"team": "search", "workload_type": "Fine-tuning"}


def test_a_pod_that_is_gone_has_ended_and_one_that_is_there_runs(read: Read) -> None:
    until = int((NOW - NINE).total_seconds() // 60)
    beat = kube("info", "beat", every_minute(NINE, until, 1))
    gone, there = jobs(read, pod("gone", every_minute(NINE, 60, 1)), pod("there", every_minute(NINE, until, 1)), beat)
    assert NINE + timedelta(minutes=60) <= gone["ended_at"] <= NINE + timedelta(minutes=65)
    assert (gone["outcome"], there["outcome"], there["ended_at"]) == (None, "running", None)


def test_a_pod_that_was_evicted_was_preempted(read: Read) -> None:
    here = every_minute(NINE, 60, 1)
    failed = kube("status_phase", "p", here[30:], phase="Failed")
    (row,) = jobs(read, pod("p", here), failed, kube("status_reason", "p", here[30:], reason="Evicted"))
    assert (row["outcome"], row["ended_at"]) == ("preempted", NINE + timedelta(minutes=30))


def test_a_pod_of_a_deployment_names_it_and_a_slice_counts_as_its_share(read: Read) -> None:
    here = every_minute(NINE, 60, 1)
    (row,) = jobs(
        read,
        pod("p", here, gpus=1, resource="nvidia_com_mig_4g_40gb"),
        kube("owner", "p", here, owner_kind="ReplicaSet", owner_name="chat-7d4b9c8f6d"),
    )
    assert (row["owner"], row["accelerator_count"]) == ("Deployment/chat", pytest.approx(4 / 7))


def test_a_pod_that_was_over_before_the_month_holds_nothing(read: Read) -> None:
    here = every_minute(NINE, 60, 1)
    assert jobs(read, pod("p", here), kube("status_phase", "p", here, phase="Succeeded")) == []


def test_a_server_without_samples_has_no_months(
    serve: Callable[[Held], AbstractContextManager[str]], source: Callable[..., Prometheus]
) -> None:
    with serve([]) as url:
        assert list(source(url).versions()) == []


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    stamina.set_testing(True, attempts=4)
    yield
    stamina.set_testing(False)


@pytest.fixture
def server(httpserver: HTTPServer) -> str:
    return prometheus_server.recorded([dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 50))], httpserver)


def fingerprints(source: Prometheus) -> list[str]:
    return [version.fingerprint for version in source.versions()]


def test_days_that_are_over_are_asked_for_once_and_the_open_one_when_it_is_old(
    server: str, httpserver: HTTPServer, source: Callable[..., Prometheus]
) -> None:
    first = fingerprints(source(server))
    asked = len(httpserver.log)
    assert fingerprints(source(server, now=NOW + timedelta(minutes=10))) == first
    assert len(httpserver.log) == asked
    assert fingerprints(source(server, now=NOW + timedelta(minutes=20))) == first
    again = [request.form["start"] for request, _ in httpserver.log[asked:]]
    assert set(again) == {f"{datetime(2026, 7, 2, tzinfo=UTC).timestamp():.0f}"}


def test_a_pull_that_was_cut_goes_on_and_ends_as_one_that_was_not(
    server: str, httpserver: HTTPServer, source: Callable[..., Prometheus], tmp_path: Path
) -> None:
    whole = fingerprints(source(server))
    (tmp_path / "landing").rename(tmp_path / "undisturbed")
    held = [dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 50))]
    answered = []

    def dies(request: Request) -> Response:
        answered.append(request)
        return prometheus_server.answer(held, request) if len(answered) < 20 else Response("", 400)

    httpserver.clear()
    httpserver.expect_request("/api/v1/query_range").respond_with_handler(dies)
    with pytest.raises(BadInput, match="Prometheus answers 400"):
        source(server, max_concurrent=1).versions()
    kept = sorted(path.name for path in (tmp_path / "landing").rglob("*.parquet"))
    prometheus_server.recorded(held, httpserver)
    assert kept
    assert fingerprints(source(server)) == whole


def test_long_ranges_are_cut_into_as_many_points_as_prometheus_gives(
    server: str, httpserver: HTTPServer, source: Callable[..., Prometheus]
) -> None:
    source(server, step_seconds=5).versions()
    forms = [request.form for request, _ in httpserver.log]
    points = [(int(form["end"]) - int(form["start"])) // int(form["step"]) + 1 for form in forms]
    assert 8000 < max(points) <= 11_000


def test_requests_keep_their_distance_and_are_so_many_at_once() -> None:
    pace = Pace(2, 0.05)
    began: list[float] = []
    running: list[None] = []

    def asks(_: int) -> int:
        with pace.turn():
            began.append(time.monotonic())
            running.append(None)
            time.sleep(0.15)
            at_once = len(running)
            running.pop()
            return at_once

    with ThreadPoolExecutor(6) as pool:
        assert max(pool.map(asks, range(6))) <= 2
    assert min(later - first for first, later in pairwise(sorted(began))) >= 0.045


def test_what_passes_by_itself_is_tried_again_and_what_does_not_is_not(
    httpserver: HTTPServer, source: Callable[..., Prometheus]
) -> None:
    held = [dcgm("DEV_GPU_UTIL", every_minute(NINE, 55, 50))]
    faults = [429, 503, 500]

    def answer(request: Request) -> Response:
        return Response("", faults.pop()) if faults else prometheus_server.answer(held, request)

    httpserver.expect_request("/api/v1/query_range").respond_with_handler(answer)
    url = httpserver.url_for("").rstrip("/")
    assert len(fingerprints(source(url, max_concurrent=1))) == 1
    httpserver.clear()
    httpserver.expect_request("/api/v1/query_range").respond_with_data("no", status=401)
    with pytest.raises(BadInput, match=r"401.*Set `token` or `headers`"):
        source(url, step_seconds=30, max_concurrent=1).versions()
    # Others may have begun before the first came back, but none is asked for twice.
    asked = [tuple(sorted(request.form.items())) for request, _ in httpserver.log]
    assert len(set(asked)) == len(asked) > 0


@pytest.mark.parametrize("body", ["<html>", "{}", '{"status":"success","data":{"resultType":"vector","result":[]}}'])
def test_an_answer_of_something_else_is_refused(
    httpserver: HTTPServer, source: Callable[..., Prometheus], body: str
) -> None:
    httpserver.expect_request("/api/v1/query_range").respond_with_data(body)
    with pytest.raises(BadInput, match=r"is none of Prometheus'.*Check that `url`"):
        source(httpserver.url_for("")).versions()


def test_secrets_are_sent_and_never_shown(
    httpserver: HTTPServer, source: Callable[..., Prometheus], tmp_path: Path
) -> None:
    httpserver.expect_request("/api/v1/query_range").respond_with_data("no", status=403)
    options = {"token": "canary-token", "headers": {"X-Scope-OrgID": "canary-tenant"}, "max_concurrent": 1}
    prometheus = source(httpserver.url_for(""), **options)
    with pytest.raises(BadInput) as raised:
        prometheus.versions()
    request, _ = httpserver.log[0]
    assert request.headers["Authorization"] == "Bearer canary-token"
    assert request.headers["X-Scope-OrgID"] == "canary-tenant"
    shown = [str(raised.value), repr(raised.value), repr(prometheus), repr(prometheus._options)]  # noqa: SLF001
    assert not [text for text in shown if "canary" in text]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]
    with pytest.raises(ValueError, match="without a user") as bad:
        Prometheus.Options(url="http://me:canary@host:9090")
    assert "canary" not in str(bad.value)


@pytest.mark.pipeline
def test_a_month_the_server_has_begun_to_forget_stays_as_it_was(
    server: str, source: Callable[..., Prometheus], tmp_path: Path
) -> None:
    later = datetime(2026, 8, 2, 6, tzinfo=UTC)
    assert fingerprints(source(server, now=later, retention_days=15)) == []
    (tmp_path / "landing").rename(tmp_path / "forgotten")
    (july,) = source(server, now=later).versions()
    assert (july.billing_period, july.is_final) == (date(2026, 7, 1), True)
    assert fingerprints(source(server, now=later, retention_days=15)) == [july.fingerprint]


def test_a_damaged_file_is_named(server: str, source: Callable[..., Prometheus], tmp_path: Path) -> None:
    prometheus = source(server)
    (version,) = prometheus.versions()
    path = next(path for path in (tmp_path / "landing").rglob("2026-07-01.*.parquet") if ".0." not in path.name)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BadInput, match="the file is damaged"):
        prometheus.fetch(version)
