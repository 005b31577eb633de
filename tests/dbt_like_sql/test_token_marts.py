"""Marts of tokens on rows written by hand; that the pipeline writes such rows is told in the warehouse's tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.dbt_like_sql.test_marts import JANUARY, Warehouse

pytestmark = pytest.mark.pipeline

CLAUDE = {"llm_model": "claude-sonnet-4", "tokens_per_unit": 1000}
INPUT, OUTPUT = {"token_bucket": "uncached_input"}, {"token_bucket": "output"}
MARTS = ("llm_model_costs", "unit_costs", "token_reconciliation", "self_hosting_break_even")
BUCKETS = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def use(warehouse: Warehouse, usage_id: int, counts_as: str = "billed", **more: Any) -> None:
    """Add a row of daily usage: ten requests of a thousand tokens in and a hundred out, unless told otherwise."""
    row: dict[str, Any] = {
        "usage_id": usage_id, "source": "log", "usage_date": JANUARY, "provider_name": "AWS", "reported_by": "gateway",
        "llm_model": "claude-sonnet-4", "is_batch": False, "price_status": "priced", "requests": 10,
        **dict.fromkeys(BUCKETS, 0), "uncached_input_tokens": 10_000, "output_tokens": 1_000,
    }  # fmt: skip
    warehouse.add("ledger.token_usage_daily", **{**row, "counts_as": counts_as, **more})


def meet(warehouse: Warehouse, usage_id: int, daily_id: int, bucket: str, amount: int, **more: Any) -> None:
    """Let a bucket of a usage row divide a line wholly."""
    row = {"usage_id": usage_id, "daily_id": daily_id, "token_bucket": bucket, "amount": amount, "priced_cost": 1}
    warehouse.add("computed.billed_usage", **{**row, "bill_match": "divided", **more})


def divide(warehouse: Warehouse, daily_id: int, *parts: tuple[str, int]) -> None:
    for number, (feature, cost) in enumerate(parts, 1):
        costs = dict.fromkeys(("billed_cost", "effective_cost", "net_cost"), cost)
        method = {"method": "priced_usage_of_the_cell", "tokens": 1}
        warehouse.add(
            "computed.token_allocations", daily_id=daily_id, part=number, feature=feature, **CLAUDE, **costs, **method
        )


@pytest.fixture
def logged(warehouse: Warehouse) -> Warehouse:
    """Two features share a line of input and one of output; a third line nobody logged."""
    warehouse.charge(1, "inference", "billed", 30, **CLAUDE, **INPUT, consumed_quantity=20)
    warehouse.charge(2, "inference", "billed", 10, **CLAUDE, **OUTPUT, consumed_quantity=2)
    warehouse.charge(3, "inference", "billed", 5, llm_model="nova-micro", **OUTPUT, consumed_quantity=9)
    divide(warehouse, 1, ("chat", 20), ("search", 10))
    divide(warehouse, 2, ("chat", 5), ("search", 5))
    for usage_id, feature in ((1, "chat"), (2, "search")):
        use(warehouse, usage_id, feature=feature, caching_saved=3, batching_would_save=2, is_batch=usage_id == 1)
        meet(warehouse, usage_id, 1, "uncached_input", 10_000)
        meet(warehouse, usage_id, 2, "output", 1_000)
    costs = dict.fromkeys(("billed_cost", "effective_cost", "net_cost"), 5)
    warehouse.add(
        "computed.unexplained_charges", daily_id=3, usage_date=JANUARY, provider_name="AWS", reason="no usage", **costs
    )
    warehouse.claim()
    warehouse.load()
    warehouse.refresh(*MARTS)
    return warehouse


def refusals(warehouse: Warehouse) -> set[str]:
    return {name for name in warehouse.refusals() if "token" in name or "model" in name}


def test_everything_agrees(logged: Warehouse) -> None:
    assert refusals(logged) == set()


def test_requests_come_from_usage_and_tokens_from_the_bill_that_counts_them(logged: Warehouse) -> None:
    claude, nova = logged.rows("select * from marts.llm_model_costs order by llm_model")
    assert (claude["effective_cost"], claude["requests"], claude["cost_per_request"]) == (40, 20, 2)
    assert (claude["uncached_input_tokens"], claude["output_tokens"]) == (20_000, 2_000)
    assert claude["cost_per_million_tokens"] == pytest.approx(Decimal(40) / Decimal("0.022"))
    assert (nova["effective_cost"], nova["requests"], nova["cost_per_request"]) == (5, None, None)


def test_units_are_by_feature_with_caching_and_batches(logged: Warehouse) -> None:
    chat, search = logged.rows("select * from marts.unit_costs where requests is not null order by feature")
    assert (chat["effective_cost"], search["effective_cost"]) == (25, 15)
    assert (chat["cost_per_request"], search["cost_per_request"]) == (2.5, 1.5)
    assert chat["cost_per_million_uncached_input_tokens"] == pytest.approx(2000)
    assert chat["cost_per_million_output_tokens"] == pytest.approx(5000)
    assert (chat["caching_saved"], chat["batching_would_save"], chat["cache_hit_share"]) == (3, 2, 0)
    assert (chat["batch_share"], search["batch_share"], chat["seen_share"]) == (1, 0, 1)


def test_logs_of_a_part_of_the_tokens_give_no_price_per_unit(logged: Warehouse) -> None:
    logged.connection.execute("update ledger.charges_daily set consumed_quantity = 200 where daily_id = 1")
    logged.refresh(*MARTS)
    (claude,) = logged.rows("select * from marts.llm_model_costs where llm_model like 'claude%'")
    assert (claude["requests"], claude["cost_per_request"], claude["uncached_input_tokens"]) == (20, None, 200_000)
    units = logged.rows("select cost_per_request, seen_share from marts.unit_costs where requests is not null")
    assert [row["cost_per_request"] for row in units] == [None, None]
    assert units[0]["seen_share"] == pytest.approx(22 / 202)
    (cause,) = logged.rows("select likely_cause from marts.token_reconciliation where llm_model like 'claude%'")
    assert cause == {"likely_cause": "missing logs"}


@pytest.mark.parametrize(
    ("priced", "cause"),
    [
        (40, "they agree"),
        (50, "negotiated discount"),
        (80, "wrong tier: billed as batch or flex"),
        (20, "wrong tier: billed as standard, logged as batch or flex"),
        (30, "wrong tier: billed at a dearer one"),
    ],
)
def test_the_likely_cause_follows_from_tokens_and_ratio(logged: Warehouse, priced: int, cause: str) -> None:
    logged.connection.execute(f"update computed.billed_usage set priced_cost = {priced / 4}")
    logged.refresh("token_reconciliation")
    (row,) = logged.rows("from marts.token_reconciliation where llm_model like 'claude%'")
    assert (row["likely_cause"], row["difference"]) == (cause, 40 - priced)
    assert row["ratio"] == pytest.approx(40 / priced)


def test_usage_that_no_line_is_about_shows_its_size(logged: Warehouse) -> None:
    use(logged, 9, llm_model="gpt-oss-120b")
    meet(logged, 9, 0, "output", 1_000, bill_match="unbilled", priced_cost=7)
    logged.refresh("token_reconciliation", "llm_model_costs")
    (row,) = logged.rows("from marts.token_reconciliation where llm_model = 'gpt-oss-120b'")
    assert (row["effective_cost"], row["unbilled_cost"], row["used_tokens"]) == (0, 7, 1000)
    assert row["likely_cause"] == "usage that the bill does not show"
    assert logged.rows("from marts.llm_model_costs where llm_model = 'gpt-oss-120b'") == []


def test_usage_without_bill_or_price_is_listed_with_its_tokens_and_no_cost(warehouse: Warehouse) -> None:
    use(warehouse, 1, "estimated", price_status="unpriced", llm_model="mystery")
    warehouse.refresh(*MARTS)
    (row,) = warehouse.rows("from marts.llm_model_costs")
    assert (row["effective_cost"], row["uncached_input_tokens"], row["cost_basis"]) == (None, 10_000, "unpriced")
    assert row["cost_per_million_tokens"] is row["cost_per_request"] is None


def serve(warehouse: Warehouse, **more: Any) -> dict[str, Any]:
    use(warehouse, 1, "self_hosted", provider_name="Self-hosted", llm_model="llama", **more)
    gpu = {"accelerator": "H100", "accelerator_count": 8}
    warehouse.charge(1, "inference", "billed", 22, **gpu, resource_name="chat", resource_id="arn:x:endpoint/chat-1")
    warehouse.charge(2, "inference", "billed", 50, **gpu, tags='{"tag:k8s_namespace": "serving"}')
    warehouse.charge(3, "training", "billed", 90, **gpu, resource_name="chat")
    warehouse.claim()
    warehouse.load()
    warehouse.refresh(*MARTS)
    (row,) = warehouse.rows("from marts.llm_model_costs where llm_model = 'llama'")
    assert refusals(warehouse) == set()
    return row


@pytest.mark.parametrize(
    ("where", "cost"),
    [
        ({"endpoint": "Chat"}, 22),
        ({"endpoint": "chat-1"}, 22),
        ({"endpoint": "http://chat.other.svc:8000/v1"}, 22),
        ({"endpoint": "vllm-7", "namespace": "serving"}, 50),
        ({"endpoint": "http://vllm-7.serving.svc.cluster.local"}, 50),
        ({"endpoint": "elsewhere"}, None),
        ({}, None),
    ],
)
def test_a_fleet_is_matched_by_endpoint_then_namespace(
    warehouse: Warehouse, where: dict[str, str], cost: int | None
) -> None:
    row = serve(warehouse, **where)
    assert (row["effective_cost"], row["requests"], row["output_tokens"]) == (cost, 10, 1000)
    assert row["cost_basis"] == ("undetermined" if cost is None else "billed")
    assert row["cost_per_request"] == (None if cost is None else pytest.approx(Decimal(cost) / 10))


def test_a_fleet_of_several_models_has_no_cost_of_each(warehouse: Warehouse) -> None:
    use(warehouse, 2, "self_hosted", provider_name="Self-hosted", llm_model="mistral", endpoint="chat")
    assert serve(warehouse, endpoint="chat")["cost_basis"] == "undetermined"


def test_break_even_is_where_the_api_asks_as_much(warehouse: Warehouse) -> None:
    price = {"usage_date": JANUARY, "llm_model": "llama", "endpoint": "chat", "reported_by": "gateway", "source": "log"}
    warehouse.add("computed.api_prices", **price, api_provider="Groq", matched_model="llama", list_cost=11)
    serve(warehouse, endpoint="chat")
    (row,) = warehouse.rows("from marts.self_hosting_break_even")
    assert (row["self_hosted_cost"], row["api_list_cost"], row["self_hosting_saves"]) == (22, 11, -11)
    assert (row["tokens"], row["break_even_tokens"]) == (11_000, 22_000)
    # Nobody measured the fleet: what it would cost when full is not guessed.
    assert (row["measured_share"], row["busy_fraction"]) == (0, None)
    assert row["self_hosted_cost_per_million_tokens_when_full"] is None


@pytest.mark.parametrize(
    ("steps", "measured", "busy", "full"),
    [
        # $22 ÷ 11,000 tokens is $2,000 a million; a quarter of the money was busy.
        ({None: "5.5", "underutilized": "10.5", "idle": 4, "unallocated": 2}, 1, 0.25, 500),
        ({None: 22}, 1, 1, 2000),
        ({None: "5.5", "idle": "5.5", "unmeasured": 11}, 0.5, 0.5, None),
        ({"idle": 22}, 1, 0, None),
    ],
)
def test_a_full_fleet_costs_the_busy_part_of_what_it_costs(
    warehouse: Warehouse, steps: dict[str | None, Any], measured: float, busy: float, full: float | None
) -> None:
    price = {"usage_date": JANUARY, "llm_model": "llama", "endpoint": "chat", "reported_by": "gateway", "source": "log"}
    warehouse.add("computed.api_prices", **price, api_provider="Groq", matched_model="llama", list_cost=11)
    for part, (step, cost) in enumerate(steps.items(), 1):
        costs = dict.fromkeys(("billed_cost", "effective_cost", "net_cost", "gpu_hours"), Decimal(cost))
        told = {"workload": "inference", "evidence": "billed", "accelerator": "H100", "method": "metrics"}
        is_busy = {"is_busy": step is None, "idle_reason": step}
        warehouse.add("computed.gpu_allocations", daily_id=1, part=part, **told, **costs, **is_busy)
    serve(warehouse, endpoint="chat")
    (row,) = warehouse.rows("from marts.self_hosting_break_even")
    assert row["self_hosted_cost_per_million_tokens"] == pytest.approx(2000)
    assert (row["self_hosted_cost"], row["measured_share"], row["busy_fraction"]) == (22, measured, busy)
    found = row["self_hosted_cost_per_million_tokens_when_full"]
    assert found == (None if full is None else pytest.approx(full))


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        ("update marts.llm_model_costs set effective_cost = 1", "assert_llm_model_costs_sum_to_charges"),
        ("delete from marts.unit_costs", "assert_llm_model_costs_sum_to_charges"),
        ("update marts.token_reconciliation set effective_cost = 1", "assert_token_reconciliation_sums_to_charges"),
        ("delete from computed.unexplained_charges", "assert_token_reconciliation_sums_to_charges"),
        ("update computed.token_allocations set net_cost = 1", "assert_token_reconciliation_sums_to_charges"),
    ],
)
def test_checks_find_what_they_are_for(logged: Warehouse, broken: str, check: str) -> None:
    assert refusals(logged) == set()
    logged.connection.execute(broken)
    assert check in refusals(logged)
