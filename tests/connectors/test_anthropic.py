"""Anthropic's cost report, messages usage and Claude Code report, over HTTP and from the documented bodies."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from connectors.anthropic import Anthropic
from models.errors import BadInput
from models.facts import Fact
from tests.connectors.fake_provider import KEY, FakeProvider, Said, collected, landed_pages, read, serving

EXAMPLES = Path(__file__).parents[3] / "shared" / "reference" / "tokens" / "examples"
MONTH = date(2025, 8, 1)
MESSAGES = "/v1/organizations/usage_report/messages"
COSTS = "/v1/organizations/cost_report"
CLAUDE_CODE = "/v1/organizations/usage_report/claude_code"


def message(**fields: Any) -> Said:
    return {
        "uncached_input_tokens": 1500,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "cache_read_input_tokens": 200,
        "output_tokens": 50,
        "server_tool_use": {"web_search_requests": 10},
        "model": "claude-sonnet-4-20250514",
        "workspace_id": "wrkspc_1",
        "api_key_id": "apikey_1",
        "account_id": "user_1",
        "service_account_id": None,
        "service_tier": "standard",
        "context_window": "0-200k",
        "inference_geo": "global",
        "a_field_of_tomorrow": 1,
        **fields,
    }


def cost(amount: object = "123.78912", **fields: Any) -> Said:
    said = {"currency": "USD", "cost_type": "tokens", "token_type": "output_tokens", "model": "claude-opus-5"}
    return (
        {"amount": amount, "description": "Claude Opus 5 Usage - Output Tokens", "workspace_id": None} | said | fields
    )


def session(**fields: Any) -> Said:
    tokens = {"input": 100_000, "output": 35_000, "cache_read": 10_000, "cache_creation": 5_000}
    model = {"model": "claude-sonnet-4-5", "tokens": tokens, "estimated_cost": {"currency": "USD", "amount": 1025}}
    return {
        "date": "2025-08-03T00:00:00Z",
        "actor": {"type": "user_actor", "email_address": "ada@acme.example"},
        "customer_type": "api",
        "core_metrics": {"num_sessions": 5},
        "model_breakdown": [model, model],
        **fields,
    }


def results(path: str, day: date) -> list[Said]:
    if path == CLAUDE_CODE:
        return [session(date=f"{day}T00:00:00Z")]
    return [cost()] if path == COSTS else [message(), message(service_tier="batch", server_tool_use=None)]


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(results)


@pytest.fixture
def anthropic(httpserver: HTTPServer, provider: FakeProvider, tmp_path: Path) -> Callable[..., Anthropic]:
    def make(**options: Any) -> Anthropic:
        address = serving(httpserver, provider)
        chosen = {"api_key": KEY, "base_url": address, "since": MONTH, "until": date(2025, 8, 31), **options}
        return Anthropic("claude", Anthropic.Options(**chosen), tmp_path / "landing", lambda _: None)

    return make


@pytest.fixture
def offline(tmp_path: Path) -> Anthropic:
    return Anthropic("claude", Anthropic.Options(api_key=KEY), tmp_path / "landing", lambda _: None)


def test_a_month_of_costs_and_messages(anthropic: Callable[..., Anthropic], provider: FakeProvider) -> None:
    provider.page_size = 10
    source = anthropic()
    (version,) = source.versions()
    frames, _ = read(source, version)
    assert frames[Fact.CHARGES]["billed_cost"].sum() == Decimal("1.2378912") * 31
    usage = frames[Fact.TOKEN_USAGE]
    assert usage["usage_start"].max() == datetime(2025, 8, 31, tzinfo=UTC)
    assert usage["uncached_input_tokens"].sum() == 31 * 3000
    assert provider.paths().count(MESSAGES) == provider.paths().count(COSTS) == 4
    assert provider.asked[0][1]["group_by[]"] == ["description", "workspace_id"]


def test_the_four_input_buckets_are_disjoint_already(offline: Anthropic, tmp_path: Path) -> None:
    body = bucket(message(), message(service_tier="batch", server_tool_use=None))
    rows = collected(offline, landed_pages(tmp_path, {"messages": body}, MONTH))[0][Fact.TOKEN_USAGE].to_dicts()
    one, searches, batch = rows
    names = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    assert [one[name] for name in (*names, "output_tokens")] == [1500, 200, 500, 1000, 50]
    assert (one["requests"], one["context_band"], one["region_id"]) == (None, "0-200k", "global")
    assert (one["workspace_id"], one["api_key_id"], one["user_id"]) == ("wrkspc_1", "apikey_1", "user_1")
    assert (one["is_batch"], batch["is_batch"], batch["service_tier"]) == (False, True, "batch")
    # Searches have another unit, so they are a row of their own, of the same result.
    assert (searches["unit"], searches["quantity"], searches["output_tokens"]) == ("searches", 10, None)
    assert (searches["source_row"], batch["source_row"]) == (1, 2)


def test_costs_come_in_cents_with_every_digit(offline: Anthropic, tmp_path: Path) -> None:
    body = bucket(cost(), cost("50", cost_type="web_search", token_type=None, model=None), cost("0.000000000001"))
    charges = collected(offline, landed_pages(tmp_path, {"cost_report": body}, MONTH))[0][Fact.CHARGES].to_dicts()
    # The third is 10⁻¹⁴ dollars: less than money has.
    assert [row["billed_cost"] for row in charges] == [Decimal("1.2378912"), Decimal("0.5"), 0]
    assert [row["usage_type"] for row in charges] == ["output_tokens", "web_search", "output_tokens"]
    assert (charges[0]["provider_name"], charges[0]["line_item_type"]) == ("Anthropic", "api_costs")
    assert dict(charges[0]["tags"])["model"] == "claude-opus-5"
    assert charges[0]["service_category"] == "AI and Machine Learning"


def test_claude_code_adds_people_but_never_tokens(anthropic: Callable[..., Anthropic], provider: FakeProvider) -> None:
    without = anthropic()
    before = read(without, without.versions()[0])[0][Fact.TOKEN_USAGE]
    source = anthropic(claude_code=True)
    usage = read(source, source.versions()[0])[0][Fact.TOKEN_USAGE]
    assert provider.paths().count(CLAUDE_CODE) == 31
    for column in ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens", "requests"):
        assert usage[column].sum() == before[column].sum()
    people = usage.filter(feature="claude_code")
    assert people["user_id"].unique().to_list() == ["ada@acme.example"]
    assert (people["unit"].unique().to_list(), people["quantity"].sum()) == (["sessions"], 31 * 5)
    assert people["reported_cost"].sum() == Decimal("20.50") * 31


def test_without_a_model_breakdown_claude_code_is_refused(offline: Anthropic, tmp_path: Path) -> None:
    body = {"data": [session(model_breakdown=None)]}
    with pytest.raises(BadInput, match="field model_breakdown: it is no list"):
        offline.totals(landed_pages(tmp_path, {"claude_code-2025-08-03": body}, MONTH))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (message(cache_creation=None), r"field cache_creation\.ephemeral_5m_input_tokens: it is missing"),
        (message(cache_creation=7), r"ephemeral_5m_input_tokens is inside of 7"),
        (message(uncached_input_tokens=-1), "negative"),
        (message(output_tokens=None), "field output_tokens: it is missing"),
    ],
)
def test_a_bucket_that_cannot_be_read_is_refused(
    offline: Anthropic, tmp_path: Path, result: Said, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        offline.totals(landed_pages(tmp_path, {"messages": bucket(result)}, MONTH))


def test_the_error_for_a_wrong_key_says_which_one_is_needed(anthropic: Callable[..., Anthropic]) -> None:
    with pytest.raises(BadInput, match=r"permission denied \(HTTP 401\)\. Use an Admin API key") as refused:
        anthropic(api_key="sk-ant-api-other").versions()
    assert "sk-ant-api-other" not in str(refused.value)


@pytest.mark.real_data
def test_documented_bodies_parse_to_the_expected_buckets(offline: Anthropic, tmp_path: Path) -> None:
    if not EXAMPLES.exists():
        pytest.skip("the examples are not beside this checkout")

    def rows(name: str, endpoint: str, fact: Fact, month: date = MONTH) -> list[Said]:
        body = json.loads((EXAMPLES / f"anthropic_{name}.json").read_text())["payload"]
        return collected(offline, landed_pages(tmp_path / name, {endpoint: body}, month))[0][fact].to_dicts()

    one, searches = rows("usage_report_messages", "messages", Fact.TOKEN_USAGE)
    buckets = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    assert [one[name] for name in (*buckets, "output_tokens")] == [1500, 200, 500, 1000, 500]
    assert (searches["unit"], searches["quantity"]) == ("searches", 10)
    tokens, web = rows("cost_report", "cost_report", Fact.CHARGES)
    assert (tokens["billed_cost"], tokens["usage_type"]) == (Decimal("1.2378912"), "uncached_input_tokens")
    assert (web["billed_cost"], web["usage_type"]) == (Decimal("0.5"), "web_search")
    code = "claude_code-2025-09-01"
    (person,) = rows("claude_code_usage_report", code, Fact.TOKEN_USAGE, date(2025, 9, 1))
    assert (person["user_id"], person["reported_cost"]) == ("developer@company.com", Decimal("10.25"))
    assert person["output_tokens"] is None


def bucket(*found: Said) -> Said:
    return {
        "data": [
            {"starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z", "results": list(found)},
        ],
        "has_more": False,
        "next_page": None,
    }
