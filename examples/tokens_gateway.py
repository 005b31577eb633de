"""The company's gateway (LiteLLM) to OpenAI and Anthropic, and OpenAI's bill as a FOCUS file.

OpenAI takes 8 % off its list prices. Its bill lags: September's reaches the 20th. It also holds what no gateway saw: a
notebook that calls the API by itself, and images. Anthropic's bill has not been connected, so its tokens are estimated.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from examples.company import OPEN_FROM, next_month
from examples.meters import random_for
from examples.tokens_truth import Truth

DISCOUNT: Final = Decimal("0.08")
BILLED_UNTIL: Final = date(2026, 9, 20)
"""Last day on OpenAI's bill of the open month."""
_MILLION: Final = Decimal(1_000_000)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """One feature's calls: dollars per million, and mean tokens a call, of fresh and cached input and of output."""

    llm_model_id: str
    llm_model: str
    provider: str
    prices: tuple[str, str, str]
    tokens: tuple[int, int, int]
    requests_a_day: int
    team: str
    feature: str


TRAFFIC: Final = (
    Traffic(llm_model_id="gpt-4.1-2025-04-14", llm_model="gpt-4.1", provider="openai", prices=("2", "0.5", "8"),
            tokens=(42_000, 20_000, 2_400), requests_a_day=60, team="data", feature="report-writer"),
    Traffic(llm_model_id="gpt-4.1-2025-04-14", llm_model="gpt-4.1", provider="openai", prices=("2", "0.5", "8"),
            tokens=(26_000, 0, 900), requests_a_day=25, team="assistant", feature="contract-review"),
    Traffic(llm_model_id="gpt-4.1-mini-2025-04-14", llm_model="gpt-4.1-mini", provider="openai",
            prices=("0.4", "0.1", "1.6"), tokens=(9_000, 4_000, 500), requests_a_day=80, team="search",
            feature="query-rewrite"),
    Traffic(llm_model_id="claude-sonnet-4-5-20250929", llm_model="claude-sonnet-4.5", provider="anthropic",
            prices=("3", "0.3", "15"), tokens=(31_000, 52_000, 2_100), requests_a_day=40, team="assistant",
            feature="code-review"),
)  # fmt: skip
KINDS: Final = ("input", "cache-read", "output")
_METERS: Final = ("input", "cached input", "output")
_BILL: Final = (
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "BillingAccountId", "BillingCurrency",
    "BillingPeriodStart", "BillingPeriodEnd", "ChargeCategory", "ChargeDescription", "ChargeFrequency",
    "ChargePeriodStart", "ChargePeriodEnd", "ConsumedQuantity", "ConsumedUnit", "InvoiceIssuerName", "ProviderName",
    "PublisherName", "ServiceCategory", "ServiceName", "SkuMeter", "SubAccountId",
)  # fmt: skip


def write(folder: Path, month: date, seed: int, truth: Truth) -> None:
    """Write a month of the gateway's spend log and of OpenAI's bill."""
    log, bill = (folder / "tokens" / name for name in ("gateway", "openai"))
    for where in (log, bill):
        where.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, object]] = []
    with (log / f"spend-logs-{month:%Y-%m}.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        day = month
        while day < next_month(month):
            bought: dict[str, list[int]] = {}
            for traffic in TRAFFIC:
                for row, used in _requests(traffic, day, seed, truth):
                    file.write(json.dumps(row, separators=(",", ":")) + "\n")
                    if traffic.provider == "openai":
                        sums = bought.setdefault(traffic.llm_model_id, [0, 0, 0])
                        sums[:] = [before + more for before, more in zip(sums, used, strict=True)]
            if _is_billed(day):
                lines += _lines(day, bought, truth)
            day += timedelta(days=1)
    with (bill / f"focus-{month:%Y-%m}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _BILL, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def _is_billed(day: date) -> bool:
    return day < OPEN_FROM or day <= BILLED_UNTIL


def _requests(traffic: Traffic, day: date, seed: int, truth: Truth) -> Iterator[tuple[dict[str, Any], list[int]]]:
    random = random_for(seed, "gateway", traffic.feature, traffic.llm_model, day)
    on_bill = traffic.provider == "openai" and _is_billed(day)
    for number in range(traffic.requests_a_day):
        used = [round(mean * random.uniform(0.4, 1.6)) for mean in traffic.tokens]
        price = sum((Decimal(each) * count for each, count in zip(traffic.prices, used, strict=True)), Decimal(0))
        cost = price / _MILLION * (1 - DISCOUNT if on_bill else 1)
        truth.add(
            day, {"openai": "OpenAI", "anthropic": "Anthropic"}[traffic.provider], traffic.llm_model, "api",
            "billed" if on_bill else "estimated", traffic.team, traffic.feature,
            requests=1, cost=cost, tokens=dict(zip(KINDS, used, strict=True)),
        )  # fmt: skip
        second = number * 86_399 // traffic.requests_a_day
        fresh, cached, answer = used
        yield (
            {
                "request_id": f"chatcmpl-{random.getrandbits(80):020x}",
                "call_type": "acompletion",
                "spend": float(price / _MILLION),
                "startTime": f"{day}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000Z",
                "model": traffic.llm_model_id,
                "custom_llm_provider": traffic.provider,
                "prompt_tokens": fresh + cached,
                "completion_tokens": answer,
                "metadata": {
                    "user_api_key_alias": f"{traffic.team}-{traffic.feature}",
                    "user_api_key_team_alias": traffic.team,
                    "usage_object": {
                        "prompt_tokens": fresh + cached,
                        "completion_tokens": answer,
                        "prompt_tokens_details": {"cached_tokens": cached},
                    },
                },
                "cache_hit": "False",
                "request_tags": [f"feature:{traffic.feature}"],
                "status": "success",
            },
            used,
        )


def _lines(day: date, bought: dict[str, list[int]], truth: Truth) -> Iterator[dict[str, object]]:
    """Bill a day of OpenAI: a line for each model and kind of token, and what no gateway saw."""
    prices = {traffic.llm_model_id: traffic.prices for traffic in TRAFFIC}
    for llm_model_id, counts in sorted(bought.items()):
        for meter, each, count in zip(_METERS, prices[llm_model_id], counts, strict=True):
            if count:
                yield _line(day, f"{llm_model_id}, {meter}", Decimal(each) * count / _MILLION, count, "tokens")
    # A notebook with a key of its own.
    for meter, each, kind, count in (("input", "1.1", "input", 1_800_000), ("output", "4.4", "output", 240_000)):
        listed = Decimal(each) * count / _MILLION
        yield _line(day, f"o4-mini-2025-04-16, {meter}", listed, count, "tokens")
        truth.add(
            day, "OpenAI", "o4-mini", "api", "billed", None, None,
            requests=0, cost=listed * (1 - DISCOUNT), tokens={kind: count},
        )  # fmt: skip
    yield _line(day, "gpt-image-1 image generation", Decimal("3.36"), 20, "images")


def _line(day: date, meter: str, listed: Decimal, count: int, unit: str) -> dict[str, object]:
    month = day.replace(day=1)
    cost = format(listed * (1 - DISCOUNT), "f")
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": format(listed, "f"),
        "ContractedCost": cost,
        "BillingAccountId": "org-meridian",
        "BillingCurrency": "USD",
        "BillingPeriodStart": f"{month}T00:00:00Z",
        "BillingPeriodEnd": f"{next_month(month)}T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeDescription": meter,
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": f"{day}T00:00:00Z",
        "ChargePeriodEnd": f"{day + timedelta(days=1)}T00:00:00Z",
        "ConsumedQuantity": count,
        "ConsumedUnit": unit,
        "InvoiceIssuerName": "OpenAI",
        "ProviderName": "OpenAI",
        "PublisherName": "OpenAI",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "OpenAI API",
        "SkuMeter": meter,
        "SubAccountId": "proj_meridian",
    }
