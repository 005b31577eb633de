from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_like_sql.sql_model import RELATION, ROOT, behind, build_statements
from models.workloads import Evidence, IdleReason, Workload
from pipelines.warehouse.build import sql_checks, sql_models
from pipelines.warehouse.database import GPU_DAYS
from pipelines.warehouse.tables import TABLES, create_statement

pytestmark = pytest.mark.pipeline

JANUARY = date(2026, 1, 1)
MONTH = {"source": "aws", "billing_period": JANUARY}
MODELS = sql_models()
CHECKS = sql_checks()
Row = dict[str, Any]


class Warehouse:
    """An in-memory warehouse that tests fill by hand; money is given in dollars."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        for schema in ("ledger", "computed", "reference", *RELATION):
            self.connection.execute(f"create schema {schema}")
        for table in TABLES:
            self.connection.execute(create_statement(table))

    def clear(self) -> None:
        for table in TABLES:
            self.connection.execute(f"delete from {table}")

    def add(self, table: str, **row: object) -> None:
        row = MONTH | row
        row = {name: value for name, value in row.items() if name in TABLES[table][1]}
        marks = ", ".join("?" for _ in row)
        self.connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values()))

    def charge(self, daily_id: int, workload: str, evidence: str, effective: object, **more: Any) -> None:
        """Add a daily row with a key of its own."""
        cost = Decimal(str(effective))
        row: Row = {
            "daily_id": daily_id,
            "key_id": f"key{daily_id}",
            "usage_period": JANUARY,
            "usage_date": JANUARY,
            "provider_name": "AWS",
            "charge_category": "Usage",
            "billing_currency": "USD",
            "workload": workload,
            "evidence": evidence,
            "billed_cost": cost,
            "effective_cost": cost,
            "net_cost": cost,
            "charge_count": 1,
        } | more
        row.setdefault("native_billed_cost", row["billed_cost"])
        self.add("ledger.charges_daily", **row)
        self.add("computed.attributions", **row)

    def load(self, **more: Any) -> None:
        """Add the record of a load of one source's month that lost nothing."""
        month = {name: more.get(name, MONTH[name]) for name in MONTH}
        ((lines, billed),) = self.connection.sql(
            "select coalesce(sum(charge_count), 0)::bigint, coalesce(sum(native_billed_cost), 0) "
            "from ledger.charges_daily where source = $source and billing_period = $billing_period",
            params=month,
        ).fetchall()
        kept = {"lines_read": lines, "lines_loaded": lines, "billed_cost_read": billed, "billed_cost_loaded": billed}
        self.add(
            "ledger.loads", **{"quantization_residual": 0, "billing_currency": "USD", "is_final": True, **kept, **more}
        )

    def claim(self, low: str = "0.75", high: str = "0.85", metric: str = "inference_share_of_ai") -> None:
        claim = {"claim_id": "80-20", "statement": "So they say.", "said_by": "they", "reading": "For you."}
        self.add("reference.claims", metric=metric, claimed_low=Decimal(low), claimed_high=Decimal(high), **claim)

    def sum_hours(self) -> None:
        self.connection.execute("delete from ledger.gpu_days")
        months = self.connection.sql("select distinct source, billing_period from ledger.gpu_hours").fetchall()
        for source, period in months:
            self.connection.execute(GPU_DAYS, {"source": source, "period": period})

    def build(self) -> None:
        self.sum_hours()
        for model in MODELS:
            for statement in build_statements(model):
                self.connection.execute(statement)

    def refresh(self, *names: str) -> None:
        """Build the named marts again, or all, with the intermediate tables they read."""
        marts = [model for model in MODELS if model.schema == "marts" and (not names or model.name in names)]
        steps = (model for model in MODELS if model.schema == "intermediate")
        self.rebuild({model.table for model in marts} | behind(marts, steps))

    def refresh_behind(self, check: str) -> None:
        """Build again whatever a check reads."""
        self.rebuild(behind((one for one in CHECKS if one.name == check), MODELS))

    def rebuild(self, tables: set[str]) -> None:
        self.sum_hours()
        for model in MODELS:
            if model.table in tables:
                self.connection.execute(build_statements(model)[0])

    def rows(self, query: str) -> list[Row]:
        relation = self.connection.sql(query)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    def refusals(self) -> set[str]:
        return {check.name for check in CHECKS if self.connection.sql(check.sql).fetchall()}


@pytest.fixture(scope="module")
def tiny() -> Iterator[Warehouse]:
    """A month by hand, built once; read it, do not change it."""
    warehouse = Warehouse()
    warehouse.build()
    a100 = {"accelerator": "A100", "accelerator_count": 8, "service_code": "AmazonSageMaker"}
    claude = {"llm_model": "claude-sonnet-4", "tokens_per_unit": 1000, "service_code": "AmazonBedrock"}
    warehouse.charge(
        1, "training", "billed", 60, **a100, billed_cost=80, net_cost=50, list_cost=100, charge_count=3, team="search"
    )
    output, uncached = {"token_bucket": "output"}, {"token_bucket": "uncached_input"}
    warehouse.charge(2, "inference", "billed", 30, **claude, **output, consumed_quantity=2000)
    warehouse.charge(3, "inference", "billed", 12, **claude, **uncached, consumed_quantity=4000)
    warehouse.charge(4, "inference", "billed", 7, llm_model="claude-sonnet-4", usage_type="ProvisionedThroughput")
    h100 = {"accelerator": "H100", "accelerator_count": 8, "service_code": "AmazonEC2", "instance_type": "p5.48xlarge"}
    warehouse.charge(5, "unattributed", "none", 18, **h100, usage_type="BoxUsage:p5.48xlarge", service_name="EC2")
    warehouse.charge(6, "unattributed", "none", 2, **h100, idle_reason="unused_reservation")
    warehouse.charge(7, "inference", "inferred", 10)
    warehouse.charge(8, "not_ai", "none", 100)
    warehouse.charge(9, "shared", "none", 5, charge_category="Tax")
    warehouse.charge(10, "shared", "none", 0, billed_cost=-10, consumed_quantity=3, charge_category="Adjustment")
    owners: list[Row] = [
        {"part": 1, "workload": "training", "evidence": "billed", "team": "search", "billed_cost": -6},
        {"part": 2, "workload": "inference", "evidence": "inferred", "team": "chat", "billed_cost": -4},
    ]
    for owner in owners:
        costs = {"effective_cost": 0, "net_cost": 0, "method": "usage_it_cancels_that_day"}
        warehouse.add("computed.allocations", daily_id=10, **owner, **costs)
    for hour in (1, 2):
        usage = {"usage_hour": datetime(2026, 1, 1, hour), "gpu_hours": 8}  # noqa: DTZ001 - the column has no zone
        warehouse.add("ledger.gpu_hours", key_id="key1", **usage, effective_cost=30)
    warehouse.add("ledger.gpu_hours", key_id="key5", **usage, effective_cost=18)
    warehouse.claim()
    warehouse.load()
    warehouse.refresh()
    yield warehouse
    warehouse.connection.close()


@pytest.fixture
def sabotaged(tiny: Warehouse) -> Iterator[Warehouse]:
    """The same; what is done to it is undone."""
    tiny.connection.begin()
    yield tiny
    tiny.connection.rollback()


def test_everything_builds_and_agrees_on_an_empty_warehouse(warehouse: Warehouse) -> None:
    warehouse.claim()
    warehouse.build()
    assert warehouse.refusals() == set()
    filled = [model.table for model in MODELS if warehouse.rows(f"select * from {model.table}")]
    assert set(filled) <= {"marts.about", "marts.what_if_growth"}, filled  # what they say needs no bill


def test_tiny_warehouse_passes_every_check(tiny: Warehouse) -> None:
    assert tiny.refusals() == set()


def test_divided_row_is_replaced_by_its_parts(tiny: Warehouse) -> None:
    found = tiny.rows(
        "select part, workload, team, method, billed_cost, consumed_quantity, charge_count "
        "from intermediate.int_charges_allocated where daily_id in (9, 10) order by daily_id, part"
    )
    assert [tuple(row.values()) for row in found] == [
        (1, "shared", None, "direct", 5, None, 1),
        (1, "training", "search", "usage_it_cancels_that_day", -6, 3, 1),
        (2, "inference", "chat", "usage_it_cancels_that_day", -4, None, 0),
    ]


def test_costs_by_workload_are_those_computed_by_hand(tiny: Warehouse) -> None:
    found = tiny.rows("select * from marts.costs_by_workload order by workload, evidence")
    assert {(row["billing_period"], row["usage_period"], row["provider_name"]) for row in found} == {
        (JANUARY, JANUARY, "AWS")
    }
    assert [tuple(row.values())[3:] for row in found] == [
        ("inference", "billed", "billed", 49, 49, 49, None, 3),
        ("inference", "inferred", "billed", 6, 10, 10, None, 1),
        ("not_ai", "none", "billed", 100, 100, 100, None, 1),
        ("shared", "none", "billed", 5, 5, 5, None, 1),
        ("training", "billed", "billed", 74, 60, 50, 100, 4),
        ("unattributed", "none", "billed", 20, 20, 20, None, 2),
    ]


def test_costs_by_team_are_those_computed_by_hand(tiny: Warehouse) -> None:
    found = tiny.rows("select team, workload, billed_cost, effective_cost, net_cost from marts.costs_by_team")
    assert {tuple(row.values()) for row in found if row["team"]} == {
        ("search", "training", 74, 60, 50),
        ("chat", "inference", -4, 0, 0),
    }
    assert sum(row["effective_cost"] for row in found) == 244


def test_tokens_price_a_model_and_what_counts_no_tokens_does_not(tiny: Warehouse) -> None:
    (found,) = tiny.rows("select * from marts.llm_model_costs")
    assert found == {
        "usage_period": JANUARY,
        "provider_name": "AWS",
        "llm_model": "claude-sonnet-4",
        "hosting": "managed",
        "workload": "inference",
        "effective_cost": 49,
        "requests": None,
        "uncached_input_tokens": 4_000_000,
        "cache_read_tokens": None,
        "cache_write_tokens": None,
        "output_tokens": 2_000_000,
        "cost_per_million_tokens": 7,  # (30 + 12) / 6, without the 7 of provisioned throughput
        "cost_per_request": None,
        "cost_basis": "billed",
    }


def test_hosting_tells_api_from_cloud_from_own_machines(warehouse: Warehouse) -> None:
    warehouse.charge(1, "inference", "billed", 1, llm_model="a", invoice_issuer_name="Anthropic")
    warehouse.charge(2, "inference", "billed", 1, llm_model="b", invoice_issuer_name="AWS Marketplace")
    warehouse.charge(3, "inference", "billed", 1, llm_model="c", accelerator="H100")
    warehouse.charge(4, "inference", "billed", 1)
    warehouse.refresh()
    found = warehouse.rows("select llm_model, hosting, cost_per_million_tokens as price from marts.llm_model_costs")
    assert {(row["llm_model"], row["hosting"], row["price"]) for row in found} == {
        ("a", "api", None),
        ("b", "managed", None),
        ("c", "self_hosted", None),
    }


def test_accelerator_money_counts_once_beside_its_hours(tiny: Warehouse) -> None:
    found = tiny.rows("select * from marts.gpu_idle_costs order by accelerator, idle_reason")
    assert [tuple(row.values())[2:] for row in found] == [
        ("A100", "training", "unmeasured", 16, 60),
        ("H100", "unattributed", "unmeasured", 8, 18),
        ("H100", "unattributed", "unused_reservation", 0, 2),
    ]


def test_suggested_rule_selects_its_key(tiny: Warehouse) -> None:
    (found, other) = tiny.rows("select * from marts.unattributed_charges order by effective_cost desc")
    assert (found["effective_cost"], found["charge_count"], other["effective_cost"]) == (18, 1, 2)
    (rule,) = yaml.safe_load(found["suggested_rule"])
    assert rule["id"] == "amazonec2-boxusage-p5-48xlarge-key5"
    assert rule["when"] == {
        "all": [
            {"service_code": {"equals": "AmazonEC2"}},
            {"usage_type": {"equals": "BoxUsage:p5.48xlarge"}},
        ]
    }
    assert rule["examples"] == [{"service_code": "AmazonEC2", "usage_type": "BoxUsage:p5.48xlarge"}]
    assert rule["effective_from"] == JANUARY


printable = st.characters(exclude_categories=["C", "Zl", "Zp"], include_characters="\n\t\"'\\:{}#")


@given(text=st.text(printable, min_size=1))
@settings(max_examples=25)
def test_text_of_a_bill_cannot_break_the_suggested_rule(shared: Warehouse, text: str) -> None:
    shared.clear()
    shared.charge(1, "unattributed", "none", 1, usage_type=text)
    shared.refresh("unattributed_charges")
    ((suggested,),) = shared.connection.sql("select suggested_rule from marts.unattributed_charges").fetchall()
    (rule,) = yaml.safe_load(suggested)
    assert rule["when"]["all"] == [{"usage_type": {"equals": text}}]


def test_claim_is_measured_by_hand_computed_interval(tiny: Warehouse) -> None:
    # T = 60 training + 59 inference (10 of it inferred) + 20 unattributed
    (found,) = tiny.rows("select * from marts.claim_checks")
    assert found["period"] == JANUARY
    assert found["measured_low"] == (Decimal(49) / 139).quantize(Decimal("1e-12"))
    assert found["measured"] == (Decimal(59) / 119).quantize(Decimal("1e-12"))
    assert found["measured_high"] == (Decimal(79) / 139).quantize(Decimal("1e-12"))
    assert found["attributed_share"] == (Decimal(119) / 139).quantize(Decimal("1e-12"))
    assert (found["measured_cost"], found["undecided_cost"], found["verdict"]) == (139, 30, "fails")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        ("0.7", "0.9", "holds"),
        ("0.75", "0.85", "holds"),  # both ends belong to the range
        ("0.8", "0.9", "undetermined"),
        ("0.86", "0.9", "fails"),
        ("0", "0.74", "fails"),
    ],
)
def test_verdict_follows_from_interval_and_range(warehouse: Warehouse, low: str, high: str, verdict: str) -> None:
    warehouse.charge(1, "inference", "declared", 75)
    warehouse.charge(2, "training", "billed", 15)
    warehouse.charge(3, "unattributed", "none", 10)
    warehouse.load()
    warehouse.claim(low, high)
    warehouse.refresh()
    assert [row["verdict"] for row in warehouse.rows("select verdict from marts.claim_checks")] == [verdict]


@pytest.mark.parametrize("fault", ["not_loaded", "lines", "money", "invoice"])
def test_verdict_is_withheld_until_the_bill_is_reconciled(warehouse: Warehouse, fault: str) -> None:
    warehouse.charge(1, "inference", "declared", 80)
    warehouse.claim()
    if fault != "not_loaded":
        warehouse.load(**{"lines": {"lines_read": 2}, "money": {"billed_cost_read": 81}}.get(fault, {}))
    invoiced = "80.5" if fault == "invoice" else "80.3"
    warehouse.add("reference.invoices", provider_name="aws", billing_currency="USD", invoiced=invoiced)
    warehouse.refresh()
    assert [row["verdict"] for row in warehouse.rows("select verdict from marts.claim_checks")] == ["withheld"]


def test_unknown_metric_and_month_without_ai_give_no_data(warehouse: Warehouse) -> None:
    warehouse.charge(1, "not_ai", "none", 80)
    warehouse.load()
    warehouse.claim()
    warehouse.claim(metric="cost_per_request")
    warehouse.refresh()
    found = warehouse.rows("select verdict, measured_low from marts.claim_checks")
    assert found == [{"verdict": "no_data", "measured_low": None}] * 2


def test_credits_and_tax_never_enter_a_claim(warehouse: Warehouse) -> None:
    warehouse.charge(1, "inference", "declared", 80)
    warehouse.charge(2, "training", "declared", 50, charge_category="Credit")
    warehouse.load()
    warehouse.claim()
    warehouse.refresh()
    assert [row["measured_low"] for row in warehouse.rows("select measured_low from marts.claim_checks")] == [1]


def test_reconciliation_states_what_was_lost_and_what_was_invoiced(warehouse: Warehouse) -> None:
    warehouse.charge(1, "inference", "declared", 80, invoice_id="A")
    warehouse.charge(2, "inference", "declared", 20, invoice_id="B")
    warehouse.load(lines_read=3, billed_cost_read=Decimal("100.5"), quantization_residual=Decimal("1e-12"))
    warehouse.add("reference.invoices", provider_name="AWS", invoice_id="A", billing_currency="USD", invoiced=79)
    warehouse.refresh()
    (found,) = warehouse.rows("select * from marts.reconciliation")
    assert (found["lines_read"], found["lines_loaded"], found["difference"]) == (3, 2, Decimal("0.5"))
    assert found["quantisation_residual"] == Decimal("1e-12")
    assert (found["invoiced"], found["invoice_difference"], found["is_reconciled"]) == (79, -1, False)
    assert warehouse.refusals() == {"assert_loads_lose_nothing"}


def test_each_invoice_is_compared_with_its_own_charges(warehouse: Warehouse) -> None:
    warehouse.charge(1, "inference", "declared", 80, invoice_id="A")
    warehouse.charge(2, "inference", "declared", 20, invoice_id="B")
    warehouse.load()
    for number, total in {"A": 80, "B": 25, "unknown": 7}.items():
        warehouse.add(
            "reference.invoices", provider_name="AWS", invoice_id=number, billing_currency="USD", invoiced=total
        )
    warehouse.refresh()
    found = warehouse.rows("select * from marts.invoice_reconciliation order by invoice_id")
    assert [(row["invoice_id"], row["billed_cost"], row["difference"], row["is_reconciled"]) for row in found] == [
        ("A", 80, 0, True),
        ("B", 20, 5, False),
        ("unknown", 0, 7, False),
    ]


def test_an_invoice_over_two_bills_is_compared_with_both_together(warehouse: Warehouse) -> None:
    warehouse.charge(1, "inference", "declared", 80)
    warehouse.charge(1, "inference", "declared", 20, source="other")
    warehouse.add("reference.invoices", provider_name="AWS", billing_currency="USD", invoiced=100)
    warehouse.load()
    warehouse.refresh()
    (found,) = warehouse.rows("select * from marts.invoice_reconciliation")
    assert (found["billed_cost"], found["source_count"], found["is_reconciled"]) == (100, 2, True)
    assert warehouse.rows("select invoiced from marts.reconciliation") == [{"invoiced": None}]


def test_no_invoice_is_null_and_not_a_difference(tiny: Warehouse) -> None:
    (found,) = tiny.rows("select * from marts.reconciliation")
    assert (found["invoiced"], found["invoice_difference"], found["is_reconciled"]) == (None, None, True)


@pytest.mark.parametrize(
    ("sabotage", "refusal"),
    [
        ("update computed.allocations set net_cost = 1 where part = 2", "assert_allocations_sum_to_daily_rows"),
        ("update computed.allocations set part = part + 1", "assert_allocations_sum_to_daily_rows"),
        ("update computed.allocations set daily_id = 99", "assert_allocations_sum_to_daily_rows"),
        ("update computed.allocations set part = 1", "assert_parts_are_unique"),
        ("update computed.allocations set workload = 'fun'", "assert_words_are_known"),
        ("update computed.attributions set evidence = 'rumour'", "assert_words_are_known"),
        ("update computed.attributions set idle_reason = 'bored'", "assert_words_are_known"),
        ("delete from computed.attributions where key_id = 'key8'", "assert_every_key_has_one_attribution"),
        ("insert into computed.attributions from computed.attributions", "assert_costs_by_workload_sum_to_charges"),
        ("insert into computed.attributions from computed.attributions", "assert_costs_by_team_sum_to_charges"),
        ("insert into ledger.charges_daily from ledger.charges_daily limit 1", "assert_charges_daily_equal_loads"),
        ("delete from ledger.loads", "assert_charges_daily_equal_loads"),
        ("delete from ledger.charges_daily", "assert_charges_daily_equal_loads"),
        ("insert into ledger.loads from ledger.loads", "assert_loads_lose_nothing"),
        ("update ledger.loads set billed_cost_read = 0", "assert_loads_lose_nothing"),
    ],
)
def test_check_finds_what_it_is_for(sabotaged: Warehouse, sabotage: str, refusal: str) -> None:
    sabotaged.connection.execute(sabotage)
    sabotaged.refresh_behind(refusal)
    assert refusal in sabotaged.refusals()


@pytest.mark.parametrize(
    ("sabotage", "refusal"),
    [
        ("update ledger.gpu_days set gpu_hours = 1", "assert_gpu_days_sum_to_hours"),
        ("update marts.gpu_idle_costs set gpu_hours = 1", "assert_gpu_idle_costs_sum_to_charges"),
        ("delete from marts.gpu_idle_costs", "assert_gpu_idle_costs_sum_to_charges"),
        ("update marts.claim_checks set measured = 0.99", "assert_claim_interval_contains_point"),
        ("update marts.claim_checks set verdict = null", "assert_claim_interval_contains_point"),
        ("update marts.costs_by_workload set list_cost = 1", "assert_costs_by_workload_sum_to_charges"),
        ("delete from marts.costs_by_team where team = 'chat'", "assert_costs_by_team_sum_to_charges"),
    ],
)
def test_check_finds_a_wrong_mart(sabotaged: Warehouse, sabotage: str, refusal: str) -> None:
    sabotaged.connection.execute(sabotage)
    assert sabotaged.refusals() >= {refusal}  # marts that read a wrong one are wrong too


cents = st.integers(-(10**6), 10**6).map(lambda amount: Decimal(amount).scaleb(-2))
owners = st.tuples(st.sampled_from(Workload), st.sampled_from(Evidence), st.sampled_from([None, *IdleReason]))
# A daily row: its key's owner, its cost, and the parts that divide it (none: it stays whole).
days = st.lists(st.tuples(owners, cents, st.lists(st.tuples(owners, cents), max_size=3)), max_size=8)
Days = list[tuple[Any, Decimal, list[tuple[Any, Decimal]]]]


def fill(warehouse: Warehouse, generated: Days) -> None:
    warehouse.clear()
    for number, (owner, cost, parts) in enumerate(generated):
        row = tagged(owner) | costs(cost)
        warehouse.charge(number, row.pop("workload"), row.pop("evidence"), cost, **row)
        rest = cost - sum(amount for _, amount in parts)
        for part, (part_owner, amount) in enumerate(parts, 1):
            money = costs(amount + rest if part == 1 else amount)
            warehouse.add("computed.allocations", daily_id=number, part=part, **tagged(part_owner), **money)
    warehouse.load()
    warehouse.claim()
    warehouse.refresh()


def tagged(owner: tuple[str, str, str | None]) -> Row:
    workload, evidence, idle = owner
    return {"workload": workload, "evidence": evidence, "idle_reason": idle, "accelerator": idle and "H100"}


def costs(amount: Decimal) -> Row:
    return {"billed_cost": amount, "effective_cost": amount, "net_cost": amount / 2, "list_cost": amount * 2}


@given(generated=days)
@settings(max_examples=5)  # each builds every mart
def test_marts_sum_to_the_facts_and_intervals_contain_their_point(shared: Warehouse, generated: Days) -> None:
    fill(shared, generated)
    assert shared.refusals() == set()
    for mart in ("costs_by_workload", "costs_by_team"):
        ((total,),) = shared.connection.sql(f"select coalesce(sum(effective_cost), 0) from marts.{mart}").fetchall()
        assert total == sum(cost for _, cost, _ in generated)


positive = st.integers(1, 10**6).map(lambda amount: Decimal(amount).scaleb(-2))


@given(amounts=st.tuples(*[positive] * 6), proven=st.booleans())
@settings(max_examples=10)
def test_dollar_moved_from_unattributed_to_inference_moves_only_what_it_should(
    shared: Warehouse, amounts: tuple[Decimal, ...], proven: bool
) -> None:
    strong, weak, training, guessed, left, moved = amounts
    found = []
    for workload, evidence in (("unattributed", "none"), ("inference", "measured" if proven else "inferred")):
        shared.clear()
        shared.charge(1, "inference", "declared", strong)
        shared.charge(2, "inference", "inferred", weak)
        shared.charge(3, "fine_tuning", "billed", training)
        shared.charge(4, "training", "inferred", guessed)
        shared.charge(5, "unattributed", "none", left)
        shared.charge(6, workload, evidence, moved)
        shared.charge(7, "not_ai", "none", 10**6 if workload == "inference" else 0)
        shared.load()
        shared.claim()
        shared.refresh("reconciliation", "claim_checks")
        found += shared.rows("select * from marts.claim_checks")
    before, after = found
    assert after["measured_cost"] == before["measured_cost"]
    assert after["measured_high"] == before["measured_high"]
    assert after["measured"] >= before["measured"]
    assert after["undecided_cost"] == before["undecided_cost"] - (moved if proven else 0)
    rise = (after["measured_low"] - before["measured_low"]) * after["measured_cost"]
    assert abs(rise - (moved if proven else 0)) < Decimal("1e-6")


CONTRACT = {
    "costs_by_workload": "billing_period usage_period provider_name workload evidence billed_cost effective_cost "
    "net_cost list_cost charge_count",
    "costs_by_team": "billing_period usage_period team workload billed_cost effective_cost",
    "llm_model_costs": "usage_period provider_name llm_model hosting workload effective_cost requests "
    "uncached_input_tokens cache_read_tokens cache_write_tokens output_tokens cost_per_million_tokens "
    "cost_per_request cost_basis",
    "gpu_idle_costs": "usage_period provider_name accelerator workload idle_reason gpu_hours effective_cost",
    "claim_checks": "claim_id statement said_by period measured_low measured measured_high claimed_low claimed_high "
    "verdict undecided_cost",
    "reconciliation": "source billing_period lines_read lines_loaded billed_cost_read billed_cost_loaded difference "
    "quantisation_residual invoiced invoice_difference is_final loaded_at",
    "unattributed_charges": "billing_period provider_name service_name usage_type effective_cost charge_count "
    "suggested_rule",
}


@pytest.mark.parametrize("mart", CONTRACT)
def test_mart_keeps_the_columns_people_rely_on(mart: str) -> None:
    (model,) = [model for model in MODELS if model.table == f"marts.{mart}"]
    assert set(CONTRACT[mart].split()) <= set(model.columns)


def test_every_column_people_query_is_documented_and_money_is_decimal(warehouse: Warehouse) -> None:
    warehouse.build()
    columns = warehouse.rows("select * from duckdb_columns() where schema_name in ('intermediate', 'marts')")
    assert [row["column_name"] for row in columns if not row["comment"]] == []
    wrong = {
        (row["table_name"], row["column_name"])
        for row in columns
        if re.search("cost$|^invoiced$|gpu_hours$", row["column_name"]) and row["data_type"] != "DECIMAL(38,12)"
    }
    assert wrong == set()


def test_check_of_words_knows_the_vocabulary() -> None:
    quoted = set(re.findall(r"'(\w+)'", (ROOT / "checks" / "assert_words_are_known.sql").read_text()))
    assert quoted == {*Workload, *Evidence, *IdleReason}
