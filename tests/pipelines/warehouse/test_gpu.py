"""Metrics, job records and a bill in, divided money out."""

from __future__ import annotations

import shutil
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.sample import write_sample
from models.facts import COST_COLUMNS, GPU_JOBS, GPU_UTILIZATION, Schema, schema
from models.gpu_division import ROW
from models.gpu_hours_held import SPLIT
from models.idle_settings import Idle
from models.machines import OWNER
from models.money import MONEY
from pipelines.warehouse.gpu_frames import Bill, Evidence, GpuTables, gpu_tables
from tests.pipelines.conftest import Company

JULY: Final = date(2026, 7, 1)
START: Final = datetime(2026, 7, 1)  # noqa: DTZ001 - the warehouse's hours are naive UTC
CDFS: Final = Path(__file__).parents[4] / "shared" / "data" / "gpu"
Row = dict[str, Any]
STEPS: Final = ("unallocated", "idle", "underutilized", "unmeasured", None)


def machine(number: int, *, hours: int = 24, price: str = "10", count: str = "4", **owner: Any) -> Row:
    """A machine that is billed by the hour from the first of July on."""
    return {"machine": number, "hours": hours, "price": Decimal(price), "count": Decimal(count), **owner}


def sample(number: int, hour: int, busy: float, device: str | None = "0", **more: Any) -> Row:
    at = (START + timedelta(hours=hour)).replace(tzinfo=UTC)
    return {"resource_id": f"i-{number}", "hour": at, "busy_fraction": busy, "device": device, **more}


def job(number: int, first: float, last: float, count: float, **more: Any) -> Row:
    start = START.replace(tzinfo=UTC)
    return {
        "job_id": f"{more.get('workload')}-{first}-{count}",
        "resource_id": f"i-{number}",
        "started_at": start + timedelta(hours=first),
        "ended_at": start + timedelta(hours=last),
        "accelerator_count": count,
        **more,
    }


def bill(*machines: Row) -> Bill:
    hours = [
        {
            "key": item["machine"],
            "usage_date": JULY + timedelta(days=at // 24),
            "machine": item["machine"],
            "place": 1,
            "hour": START + timedelta(hours=at),
            "gpu_hours": item["count"],
            "effective_cost": item["price"],
            "list_cost": item["price"],
            "accelerator_count": item["count"],
            "idle_reason": None,
        }
        for item in machines
        for at in range(item["hours"])
    ]
    types: Schema = {"key": pl.Int64, "usage_date": pl.Date, "machine": pl.Int64, "place": pl.Int64}
    hourly = pl.DataFrame(
        hours,
        schema={
            **types,
            "hour": pl.Datetime("us"),
            **dict.fromkeys(("gpu_hours", "effective_cost", "list_cost", "accelerator_count"), MONEY),
            "idle_reason": pl.String,
        },
    )
    owners = {item["machine"]: item for item in machines}
    own = {"workload": "unattributed", "evidence": "none", "accelerator": "H100"}
    daily = (
        hourly.group_by(ROW)
        .agg(pl.col("effective_cost").sum())
        .sort(ROW)
        .with_row_index("daily_id", offset=1)
        .with_columns(
            pl.col("daily_id").cast(pl.Int64),
            charge_source=pl.lit("aws"),
            billing_period=pl.lit(JULY),
            usage_period=pl.lit(JULY),
            own_part=pl.lit(1, pl.Int32),
            **{name: pl.col("effective_cost") for name in COST_COLUMNS},
            **{
                name: pl.col("machine").replace_strict(
                    {key: item.get(name, own.get(name)) for key, item in owners.items()}, return_dtype=pl.String
                )
                for name in OWNER
            },
        )
    )
    named = [
        {"machine": key, "charge_source": "aws", "resource_id": f"i-{key}", "resource_name": None} for key in owners
    ]
    text: Schema = dict.fromkeys(("charge_source", "resource_id", "resource_name", "sub_account_id"), pl.String)
    return Bill(pl.DataFrame(named, schema={"machine": pl.Int64, **text}), hourly, daily)


def evidence(*samples: Row, jobs: list[Row] | None = None, split: list[Row] | None = None) -> Evidence:
    named: dict[str, list[Row]] = defaultdict(list)
    for row in samples:
        named[row.get("source", "dcgm")].append(row)
    columns: Schema = {"source": pl.String, "billing_period": pl.Date}
    usual = {"source": "dcgm", "billing_period": JULY, "measured_seconds": 3600, "sample_count": 60}
    frames = [
        pl.DataFrame([{**usual, **row} for row in rows], schema={**columns, **schema(GPU_UTILIZATION)}).lazy()
        for rows in named.values()
    ]
    records = [{"source": "slurm", "billing_period": JULY, **row} for row in jobs or []]
    return Evidence(
        frames, pl.DataFrame(records, schema={**columns, **schema(GPU_JOBS)}), pl.DataFrame(split or [], schema=SPLIT)
    )


def costs(tables: GpuTables, *by: str) -> dict[Any, Decimal]:
    """Sum effective cost by columns; busy is None."""
    found: dict[Any, Decimal] = defaultdict(Decimal)
    for row in tables.allocations.iter_rows(named=True):
        key = tuple(row[name] for name in by)
        found[key[0] if len(key) == 1 else key] += row["effective_cost"]
    return dict(found)


def test_from_the_bill_alone_nothing_is_divided() -> None:
    assert gpu_tables(evidence(), bill(machine(1)), Idle()).allocations.is_empty()


def test_money_goes_where_metrics_say_the_hours_went() -> None:
    samples = [sample(1, hour, busy, str(gpu)) for hour in range(24) for gpu, busy in enumerate((0.9, 0.5, 0.01))]
    found = gpu_tables(evidence(*samples), bill(machine(1)), Idle())
    assert costs(found, "idle_reason") == {None: 84, "underutilized": 36, "idle": 60, "unmeasured": 60}
    assert found.allocations.group_by("is_busy").agg(pl.col("gpu_hours").sum()).sort("is_busy").rows() == [
        (False, Decimal("62.4")),
        (True, Decimal("33.6")),
    ]


def test_jobs_divide_a_shared_node_by_what_they_held() -> None:
    jobs = [
        job(1, 0, 24, 1, workload="training", team="research", outcome="failed"),
        job(1, 0, 12, 2, workload="inference", team="search", outcome="completed"),
    ]
    found = gpu_tables(evidence(jobs=jobs), bill(machine(1)), Idle())
    assert costs(found, "workload", "evidence", "team", "outcome", "idle_reason") == {
        ("training", "measured", "research", "failed", "unmeasured"): 60,
        ("inference", "measured", "search", "completed", "unmeasured"): 60,
        ("unattributed", "none", None, None, "unallocated"): 120,
    }


def test_a_tag_is_stronger_than_a_job_record() -> None:
    jobs = [job(1, 0, 24, 4, workload="training", team="research")]
    tagged = machine(1, workload="inference", evidence="declared", team="search")
    found = gpu_tables(evidence(jobs=jobs), bill(tagged), Idle())
    assert costs(found, "workload", "evidence", "team") == {("inference", "declared", "search"): 240}


def test_a_pod_is_charged_what_its_own_devices_did() -> None:
    jobs = [
        job(1, 0, 24, 2, workload="training", job_name="train-0"),
        job(1, 0, 24, 2, workload="inference", job_name="serve-0"),
    ]
    samples = [
        sample(1, hour, 1.0 if gpu < 2 else 0.25, str(gpu), pod="train-0" if gpu < 2 else "serve-0")
        for hour in range(24)
        for gpu in range(4)
    ]
    found = gpu_tables(evidence(*samples, jobs=jobs), bill(machine(1)), Idle())
    assert costs(found, "workload", "idle_reason") == {
        ("training", None): 120,
        ("inference", None): 30,
        ("inference", "underutilized"): 90,
    }


def test_what_a_split_bill_calls_unused_is_unallocated() -> None:
    split = [
        {"machine": 1, "hour": START + timedelta(hours=hour), "used_cost": 3, "unused_cost": 1} for hour in range(24)
    ]
    found = gpu_tables(evidence(split=split), bill(machine(1)), Idle())
    assert costs(found, "idle_reason") == {"unallocated": 60, "unmeasured": 180}


def test_a_split_bill_divides_its_node_among_namespaces() -> None:
    train = {"workload": "training", "evidence": "declared", "team": "research", "namespace": "train"}
    serve = {"workload": "inference", "evidence": "inferred", "namespace": "vllm"}
    split = [
        {"machine": 1, "hour": START + timedelta(hours=hour), "used_cost": used, "unused_cost": unused, **who}
        for hour in range(24)
        for who, used, unused in ((train, 3, 1), (serve, 2, 0), ({}, 1, 1))
    ]
    by = ("workload", "evidence", "team", "namespace", "idle_reason", "method")
    jobs = [job(1, 0, 12, 4, workload="training")]
    assert costs(gpu_tables(evidence(split=split), bill(machine(1)), Idle()), *by) == {
        ("training", "declared", "research", "train", "unmeasured", "bill_divides_its_node"): 90,
        ("inference", "inferred", None, "vllm", "unmeasured", "bill_divides_its_node"): 60,
        ("unattributed", "none", None, None, "unmeasured", "metrics_of_its_machine"): 30,
        ("unattributed", "none", None, None, "unallocated", "accelerators_nobody_held"): 60,
    }
    both = gpu_tables(evidence(split=split, jobs=jobs), bill(machine(1)), Idle())
    assert costs(both, "method")["accelerators_held_by_jobs"] == 120
    tagged = machine(1, workload="inference", evidence="declared", team="search")
    stands = gpu_tables(evidence(split=split), bill(tagged), Idle())
    assert set(costs(stands, "workload", "team")) == {("inference", "search")}


def test_what_the_bill_calls_idle_stays_as_it_says() -> None:
    reserved = machine(1, idle_reason="unused_reservation")
    made = bill(reserved)
    told = Bill(made.machines, made.hours.with_columns(idle_reason=pl.lit("unused_reservation")), made.owned)
    found = gpu_tables(evidence(*[sample(1, hour, 0.9) for hour in range(24)]), told, Idle())
    assert found.allocations.is_empty()
    assert set(found.utilization["counts_as"]) == {"not_billed"}


def test_lines_longer_than_an_hour_stay_unmeasured() -> None:
    made = bill(machine(1, hours=1))
    daily = Bill(made.machines, made.hours.with_columns(gpu_hours=pl.col("gpu_hours") * 24), made.owned)
    assert gpu_tables(evidence(sample(1, 0, 0.9)), daily, Idle()).allocations.is_empty()


def test_of_two_sources_for_one_machine_one_counts_and_it_can_be_chosen() -> None:
    both = [sample(1, hour, 1.0, str(gpu)) for hour in range(24) for gpu in range(4)]
    both += [sample(1, hour, 0.5, None, source="agent") for hour in range(24)]
    assert costs(gpu_tables(evidence(*both), bill(machine(1)), Idle()), "idle_reason") == {None: 240}
    chosen = gpu_tables(evidence(*both), bill(machine(1)), Idle(prefer=["agent"]))
    assert costs(chosen, "idle_reason") == {None: 120, "underutilized": 120}
    counted = chosen.utilization.group_by("source", "counts_as").len().sort("source").rows()
    assert counted == [("agent", "counted", 24), ("dcgm", "superseded", 24)]


def test_a_metric_of_a_machine_on_no_bill_adds_no_money_and_is_listed() -> None:
    found = gpu_tables(evidence(sample(9, 0, 0.9)), bill(machine(1)), Idle())
    assert found.allocations.is_empty()
    assert found.utilization.select("named_id", "match", "counts_as").rows() == [("i-9", "on_no_bill", "unmatched")]


def test_a_name_that_two_billed_machines_answer_to_is_neithers() -> None:
    made = bill(machine(1), machine(2))
    names = pl.Series(["//compute/projects/a/instances/gpu-0", "//compute/projects/b/instances/gpu-0"])
    twins = made.machines.with_columns(resource_id=names, sub_account_id=pl.Series(["a", "b"]))
    named = {"resource_id": None, "resource_name": "gpu-0"}
    alike = gpu_tables(
        evidence(sample(1, 0, 0.9, **named), sample(1, 1, 0.9, **named, sub_account_id="b")),
        Bill(twins, made.hours, made.owned),
        Idle(),
    )
    found = alike.utilization.sort("usage_hour").select("match", "resource_id").rows()
    assert found == [("ambiguous", None), ("matched", names[1])]


def test_a_refund_follows_the_money_it_adjusts() -> None:
    samples = [sample(1, hour, 0.5, str(gpu)) for hour in range(24) for gpu in range(4)]
    made = bill(machine(1))
    refund = made.owned.with_columns(
        pl.lit(2, pl.Int64).alias("daily_id"),
        pl.lit(None, pl.Int64).alias("machine"),
        *(pl.lit(Decimal(-24)).cast(MONEY).alias(name) for name in COST_COLUMNS),
    )
    found = gpu_tables(evidence(*samples), Bill(made.machines, made.hours, pl.concat([made.owned, refund])), Idle())
    assert costs(found, "daily_id", "idle_reason") == {
        (1, None): 120,
        (1, "underutilized"): 120,
        (2, None): -12,
        (2, "underutilized"): -12,
    }


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Bill, Evidence]:
    machines, samples, jobs, split = [], [], [], []
    for number in range(1, draw(st.integers(2, 3))):
        hours = draw(st.integers(2, 30))
        price = draw(st.decimals("0.000000000001", "100", places=12, allow_nan=False))
        owner = draw(st.sampled_from([{}, {"workload": "inference", "evidence": "declared"}, {"evidence": "inferred"}]))
        machines.append(machine(number, hours=hours, price=str(price), **owner))
        for hour in range(draw(st.integers(0, hours))):
            busy = st.floats(0, 1, allow_nan=False, width=32)
            samples += [sample(number, hour, draw(busy), str(gpu)) for gpu in range(draw(st.integers(0, 5)))]
        for _ in range(draw(st.integers(0, 2))):
            first = draw(st.floats(0, 20, allow_nan=False))
            length = draw(st.floats(0.1, 20, allow_nan=False))
            kind = draw(st.sampled_from(["training", "inference", None]))
            jobs.append(job(number, first, first + length, draw(st.floats(0.1, 6)), workload=kind))
        for hour in range(draw(st.integers(0, hours))):
            costs = {name: draw(st.integers(0, 10**14)) for name in ("used_cost", "unused_cost")}
            split.append({"machine": number, "hour": START + timedelta(hours=hour), **costs})
    known = evidence(*samples, jobs=jobs, split=split)
    return _held_in_reserve(draw, bill(*machines)), known


def _held_in_reserve(draw: st.DrawFn, made: Bill) -> Bill:
    """Call some machine-hours unused reservations, and let a Capacity Block's fee be for some of the others."""
    unused = draw(st.sets(st.sampled_from(made.hours["machine"].unique().to_list())))
    idle = pl.when(pl.col("machine").is_in(list(unused))).then(pl.lit("unused_reservation")).alias("idle_reason")
    hours, owned = made.hours.with_columns(idle), made.owned.with_columns(idle)
    length = draw(st.integers(0, 30))
    if not length:
        return Bill(made.machines, hours, owned)
    block = bill(machine(99, hours=length, price=str(draw(st.decimals("0.000000000001", "100", places=12)))))
    own = block.hours.with_columns(pl.lit(None, MONEY).alias("gpu_hours"))
    fees = own.select("hour", "effective_cost", block="machine").with_columns(
        is_billed=pl.lit(draw(st.booleans())), is_told=pl.lit(draw(st.booleans()))
    )
    used = draw(st.sets(st.integers(0, hours.height - 1)))
    in_blocks = hours.filter(pl.int_range(pl.len()).is_in(sorted(used))).select(
        "machine", "hour", "gpu_hours", block=pl.lit(99, pl.Int64), is_unused=pl.col("idle_reason").is_not_null()
    )
    last = owned["daily_id"].max()
    paid = block.owned.with_columns(pl.col("daily_id") + last)
    return Bill(
        pl.concat([made.machines, block.machines]), pl.concat([hours, own]), pl.concat([owned, paid]), fees, in_blocks
    )


@settings(max_examples=20)
@given(_cases())
def test_parts_sum_to_the_bill_and_no_step_is_negative(case: tuple[Bill, Evidence]) -> None:
    made, known = case
    parts = gpu_tables(known, made, Idle()).allocations
    sums = parts.group_by("daily_id").agg(pl.col(name).sum() for name in COST_COLUMNS)
    rows = made.owned.join(sums, on="daily_id", suffix="_of_parts")
    assert rows.height == sums.height
    for name in COST_COLUMNS:
        assert rows[name].to_list() == rows[f"{name}_of_parts"].to_list()
    assert all(cost >= 0 for cost in parts["effective_cost"])
    assert set(parts["idle_reason"]) <= {*STEPS, "unused_reservation"}


def _draws(cdf: Path, column: int, count: int) -> list[float]:
    """Draw utilization at even quantiles of a real cluster's distribution, in percent."""
    table = pl.read_csv(cdf, infer_schema_length=None)
    value, share = table[f"x{column}"].cast(pl.Float64), table[f"cdf{column}"].cast(pl.Float64)
    places = ((pl.Series(range(count)) * 0.6180339887498949) % 1 * 100).to_list()
    points = list(zip(share.to_list(), value.to_list(), strict=True))
    return [next((x for at, x in points if at >= place), points[-1][1]) for place in places]


@pytest.mark.real_data
@pytest.mark.skipif(not CDFS.is_dir(), reason="needs the clusters' distributions beside the checkout")
@pytest.mark.parametrize("cluster", ["kalos", "seren", "philly"])
def test_idle_dollars_of_real_clusters_equal_an_independent_computation(cluster: str) -> None:
    busy = _draws(CDFS / f"util_gpu_{cluster}_cdf.csv", 0, 24 * 4 * 6)
    prices = ["55.04", "21.957642", "12.98127", "4.6016", "1.006", "98.32"]
    machines = [machine(number, price=price) for number, price in enumerate(prices, 1)]
    samples, expected = [], dict.fromkeys(("idle", "underutilized", None), Fraction(0))
    values = iter(busy)
    for item in machines:
        for hour in range(24):
            for gpu in range(4):
                share = Fraction(str(min(100.0, max(0.0, next(values))))) / 100
                samples.append(sample(item["machine"], hour, float(share), str(gpu)))
                dollars = Fraction(item["price"]) / 4
                if share < Fraction(5, 100):
                    expected["idle"] += dollars
                else:
                    expected[None] += dollars * share
                    expected["underutilized"] += dollars * (1 - share)
    found = costs(gpu_tables(evidence(*samples), bill(*machines), Idle()), "idle_reason")
    assert sum(found.values()) == sum(24 * item["price"] for item in machines)
    for step, dollars in expected.items():
        # Time is kept in whole microseconds: of a fleet of $200 an hour that is far less than a millionth of a cent.
        assert found.get(step, Decimal(0)) == pytest.approx(Decimal(float(dollars)), abs=Decimal("0.00000001"))


SOURCES: Final = ("aws", "dcgm", "node_agent", "scheduler")


BLOCK_ENDS: Final = datetime(2026, 7, 14, 11, 30)  # noqa: DTZ001
IN_BLOCK: Final = ("i-096bcc057ea4c6a2d", "i-0c7079a396760fa16")


def _run_in_the_block(bill: Path) -> None:
    """Let the fee of the sample's Capacity Block state its 48 hours, one machine run in all of them and one in half."""
    lines = pl.read_parquet(bill, glob=False)
    start, middle = (BLOCK_ENDS - timedelta(days=days) for days in (2, 1))
    is_fee = pl.col("line_item_usage_type").str.contains("CapacityBlockFee")
    block = lines.filter(is_fee)["line_item_resource_id"].item()
    from_, to = "line_item_usage_start_date", "line_item_usage_end_date"
    begins, machine = pl.col(from_), pl.col("line_item_resource_id")
    ran = [
        (machine == one) & (begins >= start.replace(minute=0)) & (begins < until.replace(minute=0))
        for one, until in zip(IN_BLOCK, (BLOCK_ENDS, middle), strict=True)
    ]
    reservation = "capacity_reservation_capacity_reservation_"
    lines.with_columns(
        pl.when(is_fee).then(start).otherwise(from_).cast(lines.schema[from_]).alias(from_),
        pl.when(is_fee).then(BLOCK_ENDS).otherwise(to).cast(lines.schema[to]).alias(to),
        *(
            pl.when(pl.any_horizontal(ran)).then(pl.lit(value)).otherwise(name).alias(name)
            for name, value in ((f"{reservation}arn", block), (f"{reservation}status", "Used"))
        ),
    ).write_parquet(bill)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The sample company's July by the hour, with metrics and job records."""
    folder = tmp_path_factory.mktemp("gpu")
    write_sample(folder, months=[JULY], gcp=False, tokens=False, deliveries=1)
    _run_in_the_block(next((folder / "bills").rglob("*.parquet")))
    shipped = yaml.safe_load((Path(__file__).parents[3] / "examples" / "apportion.yaml").read_text(encoding="utf-8"))
    made = Company(folder).configure(sources=[one for one in shipped["sources"] if one["name"] in SOURCES])
    made.run()
    return made


@pytest.mark.pipeline
def test_every_step_of_the_sample_equals_the_planted_truth(sampled: Company) -> None:
    truth = pl.read_parquet(sampled.folder / "truth" / "gpu" / "hours.parquet")
    planted = {
        (row["resource_id"], step): row[step]
        for row in truth.iter_rows(named=True)
        for step in ("unallocated", "idle", "underutilized", "unmeasured", "busy")
        if row[step]
    }
    found = sampled.ask(
        "select resource_id, coalesce(idle_reason, 'busy'), sum(gpu_hours), sum(effective_cost) "
        "from intermediate.int_accelerator_costs where resource_id like 'i-%' group by all"
    )
    hours = {(name, step): float(amount) for name, step, amount, _ in found if amount}
    known = {name for name, _ in planted}
    assert {key: value for key, value in hours.items() if key[0] in known} == pytest.approx(planted, abs=1e-6)
    assert all(cost >= 0 for *_, cost in found)
    # An hour of one machine always costs the same here, so its money lies as its hours do.
    whole: dict[str, tuple[Decimal, Decimal]] = {}
    for name, _, amount, cost in found:
        before = whole.get(name, (Decimal(0), Decimal(0)))
        whole[name] = before[0] + amount, before[1] + cost
    for name, _, amount, cost in found:
        if name in known:
            assert float(cost) == pytest.approx(float(whole[name][1] * amount / whole[name][0]), abs=1e-6)


@pytest.mark.pipeline
def test_the_fee_of_a_block_does_what_the_machines_in_it_did(sampled: Company) -> None:
    days = sampled.ask(
        "select resource_id, usage_date, coalesce(idle_reason, 'busy'), sum(gpu_hours), sum(effective_cost) "
        "from intermediate.int_accelerator_costs where usage_date between '2026-07-12' and '2026-07-14' group by all"
    )
    day = date(2026, 7, 13)
    did: dict[str, Decimal] = defaultdict(Decimal)
    for name, at, step, hours, _ in days:
        if at == day and name == IN_BLOCK[0]:
            did[step] += hours
    fee = {(at, step): cost for name, at, step, _, cost in days if name and "cr-0c4b7e5d6a3f21908" in name}
    whole = sum(cost for (at, _), cost in fee.items() if at == day)
    unused = fee[day, "unused_reservation"]
    # One machine ran all day, the other, which did as it did, until 11:00.
    assert float(unused / whole) == pytest.approx(13 / 48)
    assert {at for at, step in fee if step == "unused_reservation"} == {day, date(2026, 7, 14)}
    assert {step for _, step in fee} == {*did, "unused_reservation"}
    assert float(fee[day, "busy"] / whole) == pytest.approx(float(did["busy"]) / 192 * 35 / 48, abs=0.01)
    waterfall: dict[str, Decimal] = dict(
        sampled.ask("select step, sum(effective_cost) from marts.gpu_idle_waterfall group by 1")
    )
    ((capacity,),) = sampled.ask(
        "select (select sum(effective_cost) from intermediate.int_charges_allocated where accelerator is not null) "
        "+ (select sum(effective_cost) from intermediate.int_provisioned_throughput)"
    )
    assert sum(waterfall.values()) == capacity
    assert {
        "unused_commitment",
        "unused_reservation",
        "unallocated",
        "idle",
        "underutilized",
        "unmeasured",
        "busy",
    } <= set(waterfall)
    assert all(cost > 0 for cost in waterfall.values())


@pytest.mark.pipeline
def test_a_nodes_money_is_its_namespaces_as_the_bill_divides_it(sampled: Company) -> None:
    found = sampled.ask(
        "select resource_id, namespace, sum(effective_cost), min(workload), max(workload), min(evidence) "
        "from intermediate.int_charges_allocated as own where namespace in ('assistant', 'moderation') and exists ("
        "from intermediate.int_charges_allocated as beside "
        "where beside.resource_id = own.resource_id and beside.namespace = 'moderation') group by all"
    )
    costs = {namespace: float(cost) for _, namespace, cost, *_ in found}
    # Its pods hold two of four accelerators, and one.
    assert costs["assistant"] == pytest.approx(2 * costs["moderation"])
    assert {row[3:] for row in found} == {("inference", "inference", "inferred")}


@pytest.mark.pipeline
def test_job_records_tell_whose_a_shared_cluster_was(sampled: Company, tmp_path: Path) -> None:
    asked = (
        "select coalesce(sum(effective_cost) filter (where workload = 'unattributed'), 0), "
        "coalesce(sum(effective_cost) filter (where evidence = 'measured'), 0), sum(effective_cost) "
        "from intermediate.int_accelerator_costs"
    )
    ((unknown, measured, whole),) = sampled.ask(asked)
    without = sampled.copy(tmp_path / "without")
    raw = [one.model_dump() for one in without.settings.sources if one.name != "scheduler"]
    without.configure(sources=raw)
    shutil.rmtree(without.home / "ledger" / "gpu_jobs")
    without.run("--rebuild")
    ((unknown_before, measured_before, whole_before),) = without.ask(asked)
    assert whole == whole_before
    assert measured_before == 0
    assert measured == unknown_before - unknown
    # As docs/explanation/idle.md says: 75 % attributed without the records, 86 % with them.
    assert [round(100 * (1 - cost / whole)) for cost in (unknown_before, unknown)] == [75, 86]


@pytest.mark.pipeline
def test_an_unchanged_run_does_nothing_again(sampled: Company) -> None:
    published = sampled.publication()
    answer = sampled.apportion("run")
    assert answer.status == 0
    assert "joined metrics" not in answer.said
    assert sampled.publication() == published


@pytest.mark.pipeline
def test_another_definition_of_idle_divides_anew(sampled: Company, tmp_path: Path) -> None:
    asked = "select sum(effective_cost) from marts.gpu_idle_costs where idle_reason = 'idle'"
    strict = sampled.copy(tmp_path / "strict")
    raw = [one.model_dump() for one in strict.settings.sources]
    strict.configure(sources=raw, idle={"idle_below": 0.5})
    strict.run()
    assert strict.ask(asked)[0][0] > 2 * sampled.ask(asked)[0][0]
