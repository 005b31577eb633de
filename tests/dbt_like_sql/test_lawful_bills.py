"""No lawful bill, however odd, may keep a report from being published: every mart and every check over odd facts."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.sharing import Method, Pool, Sharing
from models.workloads import IdleReason, Workload
from pipelines.warehouse.governance import build_read, refresh_cost_variance, refresh_shared_costs
from pipelines.warehouse.outlook import refresh_outlook
from tests.dbt_like_sql.test_claims import GPU, TOKENS, configure
from tests.dbt_like_sql.test_marts import Warehouse

pytestmark = pytest.mark.pipeline

Row = dict[str, Any]
# A month between them is empty, and the last is in another year.
MONTHS = (date(2025, 10, 1), date(2025, 11, 1), date(2026, 1, 1))
SPOT = {"pricing_category": "Dynamic", **GPU}
LISTED = {"usage_type": "USW2-BoxUsage:p5.48xlarge", "pricing_unit": "Hrs", "consumed_quantity": 10, **GPU}
COMMITTED = {"commitment_discount_id": "arn:aws:savingsplans::1:savingsplan/a", **GPU}
THINGS: list[Row] = [
    {},
    GPU,
    SPOT,
    LISTED,
    {"accelerator": "A100", "accelerator_count": 8, "pricing_category": "Committed"},
    {"accelerator": "A100", "accelerator_count": 8, "service_name": "Serverless GPU"},
    {**TOKENS, "consumed_quantity": 12345},
    {"llm_model": "llama-70b", **GPU},
    {"resource_name": "llm-checkpoints", "pricing_unit": "GB-Mo", "usage_type": "Stored", "consumed_quantity": 5},
    {"resource_id": "arn:aws:sagemaker:us-east-1:1:training-job/a"},
    COMMITTED,
    {"service_name": "AWS Support (Business)", "consumed_quantity": -3, "pricing_unit": "Hrs"},
    {"usage_type": "ProvisionedThroughput", "llm_model": "claude-sonnet-4.5"},
]
money = st.one_of(
    st.just(Decimal(0)),
    st.integers(-(10**18), 10**18).map(lambda units: Decimal(units).scaleb(-12)),
    st.integers(-(10**9), 10**9).map(lambda cents: Decimal(cents).scaleb(-2)),
)
charges = st.lists(
    st.fixed_dictionaries(
        {
            "what": st.sampled_from(THINGS),
            "workload": st.sampled_from([*map(str, Workload), "inference"]),
            "evidence": st.sampled_from(["declared", "billed", "measured", "inferred", "none"]),
            "charge_category": st.sampled_from(["Usage", "Usage", "Usage", "Credit", "Tax", "Adjustment", "Purchase"]),
            "idle_reason": st.sampled_from([None, None, *map(str, IdleReason)]),
            "effective_cost": money,
            "billed_cost": money,
            "net_cost": money,
            "list_cost": st.one_of(st.none(), money),
            "team": st.sampled_from([None, "chat", "search"]),
            "environment": st.sampled_from([None, "prod", "prod", "staging"]),
            "billing_currency": st.sampled_from(["USD", "EUR"]),
            "usage_period": st.sampled_from(MONTHS),
            "is_refund_of_last_month": st.booleans(),
            "gpu_hours": st.sampled_from([None, None, 0, 16]),
        }
    ),
    min_size=1,
    max_size=12,
)


def fill(warehouse: Warehouse, bill: list[Row]) -> None:
    """Write a bill as loads and gates leave it: two sources, each month's lines whole."""
    warehouse.clear()
    configure(warehouse)
    for number, line in enumerate(bill):
        used = line["usage_period"]
        later = (used + timedelta(days=31)).replace(day=1)
        source = "aws" if line["billing_currency"] == "USD" else "focus"
        where = {"source": source, "billing_period": later if line["is_refund_of_last_month"] else used}
        more = {"usage_type": "Host:x", "service_name": "Machines", **line, **line["what"], **where}
        gone = ("what", "workload", "evidence", "effective_cost", "is_refund_of_last_month", "gpu_hours")
        row = {name: value for name, value in more.items() if name not in gone}
        warehouse.charge(number, line["workload"], line["evidence"], line["effective_cost"], usage_date=used, **row)
        if line["gpu_hours"] is not None and "accelerator" in line["what"]:
            moment = datetime(used.year, used.month, 1)  # noqa: DTZ001 - the column has no zone
            hours = {"usage_hour": moment, "gpu_hours": line["gpu_hours"], "effective_cost": line["effective_cost"]}
            # An hour names its resource, region and commitment exactly as the daily row of its line does.
            warehouse.add("ledger.gpu_hours", **row, key_id=f"key{number}", **hours)
        if line["gpu_hours"] and "accelerator" in line["what"] and line["idle_reason"] is None:
            measure(warehouse, number, line, where)
        if "token_bucket" in line["what"]:
            usage = {"usage_id": number, "usage_date": used, "provider_name": "OpenAI", "llm_model": "gpt-4o"}
            counted = {"counts_as": "estimated", "price_status": "priced", "requests": 10}
            counted |= {"is_batch": False, "priced_cost": Decimal(1)}
            warehouse.add("ledger.token_usage_daily", **usage, **where, **counted)
            warehouse.add("computed.estimated_charges", **usage, **where, estimated_cost=Decimal(1))
    for month in warehouse.rows("select distinct source, billing_period from ledger.charges_daily"):
        warehouse.load(**month)
    for hour, requests in enumerate((0, 0, 0, 900)):  # far outside of any band around its average
        moment = datetime(2025, 11, 1, hour)  # noqa: DTZ001 - the column has no zone
        warehouse.add("computed.hourly_requests", usage_hour=moment, requests=requests)


def measure(warehouse: Warehouse, number: int, line: Row, where: Row) -> None:
    """Divide a row as metrics do that saw half of its hours."""
    for part, reason in ((1, None), (2, "unmeasured")):
        costs = {name: line[name] * (part - 1) for name in ("billed_cost", "effective_cost", "net_cost")}
        costs |= {"list_cost": None if line["list_cost"] is None else line["list_cost"] * (part - 1)}
        half = {"daily_id": number, "part": part, "idle_reason": reason, "is_busy": part == 1, **costs}
        owner = {"workload": line["workload"], "evidence": line["evidence"], "team": line["team"], "method": "measured"}
        owner |= {"accelerator": line["what"]["accelerator"], "llm_model": line["what"].get("llm_model")}
        warehouse.add("computed.gpu_allocations", **where, **half, **owner, gpu_hours=Decimal(line["gpu_hours"]) / 2)


def refusals(warehouse: Warehouse, bill: list[Row]) -> set[str]:
    """Do to a warehouse what a run does between its facts and its publication."""
    warehouse.connection.begin()
    fill(warehouse, bill)
    warehouse.connection.commit()
    build_read(warehouse.connection)
    refresh_shared_costs(warehouse.connection, Sharing(Method.PROPORTIONAL, frozenset(Pool), {}))
    refresh_cost_variance(warehouse.connection)
    refresh_outlook(warehouse.connection, Decimal(10))
    warehouse.refresh()
    return warehouse.refusals()


def line(cost: str, **more: Any) -> Row:
    amount = Decimal(cost)
    plain: Row = {"what": {}, "workload": "inference", "evidence": "billed", "charge_category": "Usage"}
    plain |= {"idle_reason": None, "effective_cost": amount, "billed_cost": amount, "net_cost": amount}
    plain |= {"list_cost": None, "team": None, "environment": None, "billing_currency": "USD"}
    return plain | {"usage_period": MONTHS[0], "is_refund_of_last_month": False, "gpu_hours": None} | more


# Each in years of its own, so that one building of the marts judges all of them.
ODD: dict[str, list[Row]] = {
    "nothing was spent": [line("0")],
    "a month with only tax": [line("12.5", charge_category="Tax", workload="shared")],
    "a credit larger than usage": [line("5"), line("-50", charge_category="Credit")],
    "a negative month": [line("-5"), line("3", workload="training")],
    "all in production, to twelve decimals": [line("123456.789123456789", environment="prod")],
    "spot refunded beyond its price": [line("-30", what=SPOT, list_cost=Decimal(100), workload="training")],
    "last month's machine refunded": [
        line("7", what=LISTED, gpu_hours=16),
        line("-9", what=LISTED, is_refund_of_last_month=True),
    ],
    "hours that cost nothing": [line("0", what=GPU, gpu_hours=16)],
    "an unmeasured machine, refunded": [line("-8", what=GPU, gpu_hours=16)],
    "tokens without a count of requests, refunded": [line("-8", what=TOKENS)],
    "a machine without hours": [line("8", what=GPU, gpu_hours=0)],
    "a measured machine under a commitment": [line("8", what=COMMITTED, gpu_hours=16)],
    "two currencies": [line("3"), line("3", billing_currency="EUR")],
    "a month without any line between two": [line("3"), line("4", usage_period=MONTHS[2])],
}


def test_odd_but_lawful_bills_are_published(shared: Warehouse) -> None:
    bills = [
        {**each, "usage_period": each["usage_period"].replace(year=each["usage_period"].year - 5 * years)}
        for years, bill in enumerate(ODD.values())
        for each in bill
    ]
    assert refusals(shared, bills) == set()


@given(bill=charges)
@settings(
    max_examples=4,
    derandomize=True,  # whoever pushes next must not be stopped by a fact nobody has thought of yet
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_bill_whatever_its_signs_and_months_is_kept_back(shared: Warehouse, bill: list[Row]) -> None:
    assert refusals(shared, bill) == set()
