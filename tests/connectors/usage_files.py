"""Small files of token usage in the format of each tool, and what they say. Add a connector's own to `USAGE_FILES`."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

Row = Mapping[str, Any]
KEY = "sk-canary0123456789abcdefghij"


@dataclass(frozen=True)
class UsageFile:
    """How to write small usage of one format.

    Attributes:
        row: make native record number `n`, of 2026-01: 10 fresh, 20 cached, 30 written and 5 output tokens.
        required: path of a field no record can do without.
        optional: path of one that may be left out.
        start: path of the time of use.
        tokens: path of a count of tokens.
        text: path of a field of free text that must come out as it went in, and its column.
        request: path of the request's id.
        options: settings that the format needs.
        formats: ways to write it.
    """

    row: Callable[[int], dict[str, Any]]
    required: str
    optional: str
    start: str
    tokens: str
    text: tuple[str, str]
    request: str
    options: Mapping[str, Any] = field(default_factory=dict)
    formats: tuple[str, ...] = ("usage.jsonl", "usage.jsonl.gz")


def bedrock(n: int) -> dict[str, Any]:
    """Make a line of an invocation log."""
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": f"2026-01-10T00:00:{n % 60:02}Z",
        "accountId": "111100000000",
        "region": "us-east-1",
        "requestId": f"request-{n}",
        "operation": "Converse",
        "modelId": "us.anthropic.claude-sonnet-4-20250514-v1:0",
        "identity": {"arn": "arn:aws:sts::111100000000:assumed-role/Search/i-1"},
        "input": {"inputTokenCount": 10, "cacheReadInputTokenCount": 20, "cacheWriteInputTokenCount": 30},
        "output": {"outputTokenCount": 5},
        "requestMetadata": {"Team": "search", "Feature": "answers"},
    }


def litellm(n: int) -> dict[str, Any]:
    """Make a row of the spend-log table."""
    return {
        "request_id": f"request-{n}",
        "call_type": "acompletion",
        "api_key": KEY,
        "spend": 0.0001,
        "prompt_tokens": 60,
        "completion_tokens": 5,
        "startTime": f"2026-01-10T00:00:{n % 60:02}.000Z",
        "model": "claude-sonnet-4-5-20250929",
        "model_group": "sonnet",
        "custom_llm_provider": "anthropic",
        "api_base": f"https://user:{KEY}@api.anthropic.com/v1/messages?key={KEY}",
        "user": "u1",
        "metadata": {
            "usage_object": {
                "prompt_tokens": 60,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 20, "cache_creation_tokens": 30},
                "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 30,
            },
        },
        "cache_hit": "False",
        "request_tags": ["feature:answers", f"key:{KEY}"],
        "team_id": "team-1",
        "status": "success",
    }


def otel(n: int) -> dict[str, Any]:
    """Make an OTLP request with an agent's span and the call below it; whole numbers are text."""
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.response.model": "claude-sonnet-4-5-20250929",
        "gen_ai.usage.input_tokens": 60,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.cache_creation.input_tokens": 30,
        "gen_ai.usage.output_tokens": 5,
        "team": "search",
    }
    spans = [
        _span(f"{n:04}a", {**call, "gen_ai.operation.name": "invoke_agent"}),
        _span(f"{n:04}b", call),
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "answers"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}


def _span(span_id: str, said: Mapping[str, Any]) -> dict[str, Any]:
    def typed(value: Any) -> dict[str, str]:
        return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}

    return {
        "attributes": [{"key": key, "value": typed(value)} for key, value in said.items()],
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "spanId": span_id,
        "startTimeUnixNano": "1768003200000000000",
    }


def otel_line(n: int) -> dict[str, Any]:
    """Make a span as a line of its own, its attributes an object."""
    return {
        "trace_id": "4bf92f35",
        "span_id": f"{n:04}",
        "start_time": f"2026-01-10T00:00:{n % 60:02}Z",
        "attributes": {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5-20250929",
            "gen_ai.usage.input_tokens": 60,
            "gen_ai.usage.cache_read.input_tokens": 20,
            "gen_ai.usage.cache_creation.input_tokens": 30,
            "gen_ai.usage.output_tokens": 5,
            "team": "search",
        },
    }


def langfuse(n: int) -> dict[str, Any]:
    """Make an observation."""
    return {
        "id": f"observation-{n}",
        "type": "GENERATION",
        "startTime": f"2026-01-10T00:00:{n % 60:02}.000Z",
        "projectId": "p1",
        "userId": "u1",
        "providedModelName": "claude-sonnet-4-5-20250929",
        "usageDetails": {
            "input": 10, "input_cached_tokens": 20, "input_cache_creation": 30, "output": 5, "total": 65,
        },
        "totalCost": 0.001,
        "tags": ["feature:answers", "beta"],
    }  # fmt: skip


def generic(n: int) -> dict[str, Any]:
    """Make a row of a table of the team's own."""
    return {
        "at": f"2026-01-10 00:00:{n % 60:02}",
        "who": "search",
        "model": "claude-sonnet-4-5-20250929",
        "id": f"request-{n}",
        "tokens_in": 60,
        "cached": 20,
        "stored": 30,
        "tokens_out": 5,
    }


GENERIC: Mapping[str, Any] = {
    "columns": {
        "usage_start": "at",
        "team": "who",
        "llm_model_id": "model",
        "request_id": "id",
        "input_tokens": "tokens_in",
        "cache_read_tokens": "cached",
        "cache_write_5m_tokens": "stored",
        "output_tokens": "tokens_out",
    },
    "constants": {"provider_name": "anthropic"},
}
TABLES = ("usage.jsonl", "usage.jsonl.gz", "usage.json", "usage.csv", "usage.csv.gz", "usage.parquet")
USAGE_FILES: Mapping[str, UsageFile] = {
    "bedrock_logs": UsageFile(
        row=bedrock,
        required="modelId",
        optional="region",
        start="timestamp",
        tokens="input.inputTokenCount",
        text=("requestMetadata.Team", "team"),
        request="requestId",
    ),
    "litellm": UsageFile(
        row=litellm,
        required="startTime",
        optional="organization_id",
        start="startTime",
        tokens="metadata.usage_object.prompt_tokens",
        text=("team_id", "team"),
        request="request_id",
        formats=TABLES,
    ),
    "otel_genai": UsageFile(
        row=otel_line,
        required="start_time",
        optional="trace_id",
        start="start_time",
        tokens="attributes.gen_ai\\.usage\\.input_tokens",
        text=("attributes.team", "team"),
        request="span_id",
    ),
    "langfuse": UsageFile(
        row=langfuse,
        required="startTime",
        optional="userId",
        start="startTime",
        tokens="usageDetails.input",
        text=("userId", "user_id"),
        request="id",
        formats=TABLES,
    ),
    "generic_tokens": UsageFile(
        row=generic,
        required="at",
        optional="who",
        start="at",
        tokens="tokens_in",
        text=("who", "team"),
        request="id",
        options=GENERIC,
        formats=TABLES,
    ),
}


def put(row: Row, path: str, value: Any) -> dict[str, Any]:
    """Give a copy of a row with one field changed; dots lead inwards, `\\.` is a dot in a name."""
    copy: dict[str, Any] = json.loads(json.dumps(row))
    *inwards, last = [part.replace("\0", ".") for part in path.replace("\\.", "\0").split(".")]
    held = copy
    for part in inwards:
        held = held[part]
    held[last] = value
    return copy


def without(row: Row, path: str) -> dict[str, Any]:
    """Give a copy of a row without a field."""
    return {key: value for key, value in row.items() if key != path}


def write(path: Path, *rows: Row) -> Path:
    """Write rows in the format that the file's name says; tables keep nested values as JSON text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.name.removesuffix(".gz")
    if plain.endswith(".parquet"):
        _table(rows).write_parquet(path)
        return path
    if plain.endswith(".csv"):
        content = _csv(rows)
    elif plain.endswith(".json"):
        content = json.dumps(list(rows), indent=1)
    else:
        content = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


def _names(rows: tuple[Row, ...]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def _table(rows: tuple[Row, ...]) -> pl.DataFrame:
    return pl.DataFrame({name: [_cell(row.get(name)) for row in rows] for name in _names(rows)}, strict=False)


def _csv(rows: tuple[Row, ...]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_names(rows))
    writer.writerows([[_cell(row.get(name)) for name in _names(rows)] for row in rows])
    return out.getvalue()
