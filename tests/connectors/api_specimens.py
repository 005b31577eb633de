"""What the API of every connector that asks one says when nothing is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import urlsplit

from tests.connectors import prometheus_server, usage_files
from tests.connectors.prometheus_server import every_minute
from tests.connectors.specimen import AGENT, NOW, Specimen

Said = dict[str, Any]
DAY: Final = date(2026, 7, 1)
NINE: Final = datetime(2026, 7, 1, 9, tzinfo=UTC)
URL: Final = "http://api.acme.example"


def providers() -> Iterator[Specimen]:
    key = {"api_key": "sk-admin-canary-5f1c9a", "base_url": URL, "refresh_minutes": 0}
    past = {**key, "since": "2024-02-01", "until": "2024-02-02"}
    openai = {
        "/organization/costs": _buckets(
            {"amount": {"value": 0.1, "currency": "usd"}, "line_item": "gpt-5, input"},
            {"amount": {"value": "0.02", "currency": "usd"}, "line_item": "gpt-5, output", "project_id": "proj_a"},
        ),
        "/organization/usage/completions": _buckets(
            {
                "object": "organization.usage.completions.result",
                "input_tokens": 1000, "input_cached_tokens": 400, "input_cache_write_tokens": 100,
                "input_uncached_tokens": 500, "output_tokens": 50, "num_model_requests": 5,
                "project_id": "proj_a", "user_id": "user_1", "api_key_id": "key_1", "batch": False,
                "model": "gpt-5-2025-08-07", "service_tier": "default",
            }
        ),
    }  # fmt: skip
    yield from _of("openai", openai, _buckets(), past)
    anthropic = {
        "/v1/organizations/cost_report": _reports(
            {"currency": "USD", "cost_type": "tokens", "token_type": "output_tokens", "model": "claude-opus-5",
             "amount": "123.78912", "description": "Claude Opus 5 Usage - Output Tokens", "workspace_id": None}
        ),
        "/v1/organizations/usage_report/messages": _reports(
            {"uncached_input_tokens": 1500, "cache_read_input_tokens": 200, "output_tokens": 50,
             "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
             "server_tool_use": {"web_search_requests": 10}, "model": "claude-sonnet-4-20250514",
             "workspace_id": "wrkspc_1", "service_tier": "standard", "context_window": "0-200k"}
        ),
    }  # fmt: skip
    yield from _of("anthropic", anthropic, _reports(), past)
    activity = {
        "date": "2024-02-01", "model": "openai/gpt-4.1", "model_permaslug": "openai/gpt-4.1-2025-04-14",
        "endpoint_id": "550e8400", "provider_name": "OpenAI", "usage": 0.015, "byok_usage_inference": 0.012,
        "requests": 5, "prompt_tokens": 50, "completion_tokens": 125, "reasoning_tokens": 25, "cached_tokens": 10,
    }  # fmt: skip
    one_day = {**past, "until": "2024-02-01"}
    yield from _of("openrouter", {"/activity": {"data": [activity, activity]}}, {"data": []}, one_day)
    at = datetime.now(UTC) - timedelta(days=2)
    spent = [{**usage_files.litellm(number), "startTime": at.isoformat()} for number in range(3)]
    page = {"data": spent, "total": 3, "page": 1, "page_size": 100, "total_pages": 1}
    since = {**key, "since": str(at.date()), "until": str(at.date())}
    yield from _of("litellm", {"/spend/logs/v2": page}, {"data": []}, since)


def _buckets(*results: Said) -> Said:
    days = [
        {"object": "bucket", "start_time": 1706745600 + 86400 * day, "end_time": 1706832000 + 86400 * day,
         "results": list(results)}
        for day in range(2)
    ]  # fmt: skip
    return {"object": "page", "data": days, "has_more": False, "next_page": None}


def _reports(*results: Said) -> Said:
    days = [
        {"starting_at": f"2024-02-0{day}T00:00:00Z", "ending_at": f"2024-02-0{day + 1}T00:00:00Z",
         "results": list(results)}
        for day in (1, 2)
    ]  # fmt: skip
    return {"data": days, "has_more": False, "next_page": None}


def _of(kind: str, answers: Mapping[str, Said], other: Said, options: Mapping[str, Any]) -> Iterator[Specimen]:
    def answer(path: str, _: Mapping[str, str]) -> tuple[str, bytes]:
        asked = next((name for name in answers if path.endswith(name)), "")
        return f"{asked}.json", json.dumps(answers.get(asked, other)).encode()

    for name, said in answers.items():
        yield Specimen(
            kind,
            f"{name}.json",
            json.dumps(said).encode(),
            options,
            answers=answer,
            places=(urlsplit(URL).netloc, "-00001.json"),
        )


def metrics() -> Iterator[Specimen]:
    labels = {"Hostname": "node-1", "UUID": "GPU-1", "gpu": "0", "modelName": "NVIDIA H100 80GB HBM3"}
    pod = {"namespace": "ml", "pod": "train-0", "node": "node-1", "uid": "u1", "resource": "nvidia_com_gpu"}
    held = [
        ("DCGM_FI_DEV_GPU_UTIL", labels, every_minute(NINE, 90, 40)),
        ("DCGM_FI_DEV_FB_USED", labels, every_minute(NINE, 90, 30)),
        ("DCGM_FI_DEV_FB_FREE", labels, every_minute(NINE, 90, 50)),
        ("kube_pod_container_resource_requests", {**pod, "container": "c"}, every_minute(NINE, 90, 1)),
        ("vllm:prompt_tokens_total", {"model_name": "llama", "pod": "serve-0"}, every_minute(NINE, 90, 10, 100)),
        ("vllm:generation_tokens_total", {"model_name": "llama", "pod": "serve-0"}, every_minute(NINE, 90, 1, 20)),
    ]

    def prometheus(_: str, form: Mapping[str, str]) -> tuple[str, bytes]:
        asked = prometheus_server.answer(held, cast("Any", _Form(form)))
        metrics = re.findall(r"[a-zA-Z_:][\w:]*", form["query"])
        name = next((name for name, *_ in held if name in metrics and "count" not in metrics), "")
        return f"{name}.json", asked.get_data()

    options = {"url": URL, "since": str(DAY), "refresh_minutes": 0}
    start = str(int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()))
    form = {"start": start, "end": str(int(NOW.timestamp()) - 60), "step": "60"}
    for name, *_ in held:
        content = prometheus_server.answer(held, cast("Any", _Form({**form, "query": name}))).get_data()
        yield Specimen(
            "prometheus", f"{name}.json", content, options, answers=prometheus,
            places=("api.acme.example", "prometheus", ".parquet"),
        )  # fmt: skip
    yield from _cloudwatch()
    yield from _cloud_monitoring()


@dataclass(frozen=True)
class _Form:
    form: Mapping[str, str]


def _cloudwatch() -> Iterator[Specimen]:
    metric = {
        "Namespace": "CWAgent",
        "MetricName": "nvidia_smi_utilization_gpu",
        "Dimensions": [{"Name": "InstanceId", "Value": "i-0abc"}, {"Name": "index", "Value": "0"}],
    }
    listed: Said = {"Metrics": [metric]}
    at = [NINE.timestamp() + 300 * number for number in range(12)]
    values: Said = {
        "MetricDataResults": [{"Id": "m0", "Timestamps": at, "Values": [40.0] * 12, "StatusCode": "Complete"}],
        "Messages": [],
    }

    def answer(target: str, asked: Mapping[str, Any]) -> tuple[str, bytes]:
        if target == "ListMetrics":
            said = listed if asked["MetricName"] == metric["MetricName"] else {"Metrics": []}
        else:
            is_ours = float(asked["StartTime"]) <= at[0] < float(asked["EndTime"])
            said = values if is_ours else {"MetricDataResults": []}
        return f"{target}.json" if said in (listed, values) else "", json.dumps(said).encode()

    options = {"regions": ["us-east-1"], "since": str(DAY), "refresh_minutes": 0}
    for name, said in {"ListMetrics.json": listed, "GetMetricData.json": values}.items():
        places = ("CloudWatch", "cloudwatch", ".parquet")
        yield Specimen("cloudwatch", name, json.dumps(said).encode(), options, answers=answer, places=places)


def _cloud_monitoring() -> Iterator[Specimen]:
    points = [
        {
            "interval": {
                "startTime": (NINE + timedelta(minutes=5 * number)).isoformat(),
                "endTime": (NINE + timedelta(minutes=5 * number + 5)).isoformat(),
            },
            "value": {"doubleValue": 40.0},
        }
        for number in reversed(range(12))
    ]
    series = {
        "metric": {"type": AGENT, "labels": {"gpu_number": "0", "model": "NVIDIA H100 80GB HBM3", "uuid": "GPU-1"}},
        "resource": {"type": "gce_instance", "labels": {"project_id": "acme", "zone": "z-a", "instance_id": "4711"}},
        "points": points,
    }
    content = json.dumps({"timeSeries": [series]}).encode()

    def answer(asked: str, _: Mapping[str, str]) -> tuple[str, bytes]:
        return ("series.json", content) if AGENT in asked else ("", b"")

    options = {"projects": ["acme"], "since": str(DAY), "refresh_minutes": 0}
    places = ("acme", "monitoring", ".parquet")
    yield Specimen("cloud_monitoring", "series.json", content, options, answers=answer, places=places)
