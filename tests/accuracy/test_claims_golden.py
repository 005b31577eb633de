"""Claims on the sample company against its native bills and its truth, computed without the product."""

from __future__ import annotations

import gzip
import json
from calendar import monthrange
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from genai_prices import Usage, calc_price

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


def test_at_least_five_claims_hold_and_five_fail_on_bill_lines_without_those_of_a_price_list(
    checks: pl.DataFrame,
) -> None:
    newest = checks.filter(pl.col("period") == PERIODS[-1], ~pl.col("claim_id").str.contains("^gpt-4o-|^long-context-"))
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


def serving(folder: Path) -> pl.DataFrame:
    """Give the native lines of the endpoint's machines."""
    return native(folder).filter(
        pl.col("line_item_resource_id").str.ends_with(f"endpoint/{ENDPOINT}"),
        pl.col("line_item_usage_type").str.contains("Host:ml."),
    )


def served(folder: Path, period: str) -> pl.DataFrame:
    """Give what the endpoint's own server counted, hour by hour."""
    return pl.read_csv(folder / "tokens" / "serving" / f"{period[:7]}.csv")


def test_the_endpoint_s_price_by_token_and_by_request_is_its_machines_over_what_it_served(
    company: Path, checks: pl.DataFrame
) -> None:
    machines = serving(company)
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


def test_fine_tuning_costs_what_native_lines_of_jobs_cost_and_what_may_be_one_widens_the_ends(
    company: Path, checks: pl.DataFrame
) -> None:
    jobs = native(company).filter(pl.col("line_item_resource_id").str.contains(":training-job/"))
    jobs = jobs.with_columns(cost=pl.col("line_item_net_unblended_cost").cast(pl.Float64), told=pl.lit(value=False))
    aws = jobs.with_columns(told=pl.col("workload") == "fine_tuning")
    lines = pl.concat([pl.read_parquet(file) for file in sorted((company / "gcp").glob("*/*.parquet"))])
    lines = lines.filter(pl.col("sku").struct.field("description").str.contains("Training/Pipelines"))
    # The management fees of flex-start name no job.
    gcp = lines.filter(pl.col("resource").struct.field("name").is_not_null()).select(
        "cost",
        told=pl.col("labels").list.eval(pl.element().struct.field("value") == "fine-tuning").list.any(),
        month=pl.col("usage_start_time").dt.strftime("%Y-%m-01"),
        line_item_resource_id=pl.col("resource").struct.field("name"),
    )
    both = pl.concat([aws.select(gcp.columns), gcp.select(gcp.columns)])
    for period, (low, point, high) in measured(checks, "fine-tuning-run-costs-tens-to-hundreds").items():
        costs = both.filter(month=period).group_by("line_item_resource_id", "told").agg(pl.col("cost").sum())
        told = costs.filter("told")["cost"]
        untold = costs.filter(~pl.col("told"))["cost"]
        tenth, ninth = (told.quantile(part, "linear") or 0 for part in (0.1, 0.9))
        cheap = pl.concat([told, untold.filter(untold < tenth)]).quantile(0.1, "linear")
        dear = pl.concat([told, untold.filter(untold > ninth)]).quantile(0.9, "linear")
        assert (low, point, high) == pytest.approx((cheap, told.median(), dear), rel=1e-6)
        # One job on Google is told from training by nothing but the truth; with it the ends still hold.
        hidden = untold.filter((untold > 2000) & (untold < 2500))
        assert hidden.len() == 1
        every = pl.concat([told, hidden])
        assert low <= (every.quantile(0.1, "linear") or 0) <= (every.quantile(0.9, "linear") or 0) <= high


def listed(model: str, provider: str, month: str, *, given: int = 0, answered: int = 0) -> float:
    """Ask the maintained price list itself what one request of a month's last day costs."""
    year, number, _ = map(int, month.split("-"))
    day = datetime(year, number, monthrange(year, number)[1], tzinfo=UTC)
    usage = Usage(input_tokens=given, output_tokens=answered)
    return float(calc_price(usage, model, provider_id=provider, genai_request_timestamp=day).total_price)


def test_list_prices_are_those_of_the_dated_price_list(company: Path, checks: pl.DataFrame) -> None:
    counts: tuple[tuple[str, dict[str, int]], ...] = (
        ("gpt-4o-input-lists-at-2-50", {"given": 1000}),
        ("gpt-4o-output-lists-at-10", {"answered": 1000}),
    )
    for claim, count in counts:
        for period, ends in measured(checks, claim).items():
            assert ends == pytest.approx((listed("gpt-4o", "openai", period, **count) * 1000,) * 3)
    # Long context by its ends: of the models on the bills, some have no step and others double above 200,000 tokens.
    used = set(asked(company, "select distinct llm_model from marts.llm_model_costs")["llm_model"])
    asking = {"gpt-4.1": "openai", "gemini-2.5-flash": "google", "gemini-2.5-pro": "google"}
    assert used >= {*asking, "claude-sonnet-4.5"}
    for period, (low, _, high) in measured(checks, "long-context-costs-3-to-5-times").items():
        multiples = [
            listed(model, seller, period, given=500_000) / listed(model, seller, period, given=1000) / 500
            for model, seller in {**asking, "claude-sonnet-4-5": "anthropic"}.items()
        ]
        assert (low, high) == pytest.approx((min(multiples), max(multiples)))


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
