"""What each connector of token usage in files makes of its own tool's records, beyond what all of them must do."""

import csv
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyarrow.parquet import ParquetFile
from pydantic import ValidationError

from connectors import token_records
from connectors.source import connector
from models.errors import BadInput
from models.facts import Fact
from models.token_buckets import buckets
from tests.connectors.usage_files import GENERIC, bedrock, generic, langfuse, litellm, otel_line, put, write

SHARED = Path(__file__).parents[3] / "shared"
EXAMPLES = SHARED / "reference" / "tokens" / "examples"
TRACE = SHARED / "data" / "tokens" / "azure_llm_inference_trace_2023_code.csv"
IN = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
Read = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_all(kind: str, *rows: Mapping[str, Any], location: Path | None = None, **options: Any) -> Any:
        path = location or write(tmp_path / "usage.jsonl", *rows)
        chosen = connector(kind)
        source = chosen("usage", chosen.Options(location=str(path), **options), tmp_path / "landing", lambda _: None)
        frames = []
        for version in source.versions():
            landed = source.fetch(version)
            found = [frame.collect() for frame in source.read(landed)[Fact.TOKEN_USAGE]]
            said = source.totals(landed).usage[Fact.TOKEN_USAGE]
            frames.append(pl.concat(found))
            assert said["rows"] == frames[-1].height
            assert all(frames[-1][name].sum() == total for name, total in said.items() if name != "rows")
        return pl.concat(frames).to_dicts()

    return read_all


def example(name: str) -> Any:
    path = EXAMPLES / f"{name}.json"
    if not path.exists():
        pytest.skip("the example payloads are not beside this checkout")
    return json.loads(path.read_text())["payload"]


def counts(row: Mapping[str, Any]) -> tuple[int | None, ...]:
    return tuple(row[name] for name in IN)


def test_a_bedrock_log_names_account_region_caller_and_its_metadata(read: Read) -> None:
    (row,) = read("bedrock_logs", bedrock(1))
    assert (row["sub_account_id"], row["region_id"], row["operation"]) == ("111100000000", "us-east-1", "chat")
    assert (row["team"], row["feature"], row["outcome"]) == ("search", "answers", "success")
    assert row["user_id"].endswith("assumed-role/Search/i-1")
    assert dict(row["tags"]) == {"Team": "search", "Feature": "answers"}


def test_bedrock_spells_cache_fields_in_two_ways(read: Read) -> None:
    other = {"inputTokenCount": 10, "cacheReadInputTokens": 20, "cacheWriteInputTokens": 30}
    both = other | {"cacheReadInputTokenCount": 20, "cacheWriteInputTokenCount": 30}
    rows = read("bedrock_logs", *(put(bedrock(n), "input", said) for n, said in enumerate((other, both))))
    assert [counts(row) for row in rows] == [(10, 20, 30, None, 5)] * 2


def test_bedrock_tells_caches_of_an_hour_where_the_log_has_the_answer(read: Read) -> None:
    converse = {"usage": {"cacheDetails": [{"ttl": "1h", "inputTokens": 12}, {"ttl": "5m", "inputTokens": 18}]}}
    messages = {"usage": {"cache_creation": {"ephemeral_1h_input_tokens": 30, "ephemeral_5m_input_tokens": 0}}}
    bodies = (converse, messages, [{"chunk": 1}])
    rows = read("bedrock_logs", *(put(bedrock(n), "output.outputBodyJson", body) for n, body in enumerate(bodies)))
    assert [counts(row) for row in rows] == [(10, 20, 18, 12, 5), (10, 20, 0, 30, 5), (10, 20, 30, None, 5)]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:bedrock:us-east-1:466959819186:application-inference-profile/xyz",
        "arn:aws:bedrock:us-east-1:466959819186:provisioned-model/abc",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
        "arn:aws-us-gov:bedrock:us-gov-west-1:466959819186:inference-profile/us-gov.anthropic.claude-x",
    ],
)
def test_any_arn_of_bedrock_is_kept_as_the_model_and_the_endpoint(read: Read, arn: str) -> None:
    (row,) = read("bedrock_logs", put(bedrock(1), "modelId", arn))
    assert (row["llm_model_id"], row["endpoint"]) == (arn, arn)


def test_a_failed_or_uncounted_bedrock_request_has_no_tokens_rather_than_none_used(read: Read) -> None:
    failed = {**put(put(bedrock(1), "input", {}), "output", {}), "errorCode": "ThrottlingException"}
    (row,) = read("bedrock_logs", failed)
    assert (row["outcome"], row["requests"], counts(row)) == ("failure", 1, (None,) * 5)


def test_bodies_beside_the_bedrock_logs_are_not_read(read: Read, tmp_path: Path) -> None:
    base = tmp_path / "AWSLogs/111100000000/BedrockModelInvocationLogs/us-east-1/2026/01/10/00"
    write(base / "log.json.gz", bedrock(1))
    (base / "data").mkdir()
    (base / "data" / "request-1_input.json.gz").write_bytes(b"not for us")
    (row,) = read("bedrock_logs", location=tmp_path)
    assert row["source_file"].endswith("us-east-1/2026/01/10/00/log.json.gz")


def test_an_answer_from_litellms_own_cache_bought_no_tokens(read: Read) -> None:
    (row,) = read("litellm", put(litellm(1), "cache_hit", "True"))
    assert row["response_cache_hit"] is True
    assert counts(row) == (0, 0, 0, 0, 0)
    assert read("litellm", litellm(1))[0]["response_cache_hit"] is False


def test_litellm_names_a_key_by_alias_or_hash_and_an_address_without_its_secrets(read: Read) -> None:
    hashed = "f834e0b7eeda6abacf73abbb455daa94d0e2f3a285a036f4e3831f23e38b94cb"
    aliased = put(put(litellm(1), "api_key", hashed), "metadata.user_api_key_alias", "search-prod")
    rows = read("litellm", aliased, put(litellm(2), "api_key", hashed), litellm(3))
    assert [row["api_key_id"] for row in rows[:2]] == ["search-prod", hashed]
    assert len(rows[2]["api_key_id"]) == len(hashed)
    assert {row["endpoint"] for row in rows} == {"https://api.anthropic.com/v1/messages"}


def test_litellm_rows_without_a_usage_object_keep_what_the_row_says(read: Read) -> None:
    old = put(litellm(1), "metadata", {"additional_usage_values": {"cache_read_input_tokens": 20}})
    (row,) = read("litellm", old)
    assert counts(row) == (40, 20, None, None, 5)


@pytest.mark.parametrize(
    ("call", "operation", "is_batch"),
    [("acompletion", "chat", None), ("aembedding", "embeddings", None), ("acreate_batch", None, True)],
)
def test_litellm_calls_have_the_names_of_opentelemetry(
    read: Read, call: str, operation: str | None, is_batch: bool | None
) -> None:
    (row,) = read("litellm", put(litellm(1), "call_type", call))
    assert (row["operation"], row["is_batch"]) == (operation, is_batch)


def test_usage_of_a_fine_tuned_model_is_no_tuning(read: Read) -> None:
    model = "ft:gpt-4o-mini-2024-07-18:acme::abc"
    (row,) = read("litellm", put(put(litellm(1), "model", model), "custom_llm_provider", "openai"))
    assert (row["llm_model_id"], row["workload"], row["provider_name"]) == (model, None, "OpenAI")


def test_input_of_spans_may_leave_cached_tokens_out_by_configuration(read: Read) -> None:
    (row,) = read("otel_genai", otel_line(1), input_includes_cached=False)
    assert counts(row) == (60, 20, 30, None, 5)


def test_two_spans_of_one_answer_count_once(read: Read) -> None:
    spans = [put(otel_line(n), "attributes.gen_ai\\.response\\.id", "chatcmpl-1") for n in (1, 2)]
    assert len(read("otel_genai", *spans)) == 1


def test_token_metrics_are_refused_because_they_do_not_tell_cached_tokens_apart(read: Read) -> None:
    with pytest.raises(BadInput, match="line 1: holds metrics"):
        read("otel_genai", {"resourceMetrics": []})


@pytest.mark.parametrize(
    "line", [{"resourceSpans": "all"}, {"resourceSpans": [{"scopeSpans": [1]}]}, {"attributes": [["a"]]}]
)
def test_a_line_of_another_shape_is_named(read: Read, line: Mapping[str, Any]) -> None:
    with pytest.raises(BadInput, match="line 1: a field has another shape than it should have"):
        read("otel_genai", line)


def test_what_people_said_to_a_model_is_not_kept(read: Read) -> None:
    secret = put(otel_line(1), "attributes.gen_ai\\.input\\.messages", "my salary is")
    (row,) = read("otel_genai", put(secret, "attributes.gen_ai\\.prompt\\.0\\.content", "my salary is"))
    assert "salary" not in json.dumps(row, default=str)


def test_langfuse_buckets_exclude_each_other_and_reasoning_is_counted_once(read: Read) -> None:
    details = {
        "input": 10,
        "input_audio_tokens": 4,
        "input_cached_tokens": 20,
        "cache_creation_input_tokens": 30,
        "input_cache_creation_1h": 40,
        "output": 5,
        "output_reasoning_tokens": 7,
        "output_audio_tokens": 2,
        "total": 118,
    }
    (row,) = read("langfuse", put(langfuse(1), "usageDetails", details))
    assert counts(row) == (14, 20, 30, 40, 14)
    assert (row["reasoning_tokens"], row["input_audio_tokens"], row["output_audio_tokens"]) == (7, 4, 2)


def test_observations_above_a_generation_are_not_counted_again(read: Read) -> None:
    rows = read("langfuse", *(put(langfuse(n), "type", kind) for n, kind in enumerate(("AGENT", "GENERATION", "SPAN"))))
    assert [row["request_id"] for row in rows] == ["observation-1"]


def test_langfuse_is_told_who_serves_a_model(read: Read) -> None:
    (row,) = read("langfuse", langfuse(1), providers={"claude-*": "bedrock"})
    assert row["provider_name"] == "AWS"
    (row,) = read("langfuse", put(langfuse(1), "providedModelName", "llama-3.3-70b"))
    assert row["provider_name"] == "undetermined"


def test_langfuse_exports_in_snake_case_too(read: Read) -> None:
    snake = {"startTime": "start_time", "usageDetails": "usage_details", "providedModelName": "provided_model_name"}
    (row,) = read("langfuse", {snake.get(name, name): value for name, value in langfuse(1).items()})
    assert (counts(row), row["feature"]) == ((10, 20, 30, None, 5), "answers")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 30, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 20}}, (10, 20)),
        ({"input_tokens": 30, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 20}}, (10, 20)),
        ({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 20}, (10, 20)),
        ({"promptTokenCount": 30, "cachedContentTokenCount": 20, "candidatesTokenCount": 5}, (10, 20)),
        ({"inputTokens": 10, "cacheReadInputTokens": 20, "outputTokens": 5}, (10, 20)),
    ],
)
@pytest.mark.parametrize("name", ["usage.jsonl", "usage.csv", "usage.parquet"])
def test_a_column_with_the_raw_usage_object_is_recognized(
    read: Read, tmp_path: Path, name: str, usage: Mapping[str, Any], expected: tuple[int, int]
) -> None:
    row = {"at": "2026-01-10T00:00:00Z", "model": "m", "answer": {"usage": {**usage, "service_tier": "batch"}}}
    columns = {"usage_start": "at", "llm_model_id": "model", "usage": "answer.usage"}
    path = write(tmp_path / name, row)
    (found,) = read("generic_tokens", location=path, columns=columns, constants={"provider_name": "azure"})
    assert counts(found)[:2] == expected
    assert (found["output_tokens"], found["service_tier"], found["is_batch"]) == (5, "batch", True)
    assert found["provider_name"] == "Microsoft"


def test_a_usage_object_of_nobody_is_refused_with_its_fields(read: Read) -> None:
    row = {"at": "2026-01-10T00:00:00Z", "usage": {"tokens_in": 4}}
    with pytest.raises(BadInput, match=r"line 1: the usage object is of no known provider \(its fields: tokens_in\)"):
        read("generic_tokens", row, columns={"usage_start": "at", "usage": "usage"})


def test_images_and_seconds_keep_their_unit(read: Read) -> None:
    columns = {"usage_start": "at", "quantity": "images"}
    row = {"at": 1768003200, "images": "2.5"}
    (found,) = read("generic_tokens", row, columns=columns, constants={"unit": "images", "provider_name": "OpenAI"})
    assert (found["unit"], found["quantity"], counts(found)) == ("images", Decimal("2.5"), (None,) * 5)


@pytest.mark.parametrize("at", [1768003200, 1768003200000, 1768003200000000, 1768003200000000000, "1768003200.0"])
def test_a_time_may_be_a_number_since_1970(read: Read, at: object) -> None:
    (row,) = read("generic_tokens", put(generic(1), "at", at), **GENERIC)
    assert f"{row['usage_start']}" == "2026-01-10 00:00:00+00:00"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"columns": {"usage_start": "at"}}, "must say where the tokens are"),
        ({"columns": {"usage": "u"}}, "which column is `usage_start`"),
        ({"columns": {"usage_start": "at", "usage": "u", "tokens": "t"}}, "no column 'tokens'"),
        ({"columns": {"usage_start": "at", "usage": "u", "input_tokens": "t"}}, "map one of them"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_at_once(options: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        connector("generic_tokens").Options(location="x", **options)


@pytest.mark.real_data
def test_the_documented_bedrock_lines_are_read(read: Read) -> None:
    first, second = sorted(
        read("bedrock_logs", *example("bedrock_model_invocation_log")), key=lambda row: row["requests"]
    )
    by_region = {row["request_id"]: row for row in (first, second)}
    full, short = by_region["a1b2c3d4-e5f6-7890-abcd-ef1234567890"], by_region["abc-123"]
    assert (counts(full), counts(short)) == ((12_400, 40_000, 0, None, 850), (512, None, None, None, 256))
    assert (full["team"], dict(full["tags"])["costCentre"]) == ("engineering", "CC-1234")
    assert short["llm_model_id"].endswith("application-inference-profile/xyz")


@pytest.mark.real_data
def test_the_litellm_row_is_read(read: Read) -> None:
    (row,) = read("litellm", *example("litellm_spend_logs"))
    assert counts(row) == (10, 66_360, 32_435, None, 5_120)
    assert (row["reasoning_tokens"], row["reported_cost"]) == (1_710, Decimal("0.04708"))
    assert (row["provider_name"], row["response_cache_hit"], dict(row["tags"])["jobID"]) == ("AWS", False, "1")


@pytest.mark.real_data
def test_the_opentelemetry_span_is_read(read: Read) -> None:
    (row,) = read("otel_genai", example("otel_genai_otlp_span"))
    assert counts(row) == (31, 0, None, None, 19)
    assert (row["llm_model_id"], row["request_id"]) == ("gpt-4o-2024-08-06", "chatcmpl-Abc123")


@pytest.mark.real_data
@pytest.mark.parametrize("kind", ["bedrock_logs", "langfuse", "litellm", "otel_genai", "generic_tokens"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("anthropic_analytics_cost_report", "is a bucket of Anthropic's reports: `anthropic` asks"),
        ("azure_openai_metrics", "is an answer of Azure Monitor, .* by `litellm` or `otel_genai`"),
        ("litellm_focus_export", "is a line of a FOCUS file: .* read its spend logs by `litellm`"),
        ("llmd_opencost_inference_metrics", "describes metrics .* holds no usage: `prometheus` reads"),
        ("otel_genai_token_metric", "holds metrics, .* export spans, and read them by `otel_genai`"),
    ],
)
def test_a_payload_of_another_kind_is_refused_and_told_who_reads_it(
    read: Read, kind: str, name: str, said: str
) -> None:
    options = GENERIC if kind == "generic_tokens" else {}
    with pytest.raises(BadInput, match=rf"usage\.jsonl, line 1: {said}"):
        read(kind, example(name), **options)


GPUS = {
    "columns": {"hour": "time", "busy_fraction": "util", "resource_id": "machine"},
    "unit": "percent",
    "sample_seconds": 60,
}
JOBS = {
    "columns": {
        "job_id": "id",
        "started_at": "start",
        "ended_at": "end",
        "accelerator_count": "gpus",
        "resource_name": "node",
    }
}
SCRAPES = {
    "vllm": 'vllm:prompt_tokens_total{engine="0",model_name="qwen"} 9.8e+07\nvllm:generation_tokens_total 4\n',
    "dcgm": "# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).\n# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n",
    "bare": "process_cpu_seconds_total 0.4\n",
}


@pytest.mark.parametrize("scrape", SCRAPES)
@pytest.mark.parametrize("kind", ["generic_tokens", "litellm", "generic_gpu", "gpu_jobs", "slurm", "focus", "aws_cur"])
def test_a_scrape_of_metrics_is_refused_and_told_who_reads_it(tmp_path: Path, kind: str, scrape: str) -> None:
    (tmp_path / "metrics.csv").write_text(SCRAPES[scrape])
    options: Mapping[str, Any] = {"generic_tokens": GENERIC, "generic_gpu": GPUS, "gpu_jobs": JOBS}.get(kind, {})
    chosen = connector(kind)
    source = chosen(
        "usage", chosen.Options(location=str(tmp_path / "metrics.csv"), **options), tmp_path / "landing", lambda _: None
    )
    with pytest.raises(BadInput, match=r"metrics\.csv, line 1: is a scrape of metrics: .* read that by `prometheus`"):
        source.versions()


@pytest.mark.real_data
def test_the_langfuse_page_is_read(read: Read) -> None:
    (row,) = read("langfuse", example("langfuse_observation_v2"))
    assert counts(row) == (1_647, 115_584, None, None, 225)
    assert (row["feature"], row["reported_cost"]) == ("search", Decimal("0.0429912"))


@pytest.mark.real_data
def test_helicone_is_read_by_a_mapping(read: Read) -> None:
    columns = {
        "usage_start": "request_created_at",
        "request_id": "request_id",
        "llm_model_id": "response_model",
        "provider_name": "provider",
        "input_tokens": "prompt_tokens",
        "cache_read_tokens": "prompt_cache_read_tokens",
        "cache_write_5m_tokens": "prompt_cache_write_tokens",
        "output_tokens": "completion_tokens",
        "team": "request_properties.Team",
        "feature": "request_properties.Feature",
        "reported_cost": "costUSD",
    }
    (row,) = read("generic_tokens", example("helicone_request"), columns=columns)
    assert counts(row) == (276, 1_024, 0, None, 200)
    assert (row["team"], row["feature"], row["provider_name"]) == ("growth", "search", "OpenAI")


@pytest.mark.real_data
def test_a_real_trace_is_read_to_the_last_token(read: Read) -> None:
    if not TRACE.exists():
        pytest.skip("the real trace is not beside this checkout")
    with TRACE.open(encoding="utf-8") as file:
        native = list(csv.DictReader(file))
    columns = {"usage_start": "TIMESTAMP", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}
    constants = {"provider_name": "azure", "llm_model_id": "gpt-4o"}
    rows = read("generic_tokens", location=TRACE, columns=columns, constants=constants)
    assert len(rows) == len(native) == 8_819
    assert [row["uncached_input_tokens"] for row in rows] == [int(row["ContextTokens"]) for row in native]
    assert [row["output_tokens"] for row in rows] == [int(row["GeneratedTokens"]) for row in native]


def test_a_batch_ends_where_the_lines_it_came_from_are_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    body = {"inputTokenCount": 10, "inputBodyJson": "x" * 40_000}
    rows = [put(bedrock(n), "input", body) for n in range(5)]
    monkeypatch.setattr(token_records, "BATCH_BYTES", 100_000)
    assert len(read("bedrock_logs", *rows)) == 5
    (kept,) = (tmp_path / "landing").rglob("*.parquet")
    groups = ParquetFile(kept).metadata
    assert [groups.row_group(at).num_rows for at in range(groups.num_row_groups)] == [3, 2]


def test_the_line_of_a_text_too_long_is_named_wherever_in_a_batch_it_is(read: Read) -> None:
    rows = [bedrock(1), put(bedrock(2), "accountId", "ü" * 16_000), put(bedrock(3), "accountId", "a" * 16_385)]
    with pytest.raises(BadInput, match=r"line 3: sub_account_id 'aaa.*has 16,385 characters"):
        read("bedrock_logs", *rows)


def test_sums_do_not_believe_the_buckets(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(usage: pl.Expr) -> dict[str, pl.Expr]:
        return {**buckets(usage), "uncached_input_tokens": buckets(usage)["output_tokens"]}

    monkeypatch.setattr("connectors.token_records.buckets", wrong)
    with pytest.raises(AssertionError):
        read("bedrock_logs", bedrock(1))
