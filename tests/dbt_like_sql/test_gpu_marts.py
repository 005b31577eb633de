"""Marts of accelerators over a small warehouse filled by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.dbt_like_sql.test_marts import JANUARY, Row, Warehouse

pytestmark = pytest.mark.pipeline

NODE = {"accelerator": "H100", "accelerator_count": 8, "resource_id": "i-1", "instance_type": "p5.48xlarge"}


def _part(tiny: Warehouse, daily_id: int, part: int, idle_reason: str | None, cost: int, **more: object) -> None:
    costs = dict.fromkeys(("billed_cost", "effective_cost", "net_cost"), Decimal(cost))
    row = {"workload": "training", "evidence": "measured", "accelerator": "H100", "method": "metrics_of_its_machine"}
    busy = {"is_busy": idle_reason is None, "idle_reason": idle_reason}
    tiny.add("computed.gpu_allocations", daily_id=daily_id, part=part, **{**row, **busy, **costs, **more})


@pytest.fixture(scope="module")
def tiny() -> Warehouse:
    """A measured node, one nobody measured, a fee, a reservation, a block and provisioned throughput."""
    made = Warehouse()
    made.charge(1, "unattributed", "none", 100, **NODE)
    made.charge(2, "inference", "declared", 40, **{**NODE, "resource_id": "i-2"})
    made.charge(3, "inference", "declared", 7, idle_reason="unused_reservation", **{**NODE, "resource_id": "cr-1"})
    made.charge(4, "inference", "billed", 30, usage_type="ProvisionedThroughput-Units", llm_model="nova")
    made.charge(5, "inference", "billed", 5, accelerator="H100")
    # Reserved tokens per minute: tokens of the one model are on record, of the other none.
    made.charge(
        7, "inference", "billed", 11, usage_type="USE1-MP:USE1_Reserved_1Month_InputTPM_Geo-Units", llm_model="claude"
    )
    made.charge(
        8,
        "inference",
        "billed",
        13,
        usage_type="USE1-MP:USE1_Reserved_3Month_OutputTPM_Global-Units",
        llm_model="titan",
    )
    block = {**NODE, "resource_id": "cr-9", "usage_type": "USW2-CapacityBlockFee:p5.48xlarge"}
    made.charge(6, "training", "declared", 3, **block)
    made.charge(9, "training", "declared", 2, **{**NODE, "resource_id": "i-daily"})
    made.add(
        "ledger.gpu_hours",
        key_id="key9",
        usage_hour=datetime(2026, 1, 1),  # noqa: DTZ001
        resource_id="i-daily",
        gpu_hours=192,
    )
    for hour in range(24):
        at = datetime(2026, 1, 1) + timedelta(hours=hour)  # noqa: DTZ001 - the warehouse's hours are naive UTC
        for daily_id in (1, 2):
            cost = Decimal(100 if daily_id == 1 else 40) / 24
            made.add(
                "ledger.gpu_hours",
                key_id=f"key{daily_id}",
                usage_hour=at,
                resource_id=f"i-{daily_id}",
                gpu_hours=8,
                effective_cost=cost,
            )
        made.add(
            "ledger.gpu_utilization_hourly",
            source="dcgm",
            charge_source="aws",
            resource_id="i-1",
            match="matched",
            counts_as="counted",
            usage_hour=at,
            measured_hours=8.0,
            busy_hours=1.5,
            idle_hours=6.0,
            memory_hours=2.0,
        )
    _part(made, 1, 1, "idle", 60, gpu_hours=120)
    _part(made, 1, 2, None, 25, gpu_hours=42, team="research", outcome="failed")
    _part(made, 1, 3, "unallocated", 10, gpu_hours=20, workload="unattributed", evidence="none")
    _part(made, 1, 4, "unmeasured", 5, gpu_hours=10)
    made.add(
        "ledger.gpu_utilization_hourly",
        source="dcgm",
        named_id="i-9",
        match="on_no_bill",
        counts_as="unmatched",
        usage_hour=datetime(2026, 1, 2),  # noqa: DTZ001
        measured_hours=1.0,
    )
    tokens = {"usage_date": JANUARY, "provider_name": "AWS", "output_tokens": 5}
    made.add("ledger.token_usage_daily", usage_id=1, **tokens, llm_model="claude")
    made.add("reference.idle", idle_below=0.05, idle_hours=1, grace_hours=1, headroom=0.2)
    for shape, count in (("p5.4xlarge", 1), ("p5.12xlarge", 4), ("p5.48xlarge", 8)):
        made.add("reference.accelerators", instance_type=shape, accelerator="H100", count=count)
    made.load()
    made.build()
    return made


def _steps(found: list[Row]) -> dict[tuple[object, ...], Decimal]:
    return {tuple(row.values())[:-1]: row["effective_cost"] for row in found}


def test_every_dollar_of_capacity_is_in_one_step(tiny: Warehouse) -> None:
    found = tiny.rows("select capacity, step, effective_cost from marts.gpu_idle_waterfall")
    assert _steps(found) == {
        ("machines", "unused_reservation"): 7,
        ("machines", "unallocated"): 10,
        ("machines", "idle"): 60,
        ("machines", "unmeasured"): 55,
        ("machines", "busy"): 25,
        ("provisioned_throughput", "unused_throughput"): 30 + 13,
        ("provisioned_throughput", "unmeasured"): 11,
    }
    places = tiny.rows("select step, step_number from marts.gpu_idle_waterfall order by step_number")
    assert [row["step"] for row in places][-2:] == ["unmeasured", "busy"]


def test_hours_follow_the_money_and_none_is_counted_twice(tiny: Warehouse) -> None:
    found = tiny.rows("select idle_reason, gpu_hours from marts.gpu_idle_costs where gpu_hours > 0")
    hours: dict[str | None, Decimal] = {}
    for row in found:
        hours[row["idle_reason"]] = hours.get(row["idle_reason"], Decimal(0)) + row["gpu_hours"]
    assert hours == {"idle": 120, None: 42, "unallocated": 20, "unmeasured": 10 + 192 + 192}


def test_busy_and_unmeasured_are_told_apart_by_workload(tiny: Warehouse) -> None:
    ((training),) = tiny.rows("select * from marts.gpu_utilization_by_workload where workload = 'training'")
    assert (training["measured_hours"], training["busy_fraction"]) == (162, Decimal("0.259259259259"))
    assert (training["lost_hours"], training["unmeasured_hours"]) == (42, 10 + 192)


def test_what_to_stop_names_owner_reason_and_dollars(tiny: Warehouse) -> None:
    found = tiny.rows("select resource_id, idle_reason, idle_cost, evidence, team from marts.idle_resources")
    assert sorted(tuple(row.values()) for row in found) == [
        ("cr-1", "unused_reservation", 7, "the bill", None),
        ("i-1", "idle", 70, "metrics", "research"),
    ]


def test_a_load_that_fits_fewer_accelerators_is_told(tiny: Warehouse) -> None:
    ((found),) = tiny.rows("select * from marts.right_sizing")
    assert (found["resource_id"], found["accelerators"], found["accelerators_needed"]) == ("i-1", 8, 3)
    assert (found["proposed_instance_type"], found["saved_cost"]) == ("p5.12xlarge", Decimal("62.5"))


def test_coverage_says_why_and_what_to_switch_on(tiny: Warehouse) -> None:
    found = tiny.rows("select subject, status, named_resource, effective_cost, what_to_do from marts.gpu_coverage")
    told = {(row["subject"], row["status"], row["named_resource"]): row for row in found}
    assert {key: row["effective_cost"] for key, row in told.items() if key[0] == "billed"} == {
        ("billed", "measured", None): 85,
        ("billed", "held_by_nobody", None): 10,
        ("billed", "said_by_the_bill", None): 7,
        ("billed", "no_metric", None): 45,
        ("billed", "no_resource_id", None): 5,
        ("billed", "no_instances_of_block", None): 3,
        ("billed", "no_hourly_lines", None): 2,
    }
    assert "hourly lines" in told["billed", "no_hourly_lines", None]["what_to_do"]
    assert "capacity reservation data" in told["billed", "no_instances_of_block", None]["what_to_do"]
    assert "resource ids" in told["billed", "no_resource_id", None]["what_to_do"]
    assert told["metric", "on_no_bill", "i-9"]["effective_cost"] is None


def test_checks_pass_and_notice_a_lost_cent(tiny: Warehouse) -> None:
    assert {name for name in tiny.refusals() if "gpu" in name} == set()
    tiny.connection.execute("update computed.gpu_allocations set billed_cost = billed_cost - 0.01 where part = 1")
    assert "assert_gpu_allocations_sum_to_daily_rows" in tiny.refusals()
