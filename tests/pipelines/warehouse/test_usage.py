"""Logs and bills of the same tokens through the whole pipeline: a dollar counts once, and Σ parts = bill."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.pipelines.conftest import Company
from tests.pipelines.warehouse.token_company import (
    BEDROCK_SONNET,
    GPT,
    SONNET,
    Tokens,
    bedrock_line,
    bedrock_row,
    endpoint_line,
    gateway_row,
    openai_line,
    usage_row,
)

pytestmark = pytest.mark.pipeline
BILL = Decimal("180.85")


def answers(tag: str) -> dict[str, object]:
    return {"metadata": {"user_api_key_team_alias": tag}, "request_tags": [f"feature:{tag}"]}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Bedrock logs beside a bill of AWS; a gateway, OpenAI's usage and its bill; Anthropic without a bill; a fleet."""
    tokens = Tokens(
        bill=[
            openai_line(1, "input", 2.0, 1_000_000),
            openai_line(1, "output", 8.0, 1_000_000),
            openai_line(2, "input", 1.5, 750_000),
            bedrock_line(1, "USE1-Claude4Sonnet-input-tokens", 3.0, 1000),
            bedrock_line(1, "USE1-Claude4Sonnet-output-tokens", 15.0, 1000),
            bedrock_line(2, "USE1-Claude4Sonnet-input-tokens-batch", 1.0, 1000),
            bedrock_line(1, "USE1-NovaMicro-input-tokens", 0.35, 10_000),
            endpoint_line(1, "llm-serving", 100.0),
            endpoint_line(1, "other", 50.0),
        ],
        gateway=[
            gateway_row(1, 1, GPT, 400_000, 600_000, **answers("search")),
            gateway_row(2, 1, GPT, 600_000, 400_000, **answers("assistant")),
            gateway_row(3, 1, SONNET, 1000, 100),
            gateway_row(4, 5, GPT, 1000, 100),
            gateway_row(5, 1, f"bedrock/{BEDROCK_SONNET}", 400_000, 600_000),
            gateway_row(6, 1, "claude-of-nobody", 5000, 5),
        ],
        invocations=[
            bedrock_row(1, 1, 400_000, 600_000, requestMetadata={"team": "search", "feature": "answers"}),
            bedrock_row(2, 1, 600_000, 400_000),
        ],
        usage=[usage_row(1, GPT, 1_000_000, 1_000_000, requests=2, project="proj_search")],
        serving=[
            usage_row(1, "llama-3.3-70b", 9_000_000, 1_000_000, requests=50, endpoint="http://llm-serving.prod.svc:8000/v1"),
            usage_row(1, "llama-3.3-70b", 3_000, 1_000, requests=5, endpoint="somewhere-else"),
        ],
    )  # fmt: skip
    made = tokens.write(tmp_path_factory.mktemp("tokens") / "company")
    made.run()
    return made


def test_money_is_the_bills_and_no_log_adds_to_it(company: Company) -> None:
    ((billed,),) = company.ask("select sum(effective_cost) from marts.costs_by_workload where cost_basis = 'billed'")
    assert billed == BILL


def test_gateway_and_provider_usage_of_one_request_count_once(company: Company) -> None:
    found = company.ask(
        "select sum(effective_cost), sum(requests), sum(uncached_input_tokens), sum(output_tokens) "
        "from marts.llm_model_costs where provider_name = 'OpenAI' and cost_basis = 'billed'"
    )
    assert found == [(Decimal("11.5"), 2, 1_750_000, 1_000_000)]
    assert company.ask(
        "select distinct source from ledger.token_usage_daily where counts_as = 'repeated' order by 1"
    ) == [("gateway",), ("usage",)]


def test_invocation_logs_divide_the_lines_of_a_cloud(company: Company) -> None:
    assert company.ask(
        "select team, effective_cost, requests, cost_per_request from marts.unit_costs "
        "where llm_model = 'claude-sonnet-4' and requests > 0 order by team"
    ) == [("search", Decimal("10.2"), 1, 10.2), (None, Decimal("8.8"), 1, 7.8)]


def test_what_no_bill_covers_is_estimated_and_what_has_no_price_is_listed(company: Company) -> None:
    found = company.ask(
        "select llm_model, cost_basis, effective_cost, requests, uncached_input_tokens from marts.llm_model_costs "
        "where cost_basis in ('estimated', 'unpriced') order by 1"
    )
    assert found == [
        ("claude-of-nobody", "unpriced", None, 1, 5000),
        ("claude-sonnet-4.5", "estimated", Decimal("0.0045"), 1, 1000),
        ("gpt-4o", "estimated", Decimal("0.0035"), 1, 1000),  # the bill ends on the second
    ]


def test_a_fleet_costs_its_machines_and_unmatched_tokens_nothing_known(company: Company) -> None:
    found = company.ask(
        "select provider_name, effective_cost, requests, cost_per_million_tokens, cost_per_request, cost_basis "
        "from marts.llm_model_costs where hosting = 'self_hosted' order by cost_basis"
    )
    assert found == [
        ("AWS", Decimal(100), 50, Decimal(10), Decimal(2), "billed"),
        ("Self-hosted", None, 5, None, None, "undetermined"),
    ]
    ((saves, tokens, break_even),) = company.ask(
        "select self_hosting_saves, tokens, break_even_tokens from marts.self_hosting_break_even "
        "where api_provider = 'Cerebras' and fleet = 'llm-serving'"
    )
    assert saves == 9 * Decimal("0.85") + Decimal("1.2") - 100
    assert (tokens, round(break_even)) == (10_000_000, round(10_000_000 * 100 / 8.85))


def test_each_side_shows_what_the_other_lacks(company: Company) -> None:
    found = company.ask(
        "select provider_name, llm_model, day(usage_date), effective_cost, unexplained_cost, round(ratio, 3), "
        "likely_cause from marts.token_reconciliation order by 1, 2, 3"
    )
    nothing = "no usage beside the bill: missing logs"
    assert found == [
        ("AWS", "claude-sonnet-4", 1, Decimal(18), Decimal(0), 1.0, "they agree"),
        ("AWS", "claude-sonnet-4", 2, Decimal(1), Decimal(1), None, nothing),
        ("AWS", "nova-micro", 1, Decimal("0.35"), Decimal("0.35"), None, nothing),
        ("OpenAI", "gpt-4o", 1, Decimal(10), Decimal(0), 0.8, "negotiated discount"),
        ("OpenAI", "gpt-4o", 2, Decimal("1.5"), Decimal("1.5"), None, nothing),
    ]


def test_estimates_are_in_the_reporting_currency(tmp_path: Path) -> None:
    tokens = Tokens(gateway=[gateway_row(1, 1, SONNET, 1000, 100)])
    rate = {"currency": "USD", "rate": 0.8, "effective_from": "2026-01-01"}
    company = tokens.write(tmp_path / "company", currency="EUR", exchange_rates=[rate])
    company.run()
    assert company.ask("select effective_cost from marts.llm_model_costs") == [(Decimal("0.0036"),)]
    assert company.ask("select priced_cost from ledger.token_usage_daily") == [(Decimal("0.0036"),)]


def test_without_a_rate_for_dollars_the_run_says_what_to_add(tmp_path: Path) -> None:
    tokens = Tokens(gateway=[gateway_row(1, 1, SONNET, 1000, 100)])
    answer = tokens.write(tmp_path / "company", currency="EUR").apportion("run")
    assert answer.status == 1
    assert "token usage of 2026-07" in answer.said
    assert "Add one for USD to `exchange_rates`" in answer.said


def test_a_bill_that_arrives_replaces_the_estimate_of_its_days(tmp_path: Path) -> None:
    rows = [gateway_row(1, 1, GPT, 1_000_000, 0, **answers("search")), gateway_row(2, 2, GPT, 1_000_000, 0)]
    company = Tokens(gateway=rows).write(tmp_path / "company")
    company.run()
    costs = "select cost_basis, sum(effective_cost) from marts.llm_model_costs group by 1 order by 1"
    assert company.ask(costs) == [("estimated", Decimal(5))]
    Tokens(bill=[openai_line(1, "input", 2.0, 1_000_000)], gateway=rows).write(company.folder)
    company.run()
    assert company.ask(costs) == [("billed", Decimal(2)), ("estimated", Decimal("2.5"))]
