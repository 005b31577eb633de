"""A Capacity Block's fee does what the instances in it did, where the bill says which they were."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl
import pytest

from models.capacity_blocks import followed
from models.dimensions import Dimensions
from models.facts import CHARGES, COST_COLUMNS, GPU_UTILIZATION, Fact, schema
from models.idle import HOUR, STEPS
from models.money import MONEY
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.plan import tagging_of
from pipelines.settings import Settings
from pipelines.warehouse.gpu import refresh_gpu
from pipelines.warehouse.tables import TABLES, create_statement

JULY: Final = date(2026, 7, 1)
MONTH: Final = {"source": "aws", "billing_period": JULY}
BLOCK: Final = "arn:aws:ec2:us-west-2:111122223333:capacity-reservation/cr-1"
FEE: Final = "USW2-CapacityBlockFee:p5.48xlarge"
START: Final = datetime(2026, 7, 12, 12)  # noqa: DTZ001 - the warehouse's hours are naive UTC
HOURS: Final = 4
HOURLY: Final = Decimal(80)


class Bill:
    """A warehouse with machine-hours, perhaps of a block, filled by hand, and a ledger with their metrics."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(str(folder))
        self.settings = Settings(
            home=folder, sources=[], dimensions=Dimensions.model_validate({"team": [{"tag": "team"}]})
        )
        self.connection = duckdb.connect()
        for name in ("ledger", "computed", "reference"):
            self.connection.execute(f"create schema {name}")
        for table in TABLES:
            self.connection.execute(create_statement(table))
        self.connection.execute("create table computed.builds (charges_id varchar, attributions_id varchar)")
        self.samples: list[dict[str, Any]] = []
        self.number = 0

    def _add(self, table: str, **row: object) -> None:
        row = {name: value for name, value in (MONTH | row).items() if name in TABLES[table][1]}
        marks = ", ".join("?" for _ in row)
        self.connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values()))

    def line(self, key: str, hour: int, cost: Decimal | int = 0, **more: Any) -> None:
        """Add one line of one hour, with its daily row."""
        self.number += 1
        at = START + timedelta(hours=hour)
        row = {"key_id": key, "usage_hour": at, "usage_date": at.date(), "daily_id": self.number, **more}
        row |= dict.fromkeys(COST_COLUMNS, cost)
        self._add("ledger.gpu_hours", **row)
        self._add("ledger.charges_daily", **row)

    def key(self, key: str, usage_type: str, **more: Any) -> None:
        said = {"workload": "unattributed", "evidence": "none", "accelerator": "H100", "accelerator_count": 8}
        self._add("computed.attributions", key_id=key, usage_type=usage_type, usage_period=JULY, **said | more)

    def fee(self, hours: int = HOURS) -> None:
        self.key("fee", FEE, accelerator_count=None)
        for hour in range(hours):
            self.line("fee", hour, HOURLY * HOURS / hours, resource_id=BLOCK, capacity_reservation_id=BLOCK)

    def instance(self, number: int, hours: range, reservation: str | None = BLOCK) -> None:
        if not number:
            self.key("box", "USW2-BoxUsage:p5.48xlarge")
        for hour in hours:
            named: dict[str, Any] = {"resource_id": f"i-{number}", "capacity_reservation_id": reservation}
            self.line("box", hour, gpu_hours=8, consumed_quantity=1, **named)

    def later(self, hour: int = 48) -> None:
        """Add a line that shows that the bill reaches beyond the block."""
        self.key("other", "USW2-BoxUsage:m5.large", accelerator=None)
        for day in range(hour // 24 + 1):
            self.line("other", day * 24, consumed_quantity=1)

    def metric(self, number: int, hours: range, busy: float) -> None:
        for hour in hours:
            for gpu in range(8):
                at = (START + timedelta(hours=hour)).replace(tzinfo=UTC)
                told = {"resource_id": f"i-{number}", "hour": at, "busy_fraction": busy, "device": str(gpu)}
                self.samples.append({**told, "measured_seconds": 3600, "sample_count": 60})

    def steps(self) -> dict[str | None, Decimal]:
        """Give what the fee's money was for."""
        if self.samples:
            table = self.ledger.fact(Fact.GPU_UTILIZATION)
            rows = [{"source_file": "dcgm", "source_row": at, **row} for at, row in enumerate(self.samples, 1)]
            adds = table.write("dcgm", JULY, "load", [pl.LazyFrame(rows, schema=schema(GPU_UTILIZATION))])
            table.commit(adds, mode="overwrite", partition=("dcgm", JULY), facts={})
        refresh_gpu(self.connection, self.ledger, self.settings, tagging_of(self.settings))
        found = self.connection.sql(
            "select parts.idle_reason, sum(parts.effective_cost), sum(parts.gpu_hours) "
            "from computed.gpu_allocations as parts "
            "inner join ledger.charges_daily as daily using (source, billing_period, daily_id) "
            "where daily.key_id = 'fee' group by 1"
        ).fetchall()
        assert all(hours is None for *_, hours in found), "hours are counted with the instances' own lines"
        return {step: cost for step, cost, _ in found}


@pytest.fixture
def bill(tmp_path: Path) -> Bill:
    return Bill(tmp_path)


def test_a_fee_is_busy_idle_and_unused_as_the_instances_in_its_block_were(bill: Bill) -> None:
    bill.fee()
    bill.instance(0, range(4))
    bill.instance(1, range(2))
    bill.later()
    bill.metric(0, range(4), 0.75)
    bill.metric(1, range(2), 0.01)
    # Two instances for two hours say that the block holds two: in the other two hours nobody ran in one of them.
    assert bill.steps() == {None: 120, "underutilized": 40, "idle": 80, "unused_reservation": 80}


def test_an_instance_without_metrics_leaves_its_part_of_the_fee_unmeasured(bill: Bill) -> None:
    bill.fee()
    bill.instance(0, range(4))
    bill.instance(1, range(4))
    bill.later()
    bill.metric(0, range(4), 1.0)
    assert bill.steps() == {None: 160, "unmeasured": 160}


def test_hours_that_the_bill_calls_unused_are(bill: Bill) -> None:
    bill.fee()
    bill.instance(0, range(4))
    bill.key("unused", "USW2-UnusedBox:p5.48xlarge", idle_reason="unused_reservation")
    for hour in range(4):
        held: dict[str, Any] = {"resource_id": BLOCK, "capacity_reservation_id": BLOCK}
        bill.line("unused", hour, gpu_hours=24, consumed_quantity=3, **held)
    bill.later()
    assert bill.steps() == {"unmeasured": 80, "unused_reservation": 240}


def test_hours_that_no_bill_has_reached_are_not_unused(bill: Bill) -> None:
    bill.fee()
    bill.instance(0, range(2))
    assert bill.steps() == {"unmeasured": 320}


def test_a_block_that_nobody_ran_in_is_unused_where_the_bill_names_reservations_of_instances(bill: Bill) -> None:
    bill.fee()
    bill.instance(0, range(4), reservation="arn:aws:ec2:us-west-2:111122223333:capacity-reservation/cr-2")
    bill.later()
    assert bill.steps() == {"unused_reservation": 320}


def test_a_bill_that_names_no_reservations_of_instances_leaves_the_fee_unmeasured(bill: Bill) -> None:
    bill.fee()
    bill.instance(0, range(4), reservation=None)
    bill.later()
    bill.metric(0, range(4), 1.0)
    assert bill.steps() == {}


def test_a_fee_of_unknown_hours_does_what_the_instances_did_in_all_of_theirs(bill: Bill) -> None:
    bill.fee(hours=1)
    bill.instance(0, range(10, 14))
    bill.later()
    bill.metric(0, range(10, 12), 1.0)
    assert bill.steps() == {None: 160, "unmeasured": 160}


def test_pods_of_a_bill_that_divides_its_node_are_for_what_their_tags_say(bill: Bill) -> None:
    bill.key("node", "USW2-BoxUsage:p5.48xlarge", service_code="AmazonEC2", team="platform")
    node = {"resource_id": "i-7", "gpu_hours": 8, "consumed_quantity": 1}
    bill.line("node", 0, 80, **node)
    pods: list[tuple[dict[str, str], int, int]] = [
        ({"user_workload": "training", "user_team": "research", "aws_eks_namespace": "team-a"}, 4, 2),
        ({"aws_eks_namespace": "vllm", "aws_eks_cluster_name": "train-cluster"}, 1, 0),
        ({"aws_eks_namespace": "vllm", "aws_eks_workload_name": "triton-0"}, 1, 0),
    ]
    lines = [
        dict.fromkeys(CHARGES)
        | {
            "usage_period": JULY,
            "split_parent_resource_id": "i-7",
            "charge_period_start": START.replace(tzinfo=UTC),
            "split_cost": Decimal(used),
            "split_unused_cost": Decimal(unused),
            "tags": tags,
        }
        for tags, used, unused in pods
    ]
    charges = bill.ledger.charges
    adds = charges.write("aws", JULY, "load", [pl.LazyFrame(lines, schema=schema(CHARGES))])
    charges.commit(adds, mode="overwrite", partition=("aws", JULY), facts={})
    bill.steps()
    found = bill.connection.sql(
        "select workload, evidence, team, namespace, idle_reason, effective_cost::integer, gpu_hours::integer "
        "from computed.gpu_allocations order by all"
    ).fetchall()
    assert found == [
        ("inference", "inferred", "platform", "vllm", "unmeasured", 20, 2),
        ("training", "declared", "research", "team-a", "unmeasured", 40, 4),
        ("unattributed", "none", "platform", None, "unallocated", 20, 2),
    ]


def test_who_held_the_instances_held_the_block() -> None:
    fees = pl.DataFrame(
        {"block": [9, 9], "hour": [START, START + timedelta(hours=1)], "effective_cost": [HOURLY, HOURLY / 2]},
        schema_overrides={"effective_cost": MONEY},
    ).with_columns(is_billed=True, is_told=True)
    used = pl.DataFrame(
        {"block": [9], "machine": [1], "hour": [START], "gpu_hours": [Decimal(8)], "is_unused": [False]},
        schema_overrides={"gpu_hours": MONEY},
    )
    capacity = pl.DataFrame({"slot": [0], "machine": [1], "hour": [START], "billed": [8 * HOUR]})
    half = dict.fromkeys(STEPS, 0) | {"busy": 4 * HOUR}
    steps = pl.DataFrame([{"slot": 0, "billed": 8 * HOUR, "holder": holder, **half} for holder in (3, 4)])
    slots, found = followed(fees, used, capacity, steps)
    assert slots.rows() == [(1, 9, START), (2, 9, START + timedelta(hours=1))]
    kept = found.select("slot", "holder", "billed", "busy", "unused_reservation").rows()
    # Half the money of an hour is half an hour of the block.
    assert kept == [(1, 3, 8 * HOUR, 4 * HOUR, 0), (1, 4, 8 * HOUR, 4 * HOUR, 0), (2, 0, 4 * HOUR, 0, 4 * HOUR)]
