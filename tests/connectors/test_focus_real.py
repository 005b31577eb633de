"""A real FOCUS file of three providers, against sums that DuckDB makes straight from its text."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from connectors.focus import Focus
from connectors.source import Totals
from models.facts import Fact

pytestmark = pytest.mark.real_data

BILL = Path(__file__).parents[3] / "shared" / "data" / "focus" / "focus_1_0_sample.csv"


@pytest.fixture
def months(tmp_path: Path) -> dict[date, tuple[pl.DataFrame, Totals]]:
    if not BILL.exists():
        pytest.skip("the real bills are not beside this checkout")
    bill = Focus("bill", Focus.Options(location=str(BILL)), tmp_path, lambda _: None)
    landed = [bill.fetch(version) for version in bill.versions()]
    return {
        one.version.billing_period: (bill.read(one)[Fact.CHARGES][0].collect(engine="streaming"), bill.totals(one))
        for one in landed
    }


def test_cost_per_provider_month_and_service_is_what_the_file_says(
    months: dict[date, tuple[pl.DataFrame, Totals]],
) -> None:
    says = duckdb.execute(
        """
        select BillingPeriodStart::date, ProviderName, ServiceName, count(*),
            sum(BilledCost::decimal(38, 12)), sum(ListCost::decimal(38, 12))
        from read_csv(?, all_varchar = true, header = true, nullstr = 'NULL') group by all order by all
        """,
        [str(BILL)],
    ).fetchall()
    ours = [
        (period, *row)
        for period, (charges, _) in sorted(months.items())
        for row in charges.group_by("provider_name", "service_name")
        .agg(pl.len(), pl.col("billed_cost", "list_cost").sum())
        .sort("provider_name", "service_name")
        .rows()
    ]
    assert ours == says
    assert sum(totals.lines for _, totals in months.values()) == sum(row[3] for row in says) == 1000
    for index, column in ((4, "billed_cost"), (5, "list_cost")):
        assert sum(totals.quantized[column] for _, totals in months.values()) == sum(row[index] for row in says)


def test_its_known_defects_are_read_around(months: dict[date, tuple[pl.DataFrame, Totals]]) -> None:
    assert list(months) == [date(2024, 9, 1), date(2024, 10, 1)]
    charges = pl.concat([charges for charges, _ in months.values()], how="diagonal")
    texts = charges.select(pl.col(pl.String))
    assert not texts.select(pl.any_horizontal(pl.all().is_in(("NULL", "")).any())).item()
    assert set(charges["charge_frequency"]) == {"Usage-Based", "One-Time"}
    assert charges["tags"].null_count() == 289
    assert charges.filter(pl.col("instance_type") == "g5.4xlarge").height == 8
    assert charges["commitment_discount_status"].drop_nulls().to_list() == ["Used"] * 4
    assert charges["billed_cost"].sum() == Decimal("20.520226728990")
    assert not any(totals.is_final for _, totals in months.values())
