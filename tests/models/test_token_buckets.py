"""What the usage objects of each provider mean, on objects that providers sent and on invented ones."""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.usage_objects import count
from models.llm_providers import SELF_HOSTED, UNDETERMINED, provider_named, provider_of_model
from models.token_buckets import ADDITIVE, USAGE, buckets, flat, impossible

SHARED = Path(__file__).parents[3] / "shared"
EXAMPLES = SHARED / "reference" / "tokens" / "examples"
RECORDED = SHARED / "data" / "tokens" / "recorded_provider_usage_bodies.json"
IN = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def parsed(*usages: Mapping[str, Any]) -> list[dict[str, Any]]:
    frame = pl.DataFrame({"usage": [flat(usage) for usage in usages]}, schema={"usage": USAGE})
    rows = frame.select(**buckets(pl.col("usage"))).to_dicts()
    for usage, row in zip(usages, rows, strict=True):
        assert {name: row.get(name) or 0 for name in ADDITIVE} == count(usage)
    return rows


def stated(usage: Mapping[str, Any]) -> dict[str, int]:
    (row,) = parsed(usage)
    return {name: value for name, value in row.items() if value is not None}


def test_openai_chat_counts_cached_and_reasoning_inside() -> None:
    assert stated(
        {
            "prompt_tokens": 4020,
            "completion_tokens": 240,
            "prompt_tokens_details": {"cached_tokens": 3000, "cache_write_tokens": 1000, "audio_tokens": 7},
            "completion_tokens_details": {"reasoning_tokens": 165, "audio_tokens": 3},
            "total_tokens": 4260,
        }
    ) == {
        "uncached_input_tokens": 20,
        "cache_read_tokens": 3000,
        "cache_write_5m_tokens": 1000,
        "output_tokens": 240,
        "reasoning_tokens": 165,
        "input_audio_tokens": 7,
        "output_audio_tokens": 3,
    }


def test_openai_responses_count_cached_inside() -> None:
    usage = {
        "input_tokens": 4020,
        "input_tokens_details": {"cache_write_tokens": 8, "cached_tokens": 4012},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    assert stated(usage) == {
        "uncached_input_tokens": 0,
        "cache_read_tokens": 4012,
        "cache_write_5m_tokens": 8,
        "output_tokens": 5,
        "reasoning_tokens": 0,
    }


def test_anthropic_counts_cached_beside_and_an_hour_apart() -> None:
    usage = {
        "input_tokens": 3,
        "cache_read_input_tokens": 9511,
        "cache_creation_input_tokens": 1956,
        "cache_creation": {"ephemeral_5m_input_tokens": 956, "ephemeral_1h_input_tokens": 1000},
        "output_tokens": 44,
    }
    assert stated(usage) == {
        "uncached_input_tokens": 3,
        "cache_read_tokens": 9511,
        "cache_write_5m_tokens": 956,
        "cache_write_1h_tokens": 1000,
        "output_tokens": 44,
    }


@pytest.mark.parametrize("suffix", ["", "Count", "both"])
def test_bedrock_spells_its_cache_in_two_ways_and_counts_once(suffix: str) -> None:
    read, write = "cacheReadInputTokens", "cacheWriteInputTokens"
    spelled = {read: 40, write: 100}
    if suffix:
        spelled = {"cacheReadInputTokenCount": 40, "cacheWriteInputTokenCount": 100}
    if suffix == "both":
        spelled |= {read: 40, write: 100}
    details = [{"inputTokens": 30, "ttl": "1h"}, {"inputTokens": 70, "ttl": "5m"}]
    assert stated({"inputTokens": 12, "outputTokens": 8, "cacheDetails": details, **spelled}) == {
        "uncached_input_tokens": 12,
        "cache_read_tokens": 40,
        "cache_write_5m_tokens": 70,
        "cache_write_1h_tokens": 30,
        "output_tokens": 8,
    }


@pytest.mark.parametrize("is_snake", [False, True])
def test_gemini_counts_thoughts_and_prompts_of_tools_beside(*, is_snake: bool) -> None:
    usage = {
        "promptTokenCount": 249,
        "toolUsePromptTokenCount": 319,
        "cachedContentTokenCount": 200,
        "candidatesTokenCount": 240,
        "thoughtsTokenCount": 301,
    }
    if is_snake:
        usage = {"".join(f"_{c.lower()}" if c.isupper() else c for c in key): value for key, value in usage.items()}
    assert stated(usage) == {
        "uncached_input_tokens": 368,
        "cache_read_tokens": 200,
        "output_tokens": 541,
        "reasoning_tokens": 301,
    }


def test_reasoning_that_only_the_total_shows_is_counted_once() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 7}}
    assert stated({**usage, "total_tokens": 22})["output_tokens"] == 12
    assert stated({**usage, "completion_tokens": 12, "total_tokens": 22})["output_tokens"] == 12


def test_what_an_object_does_not_say_is_null() -> None:
    assert stated({"prompt_tokens": 4, "total_tokens": 4}) == {"uncached_input_tokens": 4}


@pytest.mark.parametrize(
    ("usage", "problem"),
    [
        ({"prompt_tokens": -1}, "prompt_tokens is -1, which is negative"),
        ({"input_tokens": "many"}, "input_tokens is 'many', which is no count"),
        ({"input_tokens": 1.5}, "is no count"),
        ({"input_tokens": True}, "is no count"),
        ({"inputTokens": 10**16}, "impossibly large"),
        ({"tokens_in": 4}, "the usage object is of no known provider (its fields: tokens_in)"),
    ],
)
def test_what_is_no_usage_is_said(usage: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        flat(usage)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 11}},
        {"promptTokenCount": 10, "cachedContentTokenCount": 11},
        {"inputTokens": 1, "cacheWriteInputTokens": 5, "cacheDetails": [{"ttl": "1h", "inputTokens": 6}]},
        {"input_tokens": 1, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 2}},
    ],
)
def test_more_cached_or_reasoning_than_there_is_is_impossible(usage: Mapping[str, Any]) -> None:
    frame = pl.DataFrame({"usage": [flat(usage)]}, schema={"usage": USAGE}).select(**buckets(pl.col("usage")))
    assert frame.select(pl.any_horizontal(*impossible().values())).item()


def test_numbers_come_as_text_too() -> None:
    assert stated({"prompt_tokens": "31", "completion_tokens": "19"})["uncached_input_tokens"] == 31


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("azure.ai.openai", "Microsoft"),
        ("az.ai.openai", "Microsoft"),
        ("aws.bedrock", "AWS"),
        ("bedrock_converse", "AWS"),
        ("vertex_ai-anthropic_models", "vertex_ai-anthropic_models"),
        ("gcp.vertex_ai", "Google Cloud"),
        ("gemini", "Google Cloud"),
        ("OPENAI", "OpenAI"),
        ("x_ai", "xAI"),
        ("hosted_vllm", SELF_HOSTED),
        ("Google Cloud", "Google Cloud"),
        ("Acme Models", "Acme Models"),
    ],
)
def test_a_provider_has_the_name_that_charges_use(written: str, name: str) -> None:
    assert provider_named(written) == name


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        ("gpt-4o-2024-08-06", "OpenAI"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "OpenAI"),
        ("claude-sonnet-4-5-20250929", "Anthropic"),
        ("claude-sonnet-4-5@20250929", "Google Cloud"),
        ("eu.anthropic.claude-opus-4-5-20251101-v1:0", "AWS"),
        ("arn:aws:bedrock:us-east-1:466959819186:application-inference-profile/xyz", "AWS"),
        ("gemini-2.5-pro", "Google Cloud"),
        ("llama-3.3-70b", UNDETERMINED),
    ],
)
def test_a_model_id_tells_its_provider_where_only_one_gives_it_out(model_id: str, name: str) -> None:
    assert provider_of_model(model_id) == name


FAMILIES: Mapping[str, tuple[str, ...]] = {
    "chat": (
        "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details.cached_tokens",
        "prompt_tokens_details.cache_write_tokens", "completion_tokens_details.reasoning_tokens",
    ),
    "litellm": (
        "prompt_tokens", "completion_tokens", "prompt_tokens_details.cached_tokens",
        "prompt_tokens_details.cache_creation_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
        "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
    ),
    "deepseek": ("prompt_tokens", "completion_tokens", "prompt_cache_hit_tokens"),
    "responses": (
        "input_tokens", "output_tokens", "total_tokens", "input_tokens_details.cached_tokens",
        "input_tokens_details.cache_write_tokens", "output_tokens_details.reasoning_tokens",
    ),
    "anthropic": (
        "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
        "cache_creation.ephemeral_5m_input_tokens", "cache_creation.ephemeral_1h_input_tokens",
        "output_tokens_details.thinking_tokens",
    ),
    "gemini": (
        "promptTokenCount", "toolUsePromptTokenCount", "cachedContentTokenCount", "candidatesTokenCount",
        "thoughtsTokenCount",
    ),
    "converse": (
        "inputTokens", "outputTokens", "cacheReadInputTokens", "cacheReadInputTokenCount", "cacheWriteInputTokens",
        "cacheWriteInputTokenCount",
    ),
    "cohere": ("billed_units.input_tokens", "billed_units.output_tokens", "tokens.input_tokens", "cached_tokens"),
    "disjoint": ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens"),
}  # fmt: skip


@st.composite
def _usages(draw: st.DrawFn) -> Mapping[str, Any]:
    """Make an object with some fields of one provider; the same count wherever two spellings mean one thing."""
    usage: dict[str, Any] = {}
    same = {"cacheReadInputTokenCount": "cacheReadInputTokens", "cacheWriteInputTokenCount": "cacheWriteInputTokens"}
    numbers: dict[str, int | None] = {}
    for path in FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))]:
        name = same.get(path, path)
        number = numbers.setdefault(name, draw(st.one_of(st.none(), st.integers(0, 1_000))))
        if draw(st.booleans()):
            held = usage
            *inwards, last = path.split(".")
            for part in inwards:
                held = held.setdefault(part, {})
            held[last] = number
    return usage


@settings(max_examples=100)
@given(st.lists(_usages(), min_size=1, max_size=30))
def test_both_ways_of_counting_agree_on_any_part_of_an_object(usages: list[Mapping[str, Any]]) -> None:
    known = []
    for usage in usages:
        with contextlib.suppress(ValueError):
            flat(usage)
            known.append(usage)
    if known:
        parsed(*known)


@pytest.mark.real_data
def test_all_recorded_bodies_of_real_providers_parse_to_what_their_prices_are_made_from() -> None:
    if not RECORDED.exists():
        pytest.skip("the recorded bodies are not beside this checkout")
    bodies = json.loads(RECORDED.read_text())
    assert len(bodies) == 789
    usages = [_usage(body["body"]) for body in bodies]
    for body, row in zip(bodies, parsed(*usages), strict=True):
        ours = {
            "input_tokens": sum(row[name] or 0 for name in IN),
            "cache_read_tokens": row["cache_read_tokens"] or 0,
            "cache_write_tokens": (row["cache_write_5m_tokens"] or 0) + (row["cache_write_1h_tokens"] or 0),
            "output_tokens": row["output_tokens"] or 0,
            "output_reasoning_tokens": row["reasoning_tokens"] or 0,
            "input_audio_tokens": row["input_audio_tokens"] or 0,
        }
        # One object is read differently by different providers; the reading that says most is the one meant.
        fullest = max((one["usage"] for one in body["extracted"]), key=_fullness(body["body"]))
        theirs = {name: fullest.get(name, 0) for name in ours}
        theirs["cache_write_tokens"] = max(theirs["cache_write_tokens"], fullest.get("cache_write_5m_tokens", 0))
        assert ours == theirs, body["body"]


def _usage(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = body.get("usage") or body.get("usageMetadata") or body["meta"]
    return found


def _fullness(body: Mapping[str, Any]) -> Any:
    usage = _usage(body)

    def key(found: Mapping[str, int]) -> tuple[bool, bool, int]:
        # xAI's reading adds reasoning to the completion, which the total of the others contradicts; Cohere's second
        # reading is what it counted and not what it bills.
        said = usage.get("completion_tokens")
        billed = usage.get("billed_units", {}).get("input_tokens")
        same_output = said is None or found.get("output_tokens") == said
        return billed is None or found.get("input_tokens") == billed, same_output, len(found)

    return key


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("anthropic_messages_usage", [(2743, 0, 0, 0, 4), (26447, 0, 0, 0, 528), (3, 9511, 0, 0, 1944)]),
        ("bedrock_converse_usage", [(22, 0, 2492, None, 13), (64, 0, 2492, None, 4), (22, 2492, 0, None, 13)]),
        ("openai_chat_usage", [(5, 682, None, None, 240), (8, 4012, 0, None, 4)]),
        (
            "openai_responses_usage",
            [(8, 4012, None, None, 5), (8, 4012, 0, None, 5), (45, 0, None, None, 1719)],
        ),
        ("openrouter_response_usage", [(14, 0, 0, None, 4), (270, 0, 0, None, 28)]),
        ("openai_batch", [(476, 1024, None, None, 500)]),
        (
            "google_gemini_usage_metadata",
            [
                (1106, None, None, None, 1867),
                (33, None, None, None, 2309),
                (9, None, None, None, 51),
                (9, None, None, None, 56),
                (115, 230, None, None, 51),
                (169, 204, None, None, 256),
                (13, None, None, None, 71),
                (15, None, None, None, 73),
            ],
        ),
    ],
)
def test_the_example_payloads_parse_to_their_buckets(example: str, expected: list[tuple[int | None, ...]]) -> None:
    path = EXAMPLES / f"{example}.json"
    if not path.exists():
        pytest.skip("the example payloads are not beside this checkout")
    payload = json.loads(path.read_text())["payload"]
    groups = payload if isinstance(payload, list) else [payload]
    bodies = [body for group in groups for body in _bodies(group)]
    found = [tuple(row[name] for name in (*IN, "output_tokens")) for row in parsed(*map(_usage, bodies))]
    assert found[: len(expected)] == expected


def _bodies(group: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "usage" in group:
        return [group]
    return [body for bodies in group.values() for body in bodies]
