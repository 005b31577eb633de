from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from models import focus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Desk

pytestmark = pytest.mark.pipeline

EURO = Decimal("1.141")
# The rows of `marts.costs_by_team` that a bill stands behind, by source.
SHOWN = """
with shown as (
    select source, billing_period, team, effective_cost, billed_cost from intermediate.int_charges_allocated
    union all
    select source, billing_period, team, effective_cost, billed_cost from computed.shared_costs
)
select source, team, sum(effective_cost) as effective_cost, sum(billed_cost) as billed_cost
from shown
where billing_period = '2026-07-01'
group by all
having sum(effective_cost) != 0 or sum(billed_cost) != 0
"""
FILES = {"review.html", "review.xlsx", "review.json", "charges_focus.parquet", "charges_focus.csv"}


def test_a_pack_of_one_month_is_written_under_home(desk: Desk) -> None:
    answer = desk.type("report", "--period", "2026-08", "--json")
    assert answer.status == 0, answer.said
    folder = desk.folder / ".apportion" / "reports" / "2026-08"
    assert {path.name for path in folder.iterdir()} == FILES
    assert set(answer.json) == {"2026-08"}
    assert {path.rsplit("/", 1)[1] for path in answer.json["2026-08"]} == FILES
    assert json.loads((folder / "review.json").read_text())["period"] == "2026-08"


def test_an_older_focus_version_and_another_folder_can_be_asked_for(desk: Desk, tmp_path: Path) -> None:
    answer = desk.type("report", "-p", "2026-07", "--focus-version", "1.2", "--out", str(tmp_path))
    assert answer.status == 0, answer.said
    found = pl.read_parquet(tmp_path / "2026-07" / "charges_focus.parquet")
    assert focus.violations(found, "1.2").rows() == []
    assert "ProviderName" in found.columns
    # What each team is shown is what the report shows it: to the last digit in the report's currency, at the rate in
    # the bill's own, where the report has rounded each converted amount.
    shown = desk.type("query", SHOWN, "--json").json
    sums = found.group_by("x_Source", "x_ShowbackTeam", "BillingCurrency").agg(
        pl.col("EffectiveCost", "BilledCost").sum()
    )
    exported = {(source, team): (currency, *costs) for source, team, currency, *costs in sums.rows()}
    assert {(row["source"], row["team"]) for row in shown} == set(exported)
    for row in shown:
        currency, *costs = exported[row["source"], row["team"]]
        reported = [Decimal(row["effective_cost"]), Decimal(row["billed_cost"])]
        if currency == "USD":
            assert costs == reported
        else:
            assert all(abs(one * EURO - other) < Decimal("1e-8") for one, other in zip(costs, reported, strict=True))
    assert {currency for currency, *_ in exported.values()} == {"USD", "EUR"}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--period", "2019-01"), 1, "Months there are: 2026-07, 2026-08, 2026-09"),
        (("--focus-version", "0.9"), 2, "Choose one of"),
    ],
)
def test_what_is_not_there_is_said_and_nothing_is_written(
    desk: Desk, tmp_path: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    answer = desk.type("report", "--out", str(tmp_path), *words)
    assert answer.status == status
    assert said in answer.said
    assert list(tmp_path.rglob("*.*")) == []
