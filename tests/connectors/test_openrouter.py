"""OpenRouter's activity, which is told for thirty days only and so is landed day by day."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from connectors.openrouter import OpenRouter
from models.errors import BadInput
from models.facts import Fact
from tests.connectors.fake_provider import DAY, KEY, FakeProvider, Said, collected, landed_pages, problem, read, serving

EXAMPLES = Path(__file__).parents[3] / "shared" / "reference" / "tokens" / "examples"
OCTOBER = date(2025, 10, 1)


def activity(day: date, **fields: Any) -> Said:
    return {
        "date": str(day),
        "model": "openai/gpt-4.1",
        "model_permaslug": "openai/gpt-4.1-2025-04-14",
        "endpoint_id": "550e8400",
        "provider_name": "OpenAI",
        "usage": 0.015,
        "byok_usage_inference": 0.012,
        "requests": 5,
        "prompt_tokens": 50,
        "completion_tokens": 125,
        "reasoning_tokens": 25,
        "cached_tokens": 10,
        **fields,
    }


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(lambda _, day: [activity(day)])


@pytest.fixture
def openrouter(httpserver: HTTPServer, provider: FakeProvider, tmp_path: Path) -> Callable[..., OpenRouter]:
    def make(until: date, **options: Any) -> OpenRouter:
        address = serving(httpserver, provider)
        oldest = until - 29 * DAY

        def served(_path: str, day: date) -> list[Said]:
            assert oldest <= day <= until, "only days that are served are asked for"
            return [activity(day)]

        provider.results = served
        chosen = OpenRouter.Options(api_key=KEY, base_url=address, until=until, refresh_minutes=0, **options)
        return OpenRouter("router", chosen, tmp_path / "landing", lambda _: None)

    return make


def test_prompt_tokens_include_cached_ones_and_credits_are_the_bill(openrouter: Callable[..., OpenRouter]) -> None:
    source = openrouter(date(2025, 10, 2))
    (version,) = source.versions()
    frames, totals = read(source, version)
    first, second = frames[Fact.TOKEN_USAGE].iter_rows(named=True)
    assert (first["uncached_input_tokens"], first["cache_read_tokens"], first["output_tokens"]) == (40, 10, 125)
    assert (first["reasoning_tokens"], first["requests"], first["provider_name"]) == (25, 5, "OpenRouter")
    assert first["llm_model_id"] == "openai/gpt-4.1-2025-04-14"
    assert (first["usage_start"], second["usage_end"]) == (
        datetime(2025, 10, 1, tzinfo=UTC),
        datetime(2025, 10, 3, tzinfo=UTC),
    )
    # What an own key cost at OpenAI stands on OpenAI's bill, so it is a remark and no money.
    assert totals.quantized["billed_cost"] == Decimal("0.03")
    charge = frames[Fact.CHARGES].row(0, named=True)
    assert dict(charge["tags"]) == {"upstream_provider": "OpenAI", "byok_usage_inference": "0.012"}


def test_a_replayed_answer_may_tell_more_cached_tokens_than_the_prompt_has(
    openrouter: Callable[..., OpenRouter], tmp_path: Path
) -> None:
    source = openrouter(date(2025, 10, 1))
    body = {"data": [activity(OCTOBER, cached_tokens=60)]}
    landed = landed_pages(tmp_path, {"activity-2025-10-01": body}, OCTOBER)
    (row,) = collected(source, landed)[0][Fact.TOKEN_USAGE].to_dicts()
    assert (row["uncached_input_tokens"], row["cache_read_tokens"]) == (0, 50)
    assert dict(row["tags"])["cached_tokens"] == "60"


@pytest.mark.pipeline
def test_a_month_of_31_days_is_put_together_from_days_that_landed_when_they_were_served(
    openrouter: Callable[..., OpenRouter], provider: FakeProvider
) -> None:
    for day in (1, 16, 31):
        versions = openrouter(date(2025, 10, day)).versions()
    source = openrouter(date(2025, 11, 20))
    october, _november = source.versions()
    assert len(versions) == 1
    days = read(source, october)[0][Fact.TOKEN_USAGE]["usage_start"]
    assert days.n_unique() == len(days) == 31
    # The first days are no longer served: they were not asked for, and they stayed.
    assert october.is_final is False
    asked = [query["date"][0] for _, query in provider.asked[-30:]]
    assert asked[0] == "2025-10-22"


def test_a_month_whose_first_days_are_gone_is_not_read_and_said(
    openrouter: Callable[..., OpenRouter], caplog: pytest.LogCaptureFixture
) -> None:
    (version,) = openrouter(date(2025, 11, 20)).versions()
    assert version.billing_period == date(2025, 11, 1)
    assert "2025-10 is not read: the provider no longer tells of 2025-10-01" in caplog.text


def test_since_says_that_a_part_of_a_month_is_meant(openrouter: Callable[..., OpenRouter]) -> None:
    source = openrouter(date(2025, 11, 20), since=date(2025, 10, 22))
    october, _ = source.versions()
    assert read(source, october)[1].lines == 10


@pytest.mark.pipeline
def test_a_settled_month_is_final_and_loaded_once_more(openrouter: Callable[..., OpenRouter]) -> None:
    (october,) = openrouter(date(2025, 10, 30)).versions()
    openrouter(date(2025, 11, 29)).versions()
    again, *_ = openrouter(date(2025, 12, 3)).versions()
    settled, *_ = openrouter(date(2025, 12, 4)).versions()
    assert (october.is_final, again.is_final, settled.is_final) == (False, False, True)
    assert again.fingerprint != settled.fingerprint
    assert [file.etag for file in again.files] == [file.etag for file in settled.files]


def test_the_error_for_a_wrong_key_says_which_one_is_needed(
    openrouter: Callable[..., OpenRouter], provider: FakeProvider
) -> None:
    provider.faults = [problem(403, "Only management keys can fetch activity")]
    with pytest.raises(BadInput, match=r"permission denied \(HTTP 403\)\. Use a management key"):
        openrouter(date(2025, 10, 1)).versions()


@pytest.mark.real_data
def test_the_documented_body_parses(openrouter: Callable[..., OpenRouter], tmp_path: Path) -> None:
    if not EXAMPLES.exists():
        pytest.skip("the examples are not beside this checkout")
    body = json.loads((EXAMPLES / "openrouter_activity.json").read_text())["payload"]
    source = openrouter(date(2025, 10, 1))
    landed = landed_pages(tmp_path, {"activity-2026-11-20": body}, date(2026, 11, 1))
    frames, totals = collected(source, landed)
    (row,) = frames[Fact.TOKEN_USAGE].to_dicts()
    assert (row["uncached_input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (40, 10, 125)
    assert totals.quantized["billed_cost"] == Decimal("0.015")
