"""Measure what it costs to read token logs, as a ratio to parsing every line and doing nothing with it.

    .venv/bin/python benchmarks/token_logs.py                 # 200,000 records of each format, about two minutes
    .venv/bin/python benchmarks/token_logs.py --rows 20000    # only these; RESULTS-TOKENS.md is left alone

Reading is all a run does with new files: their months, the records kept, independent sums, the declared frames. The
floor is `json.loads` of every record as a line, in the same process. Each format has a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from benchmarks.load import machine
from connectors.source import connector
from models.facts import Fact

RESULTS: Final = Path(__file__).with_name("RESULTS-TOKENS.md")
ROWS: Final = 200_000
# Logs with what was asked and answered: lines of 100 kB, which may not pile up in memory.
LARGE: Final = 10_000
BARS: Final = {"times the floor": 25.0, "peak, GB": 0.75}
BODY: Final = {"messages": [{"role": "user", "content": "what is asked " * 40}], "max_tokens": 1024}
LARGE_BODY: Final = {"messages": [{"role": "user", "content": "what is asked " * 7_000}]}
MODEL: Final = "claude-sonnet-4-5-20250929"


def main() -> int:
    """Run from the command line; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    count = parser.parse_args().rows
    before, found = os.getloadavg()[0], {}
    for name, (kind, row, options) in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder, get_context("spawn").Pool(1) as pool:
            path = Path(folder) / ("log.csv" if name.endswith("CSV") else "log.jsonl")
            rows = min(count, LARGE) if row is _large else count
            megabytes = _write(path, row, rows)
            found[name] = (rows, megabytes, *pool.apply(_measure, (path, kind, options)))
            print(name, *found[name])
    is_met = all(busy <= BARS["times the floor"] * floor and peak <= BARS["peak, GB"]
                 for *_, floor, busy, peak in found.values())  # fmt: skip
    if count == ROWS:
        RESULTS.write_text(_report(found, machine((before, os.getloadavg()[0])), is_met=is_met))
    return int(not is_met)


def _measure(path: Path, kind: str, options: Mapping[str, Any]) -> tuple[float, float, float]:
    """Give processor seconds of the floor and of reading, and the peak in GB."""
    chosen = connector(kind)
    # Imports are outside the clock.
    _read(chosen, path.with_name(f"first-{path.name}"), options, path.parent / "first")
    began = time.process_time()
    with path.with_suffix(".jsonl").open(encoding="utf-8") as file:
        for line in file:
            json.loads(line)
    floor = time.process_time() - began
    began = time.process_time()
    _read(chosen, path, options, path.parent / "landing")
    busy = time.process_time() - began
    return floor, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _read(chosen: Any, path: Path, options: Mapping[str, Any], landing: Path) -> None:
    source = chosen("logs", chosen.Options(location=str(path), **options), landing, lambda _: None)
    for version in source.versions():
        landed = source.fetch(version)
        said = source.totals(landed).usage[Fact.TOKEN_USAGE]
        frames = [frame.collect() for frame in source.read(landed)[Fact.TOKEN_USAGE]]
        tokens = sum(frame["output_tokens"].sum() for frame in frames)
        if (said["rows"], said["output_tokens"]) != (sum(frame.height for frame in frames), tokens):
            raise SystemExit("what was read is not what was counted")


def _write(path: Path, row: Callable[[int], dict[str, Any]], count: int) -> float:
    files = {path: count, path.with_name(f"first-{path.name}"): 10, path.with_suffix(".jsonl"): count}
    for file, rows in files.items():
        with file.open("w", encoding="utf-8", newline="") as text:
            if file.suffix == ".csv":
                writer = csv.DictWriter(text, row(0))
                writer.writeheader()
                writer.writerows(map(row, range(rows)))
            else:
                text.writelines(json.dumps(row(number)) + "\n" for number in range(rows))
    return path.stat().st_size / 1e6


def _second(number: int) -> str:
    return f"2026-07-{1 + number % 31:02}T{number // 31 % 24:02}:{number % 60:02}:{number % 59:02}Z"


def _bedrock(number: int) -> dict[str, Any]:
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": _second(number),
        "accountId": "111100000000",
        "region": "us-east-1",
        "requestId": f"1f6e{number:032x}",
        "operation": "Converse",
        "modelId": f"us.anthropic.{MODEL}-v1:0",
        "identity": {"arn": f"arn:aws:sts::111100000000:assumed-role/Search/i-{number % 50}"},
        "input": {"inputTokenCount": 10, "cacheReadInputTokenCount": 20, "inputBodyJson": BODY},
        "output": {"outputTokenCount": number % 700},
        "requestMetadata": {"team": f"team-{number % 20}", "feature": "answers"},
    }


def _large(number: int) -> dict[str, Any]:
    row = _bedrock(number)
    return {**row, "input": {**row["input"], "inputBodyJson": LARGE_BODY}}


def _litellm(number: int) -> dict[str, Any]:
    counts = {"prompt_tokens": 60, "completion_tokens": number % 700}
    return {
        "request_id": f"chatcmpl-{number}",
        "call_type": "acompletion",
        "api_key": f"{number % 40:064x}",
        "spend": 0.0001 * (number % 90),
        **counts,
        "startTime": _second(number),
        "model": MODEL,
        "custom_llm_provider": "anthropic",
        "api_base": "https://api.anthropic.com/v1/messages",
        "user": f"u{number % 300}",
        "metadata": {"usage_object": {**counts, "prompt_tokens_details": {"cached_tokens": 20}}},
        "cache_hit": "False",
        "request_tags": ["feature:answers", "beta"],
        "team_id": f"team-{number % 20}",
        "status": "success",
    }


def _span(number: int) -> dict[str, Any]:
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.response.model": MODEL,
        "gen_ai.usage.input_tokens": 60,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.output_tokens": number % 700,
        "team": f"team-{number % 20}",
    }
    typed = [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}}
        for key, value in said.items()
    ]
    span = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "startTimeUnixNano": f"{1782864000 + number}000000000",
        "attributes": typed,
    }
    return {"resourceSpans": [{"resource": {"attributes": typed[-1:]}, "scopeSpans": [{"spans": [span]}]}]}


def _langfuse(number: int) -> dict[str, Any]:
    return {
        "id": f"observation-{number}",
        "type": "GENERATION",
        "startTime": _second(number),
        "projectId": "p1",
        "userId": f"u{number % 300}",
        "providedModelName": MODEL,
        "usageDetails": {"input": 40, "input_cached_tokens": 20, "output": number % 700, "total": 60 + number % 700},
        "totalCost": 0.001,
        "tags": ["feature:answers", "beta"],
    }


def _generic(number: int) -> dict[str, Any]:
    return {
        "at": _second(number),
        "who": f"team-{number % 20}",
        "model": MODEL,
        "id": f"request-{number}",
        "tokens_in": 60,
        "cached": 20,
        "tokens_out": number % 700,
    }


COLUMNS: Final = {
    "columns": {
        "usage_start": "at",
        "team": "who",
        "llm_model_id": "model",
        "request_id": "id",
        "input_tokens": "tokens_in",
        "cache_read_tokens": "cached",
        "output_tokens": "tokens_out",
    },
    "constants": {"provider_name": "anthropic"},
}
FORMATS: Final[Mapping[str, tuple[str, Callable[[int], dict[str, Any]], Mapping[str, Any]]]] = {
    "Bedrock's log": ("bedrock_logs", _bedrock, {}),
    "Bedrock's log, 100 kB a line": ("bedrock_logs", _large, {}),
    "LiteLLM's table": ("litellm", _litellm, {}),
    "OTLP, a span a line": ("otel_genai", _span, {}),
    "Langfuse's export": ("langfuse", _langfuse, {}),
    "any JSON lines": ("generic_tokens", _generic, COLUMNS),
    "any CSV": ("generic_tokens", _generic, COLUMNS),
}


def _report(found: Mapping[str, tuple[Any, ...]], where: str, *, is_met: bool) -> str:
    rows = "".join(
        f"| {name} | {count:,} | {size:,.0f} | {count / busy:,.0f} | {size / busy:,.0f} | **{busy / floor:.1f}** "
        f"| {peak:.2f} |\n"
        for name, (count, size, floor, busy, peak) in found.items()
    )
    return (
        f"# Results of `benchmarks/token_logs.py`\n\n{where} README.md says what is measured.\n\n"
        "| format | records | MB | records a processor second | MB a processor second | times the floor | peak, GB |\n"
        f"|---|---:|---:|---:|---:|---:|---:|\n{rows}\n"
        f"Bars: {BARS['times the floor']:.0f} times the floor, {BARS['peak, GB']} GB. "
        f"{'Both are met by every format.' if is_met else 'One is missed.'}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
