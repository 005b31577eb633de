"""Claims on the sample company against its native bills and its truth, computed without the product."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.warehouse.database import opened
from tests.accuracy.test_attribution import asked, judged
from tests.dbt_like_sql.definitions import NAMES, ROWS, answers

pytestmark = pytest.mark.pipeline

PERIODS = ("2026-07-01", "2026-08-01", "2026-09-01")
SPENT = ("training", "fine_tuning", "inference")
ACCELERATED = r"[:-](ml\.)?(p\d|g\d|trn\d|inf\d)\w*\.|(?i:nvidia|\btpu|\b(a[234]|g2) instance)"
ENDPOINT = "assistant-chat-70b"


def native(folder: Path) -> pl.DataFrame:
    """Give the lines of the current deliveries as AWS writes them, with their month and their truth."""
    listed = asked(folder, "select distinct source_file from ledger.charges where source = 'aws'")["source_file"]
    months = []
    for file in listed:
        month = next(part.rpartition("=")[2] for part in file.split("/") if part.startswith("BILLING_PERIOD="))
        truth = pl.read_parquet(folder / "truth" / f"{month}.parquet").drop("line_item_type", strict=False)
        lines = pl.read_parquet(folder / "bills" / file)
        months.append(
            lines.join(truth, on="identity_line_item_id", suffix="_true").with_columns(month=pl.lit(f"{month}-01"))
        )
    return pl.concat(months, how="diagonal_relaxed")


def measured(checks: pl.DataFrame, claim_id: str) -> dict[str, Any]:
    rows = checks.filter(pl.col("claim_id") == claim_id, pl.col("period").is_in(PERIODS))
    assert set(rows["period"]) == set(PERIODS)
    return {row["period"]: (row["measured_low"], row["measured"], row["measured_high"]) for row in rows.to_dicts()}


def test_at_least_five_claims_hold_and_five_fail(checks: pl.DataFrame) -> None:
    newest = checks.filter(pl.col("period") == PERIODS[-1])
    counts = dict(newest.group_by("verdict").len().iter_rows())
    assert counts["holds"] >= 5, counts
    assert counts["fails"] >= 5, counts


def test_the_true_share_of_inference_lies_in_the_interval(company: Path, checks: pl.DataFrame) -> None:
    months = asked(
        company, "select source, source_file, source_row, usage_period::varchar as period from ledger.charges"
    )
    lines = judged(company).join(months, on=["source", "source_file", "source_row"])
    for period, (low, _, high) in measured(checks, "inference-80-20").items():
        spent = lines.filter(pl.col("period") == period, pl.col("truth").is_in(SPENT))
        inference = spent.filter(pl.col("truth") == "inference")["cost"].sum()
        assert low <= float(inference) / float(spent["cost"].sum()) <= high


def test_list_price_and_spot_savings_are_those_of_the_native_lines(company: Path, checks: pl.DataFrame) -> None:
    lines = native(company)
    public = pl.col("pricing_public_on_demand_cost").cast(pl.Float64)
    kind = pl.col("line_item_usage_type")
    hours = lines.filter(kind.str.contains(r"(^|-)(BoxUsage|UnusedBox):p5\.48xlarge$"), public > 0)
    spot = lines.filter(kind.str.contains("SpotUsage|:?TrSpt:"), pl.col("workload").is_in([*SPENT, "development"]))
    assert hours.height
    assert spot.height
    for period, ends in measured(checks, "p5-48xlarge-lists-at-98-32").items():
        own = hours.filter(month=period)
        price = own.select(public.sum() / pl.col("line_item_usage_amount").cast(pl.Float64).sum()).item()
        assert ends == pytest.approx((price,) * 3)
    for claim in ("spot-saves-60-90", "spot-saves-60-70"):
        for period, ends in measured(checks, claim).items():
            own = spot.filter(month=period)
            saved = own.select(1 - pl.col("line_item_unblended_cost").cast(pl.Float64).sum() / public.sum()).item()
            assert ends == pytest.approx((saved,) * 3, rel=1e-6)


def test_the_true_ratio_and_share_of_compute_lie_in_the_intervals(company: Path, checks: pl.DataFrame) -> None:
    months = asked(
        company, "select source, source_file, source_row, usage_period::varchar as period from ledger.charges"
    )
    lines = judged(company).join(months, on=["source", "source_file", "source_row"])
    spent = lines.filter(pl.col("truth").is_in(SPENT))
    inference = pl.col("cost").filter(pl.col("truth") == "inference").sum()
    for claim in ("inference-4x-training", "inference-over-5x-optimise-first"):
        for period, (low, _, high) in measured(checks, claim).items():
            ratio = spent.filter(period=period).select(inference / (pl.col("cost").sum() - inference)).item()
            assert low <= ratio <= high
    machines = spent.filter(pl.col("usage_type").str.contains(ACCELERATED))
    for period, (low, _, high) in measured(checks, "inference-70-80-of-compute").items():
        share = machines.filter(period=period).select(inference / pl.col("cost").sum()).item()
        assert low <= share <= high


def served(folder: Path, period: str) -> pl.DataFrame:
    """Give what the endpoint's own server counted, hour by hour."""
    return pl.read_csv(folder / "tokens" / "serving" / f"{period[:7]}.csv")


def test_the_endpoint_s_price_by_token_and_by_request_is_its_machines_over_what_it_served(
    company: Path, checks: pl.DataFrame
) -> None:
    machines = native(company).filter(
        pl.col("line_item_resource_id").str.ends_with(f"endpoint/{ENDPOINT}"),
        pl.col("line_item_usage_type").str.contains("Host:ml."),
    )
    by_token = measured(checks, "self-hosted-70b-costs-0-30-per-million")
    by_request = measured(checks, "request-costs-0-001-to-0-10")
    for period in PERIODS:
        own = served(company, period)
        cost = machines.filter(month=period)["line_item_net_unblended_cost"].cast(pl.Float64).sum()
        tokens = own.select(pl.sum("uncached_input_tokens", "cache_read_tokens", "output_tokens")).sum_horizontal()[0]
        # All ends: it is the only 70B model, and answers far more than nine requests of ten.
        assert by_token[period] == pytest.approx((cost / tokens * 1e6,) * 3, rel=1e-6)
        assert by_request[period] == pytest.approx((float(cost) / int(own["requests"].sum()),) * 3, rel=1e-6)


def test_both_ends_and_median_of_the_hourly_band_are_those_of_the_native_logs(
    company: Path, checks: pl.DataFrame
) -> None:
    for period, ends in measured(checks, "reserved-capacity-suits-10-percent-band").items():
        month = period[:7]
        hours: Counter[str] = Counter()
        for hour, requests in served(company, period).select("hour", "requests").iter_rows():
            hours[hour[:13]] += requests
        for line in (company / "tokens" / "gateway" / f"spend-logs-{month}.jsonl").read_text().splitlines():
            hours[json.loads(line)["startTime"][:13]] += 1
        logged = company / "tokens" / "bedrock" / "AWSLogs" / month[:4] / month[5:] / "invocations.json.gz"
        for line in gzip.decompress(logged.read_bytes()).decode().splitlines():
            hours[json.loads(line)["timestamp"][:13]] += 1
        requests = pl.Series([count for hour, count in hours.items() if hour.startswith(month)], dtype=pl.Float64)
        away = (requests / requests.mean() - 1).abs()
        assert ends == pytest.approx([away.quantile(part, "linear") for part in (0.1, 0.5, 0.9)], rel=1e-6)


def test_a_year_of_checkpoints_costs_what_the_two_clouds_bill_per_gigabyte_month(
    company: Path, checks: pl.DataFrame
) -> None:
    aws = native(company).filter(
        pl.col("line_item_resource_id").str.contains("checkpoint"), pl.col("pricing_unit") == "GB-Mo"
    )
    gcp = pl.concat([pl.read_parquet(file) for file in sorted((company / "gcp").glob("*/*.parquet"))])
    gcp = gcp.filter(
        pl.col("resource").struct.field("name").str.contains("checkpoint"),
        pl.col("usage").struct.field("pricing_unit").str.starts_with("gibibyte month"),
    )
    for period, ends in measured(checks, "checkpoints-of-70b-cost-2000-a-year").items():
        one = aws.filter(month=period).select(
            cost=pl.col("line_item_net_unblended_cost").cast(pl.Float64).sum(),
            size=pl.col("line_item_usage_amount").cast(pl.Float64).sum(),
        )
        other = gcp.filter(pl.col("usage_start_time").dt.strftime("%Y-%m-01") == period).select(
            cost=pl.col("cost").sum(), size=pl.col("usage").struct.field("amount_in_pricing_units").sum()
        )
        both = pl.concat([other, one])
        prices = [*(both["cost"] / both["size"]), float(both["cost"].sum()) / float(both["size"].sum())]
        low, high, average = (87_360 * price for price in prices)
        assert ends == pytest.approx((low, average, high), rel=1e-6)


def test_fine_tuning_costs_what_the_native_lines_of_jobs_that_can_be_told_cost(
    company: Path, checks: pl.DataFrame
) -> None:
    # One job on Google is told from training by nothing but the truth; the answer is of the others.
    aws = native(company).filter(
        pl.col("workload") == "fine_tuning", pl.col("line_item_resource_id").str.contains(":training-job/")
    )
    lines = pl.concat([pl.read_parquet(file) for file in sorted((company / "gcp").glob("*/*.parquet"))])
    told = pl.col("labels").list.eval(pl.element().struct.field("value") == "fine-tuning").list.any()
    gcp = lines.filter(told, pl.col("sku").struct.field("description").str.contains("Training/Pipelines"))
    for period, ends in measured(checks, "fine-tuning-run-costs-tens-to-hundreds").items():
        own = aws.filter(month=period).group_by("line_item_resource_id")
        jobs = own.agg(cost=pl.col("line_item_net_unblended_cost").cast(pl.Float64).sum())["cost"].to_list()
        other = gcp.filter(pl.col("usage_start_time").dt.strftime("%Y-%m-01") == period)
        jobs += other.group_by(pl.col("resource").struct.field("name")).agg(pl.col("cost").sum())["cost"].to_list()
        costs = pl.Series(jobs)
        assert ends == pytest.approx([costs.quantile(part, "linear") for part in (0.1, 0.5, 0.9)], rel=1e-6)


def test_list_prices_are_those_that_providers_published(checks: pl.DataFrame) -> None:
    # As the providers' pages print them. Long context by its ends: some models have no step, others double at 200,000.
    for claim, price in (("gpt-4o-input-lists-at-2-50", 2.5), ("gpt-4o-output-lists-at-10", 10)):
        assert measured(checks, claim) == dict.fromkeys(PERIODS, (price,) * 3)
    for low, _, high in measured(checks, "long-context-costs-3-to-5-times").values():
        assert (low, high) == (1, 2)


def test_months_with_training_are_those_of_the_truth(company: Path, checks: pl.DataFrame) -> None:
    trained = native(company).filter(pl.col("workload").is_in(["training", "fine_tuning"]))["month"].unique()
    assert set(trained) == set(PERIODS)
    found = measured(checks, "training-is-a-one-time-cost")
    assert found[PERIODS[0]] == (None, None, None)
    assert found[PERIODS[1]] == found[PERIODS[2]] == (1, 1, 1)


def test_every_definition_agrees_with_plain_python_and_every_dimension_matters(company: Path) -> None:
    rows = asked(company, ROWS).to_dicts()
    ends = "measured_low::double, measured::double, measured_high::double"
    with opened(company / ".apportion" / "warehouse.duckdb", read_only=True) as connection:
        for period in connection.sql("select distinct period from marts.claim_sensitivity").pl()["period"]:
            asking = f"select {', '.join(NAMES)}, {ends} from marts.claim_sensitivity where period = '{period}'"
            found = {row[: len(NAMES)]: row[len(NAMES) :] for row in connection.sql(asking).fetchall()}
            true = dict(answers(rows, period))
            assert len(found) >= 48
            wrong = [
                (name, figures, true[name])
                for name, figures in found.items()
                if any(
                    (one is None) != (other is None) or (other is not None and abs(float(other) - one) > 1e-9)
                    for one, other in zip(figures, true[name], strict=True)
                )
            ]
            assert wrong[:3] == []
        changed = connection.sql(
            "select distinct one.only_change from marts.claim_sensitivity as one "
            "inner join marts.claim_sensitivity as headline using (claim_id, period) "
            "where headline.is_headline and one.measured != headline.measured and one.only_change is not null"
        ).fetchall()
    assert {name for (name,) in changed} == {
        *("money", "idle", "span", "storage", "api", "fine_tuning", "development", "batch_transform", "warm_pool")
    }
