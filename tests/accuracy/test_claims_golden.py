"""Claims on the sample company against its native bills and its truth, computed without the product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.warehouse.database import opened
from tests.accuracy.test_attribution import asked, judged
from tests.cli.conftest import ran
from tests.dbt_like_sql.definitions import NAMES, ROWS, answers
from tests.once import once

pytestmark = pytest.mark.pipeline

PERIODS = ("2026-07-01", "2026-08-01", "2026-09-01")
SPENT = ("training", "fine_tuning", "inference")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "desk", ran)


@pytest.fixture(scope="module")
def checks(company: Path) -> pl.DataFrame:
    ends = ("measured_low", "measured", "measured_high")
    doubles = ", ".join(f"{end}::double as {end}" for end in ends)
    return asked(company, f"select claim_id, period::varchar as period, verdict, {doubles} from marts.claim_checks")


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
    for period, ends in measured(checks, "spot-saves-60-90").items():
        own = spot.filter(month=period)
        saved = own.select(1 - pl.col("line_item_unblended_cost").cast(pl.Float64).sum() / public.sum()).item()
        assert ends == pytest.approx((saved,) * 3, rel=1e-6)


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
