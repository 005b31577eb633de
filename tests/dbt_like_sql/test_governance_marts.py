from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from models.sharing import Method, Pool, Sharing
from pipelines.warehouse.governance import build_read, refresh_cost_variance, refresh_shared_costs
from pipelines.warehouse.outlook import refresh_outlook
from tests.dbt_like_sql.test_marts import Warehouse

pytestmark = pytest.mark.pipeline

JANUARY, FEBRUARY, MARCH = date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)
PROPORTIONAL = Sharing(Method.PROPORTIONAL, frozenset(Pool), {})
Row = dict[str, Any]


def charge(warehouse: Warehouse, number: int, workload: str, cost: object, day: date = JANUARY, **more: Any) -> None:
    """Add a charge of a day of use, billed in its month."""
    month = day.replace(day=1)
    more = {"usage_period": month, "billing_period": month, "usage_date": day} | more
    warehouse.charge(number, workload, "billed", cost, **more)


def daily(warehouse: Warehouse, workload: str, first: date, costs: list[float], **more: Any) -> None:
    # One transaction: a commit per row takes most of a second.
    warehouse.connection.begin()
    for number, cost in enumerate(costs):
        charge(warehouse, 1000 + number, workload, f"{cost:.2f}", first + timedelta(days=number), **more)
    warehouse.connection.commit()


def test_teams_are_shown_the_whole_bill(warehouse: Warehouse) -> None:
    charge(warehouse, 1, "training", 60, team="search")
    charge(warehouse, 2, "inference", 40, team="chat")
    charge(warehouse, 3, "shared", 10, charge_category="Tax")
    charge(warehouse, 4, "shared", 5, charge_category="Purchase", service_name="AWS Support (Business)")
    charge(warehouse, 5, "training", 20, idle_reason="unused_reservation")
    charge(warehouse, 6, "inference", 30, idle_reason="unmeasured")
    charge(warehouse, 7, "shared", -10, charge_category="Credit")
    charge(warehouse, 8, "shared", -5, charge_category="Adjustment", line_item_type="Refund")
    warehouse.load()
    warehouse.refresh()
    build_read(warehouse.connection)
    refresh_shared_costs(warehouse.connection, PROPORTIONAL)
    warehouse.refresh("costs_by_team")
    shown = warehouse.rows(
        "select team, sum(effective_cost) as own, sum(showback_effective_cost) as shown "
        "from marts.costs_by_team group by team order by team"
    )
    assert [tuple(row.values()) for row in shown] == [("chat", 40, 60), ("search", 60, 90), (None, 50, 0)]
    pools = warehouse.rows(
        "select pool, sum(effective_cost) as given from computed.shared_costs "
        "where team is not null group by pool order by pool"
    )
    assert {row["pool"]: row["given"] for row in pools} == {
        "tax": 10, "support": 5, "idle": 20, "unallocated": 30, "credit": -10, "other": -5,
    }  # fmt: skip
    assert warehouse.refusals() == set()
    warehouse.connection.execute("update computed.shared_costs set effective_cost = 1 where pool = 'tax'")
    warehouse.refresh("costs_by_team")
    assert warehouse.refusals() == {"assert_showback_sums_to_charges"}


def budget(warehouse: Warehouse, name: str, cost: object, **only: str) -> None:
    warehouse.add("reference.budgets", budget_name=name, budget_cost=Decimal(str(cost)), **only)


def test_budget_of_a_whole_month_is_what_was_spent(warehouse: Warehouse) -> None:
    charge(warehouse, 1, "training", 60, date(2026, 1, 10), team="search")
    charge(warehouse, 2, "training", 50, date(2026, 1, 20), team="chat")
    charge(warehouse, 3, "inference", 30, date(2026, 1, 31), team="search", llm_model="nova")
    charge(warehouse, 4, "shared", 99, date(2026, 1, 31), charge_category="Tax", team="search")
    charge(warehouse, 5, "not_ai", 500, date(2026, 1, 31), team="search")
    budget(warehouse, "training", 100, workload="training")
    budget(warehouse, "search", 100, team="search")
    budget(warehouse, "nova", 30, llm_model="nova")
    budget(warehouse, "all", 140)
    budget(warehouse, "search-other", 400, team="search", workload="not_ai")
    budget(warehouse, "nobody", 1, team="nobody")
    warehouse.refresh("budget_status")
    found = warehouse.rows("select * from marts.budget_status order by budget_name")
    figures = {row["budget_name"]: (row["month_to_date_cost"], row["status"], row["breach_date"]) for row in found}
    assert figures == {
        "all": (140, "within", None),
        "nova": (30, "within", None),
        "search": (90, "within", None),
        "training": (110, "breached", date(2026, 1, 20)),
        "search-other": (500, "breached", date(2026, 1, 31)),
        "nobody": (0, "within", None),
    }
    assert {row["projected_cost"] == row["month_to_date_cost"] for row in found} == {True}


def test_open_month_is_projected_and_its_breach_dated(warehouse: Warehouse) -> None:
    daily(warehouse, "training", date(2026, 1, 5), [100.0] * 67)  # to 12 March
    budget(warehouse, "tight", 2000, workload="training")
    budget(warehouse, "wide", 4000, workload="training")
    budget(warehouse, "spent", 500, workload="training")
    warehouse.load(is_final=True, billing_period=MARCH)
    build_read(warehouse.connection)
    refresh_outlook(warehouse.connection, Decimal(10))
    warehouse.refresh("budget_status", "cost_forecast")
    found = warehouse.rows("select * from marts.budget_status where usage_period = '2026-03-01' order by budget_name")
    assert [(row["budget_name"], row["status"], row["breach_date"]) for row in found] == [
        ("spent", "breached", date(2026, 3, 6)),
        ("tight", "projected_breach", date(2026, 3, 21)),
        ("wide", "within", None),
    ]
    assert {(row["month_to_date_cost"], row["projected_cost"], row["is_complete"]) for row in found} == {
        (1200, 3100, False)
    }
    months = warehouse.rows("select * from marts.cost_forecast where series_kind = 'workload' order by usage_period")
    assert [(row["usage_period"], row["reported_cost"], row["forecast_cost"]) for row in months] == [
        (MARCH, 1200, 3100),
        (date(2026, 4, 1), 0, 3000),
    ]
    # February alone has four weeks before it and an end.
    assert [row["held_out_months"] for row in months] == [0, 0]


def test_open_month_with_too_few_days_is_undetermined(warehouse: Warehouse) -> None:
    daily(warehouse, "training", JANUARY, [100.0] * 5)
    budget(warehouse, "training", 1000, workload="training")
    build_read(warehouse.connection)
    refresh_outlook(warehouse.connection, Decimal(10))
    warehouse.refresh("budget_status", "cost_forecast")
    (row,) = warehouse.rows("select * from marts.budget_status")
    assert (row["month_to_date_cost"], row["projected_cost"], row["status"]) == (500, None, "undetermined")
    # The bill is open, so its last day may be half a day.
    assert row["reported_until_date"] == date(2026, 1, 4)
    assert {row["forecast_cost"] for row in warehouse.rows("select forecast_cost from marts.cost_forecast")} == {None}


def test_held_out_months_show_both_errors(warehouse: Warehouse) -> None:
    # The last January week costs double, so repeating it foresees twice of February: 5600 instead of 2800.
    daily(warehouse, "inference", JANUARY, [100.0] * 24 + [200.0] * 7 + [100.0] * 28)
    build_read(warehouse.connection)
    refresh_outlook(warehouse.connection, Decimal(10))
    warehouse.refresh("cost_forecast")
    row = warehouse.rows("select * from marts.cost_forecast where series_kind = 'all_ai'")[0]
    assert (row["held_out_months"], row["naive_error_share"], row["is_better_than_naive"]) == (1, 1, True)
    assert row["forecast_error_share"] < 1


def test_odd_day_names_the_key_that_explains_it(warehouse: Warehouse) -> None:
    rng = random.Random(1)  # noqa: S311 - no secret
    steady = [1000 * (1 + rng.uniform(-0.05, 0.05)) for _ in range(60)]
    daily(warehouse, "inference", JANUARY, steady, service_name="Bedrock", usage_type="tokens", sub_account_id="1")
    for number in range(60):
        cost = 2500 if number == 45 else 100
        day = JANUARY + timedelta(days=number)
        where: Row = {"service_name": "SageMaker", "usage_type": "Host:ml.p5", "sub_account_id": "2"}
        charge(warehouse, 5000 + number, "inference", cost, day, **where)
    build_read(warehouse.connection)
    refresh_outlook(warehouse.connection, Decimal(10))
    warehouse.refresh("cost_anomalies")
    found = warehouse.rows("select * from marts.cost_anomalies order by series_kind")
    assert {(row["series_kind"], row["usage_date"], row["direction"]) for row in found} == {
        ("all_ai", date(2026, 2, 15), "high"),
        ("workload", date(2026, 2, 15), "high"),
    }
    driver = {(row["driver_service_name"], row["driver_usage_type"], row["driver_account_id"]) for row in found}
    assert driver == {("SageMaker", "Host:ml.p5", "2")}
    assert {(row["driver_key_id"], row["driver_cost"], row["driver_expected_cost"]) for row in found} == {
        ("key5045", 2500, 100)
    }


def test_variance_sums_to_the_change_and_says_why(warehouse: Warehouse) -> None:
    tokens: Row = {"service_name": "Bedrock", "usage_type": "tokens", "pricing_unit": "1K tokens"}
    charge(warehouse, 1, "inference", 100, consumed_quantity=10, **tokens)
    charge(warehouse, 2, "inference", 180, FEBRUARY, consumed_quantity=20, **tokens)
    charge(warehouse, 3, "training", 70)
    charge(warehouse, 4, "storage", 30, FEBRUARY)
    warehouse.load()
    build_read(warehouse.connection)
    refresh_cost_variance(warehouse.connection)
    warehouse.refresh("cost_variance")
    found = warehouse.rows("select * from marts.cost_variance order by workload")
    effects = ("change_cost", "price_cost", "volume_cost", "mix_cost", "new_cost", "gone_cost", "unexplained_cost")
    assert {row["workload"]: tuple(row[name] for name in effects) for row in found} == {
        "inference": (80, -20, 100, 0, 0, 0, 0),
        "storage": (30, 0, 0, 0, 30, 0, 0),
        "training": (-70, 0, 0, 0, 0, -70, 0),
    }
    assert "assert_cost_variance_sums_to_change" not in warehouse.refusals()
    warehouse.connection.execute("update marts.cost_variance set mix_cost = 1 where workload = 'storage'")
    assert "assert_cost_variance_sums_to_change" in warehouse.refusals()


def test_utilization_of_a_commitment_is_what_it_covered(warehouse: Warehouse) -> None:
    plan: Row = {"commitment_discount_id": "sp-1"}
    charge(warehouse, 1, "inference", 60, list_cost=100, **plan)
    charge(warehouse, 2, "not_ai", 20, list_cost=40, **plan)
    charge(warehouse, 3, "shared", 20, charge_category="Purchase", idle_reason="unused_commitment", **plan)
    charge(warehouse, 4, "inference", 500)
    warehouse.load()
    warehouse.refresh()
    (row,) = warehouse.rows("select * from marts.commitment_utilization")
    assert (row["effective_cost"], row["used_cost"], row["unused_cost"], row["ai_cost"]) == (100, 80, 20, 60)
    assert (row["utilization_share"], row["list_cost"], row["saved_cost"]) == (0.8, 140, 40)
    assert warehouse.refusals() == set()


def test_spot_savings_without_list_price_are_undetermined(warehouse: Warehouse) -> None:
    spot: Row = {"pricing_category": "Dynamic", "accelerator": "A100", "accelerator_count": 8}
    charge(warehouse, 1, "training", 38, billed_cost=40, list_cost=100, instance_type="p4d", **spot)
    charge(warehouse, 2, "training", 40, billed_cost=40, list_cost=100, instance_type="p4de", **spot)
    charge(warehouse, 3, "training", 10, instance_type="p4de", **spot)
    charge(warehouse, 4, "training", 50, list_cost=60, pricing_category="Standard")
    warehouse.refresh("spot_savings")
    found = warehouse.rows("select * from marts.spot_savings order by instance_type")
    assert [(row["instance_type"], row["saved_cost"], row["saved_share"], row["status"]) for row in found] == [
        ("p4d", 60, 0.6, "measured"),
        ("p4de", None, None, "undetermined"),
    ]


def test_storage_is_aged_from_the_month_it_was_first_seen(warehouse: Warehouse) -> None:
    charge(warehouse, 1, "storage", 1, resource_id="old")
    charge(warehouse, 2, "storage", 2, MARCH, resource_id="old")
    charge(warehouse, 3, "storage", 4, FEBRUARY, resource_id="new")
    charge(warehouse, 4, "storage", 8, MARCH, resource_id="new")
    charge(warehouse, 5, "storage", 16, MARCH)
    warehouse.load()
    warehouse.refresh("storage_by_age")
    found = warehouse.rows("select * from marts.storage_by_age where usage_period = '2026-03-01' order by age_months")
    columns = ("age_months", "is_at_least", "resource_count", "effective_cost")
    assert [tuple(row[name] for name in columns) for row in found] == [
        (1, False, 1, 8),
        (2, True, 1, 2),
        (None, None, 0, 16),
    ]
    assert "assert_storage_by_age_sum_to_charges" not in warehouse.refusals()


def test_gpu_hours_have_a_price_by_how_they_were_bought(warehouse: Warehouse) -> None:
    h100: Row = {"accelerator": "H100", "accelerator_count": 8}
    plan: Row = {"pricing_category": "Committed", "commitment_discount_id": "sp-1"}
    charge(warehouse, 1, "training", 80, pricing_category="Standard", **h100)
    charge(warehouse, 2, "training", 24, pricing_category="Dynamic", **h100)
    charge(warehouse, 3, "training", 40, line_item_type="SavingsPlanCoveredUsage", **plan, **h100)
    fee: Row = {"charge_category": "Purchase", "line_item_type": "SavingsPlanRecurringFee"}
    charge(warehouse, 4, "training", 8, **fee, idle_reason="unused_commitment", **h100)
    charge(warehouse, 5, "training", -5, charge_category="Credit", **h100)
    charge(warehouse, 6, "training", 30, usage_type="CapacityBlockFee:p5", charge_category="Purchase", **h100)
    for number in (1, 2, 3):
        hour = {"usage_hour": datetime(2026, 1, 1, 5), "gpu_hours": 8}  # noqa: DTZ001 - the column has no zone
        warehouse.add("ledger.gpu_hours", key_id=f"key{number}", **hour, effective_cost=1)
    warehouse.load()
    warehouse.refresh()
    found = warehouse.rows("select * from marts.gpu_hour_rates")
    rates = {row["purchase_option"]: (row["effective_cost"], row["cost_per_gpu_hour"]) for row in found}
    assert rates == {"on_demand": (80, 10), "spot": (24, 3), "committed": (48, 6), "capacity_block": (30, None)}
    assert warehouse.refusals() == set()


def test_credits_burn_down_at_the_pace_of_the_last_thirty_days(warehouse: Warehouse) -> None:
    for month, name in ((1, "old"), (2, "new")):
        credit: Row = {"charge_category": "Credit", "charge_description": "Activate 2026"}
        charge(warehouse, month, "shared", -30, date(2026, month, 15), **credit)
        charge(warehouse, 10 + month, "inference", 100, date(2026, month, 28), service_name=name)
    charge(warehouse, 20, "shared", -7, FEBRUARY, charge_category="Credit", charge_description="something else")
    grant = {"source": "aws", "starts_on": JANUARY, "expires_on": date(2026, 12, 31)}
    warehouse.add("reference.credit_grants", grant_name="activate", kind="promotional", granted_cost=90,
                  description="activate", **grant)  # fmt: skip
    warehouse.add("reference.credit_grants", grant_name="edp", kind="commitment", granted_cost=5000, **grant)
    warehouse.add("reference.credit_grants", grant_name="small", kind="prepaid", granted_cost=150, **grant)
    warehouse.refresh("credit_burndown")
    found = warehouse.rows("select * from marts.credit_burndown")
    columns = ("used_cost", "left_cost", "last_30_days_cost", "used_up_on", "status")
    assert {row["grant_name"]: tuple(row[name] for name in columns) for row in found} == {
        "activate": (60, 30, 30, date(2026, 3, 30), "used_in_time"),
        "edp": (200, 4800, 100, date(2030, 2, 7), "expires_unused"),
        "small": (200, -50, 100, None, "used_up"),
        None: (7, None, 7, None, "undetermined"),
    }


def test_what_is_expected_and_absent_is_named(warehouse: Warehouse) -> None:
    for number in range(31):
        day = JANUARY + timedelta(days=number)
        if number != 9:
            charge(warehouse, number, "inference", 1, day, sub_account_id="1", billing_account_id="p")
    charge(warehouse, 50, "inference", 1, sub_account_id="2", billing_account_id="p")
    charge(warehouse, 60, "inference", 1, FEBRUARY, sub_account_id="1", billing_account_id="p")
    warehouse.add("reference.expected", kind="account", entity="3")
    warehouse.load(is_final=True)
    warehouse.load(is_final=True, billing_period=FEBRUARY)
    warehouse.refresh("completeness")
    january = "select * from marts.completeness where billing_period = '2026-01-01' order by kind, entity"
    assert [
        (row["kind"], row["entity"], row["expected_because"], row["is_present"], row["missing_day_count"])
        for row in warehouse.rows(january)
    ] == [
        ("account", "1", None, True, None),
        ("account", "2", None, True, None),
        ("account", "3", "configured", False, None),
        ("payer", "p", None, True, 1),
        ("provider", "AWS", None, True, None),
        ("source", "aws", None, True, 1),
    ]
    absent = warehouse.rows(
        "select entity, expected_because from marts.completeness "
        "where billing_period = '2026-02-01' and not is_present order by entity"
    )
    assert [tuple(row.values()) for row in absent] == [("2", "seen_before"), ("3", "configured")]
    february = "select missing_day_count from marts.completeness where billing_period = '2026-02-01' and kind = 'payer'"
    assert warehouse.rows(february) == [{"missing_day_count": 0}]


def test_cost_of_revenue_is_what_the_configuration_says(warehouse: Warehouse) -> None:
    charge(warehouse, 1, "inference", 50, environment="production")
    charge(warehouse, 2, "inference", 9, environment="staging")
    charge(warehouse, 3, "training", 30, project="ranker")
    charge(warehouse, 4, "training", 7)
    charge(warehouse, 5, "unattributed", 5)
    charge(warehouse, 6, "not_ai", 100, environment="production")
    charge(warehouse, 7, "shared", 3, charge_category="Tax")
    warehouse.add("reference.cogs_conditions", workload="inference", environment="production")
    warehouse.add("reference.cogs_conditions", environment="production")
    warehouse.add("reference.cogs_conditions", project="ranker")
    warehouse.load()
    warehouse.refresh()
    found = warehouse.rows("select cost_class, sum(effective_cost) as cost from marts.cogs_and_rnd_costs group by all")
    assert {row["cost_class"]: row["cost"] for row in found} == {
        "cogs": 80,
        "research_and_development": 16,
        "unattributed": 5,
        "not_ai": 100,
        "shared": 3,
    }
    assert warehouse.refusals() == set()


def test_a_run_is_a_resource_until_it_rests(warehouse: Warehouse) -> None:
    job: Row = {"resource_id": "arn:aws:sagemaker:us-east-1:1:training-job/ranker", "resource_name": "ranker"}
    for number, day in enumerate((1, 2, 5, 9)):
        charge(warehouse, number, "training", 10, date(2026, 1, day), accelerator="A100", accelerator_count=8,
               team="search", **job)  # fmt: skip
        hour = {"usage_hour": datetime(2026, 1, day, 5), "gpu_hours": 8}  # noqa: DTZ001 - the column has no zone
        warehouse.add("ledger.gpu_hours", key_id=f"key{number}", resource_id=job["resource_id"], **hour)
    charge(warehouse, 10, "fine_tuning", 7, llm_model="nova", service_name="Amazon Bedrock")
    charge(warehouse, 11, "fine_tuning", 5, resource_id="i-1")
    charge(warehouse, 12, "storage", 3, resource_id="acme-checkpoints", resource_name="acme-checkpoints")
    charge(warehouse, 13, "storage", 900, resource_id="acme-data")
    warehouse.load()
    warehouse.refresh()
    found = warehouse.rows("select * from marts.training_runs order by run_kind, run_name, attempt_number")
    columns = ("run_kind", "run_name", "attempt_number", "day_count", "gpu_hours", "effective_cost", "team")
    assert [tuple(row[name] for name in columns) for row in found] == [
        ("checkpoints", "acme-checkpoints", 1, 1, None, 3, None),
        ("job", "ranker", 1, 3, 24, 30, "search"),
        ("job", "ranker", 2, 1, 8, 10, "search"),
        ("machine", None, 1, 1, None, 5, None),
        ("unnamed", "Amazon Bedrock", None, 1, None, 7, None),
    ]
    assert found[2]["is_repeat"]
    assert {row["outcome"] for row in found} == {None}
    assert warehouse.refusals() == set()


def test_job_records_say_how_a_run_ended_and_what_was_lost(warehouse: Warehouse) -> None:
    charge(warehouse, 1, "unattributed", 30, resource_id="i-1", accelerator="A100", accelerator_count=8)
    ended = {1: ("training", "completed", 10), 2: ("training", "preempted", 5), 3: ("fine_tuning", "failed", 12)}
    for part, (workload, outcome, cost) in {**ended, 4: ("inference", "running", 3)}.items():
        costs = dict.fromkeys(("billed_cost", "effective_cost", "net_cost", "gpu_hours"), cost)
        told = {"workload": workload, "evidence": "measured", "accelerator": "A100", "outcome": outcome}
        warehouse.add("computed.gpu_allocations", daily_id=1, part=part, method="jobs", is_busy=True, **told, **costs)
    warehouse.load()
    warehouse.refresh()
    found = warehouse.rows("select workload, effective_cost, lost_cost, outcome from marts.training_runs order by 1")
    assert [tuple(row.values()) for row in found] == [
        ("fine_tuning", 12, 12, "failed"),
        ("training", 15, 5, "mixed"),
    ]


SABOTAGE = {
    "assert_commitment_utilization_sum_to_charges": "update marts.commitment_utilization set unused_cost = 9",
    "assert_cogs_and_rnd_costs_sum_to_charges": "update marts.cogs_and_rnd_costs set effective_cost = 9",
    "assert_storage_by_age_sum_to_charges": "delete from marts.storage_by_age",
    "assert_training_runs_sum_to_charges": "delete from marts.training_runs",
    "assert_gpu_hour_rates_sum_to_charges": "update marts.gpu_hour_rates set effective_cost = 9",
    "assert_restatements_sum_to_change": "update marts.restatements set retag_change_cost = 9",
}


def test_each_check_finds_its_wrong_mart(warehouse: Warehouse) -> None:
    charge(warehouse, 1, "training", 10, commitment_discount_id="sp-1", accelerator="H100", accelerator_count=8)
    charge(warehouse, 2, "storage", 10)
    amounts = {"reported_cost": 5, "provider_change_cost": 5, "retag_change_cost": 0, "current_cost": 10}
    warehouse.add("computed.restatements", workload="training", key_id="key1", **amounts)
    warehouse.load()
    warehouse.refresh()
    assert warehouse.refusals() == set()
    for statement in SABOTAGE.values():
        warehouse.connection.execute(statement)
    assert warehouse.refusals() == set(SABOTAGE)


def reported(warehouse: Warehouse) -> object:
    build_read(warehouse.connection)
    (row,) = warehouse.rows("select reported_until_date as day from intermediate.int_reported_until")
    return row["day"]


def test_days_are_reported_as_far_as_every_bill_that_counts_by_the_day_has_come(warehouse: Warehouse) -> None:
    for number, day in enumerate((1, 12, 13), 1):
        charge(warehouse, number, "inference", 1, date(2026, 2, day))
    assert reported(warehouse) == date(2026, 2, 12)
    warehouse.load(billing_period=FEBRUARY)
    assert reported(warehouse) == date(2026, 2, 13)
    charge(warehouse, 4, "inference", 1, date(2026, 2, 28), source="fast")
    charge(warehouse, 5, "inference", 1, date(2026, 2, 27), source="fast")
    assert reported(warehouse) == date(2026, 2, 28)  # the first bill has ended a fortnight ago
    charge(warehouse, 6, "inference", 1, date(2026, 2, 22), source="slow")
    charge(warehouse, 7, "inference", 1, date(2026, 2, 21), source="slow")
    charge(warehouse, 8, "inference", 1, FEBRUARY, source="monthly")
    assert reported(warehouse) == date(2026, 2, 21)


def test_a_bill_with_a_line_a_month_is_reported_when_it_is_final_and_lacks_no_days(warehouse: Warehouse) -> None:
    for number, month in enumerate((JANUARY, FEBRUARY), 1):
        charge(warehouse, number, "inference", 1, month)
    assert reported(warehouse) == date(2026, 1, 31)
    warehouse.load(billing_period=FEBRUARY)
    assert reported(warehouse) == date(2026, 2, 28)
    warehouse.refresh("completeness")
    assert warehouse.rows("select distinct missing_day_count as days from marts.completeness") == [{"days": None}]
