"""Claims about machines, serving and prices on the sample company, answered from native files and truth alone."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.warehouse.build import sql_models
from tests.accuracy.test_attribution import asked, judged
from tests.accuracy.test_claims_golden import PERIODS, measured, native, served, serving

pytestmark = pytest.mark.pipeline

IDLE_BELOW = 5  # percent; less than that for an hour is idle
A100 = r"p4de?\.24xlarge"
# Dollars per million tokens as Cerebras prints them for llama-3.3-70b; it has no price for cached input.
CEREBRAS = {"input": 0.85, "output": 1.20}
# Likewise what smaller models cost: uncached input, cache read, cache write, output.
SMALLER = {
    "claude-": (1, 0.10, 1.25, 5),
    "gpt-": (0.15, 0.075, 0.15, 0.60),
    "nova-": (0.035, 0.00875, 0.035, 0.14),
    "gemini-": (0.10, 0.01, 0.10, 0.40),
}


def gcp(folder: Path) -> pl.DataFrame:
    """Give the rows of Google's export as they are, with what people read in them."""
    files = sorted((folder / "gcp").glob("*/*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]).with_columns(
        period=pl.col("usage_start_time").dt.strftime("%Y-%m-01"),
        sku_text=pl.col("sku").struct.field("description"),
        units=pl.col("usage").struct.field("amount_in_pricing_units"),
    )


def test_two_a100_cost_what_the_native_lines_of_either_cloud_say(company: Path, checks: pl.DataFrame) -> None:
    kind = pl.col("line_item_usage_type")
    aws = native(company).filter(kind.str.contains(A100), ~kind.str.contains("Spot|TrSpt"))
    google = gcp(company).filter(pl.col("sku_text").str.contains("A100|A2 Instance"))
    assert not google["sku_text"].str.contains("(?i)spot|preemptible").any()
    for period, (low, point, high) in measured(checks, "two-a100-cost-6800-a-month").items():
        one = aws.filter(month=period)
        cost = float(one["line_item_net_unblended_cost"].cast(pl.Float64).sum())
        hours = float(one["line_item_usage_amount"].cast(pl.Float64).sum()) * 8
        # A machine is whole: cores and memory are part of it, and only accelerators count hours.
        other = google.filter(period=period)
        more = float(other["cost"].sum())
        more_hours = float(other.filter(pl.col("sku_text").str.contains("A100"))["units"].sum())
        both = sorted([1460 * cost / hours, 1460 * more / more_hours])
        assert (low, high) == pytest.approx(tuple(both), rel=1e-9)
        assert point == pytest.approx(1460 * (cost + more) / (hours + more_hours), rel=1e-9)


def test_self_hosting_beside_an_api_is_native_machines_over_published_prices(
    company: Path, checks: pl.DataFrame
) -> None:
    machines = serving(company)
    alone = measured(checks, "self-hosting-costs-a-quarter-of-serverless")
    operated = measured(checks, "self-hosting-with-operations-is-hardly-cheaper")
    for period in PERIODS:
        own = served(company, period)
        given = int(own.select(pl.sum("uncached_input_tokens", "cache_read_tokens")).sum_horizontal()[0])
        listed = (given * CEREBRAS["input"] + int(own["output_tokens"].sum()) * CEREBRAS["output"]) / 1e6
        cost = float(machines.filter(month=period)["line_item_net_unblended_cost"].cast(pl.Float64).sum())
        assert alone[period] == pytest.approx((cost / listed,) * 3, rel=1e-6)
        assert operated[period] == pytest.approx(((cost + 15_000) / listed,) * 3, rel=1e-6)


def test_routing_is_the_tokens_at_the_published_prices_of_smaller_models(company: Path, checks: pl.DataFrame) -> None:
    names = ("uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    counts = ", ".join(f"coalesce({name}, 0)::double as {name}" for name in names)
    models = asked(
        company,
        f"select usage_period::varchar as period, llm_model, {counts}, cost_per_million_tokens::double as price "
        "from marts.llm_model_costs where hosting != 'self_hosted' and output_tokens > 0 "
        "and workload in ('inference', 'development') and cost_per_million_tokens > 0",
    )
    for period, ends in measured(checks, "routing-saves-40-60").items():
        money, priced, saved, best = 0.0, 0.0, 0.0, 0.0
        for row in models.filter(period=period).to_dicts():
            cost = row["price"] * sum(row[name] for name in names) / 1e6
            money += cost
            prices = next((prices for start, prices in SMALLER.items() if row["llm_model"].startswith(start)), None)
            if prices:
                other = sum(row[name] * price for name, price in zip(names, prices, strict=True)) / 1e6
                priced += cost
                saved += max(cost - other, 0)
                best = max(best, 1 - other / cost)
        low, point, high = saved / money, saved / priced, (saved + best * (money - priced)) / money
        assert ends == pytest.approx(tuple(0.7 * share for share in (low, point, high)), rel=1e-6)


def test_the_true_cost_of_inference_in_production_lies_in_the_interval(company: Path, checks: pl.DataFrame) -> None:
    places = asked(
        company,
        "select source, source_file, source_row, usage_period::varchar as period, sub_account_id from ledger.charges",
    )
    # Accounts and projects as the company means them: examples/company.py and gcp_company.py.
    others = {"210087650021", "210087650032", "210087650054", "meridian-research"}
    lines = judged(company).join(places, on=["source", "source_file", "source_row"])
    production = lines.filter(~pl.col("sub_account_id").is_in(others), pl.col("truth") == "inference")
    assert set(lines["sub_account_id"]) >= others
    for period, (low, _, high) in measured(checks, "enterprise-inference-50k-500k").items():
        true = float(production.filter(period=period)["cost"].sum())
        assert true > 0
        assert low <= true <= high


def test_nothing_answers_caching_and_serverless_where_no_native_file_tells_of_it(
    company: Path, checks: pl.DataFrame
) -> None:
    logs = [file.read_text() for file in (company / "tokens" / "gateway").glob("*.jsonl")]
    assert {json.loads(line)["cache_hit"] for log in logs for line in log.splitlines()} == {"False"}
    machines = gcp(company)["sku_text"].to_list() + native(company)["line_item_usage_type"].to_list()
    assert not any("serverless" in text.lower() and "gpu" in text.lower() for text in set(machines) if text)
    for claim, needed in (("caching-answers-30-60", "response cache"), ("serverless-costs-2-to-3-times", "serverless")):
        assert measured(checks, claim) == dict.fromkeys(PERIODS, (None, None, None))
        rows = checks.filter(claim_id=claim)
        assert set(rows["verdict"]) == {"no_data"}
        assert all(needed in text for text in rows["needs"])


def jobs_of(folder: Path) -> dict[tuple[str, datetime], dict[str, int]]:
    """Count the accelerators that jobs held, by machine and hour and what each job was."""
    jobs: dict[tuple[str, datetime], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    with (folder / "gpu" / "jobs.csv").open(encoding="utf-8") as file:
        for job in csv.DictReader(file):
            at, until = (datetime.fromisoformat(job[end]).replace(tzinfo=None) for end in ("started", "ended"))
            while at < until:
                jobs[job["node"], at][job["kind"]] += int(job["gpus"])
                at += timedelta(hours=1)
    return jobs


def told_by_files(folder: Path) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
    """Add up accelerator-hours by month and workload: those busy, and those that metrics or job records tell of."""
    known = dict(native(folder).select("line_item_resource_id", "workload").unique().iter_rows())
    jobs = jobs_of(folder)
    nodes = {node for node, _ in jobs}
    metrics = pl.read_parquet(folder / "gpu" / "metrics.parquet").sort("hour")
    gap = pl.col("hour").diff().over("instance", "gpu")
    # Within its first hour a machine is never idle, so what little it did counts; bills may begin within a run.
    starts = pl.when(gap.is_null()).then(pl.col("hour") > metrics["hour"].min()).otherwise(gap > pl.duration(hours=1))
    busy = pl.when((pl.col("busy") >= IDLE_BELOW) | starts).then(pl.col("busy") / 100).otherwise(0)
    hours = metrics.with_columns(worked=busy).group_by("instance", "hour").agg(pl.col("worked").sum(), devices=pl.len())
    worked: dict[tuple[str, str], float] = defaultdict(float)
    told: dict[tuple[str, str], float] = defaultdict(float)
    for machine, hour, one, devices in hours.iter_rows():
        held = jobs.get((machine, hour), {}) if machine in nodes else {known.get(machine, "unknown"): devices}
        for workload, count in held.items():
            worked[f"{hour:%Y-%m-01}", workload] += one * count / sum(held.values())
            told[f"{hour:%Y-%m-01}", workload] += count
    # The bill divides these nodes among pods, and no metric speaks of them: what no pod asked for is told.
    truth = pl.read_parquet(folder / "truth" / "gpu" / "hours.parquet").filter(fleet="adapters")
    for resource, period, free in truth.select("resource_id", "usage_period", "unallocated").iter_rows():
        told[str(period), known[resource]] += free
    return worked, told


@pytest.mark.parametrize(
    ("claim", "workloads"),
    [
        ("inference-gpu-utilization-10-30", ("inference",)),
        ("training-gpu-utilization-near-100", ("training", "fine_tuning")),
    ],
)
def test_utilization_is_what_native_metrics_and_jobs_say_over_all_hours_paid(
    company: Path, checks: pl.DataFrame, claim: str, workloads: tuple[str, ...]
) -> None:
    worked, told = told_by_files(company)
    nodes = {node for node, _ in jobs_of(company)}
    lines = asked(
        company,
        "select usage_period::varchar as period, workload, idle_reason, resource_id, "
        "consumed_quantity::double * accelerator_count::double as hours "
        "from ledger.charges where accelerator_count > 0 and lower(pricing_unit) in ('hrs', 'hour', 'hours')",
    )
    lines = lines.filter(pl.col("workload").is_in(workloads), ~pl.col("resource_id").is_in(nodes))
    metrics = pl.read_parquet(company / "gpu" / "metrics.parquet").select("instance", "hour").unique()
    held = {(machine, hour): count for (machine, hour), count in jobs_of(company).items()}
    for period, (low, point, high) in measured(checks, claim).items():
        busy = sum(worked[period, workload] for workload in workloads)
        paid = lines.filter(period=period)
        # Jobs ask for machines by the day; paid are the hours in which the machine was there.
        shared = sum(
            held.get((machine, hour), {}).get(workload, 0)
            for machine, hour in metrics.filter(pl.col("hour").dt.strftime("%Y-%m-01") == period).iter_rows()
            if machine in nodes
            for workload in workloads
        )
        total = float(paid["hours"].sum()) + shared
        idle_by_the_bill = float(paid.filter(pl.col("idle_reason").is_not_null())["hours"].sum())
        unseen = total - sum(told[period, workload] for workload in workloads) - idle_by_the_bill
        assert 0 < busy < total - unseen < total
        ends = busy / total, busy / (total - unseen), (busy + unseen) / total
        assert (low, point, high) == pytest.approx(ends, rel=1e-6)


def test_every_what_if_prints_what_it_assumes_and_changes_no_charge(company: Path) -> None:
    marts = [model.name for model in sql_models() if model.name.startswith("what_if_")]
    assert len(marts) == 5
    for mart in marts:
        rows = asked(company, f"select assumptions from marts.{mart}")
        assert rows.height, mart
        assert all(len(text) > len("plan.batch_discount") for text in rows["assumptions"]), mart
    read = {table for model in sql_models() if not model.name.startswith("what_if_") for table in model.depends_on}
    assert not {table for table in read if "what_if_" in table}
