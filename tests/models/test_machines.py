from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.facts import COST_COLUMNS, Schema
from models.machines import OWNER, reunite
from models.money import MONEY

DAY = date(2026, 7, 3)
COMPUTE, VERTEX = "6F81-5844-456A", "C7E2-9256-1C43"
N1_CORE = "N1 Predefined Instance Core running in Americas"
T4 = "Nvidia Tesla T4 GPU running in Americas"
FLEX = "DWS Defined Duration SSD backed Local Storage running in Americas"
FEE = "Vertex AI: Training/Pipelines management fee on NVIDIA H100 80GB in Iowa"
SCHEMA: Schema = {
    **dict.fromkeys(
        [*OWNER, "key_id", "usage_type", "service_code", "charge_category", "resource_id", "region_id", "tags"],
        pl.String,
    ),
    "sub_account_id": pl.String,
    "daily_id": pl.Int64,
    "usage_date": pl.Date,
    "usage_hour": pl.Datetime("us"),
    "gpu_hours": MONEY,
    **dict.fromkeys(COST_COLUMNS, MONEY),
}


def line(usage_type: str, costs: dict[int, str], **columns: Any) -> list[dict[str, Any]]:
    """Bill a line of a key in some hours of a day."""
    common = {
        "key_id": usage_type + str(columns.get("tags")),
        "usage_type": usage_type,
        "service_code": VERTEX if usage_type == FEE else COMPUTE,
        "charge_category": "Usage",
        "resource_id": "vm-1",
        "region_id": "us-central1",
        "sub_account_id": "acme",
        "workload": "not_ai",
        "evidence": "none",
        **columns,
    }
    hours = [datetime(DAY.year, DAY.month, DAY.day) + timedelta(hours=hour) for hour in costs]  # noqa: DTZ001
    amounts = [dict.fromkeys(COST_COLUMNS, Decimal(cost)) for cost in costs.values()]
    counted = Decimal(1) if usage_type == T4 else None
    return [
        {**common, "usage_hour": hour, "usage_date": DAY, "gpu_hours": counted, **amount}
        for hour, amount in zip(hours, amounts, strict=True)
    ]


def gpu(costs: dict[int, str], workload: str, **columns: Any) -> list[dict[str, Any]]:
    return line(T4, costs, **{"accelerator": "T4", "workload": workload, "evidence": "declared", **columns})


def parts(*lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Give usage type, owner and effective cost of each part."""
    found, daily = reunited(*lines)
    kept = daily.select("daily_id", "usage_type").join(found, on="daily_id").sort("daily_id", "part")
    return kept.select("usage_type", "workload", "evidence", "accelerator", "effective_cost").rows()


def reunited(*lines: list[dict[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    hours = pl.DataFrame([one for some in lines for one in some], schema=SCHEMA)
    by = [name for name in SCHEMA if name not in {*COST_COLUMNS, "daily_id", "usage_hour", "gpu_hours"}]
    daily = hours.group_by(by, maintain_order=True).agg(pl.col(COST_COLUMNS).sum()).drop("usage_date")
    daily = daily.with_row_index("daily_id", offset=1).with_columns(pl.col("daily_id").cast(pl.Int64), usage_date=DAY)
    return reunite(daily, hours.drop("daily_id", "usage_date")), daily


def test_cores_belong_to_the_accelerators_of_their_machine() -> None:
    found = parts(gpu({8: "1"}, "training"), line(N1_CORE, {8: "0.5"}))
    assert found == [(N1_CORE, "training", "inferred", "T4", Decimal("0.5"))]


def test_what_cores_know_themselves_stands() -> None:
    found = parts(
        gpu({8: "1"}, "training"), line(N1_CORE, {8: "0.5"}, workload="development", evidence="declared", team="search")
    )
    assert found == [(N1_CORE, "development", "declared", "T4", Decimal("0.5"))]


def test_an_accelerator_of_unknown_purpose_makes_its_cores_unattributed_and_not_inferred() -> None:
    found = parts(gpu({8: "1"}, "unattributed", evidence="none"), line(N1_CORE, {8: "0.5"}))
    assert found == [(N1_CORE, "unattributed", "none", "T4", Decimal("0.5"))]


def test_hours_without_an_accelerator_stay_what_they_were() -> None:
    found = parts(gpu({8: "1"}, "training"), line(N1_CORE, {8: "0.5", 9: "0.25"}))
    assert found == [
        (N1_CORE, "not_ai", "none", None, Decimal("0.25")),
        (N1_CORE, "training", "inferred", "T4", Decimal("0.5")),
    ]


def test_each_hour_goes_to_those_who_had_the_accelerators_in_it() -> None:
    found = parts(
        gpu({8: "3", 9: "1"}, "training", tags="a"),
        gpu({8: "1"}, "inference", tags="b"),
        line(N1_CORE, {8: "0.4", 9: "0.6"}),
    )
    assert found == [
        (N1_CORE, "inference", "inferred", "T4", Decimal("0.1")),
        (N1_CORE, "training", "inferred", "T4", Decimal("0.9")),
    ]


def test_cores_of_a_pod_go_with_the_accelerators_of_that_pod() -> None:
    found = parts(
        gpu({8: "3"}, "training", tags="a"),
        gpu({8: "1"}, "inference", tags="b", idle_reason="unallocated"),
        line(N1_CORE, {8: "0.4"}, tags="b"),
    )
    assert found == [(N1_CORE, "inference", "inferred", "T4", Decimal("0.4"))]


def test_why_accelerators_idled_says_nothing_about_cores_that_others_used() -> None:
    gpus = gpu({8: "1"}, "inference", tags="b", idle_reason="unallocated")
    cores = line(N1_CORE, {8: "0.4"}, tags="logging")
    assert reunited(gpus, cores)[0]["idle_reason"].to_list() == [None]
    same_pod = line(N1_CORE, {8: "0.4"}, tags="b")
    assert reunited(gpus, same_pod)[0]["idle_reason"].to_list() == ["unallocated"]


@pytest.mark.parametrize(
    "other",
    [
        line(N1_CORE, {8: "1"}, resource_id="vm-2"),
        line(N1_CORE, {9: "1"}),
        line("Network Internet Data Transfer Out from Americas to Americas", {8: "1"}),
        line("Licensing Fee for Ubuntu (CPU cost)", {8: "1"}),
        line(N1_CORE, {8: "1"}, resource_id=None),
        line("BoxUsage:m5.xlarge", {8: "1"}, service_code="AmazonEC2"),
    ],
)
def test_what_is_no_part_of_the_machine_stays_as_it_was(other: list[dict[str, Any]]) -> None:
    assert parts(gpu({8: "1"}, "training"), other) == []


def test_the_fee_decides_for_machines_on_flex_start_in_its_project_region_and_hour() -> None:
    known = {"resource_id": None, "accelerator": "H100", "workload": "training", "evidence": "inferred"}
    flex: dict[str, Any] = {"resource_id": "vm-9", "workload": "unattributed"}
    fee = line(FEE, {8: "2"}, **known)
    assert parts(fee, line(FLEX, {8: "0.5", 9: "0.25"}, **flex)) == [
        (FLEX, "training", "inferred", "H100", Decimal("0.5")),
        (FLEX, "unattributed", "none", None, Decimal("0.25")),
    ]
    for elsewhere in ({"sub_account_id": "other"}, {"region_id": "europe-west4"}):
        assert parts(fee, line(FLEX, {8: "0.5"}, **flex, **elsewhere)) == []


def test_a_label_of_the_machine_itself_is_stronger_than_the_fee_beside_it() -> None:
    fee = line(FEE, {8: "2"}, resource_id=None, accelerator="H100", workload="training", evidence="inferred")
    assert parts(fee, line(FLEX, {8: "0.5"}, workload="inference", evidence="declared")) == []


AMOUNTS = st.decimals("-1000", "100000", places=12)


@given(
    st.dictionaries(st.integers(0, 5), AMOUNTS, min_size=1),
    st.lists(st.tuples(st.dictionaries(st.integers(0, 5), AMOUNTS, min_size=1), st.sampled_from("ab")), min_size=1),
)
@settings(max_examples=40)
def test_parts_sum_to_the_whole_whatever_the_hours(
    core: dict[int, Decimal], accelerators: list[tuple[dict[int, Decimal], str]]
) -> None:
    gpus = [
        gpu({hour: str(cost) for hour, cost in costs.items()}, "training", team=team, tags=str(number))
        for number, (costs, team) in enumerate(accelerators)
    ]
    found, daily = reunited(*gpus, line(N1_CORE, {hour: str(cost) for hour, cost in core.items()}))
    whole = daily.filter(usage_type=N1_CORE)
    if found.height:
        assert set(found["daily_id"]) == set(whole["daily_id"])
        for column in COST_COLUMNS:
            assert found[column].sum() == whole[column].sum()
