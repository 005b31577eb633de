from __future__ import annotations

import polars as pl
import pytest

from models.attribution import llm_model_name
from models.llm_names import LONGEST_NAME, name_of, resolve_names
from models.rate_card import RateCard

CARD = RateCard()
ARN = "arn:aws:bedrock:us-east-1:123456789012:"


@pytest.mark.parametrize(
    ("provider", "raw", "bill"),
    [
        ("Anthropic", "claude-haiku-4-5-20251001", "Claude Haiku 4.5"),
        ("Anthropic", "claude-3-5-sonnet-20241022", "Claude3-5Sonnet"),
        ("AWS", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5"),
        ("AWS", "global.anthropic.claude-sonnet-4-20250514-v1:0", "Claude Sonnet 4"),
        (
            "AWS",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0",
            "Claude4.5Haiku",
        ),
        ("AWS", f"{ARN}inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5"),
        ("AWS", "bedrock/us-east-1/amazon.nova-lite-v1:0", "NovaLite"),
        ("AWS", "bedrock/converse/global.amazon.nova-2-lite-v1:0", "Nova2.0Lite"),
        ("AWS", "meta.llama3-1-405b-instruct-v1:0", "Llama3-1-405B"),
        ("OpenAI", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("OpenAI", "openai/gpt-4.1-mini", "gpt-4.1-mini"),
        ("OpenAI", "ft:gpt-4o-2024-08-06:acme::abc", "ft-gpt-4o-2024-08-06"),
        ("Google Cloud", "publishers/google/models/gemini-2.5-flash", "Gemini 2.5 Flash"),
        ("Google Cloud", "vertex_ai/gemini-2.0-flash-001", "Gemini 2.0 Flash"),
        ("Google Cloud", "vertex_ai/claude-haiku-4-5@20251001", "Claude Haiku 4.5"),
        (
            "Google Cloud",
            "projects/p/locations/us-central1/publishers/anthropic/models/claude-haiku-4-5",
            "Claude Haiku 4.5",
        ),
        ("Microsoft", "azure/gpt-4o", "gpt-4o"),
        ("OpenRouter", "anthropic/claude-haiku-4.5", "Claude Haiku 4.5"),
        ("OpenRouter", "openrouter/openai/gpt-4.1", "gpt-4.1"),
    ],
)
def test_an_id_and_the_bills_text_meet_in_one_name(provider: str, raw: str, bill: str) -> None:
    name = name_of(provider, raw, {}, CARD.is_known)
    assert name.known
    assert name.llm_model == pl.select(llm_model_name(pl.lit(bill))).item()


@pytest.mark.parametrize(
    ("provider", "raw"),
    [
        ("AWS", f"{ARN}application-inference-profile/xyz"),
        ("AWS", f"{ARN}provisioned-model/xyz"),
        ("AWS", f"bedrock/{ARN}application-inference-profile/xyz"),
        ("Microsoft", "azure/prod-chat-1"),
        ("Microsoft", "gpt-4o-prod-eastus"),
        ("Microsoft", "prod-o4-mini"),
        ("Acme Inference", "gpt-4o"),
        ("vLLM", "meta-llama/Llama-3.1-8B-Instruct"),
        (None, "sk-?\x00"),
    ],
)
def test_what_names_no_known_model_stays_as_it_is_written(provider: str | None, raw: str) -> None:
    name = name_of(provider, raw, {}, CARD.is_known)
    assert (name.llm_model, name.known) == (raw, False)


def test_an_id_of_ten_kilobytes_is_cut_and_asked_of_nobody() -> None:
    name = name_of("OpenAI", "gpt-4o" + "é" * 10_000, {}, CARD.is_known)
    assert name.llm_model is not None
    assert (len(name.llm_model), name.price_id, name.known) == (LONGEST_NAME, None, False)


@pytest.mark.parametrize(
    ("raw", "alias"),
    [
        (f"{ARN}application-inference-profile/xyz", f"{ARN}application-inference-profile/xyz"),
        (f"{ARN}application-inference-profile/xyz", "xyz"),
        (f"bedrock/{ARN}provisioned-model/xyz", f"{ARN}provisioned-model/xyz"),
        ("azure/prod-chat", "prod-chat"),
        ("prod-chat", "prod-chat"),
    ],
)
def test_the_teams_map_is_asked_first(raw: str, alias: str) -> None:
    provider = "AWS" if "bedrock" in raw else "Microsoft"
    assert name_of(provider, raw, {alias: "claude-haiku-4-5-20251001"}).llm_model == "claude-haiku-4.5"


def test_no_id_is_no_model() -> None:
    assert name_of("OpenAI", " ", {}).llm_model is None


def test_each_distinct_id_is_resolved_once() -> None:
    asked: list[str] = []

    def is_known(_provider: str, model: str) -> bool:
        asked.append(model)
        return False

    ids = pl.DataFrame({"provider_name": ["Groq"] * 1000, "llm_model_id": ["a", None] * 500})
    assert resolve_names(ids, {}, is_known).height == 2
    assert len(asked) <= 2
