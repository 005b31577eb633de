"""Google's machines are whole in every mart, whatever SKUs they come in, and stay so when rules change."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.gcp_rows import pairs, row, write
from tests.pipelines.conftest import Company

pytestmark = pytest.mark.pipeline

T4, CORE, RAM = (
    f"{part} running in Americas" for part in ("Nvidia Tesla T4 GPU", "N1 Predefined Instance Core", "N1 Ram")
)
NETWORK = "Network Internet Data Transfer Out from Americas to Americas"
RULE = """
rules:
  - id: t4-serves
    workload: inference
    evidence: declared
    reason: We serve on every T4.
    when: { all: [ { usage_type: { contains: Tesla T4 } } ] }
    effective_from: 2020-01-01
    examples: [ { usage_type: Nvidia Tesla T4 GPU running in Americas } ]
"""
ACCELERATED = """
select workload, evidence, sum(gpu_hours), sum(effective_cost) from intermediate.int_accelerator_costs
group by all order by all
"""
PARTS = """
select usage_type, resource_id, workload, method, effective_cost from intermediate.int_charges_allocated
where usage_type != 'Nvidia Tesla T4 GPU running in Americas' order by all
"""


def used(sku: str, machine: str, cost: float, hour: int = 8) -> dict[str, Any]:
    return row(
        sku={"id": sku, "description": sku},
        resource={"name": machine, "global_name": f"//compute/{machine}"},
        usage_start_time=f"2026-01-10T{hour:02}:00:00Z",
        usage_end_time=f"2026-01-10T{hour + 1:02}:00:00Z",
        labels=pairs(workload="training") if sku == T4 else [],
        cost=cost,
    )


@pytest.fixture
def machines(tmp_path: Path) -> Company:
    """A machine whose T4 is taken away at ten, and one that never had any."""
    rows = [used(sku, "a", cost, hour) for hour in (8, 9, 10) for sku, cost in ((CORE, 0.5), (RAM, 0.25))]
    rows += [used(T4, "a", 0.35, 8), used(T4, "a", 0.35, 9), used(NETWORK, "a", 7.0), used(CORE, "b", 0.5)]
    write(tmp_path / "gcp/bill.parquet", rows)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/ours.yaml").write_text("rules: []\n", encoding="utf-8")
    return Company(tmp_path).configure(
        sources=[{"name": "gcp", "type": "gcp_billing", "location": "gcp"}], rules=["rules/*.yaml"]
    )


def test_cores_and_memory_count_to_the_accelerator_in_the_hours_it_was_there(machines: Company) -> None:
    machines.run()
    one = Decimal(1)
    assert machines.ask(ACCELERATED) == [
        ("training", "declared", 4 * one, Decimal("0.7")),
        ("training", "inferred", 0 * one, Decimal("1.5")),
    ]
    assert machines.ask(PARTS) == [
        (CORE, "//compute/a", "training", "machine_it_is_part_of", one),
        (CORE, None, "not_ai", "direct", one / 2),  # of the same machine, an hour later
        (CORE, None, "not_ai", "direct", one / 2),  # of the other one
        (RAM, "//compute/a", "training", "machine_it_is_part_of", Decimal("0.5")),
        (RAM, None, "not_ai", "direct", Decimal("0.25")),
        (NETWORK, None, "not_ai", "direct", 7 * one),
    ]


def test_parts_follow_when_a_new_rule_says_what_the_accelerator_is_for(machines: Company) -> None:
    machines.run()
    loads = machines.load_ids()
    (machines.folder / "rules/ours.yaml").write_text(RULE, encoding="utf-8")
    said = machines.apportion("retag", "--why", "T4s serve")
    assert said.status == 0, said.said
    assert machines.load_ids() == loads
    assert [(workload, cost) for workload, _, _, cost in machines.ask(ACCELERATED)] == [
        ("inference", Decimal("0.7")),
        ("inference", Decimal("1.5")),
    ]
