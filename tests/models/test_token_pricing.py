from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.llm_providers import UNDETERMINED, provider_of_model
from models.rate_card import RateCard
from models.token_buckets import USAGE, buckets, flat
from models.token_pricing import COSTS, price, to_money
from models.token_sizes import band_bounds, sized, sum_requests
from tests.models.token_requests import bucket, library_price, money, one, priced, usage

SHARED = Path(__file__).parents[3] / "shared"
TRACE = SHARED / "data/tokens/azure_llm_inference_trace_2023_code.csv"
BODIES = SHARED / "data/tokens/recorded_provider_usage_bodies.json"
CARD = RateCard()
ARN = "arn:aws:bedrock:us-east-1:1:"
NOVA_BATCH = {"provider_name": "AWS", "llm_model_id": "amazon.nova-lite-v1:0", "is_batch": True}
PRIORITY_BATCH = {"is_batch": True, "service_tier": "priority"}
PROFILE = {"provider_name": "AWS", "llm_model_id": f"{ARN}application-inference-profile/x"}
CACHED_AUDIO = {"llm_model_id": "gpt-realtime", "input_audio_tokens": 5, "cache_read_tokens": 5}
LISTED = [(provider.id, model) for provider in providers for model in provider.models]


def test_the_four_input_buckets_are_priced_apart() -> None:
    row = one(
        provider_name="Anthropic",
        llm_model_id="claude-haiku-4-5-20251001",
        uncached_input_tokens=1_000_000,
        cache_read_tokens=1_000_000,
        cache_write_5m_tokens=1_000_000,
        cache_write_1h_tokens=1_000_000,
        output_tokens=1_000_000,
    )
    assert [row[name] for name in COSTS[:4]] == [money("1"), money("0.1"), money("3.25"), money("5")]
    assert (row["price_status"], row["price_source"]) == ("priced", "genai-prices 0.2.3")


def test_an_unknown_model_is_unpriced_and_keeps_its_tokens() -> None:
    row = one(llm_model_id="gpt-99-turbo")
    assert (row["price_status"], row["price_reason"], row["priced_cost"]) == ("unpriced", "unknown model", None)
    assert row["uncached_input_tokens"] == 1000


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"service_tier": "scale"}, "no price for service_tier scale on this day"),
        ({"service_tier": "flex"}, "no price for service_tier flex on this day"),
        (
            {"is_batch": True, "usage_start": datetime(2023, 7, 1, tzinfo=UTC)},
            "no price for processing batch on this day",
        ),
        (PRIORITY_BATCH, "no price for processing batch, service_tier priority on this day"),
        (NOVA_BATCH, "no price for processing batch on this day"),
        ({"workload": "fine_tuning"}, "fine_tuning has no price per token of use"),
        ({"llm_model_id": None}, "the usage names no model"),
        ({"uncached_input_tokens": None, "output_tokens": None}, "the usage states no amount"),
        ({"llm_model_id": "text-embedding-3-small"}, "no price for output in this context"),
        (PROFILE, "the id names no model: add it to prices.models"),
        ({"unit": "images", "quantity": Decimal(3)}, "no price per unit 'images'"),
        (CACHED_AUDIO, "the usage does not say how much of the audio was cached"),
    ],
)
def test_what_the_library_cannot_know_is_unpriced_not_standard(row: dict[str, Any], reason: str) -> None:
    result = one(**row)
    assert (result["price_status"], result["price_reason"], result["priced_cost"]) == ("unpriced", reason, None)


def test_an_answer_from_the_gateways_cache_was_not_bought() -> None:
    row = one(response_cache_hit=True)
    assert (row["price_status"], row["priced_cost"]) == ("not_bought", None)


def test_a_batch_costs_half_and_its_default_tier_says_nothing() -> None:
    batch = one(is_batch=True, service_tier="default", usage_start=datetime(2026, 11, 1, tzinfo=UTC))
    assert batch["priced_cost"] == one()["priced_cost"] / 2


def test_a_tier_is_a_cliff_for_the_whole_request() -> None:
    def cost(tokens: int) -> Decimal:
        found: Decimal = one(llm_model_id="gpt-5.4", uncached_input_tokens=tokens, output_tokens=0)["priced_cost"]
        return found

    assert cost(272_000) == money("0.68")
    assert cost(272_001) == money("1.360005")


def test_summed_requests_cost_what_the_requests_cost() -> None:
    small = {"provider_name": "OpenAI", "llm_model_id": "gpt-5.4", "uncached_input_tokens": 200_000, "output_tokens": 7}
    rows = usage([small, small, {**small, "uncached_input_tokens": 300_000}])
    classes, _ = price(sum_requests(rows.lazy(), CARD, ["project_id"]).collect(), CARD)
    assert classes.height == 2
    total = classes.select(to_money(sum((pl.col(name) for name in COSTS[1:]), pl.col(COSTS[0])))).to_series().sum()
    assert total == priced(rows)["priced_cost"].sum() == sum(library_price(row) for row in rows.iter_rows(named=True))


@pytest.mark.parametrize(
    ("row", "precision", "cost"),
    [
        ({"context_band": "0-200k"}, "band", "3"),
        ({"context_band": "200k-1M"}, "band", "6"),
        ({"requests": 100}, "sum", "3"),
        ({"requests": 3}, "sum", "6"),
        ({}, "sum", "3"),
        ({"requests": None, "llm_model_id": "claude-haiku-4-5-20251001"}, "request", "1"),
    ],
)
def test_buckets_say_how_exactly_they_could_be_priced(row: dict[str, Any], precision: str, cost: str) -> None:
    defaults = {"provider_name": "Anthropic", "llm_model_id": "claude-sonnet-4-5", "output_tokens": 0}
    result = one(**bucket(**{**defaults, "uncached_input_tokens": 1_000_000, **row}))
    assert (result["price_precision"], result["priced_cost"]) == (precision, money(cost))


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("0-200k", (0, 200_000)),
        ("200k-1M", (200_000, 1_000_000)),
        (">200k", (200_000, None)),
        ("<=128k", (0, 128_000)),
        ("long", None),
        (None, None),
    ],
)
def test_context_bands_are_read(text: str | None, bounds: tuple[int, int | None] | None) -> None:
    assert band_bounds(text) == bounds


def test_a_price_that_changes_within_the_day_follows_the_hour() -> None:
    night = datetime(2025, 3, 1, 20, tzinfo=UTC)
    row: dict[str, Any] = {"provider_name": "DeepSeek", "llm_model_id": "deepseek-chat"}
    by_hour = [one(**row, usage_start=night.replace(hour=hour)) for hour in (3, 20)]
    assert by_hour[0]["priced_cost"] != by_hour[1]["priced_cost"]
    assert [found["priced_cost"] for found in by_hour] == [library_price(found) for found in by_hour]
    day = one(**bucket(**row))
    assert day["price_reason"] == "the price changes within the bucket's hours"


@pytest.mark.parametrize(("operation", "cost"), [("web_search", "0.3"), ("file_search", "0.075")])
def test_searches_are_priced_by_what_is_searched(operation: str, cost: str) -> None:
    searches: dict[str, Any] = {"unit": "searches", "quantity": Decimal(30), "operation": operation}
    row = one(uncached_input_tokens=None, output_tokens=None, **searches)
    assert row["unit_cost"] == row["priced_cost"] == money(cost)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    provider, model = draw(st.sampled_from(LISTED))
    count = st.one_of(st.just(0), st.integers(0, 5_000), st.sampled_from([128_000, 199_999, 200_000, 200_001, 272_001]))
    row: dict[str, Any] = {
        "provider_name": provider,
        "llm_model_id": model.id,
        "usage_start": draw(st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
        "service_tier": draw(st.sampled_from([None, "default", "standard", "flex", "priority", "fast"])),
        "is_batch": draw(st.booleans()),
        **{name: draw(count) for name in ("uncached_input_tokens", "cache_read_tokens", "output_tokens")},
        **{name: draw(count) for name in ("cache_write_5m_tokens", "cache_write_1h_tokens")},
    }
    row["reasoning_tokens"] = draw(st.integers(0, row["output_tokens"]))
    row["input_audio_tokens"] = draw(st.one_of(st.just(0), st.integers(0, row["uncached_input_tokens"])))
    row["output_audio_tokens"] = draw(
        st.one_of(st.just(0), st.integers(0, row["output_tokens"] - row["reasoning_tokens"]))
    )
    return row


@given(st.lists(requests(), min_size=1, max_size=30))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_every_priced_request_costs_what_the_library_says_of_it_alone(rows: list[dict[str, Any]]) -> None:
    result = priced(usage(rows), CARD)
    for row in result.filter(pl.col("price_status") == "priced").iter_rows(named=True):
        assert row["priced_cost"] == library_price(row), row
    for row in result.filter(pl.col("price_status") != "priced").iter_rows(named=True):
        assert row["price_reason"]
        assert row["priced_cost"] is None


def test_every_listed_model_is_priced_at_its_own_id() -> None:
    """Free of context and of special counts the library's answer is the only one, so nothing may be unpriced."""
    text = [(provider, model) for provider, model in LISTED if is_plain(model) and CARD.is_known(provider, model.id)]
    rows = usage(
        [
            {"provider_name": provider, "llm_model_id": model.id, "uncached_input_tokens": 12_345, "output_tokens": 678}
            for provider, model in text
        ]
    )
    result = priced(rows, CARD)
    different = [
        (row["provider_name"], row["llm_model_id"], row["price_reason"])
        for row in result.iter_rows(named=True)
        if row["priced_cost"] != library_price(row)
    ]
    assert different == []
    assert len(text) > 1500


def is_plain(model: ModelInfo) -> bool:
    prices = [item.prices for item in model.prices] if isinstance(model.prices, list) else [model.prices]
    return all({"input_mtok", "output_mtok"} <= vars(price).keys() for price in prices)


@pytest.mark.real_data
@pytest.mark.skipif(not TRACE.exists(), reason="the real trace is not here")
@pytest.mark.parametrize(
    ("provider", "model"),
    [("OpenAI", "gpt-5.4"), ("Anthropic", "claude-sonnet-4-20250514"), ("Google Cloud", "gemini-1.5-flash")],
)
def test_a_real_trace_costs_what_the_library_says_of_each_request(provider: str, model: str) -> None:
    with TRACE.open() as file:
        trace = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
    assert len(trace) == 8819
    rows = usage(
        [
            {
                "provider_name": provider,
                "llm_model_id": model,
                "uncached_input_tokens": context,
                "output_tokens": output,
            }
            for context, output in trace
        ]
    )
    result = priced(rows, CARD)
    assert result["priced_cost"].to_list() == [library_price(row) for row in rows.iter_rows(named=True)]
    classes, _ = price(sum_requests(rows.lazy(), CARD, []).collect(), CARD)
    total = sum((pl.col(name) for name in COSTS[1:]), pl.col(COSTS[0]))
    assert classes.select(to_money(total.sum())).item() == result["priced_cost"].sum()


@pytest.mark.real_data
@pytest.mark.skipif(not BODIES.exists(), reason="the recorded bodies are not here")
def test_all_recorded_bodies_cost_what_the_library_says_of_each_or_are_said_to_be_unpriced() -> None:
    rows = []
    for record in json.loads(BODIES.read_text(encoding="utf-8")):
        body = record["body"]
        model = body.get("model") or body.get("modelVersion")
        raw = flat(body.get("usage") or body.get("usageMetadata") or body["meta"])
        counts = pl.DataFrame({"usage": [raw]}, schema={"usage": USAGE}).select(**buckets(pl.col("usage")))
        row = counts.row(0, named=True)
        rows.append({"provider_name": provider_of_model(model or ""), "llm_model_id": model, **row})
    result = priced(usage(rows), CARD)
    known = result.filter(pl.col("price_status") == "priced")
    assert known["priced_cost"].to_list() == [library_price(row) for row in known.iter_rows(named=True)]
    unknown = result.filter(pl.col("price_status") != "priced")
    assert unknown["priced_cost"].null_count() == unknown.height
    assert result.height == 789
    assert known.height >= 540
    # The others name no model, or one whose seller their body does not tell.
    told = unknown.filter(pl.col("provider_name") != UNDETERMINED)
    assert told.height <= 2
    assert unknown["llm_model_id"].null_count() == 129


@pytest.mark.real_data
@pytest.mark.skipif(not SHARED.exists(), reason="the reference examples are not here")
def test_models_of_the_reference_examples_are_priced_or_said_to_be_unknown() -> None:
    known: list[tuple[str, str]] = []
    unknown: list[tuple[str, str]] = []
    for file in sorted((SHARED / "reference/tokens/examples").glob("*.json")):
        for provider, model in _models_in(file.name, json.loads(file.read_text(encoding="utf-8"))):
            row = one(provider_name=provider, llm_model_id=model, output_tokens=0)
            (known if row["price_status"] == "priced" else unknown).append((provider, model))
            if row["price_status"] == "priced":
                assert row["priced_cost"] == library_price(row), row
    assert len(known) >= 20
    assert {model for _, model in unknown} <= UNKNOWN_IN_EXAMPLES


UNKNOWN_IN_EXAMPLES = {"x-ai/grok-4", "arn:aws:bedrock:us-east-1:466959819186:application-inference-profile/xyz"}


def _models_in(name: str, body: object) -> list[tuple[str, str]]:
    vendors = {
        "anthropic": "Anthropic",
        "openai": "OpenAI",
        "google": "Google Cloud",
        "bedrock": "AWS",
        "openrouter": "OpenRouter",
    }
    provider = vendors.get(name.partition("_")[0])
    found: list[tuple[str, str]] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in {"model", "modelId", "modelVersion"} and isinstance(item, str) and item:
                    found.append((provider or "", item))
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(body)
    return found if provider else []


def test_columns_that_a_source_never_fills_may_be_absent() -> None:
    full = usage(
        [{"provider_name": "OpenAI", "llm_model_id": "gpt-4o", "uncached_input_tokens": 1000, "output_tokens": 10}]
    )
    bare = full.select(
        "usage_start", "usage_end", "provider_name", "llm_model_id", "uncached_input_tokens", "output_tokens"
    )
    result, _ = price(sized(bare.lazy(), CARD).collect(), CARD)
    assert result.select(to_money(pl.col("output_cost"))).item() == money("0.0001")
