"""A small company that buys tokens of three providers: bills as FOCUS files, and the logs of the same requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from tests.pipelines.conftest import Company

ACCOUNT: Final = "111122223333"
GPT: Final = "gpt-4o-2024-08-06"
SONNET: Final = "claude-sonnet-4-5-20250929"
BEDROCK_SONNET: Final = "us.anthropic.claude-sonnet-4-20250514-v1:0"
Line = Mapping[str, Any]


def at(day: int, hour: int = 9) -> datetime:
    """Give an hour of July."""
    return datetime(2026, 7, day, hour, tzinfo=UTC)


def openai_line(day: int, kind: str, cost: float, tokens: int = 0, model: str = GPT, **more: Any) -> Line:
    """Make a line of an OpenAI bill: one model, one kind of token and one day of a project."""
    return {
        "ProviderName": "OpenAI",
        "InvoiceIssuerName": "OpenAI",
        "ServiceName": "OpenAI API",
        "SubAccountId": "proj_search",
        "ChargeDescription": f"{model}, {kind}",
        "SkuMeter": f"{model}, {kind}",
        "ConsumedUnit": "tokens",
        **_line(day, cost, tokens),
        **more,
    }


def bedrock_line(day: int, meter: str, cost: float, thousands: float = 0.0, **more: Any) -> Line:
    """Make a line of an AWS bill about tokens of Bedrock, counted in thousands."""
    return {
        "ProviderName": "AWS",
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "ServiceName": "Amazon Bedrock",
        "SubAccountId": ACCOUNT,
        "ChargeDescription": f"$0.003 per 1K tokens for {meter}",
        "SkuMeter": meter,
        "ConsumedUnit": "1K tokens",
        **_line(day, cost, thousands),
        **more,
    }


def endpoint_line(day: int, name: str, cost: float, **more: Any) -> Line:
    """Make a line of an AWS bill about the machines of a SageMaker endpoint."""
    return {
        "ProviderName": "AWS",
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "ServiceName": "Amazon SageMaker",
        "SubAccountId": ACCOUNT,
        "ResourceId": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/{name}",
        "ChargeDescription": "ml.g5.12xlarge hosting",
        "SkuMeter": "USE1-Host:ml.g5.12xlarge",
        "ConsumedUnit": "Hrs",
        **_line(day, cost, 24.0),
        **more,
    }


def _line(day: int, cost: float, quantity: float) -> Line:
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "BillingAccountId": "payer",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-07-01T00:00:00Z",
        "BillingPeriodEnd": "2026-08-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargePeriodStart": f"2026-07-{day:02}T00:00:00Z",
        "ChargePeriodEnd": f"2026-07-{day:02}T23:59:59Z",
        "ConsumedQuantity": quantity,
    }


def gateway_row(number: int, day: int, model: str, prompt: int, answer: int, **more: Any) -> Line:
    """Make a row of LiteLLM's spend log."""
    return {
        "request_id": f"gateway-{number}",
        "call_type": "acompletion",
        "startTime": f"2026-07-{day:02}T09:00:00Z",
        "model": model,
        "custom_llm_provider": {"g": "openai", "c": "anthropic"}.get(model[0], "bedrock"),
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "status": "success",
        **more,
    }


def bedrock_row(number: int, day: int, prompt: int, answer: int, **more: Any) -> Line:
    """Make a line of Bedrock's invocation log."""
    return {
        "schemaType": "ModelInvocationLog",
        "timestamp": f"2026-07-{day:02}T09:00:00Z",
        "accountId": ACCOUNT,
        "region": "us-east-1",
        "requestId": f"bedrock-{number}",
        "operation": "Converse",
        "modelId": BEDROCK_SONNET,
        "input": {"inputTokenCount": prompt},
        "output": {"outputTokenCount": answer},
        **more,
    }


def usage_row(day: int, model: str, prompt: int, answer: int, **more: Any) -> Line:
    """Make a row of OpenAI's usage report, kept in a file."""
    return {"day": f"2026-07-{day:02}T00:00:00Z", "model": model, "prompt": prompt, "answer": answer, **more}


GENERIC: Final[Mapping[str, Any]] = {
    "type": "generic_tokens",
    "columns": {
        "usage_start": "day",
        "llm_model_id": "model",
        "uncached_input_tokens": "prompt",
        "output_tokens": "answer",
        "requests": "requests",
        "project_id": "project",
        "endpoint": "endpoint",
        "is_batch": "batch",
    },
}


@dataclass
class Tokens:
    """What the company's systems wrote; every list is a file, left out where empty."""

    bill: list[Line] = field(default_factory=list)
    gateway: list[Line] = field(default_factory=list)
    invocations: list[Line] = field(default_factory=list)
    usage: list[Line] = field(default_factory=list)
    serving: list[Line] = field(default_factory=list)

    def write(self, folder: Path, **settings: Any) -> Company:
        """Write all of it with a configuration that reads it."""
        company = Company(folder)
        sources: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)
        if self.bill:
            (folder / "bills").mkdir(exist_ok=True)
            names = {name for line in self.bill for name in line}
            filled = [{name: line.get(name) for name in sorted(names)} for line in self.bill]
            pl.DataFrame(filled, infer_schema_length=None).write_csv(folder / "bills" / "july.csv")
            sources.append({"name": "bill", "type": "focus", "location": "bills"})
        for name, kind, rows in (
            ("gateway", {"type": "litellm"}, self.gateway),
            ("invocations", {"type": "bedrock_logs"}, self.invocations),
            ("usage", {**GENERIC, "constants": {"provider_name": "OpenAI"}}, self.usage),
            ("serving", {**GENERIC, "constants": {"provider_name": "self_hosted"}}, self.serving),
        ):
            if rows:
                _lines(folder / name / "july.jsonl", rows)
                sources.append({"name": name, "location": name, **kind})
        return company.configure(sources=sources, **settings)


def _lines(path: Path, rows: Iterable[Line]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
