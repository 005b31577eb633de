"""The waterfall of machine-hours: every microsecond that was billed is in one step."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.facts import GPU_UTILIZATION, schema
from models.idle import HOUR, NOBODY, STEPS, device_time, waterfall
from models.idle_settings import Idle

NINE = datetime(2026, 7, 1, 9)  # noqa: DTZ001 - the warehouse's hours are naive UTC
ON = {"slot": 1}
KEYS = {"slot": pl.Int64}
TIMES = {"measured": pl.Int64, "idle": pl.Int64, "busy": pl.Int64, "idle_busy": pl.Int64}
Row = dict[str, Any]


def _capacity(billed: float = 8, *, in_grace: bool = False) -> pl.DataFrame:
    row = {**ON, "billed": round(billed * HOUR), "in_grace": in_grace}
    return pl.DataFrame([row], schema={**KEYS, "billed": pl.Int64, "in_grace": pl.Boolean})


def _time(busy: float = 0, underutilized: float = 0, idle: float = 0, *, idle_busy: float = 0, **more: Any) -> Row:
    hours = {"measured": busy + underutilized + idle, "idle": idle, "busy": busy, "idle_busy": idle_busy}
    return {**ON, **{name: round(value * HOUR) for name, value in hours.items()}, **more}


def _pool(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={**KEYS, **TIMES})


def _own(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={**KEYS, **TIMES, "holder": pl.Int64})


def _held(*rows: tuple[int, float]) -> pl.DataFrame:
    frame = [{**ON, "holder": holder, "held": round(hours * HOUR)} for holder, hours in rows]
    return pl.DataFrame(frame, schema={**KEYS, "holder": pl.Int64, "held": pl.Int64})


def _steps(*frames: pl.DataFrame) -> dict[tuple[int, str], float]:
    """Give the hours of each holder and step that has any."""
    found = waterfall(*frames)
    return {
        (row["holder"], step): round(row[step] / HOUR, 6)
        for row in found.iter_rows(named=True)
        for step in STEPS
        if row[step]
    }


def test_without_any_evidence_an_hour_is_left_to_the_bill() -> None:
    assert waterfall(_capacity(), _pool(), _own(), _held()).is_empty()


def test_metrics_alone_tell_busy_from_idle_and_the_rest_stays_unmeasured() -> None:
    found = _steps(_capacity(8), _pool(_time(busy=3, underutilized=1, idle=2)), _own(), _held())
    assert found == {(0, "busy"): 3, (0, "underutilized"): 1, (0, "idle"): 2, (0, "unmeasured"): 2}


def test_what_nobody_requested_is_unallocated_and_metrics_touch_only_the_rest() -> None:
    # Two of eight are held and busy; the metrics of the other six say idle, but nobody held them.
    found = _steps(_capacity(8), _pool(_time(busy=1.8, underutilized=0.2, idle=6)), _own(), _held((1, 2)))
    assert found == {(NOBODY, "unallocated"): 6, (1, "busy"): 1.8, (1, "underutilized"): 0.2}


def test_a_node_without_any_job_is_unallocated_whatever_metrics_say() -> None:
    found = _steps(_capacity(4), _pool(_time(busy=1, idle=3)), _own(), _held((0, 0)))
    assert found == {(NOBODY, "unallocated"): 4}


def test_missing_metrics_are_neither_idle_nor_busy() -> None:
    assert _steps(_capacity(4), _pool(), _own(), _held((1, 3))) == {(NOBODY, "unallocated"): 1, (1, "unmeasured"): 3}


def test_holders_share_what_only_the_machine_was_measured_to_do() -> None:
    found = _steps(_capacity(4), _pool(_time(busy=2, underutilized=2)), _own(), _held((1, 3), (2, 1)))
    assert found == {
        (1, "busy"): 1.5,
        (1, "underutilized"): 1.5,
        (2, "busy"): 0.5,
        (2, "underutilized"): 0.5,
    }


def test_a_pods_own_devices_are_its_own() -> None:
    own = _own(_time(busy=2, holder=1), _time(idle=2, holder=2))
    assert _steps(_capacity(4), _pool(), own, _held((1, 2), (2, 2))) == {(1, "busy"): 2, (2, "idle"): 2}


def test_sharing_a_device_by_time_never_makes_more_of_it() -> None:
    found = _steps(_capacity(1), _pool(_time(busy=0.6, underutilized=0.4)), _own(), _held((1, 1), (2, 1), (3, 1)))
    assert sum(found.values()) == pytest.approx(1)
    assert [round(found[holder, "busy"], 4) for holder in (1, 2, 3)] == [0.2, 0.2, 0.2]


def test_metrics_of_more_time_than_was_billed_are_scaled_down() -> None:
    found = _steps(_capacity(2), _pool(_time(busy=3, idle=1)), _own(), _held())
    assert found == {(0, "busy"): 1.5, (0, "idle"): 0.5}


def test_after_a_start_nothing_is_idle() -> None:
    found = _steps(_capacity(2, in_grace=True), _pool(_time(idle=2, idle_busy=0.05)), _own(), _held())
    assert found == {(0, "busy"): 0.05, (0, "underutilized"): 1.95}


def _samples(*rows: Row) -> pl.LazyFrame:
    defaults = {"source": "dcgm", "hour": NINE, "resource_id": "i-1", "measured_seconds": 3600, "sample_count": 60}
    columns = {"source": pl.String, **schema(GPU_UTILIZATION), "hour": pl.Datetime("us")}
    return pl.DataFrame([{**defaults, **row} for row in rows], schema=columns).lazy()


def _devices(*rows: Row, idle: Idle | None = None) -> dict[str, Any]:
    found = device_time(_samples(*rows), ["resource_id", "hour"], idle or Idle()).collect().sort("hour")
    return found.row(0, named=True)


def test_below_five_percent_an_hour_of_a_device_is_idle_as_a_whole() -> None:
    found = _devices({"device": "0", "busy_fraction": 0.0499}, {"device": "1", "busy_fraction": 0.05})
    assert (found["measured"], found["idle"], found["busy"]) == (2 * HOUR, HOUR, HOUR // 20)


def test_slices_and_averages_count_what_they_stand_for() -> None:
    found = _devices(
        {"device": "mig", "device_share": 1 / 7, "busy_fraction": 0.7},
        {"device_count": 4, "busy_fraction": 0.5, "measured_seconds": 1800},
    )
    assert found["measured"] == round(HOUR / 7) + 2 * HOUR
    assert found["busy"] == round(HOUR * 0.1) + HOUR


def test_idle_may_need_several_hours_in_a_row() -> None:
    def at(hour: int, busy: float, device: str = "0") -> Row:
        return {"device": device, "busy_fraction": busy, "hour": NINE + timedelta(hours=hour)}

    rows = [at(0, 0.0), at(1, 0.01), at(2, 0.5), at(3, 0.0), at(0, 0.0, "1")]
    found = device_time(_samples(*rows), ["resource_id", "hour"], Idle(idle_hours=2)).collect().sort("hour")
    assert (found["idle"] / HOUR).to_list() == [1, 1, 0, 0]


@st.composite
def _evidence(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Any mix of machine-hours, metrics, pods and jobs, more measured or held than billed among them."""
    time = st.integers(0, 9 * HOUR)
    capacity, pool, own, held = [], [], [], []
    for machine in range(draw(st.integers(1, 3))):
        on = {"slot": machine}
        capacity.append({**on, "billed": draw(st.integers(1, 8 * HOUR)), "in_grace": draw(st.booleans())})
        holders = draw(st.lists(st.integers(0, 4), unique=True, max_size=4))
        held += [{**on, "holder": holder, "held": draw(time)} for holder in holders]
        if draw(st.booleans()):
            pool.append({**on, **_measured(draw)})
        own += [{**on, "holder": holder, **_measured(draw)} for holder in holders if draw(st.booleans())]
    return (
        pl.DataFrame(capacity, schema=_capacity().schema),
        pl.DataFrame(pool, schema=_pool().schema),
        pl.DataFrame(own, schema=_own().schema),
        pl.DataFrame(held, schema=_held().schema),
    )


def _measured(draw: st.DrawFn) -> Row:
    idle, busy, wasted = (draw(st.integers(0, 9 * HOUR)) for _ in range(3))
    idle_busy = draw(st.integers(0, idle // 20))
    return {"measured": idle + busy + wasted, "idle": idle, "busy": busy, "idle_busy": idle_busy}


@settings(max_examples=60)
@given(_evidence())
def test_steps_sum_to_what_was_billed_and_none_is_negative(
    evidence: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    capacity, pool, own, held = evidence
    found = waterfall(*evidence)
    assert all(found[step].min() is None or found[step].min() >= 0 for step in STEPS)  # type: ignore[operator]
    sums = found.group_by("slot").agg(total=pl.sum_horizontal(STEPS).sum())
    known = pl.concat([frame.select("slot") for frame in (pool, own, held)]).unique()
    expected = capacity.join(known, on="slot", how="semi").select("slot", "billed")
    assert sorted(sums.select("slot", "total").rows()) == sorted(expected.rows())
    records = held.group_by("slot").agg(pl.col("held").sum())
    asked = capacity.join(records, on="slot").select(
        "slot", free=pl.max_horizontal(pl.col("billed") - pl.col("held"), 0)
    )
    nobody = found.group_by("slot").agg(pl.col("unallocated").sum())
    both = asked.join(nobody, on="slot", how="left")
    assert both["free"].to_list() == both["unallocated"].fill_null(0).to_list()
