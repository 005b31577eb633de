from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest

from models.errors import Refused
from models.facts import CHARGES, schema
from pipelines.ledger.tables import Ledger
from pipelines.settings import ExchangeRate
from pipelines.warehouse.facts import MonthFacts, aggregate
from pipelines.warehouse.keys import spellings, tag_columns
from pipelines.warehouse.reporting import Reporting

JULY = date(2026, 7, 1)
Lines: TypeAlias = list[dict[str, Any]]
DOLLARS = Reporting("USD", ())
EUROS_TOO = Reporting(
    "USD",
    [
        ExchangeRate(currency="EUR", rate=Decimal("1.1"), effective_from=date(2026, 1, 1)),
        ExchangeRate(currency="EUR", rate=Decimal("1.25"), effective_from=JULY),
        ExchangeRate(currency="EUR", rate=Decimal(9), effective_from=date(2026, 8, 1)),
    ],
)


def line(hour: int = 0, cost: str = "1", **changed: Any) -> dict[str, Any]:
    """Give one hour of one machine, as the ledger holds it."""
    start = datetime(2026, 7, 1 + hour // 24, hour % 24, tzinfo=UTC)
    usual: dict[str, Any] = dict.fromkeys(CHARGES) | {
        "usage_period": JULY,
        "provider_name": "AWS",
        "billing_currency": "USD",
        "charge_period_start": start,
        "pricing_unit": "Hrs",
        "consumed_quantity": Decimal(1),
        **dict.fromkeys(("billed_cost", "effective_cost", "net_cost"), Decimal(cost)),
    }
    return usual | changed


def attributed(keys: pl.DataFrame) -> pl.DataFrame:
    """Tag keys by their instance type alone: `p5` has eight accelerators, `g6f` an eighth of one."""
    counts = {"p5": Decimal(8), "g6f": Decimal("0.125")}
    kind = pl.col("instance_type")
    return keys.with_columns(
        workload=pl.when(kind == "ml").then(pl.lit("inference")).otherwise(pl.lit("not_ai")),
        accelerator=pl.when(kind.is_in(list(counts))).then(pl.lit("GPU")),
        accelerator_count=kind.replace_strict(counts, default=None, return_dtype=pl.Decimal(38, 12)),
    )


def facts(folder: Path, lines: Lines, relevant: tuple[str, ...] = (), reporting: Reporting = DOLLARS) -> MonthFacts:
    charges = Ledger(str(folder)).charges
    adds = charges.write("aws", JULY, "load", [pl.LazyFrame(lines, schema=schema(CHARGES))])
    charges.commit(adds, mode="overwrite", partition=("aws", JULY), facts={})
    return aggregate(charges, charges.partitions()["aws", JULY], relevant, attributed, reporting)


def tagged(*tags: Mapping[str, str]) -> pl.LazyFrame:
    return pl.LazyFrame([line(tags=dict(tag)) for tag in tags], schema=schema(CHARGES))


def test_a_tag_is_found_however_the_bill_spells_it() -> None:
    lines = tagged({"user:Team": "a"}, {"user_team": "b"}, {"resourceTags/user:TEAM": "c"}, {"teams": "d"})
    spelt = spellings(lambda query: query(lines).collect(), ["tag:team", "tag:env"])
    assert spelt == {"tag:team": ["resourceTags/user:TEAM", "user:Team", "user_team"], "tag:env": []}
    found = lines.select(tag_columns(spelt)).collect()
    assert found.to_dict(as_series=False) == {"tag:team": ["a", "b", "c", None], "tag:env": [None] * 4}


def test_a_blank_tag_says_nothing_so_the_next_spelling_counts() -> None:
    lines = tagged({"user:Team": "", "user_team": "search"}, {"user:Team": "", "user_team": ""})
    found = lines.select(tag_columns(spellings(lambda query: query(lines).collect(), ["tag:team"]))).collect()
    assert found["tag:team"].to_list() == ["search", None]


def test_lines_of_one_key_and_day_become_one_row(tmp_path: Path) -> None:
    found = facts(tmp_path, [line(0), line(1), line(30, "5")])
    assert found.attributions.height == 1
    assert found.daily.select("usage_date", "billed_cost", "charge_count", "daily_id").rows() == [
        (date(2026, 7, 1), 2, 2, 1),
        (date(2026, 7, 2), 5, 1, 2),
    ]


def test_groups_whose_digests_collide_are_told_apart_by_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can write a bill with two columns of one digest, so all get the same."""
    lines = [line(region_id=region, resource_id=None, cost=cost) for region, cost in (("eu", "1"), (None, "2"))]
    found = facts(tmp_path / "apart", lines)
    monkeypatch.setattr("pipelines.warehouse.facts._digested", lambda _: pl.lit(0).alias("group_digest"))
    collided = facts(tmp_path / "collided", lines)
    assert collided.daily.equals(found.daily)
    assert found.daily["billed_cost"].sort().to_list() == [1, 2]


def test_lines_that_differ_in_one_column_only_are_told_apart_whichever_it_is(tmp_path: Path) -> None:
    """Each place of a binary number is a column, so an amount in a wrong row cannot be made up for by another."""
    columns = ("usage_type", "operation", "region_id", "invoice_id", "service_code")
    lines = [
        line(0, str(2**number), **{name: str(number >> place & 1) for place, name in enumerate(columns)})
        for number in range(2 ** len(columns))
        if number != 5  # then some columns tell more than others
    ]
    found = facts(tmp_path, lines)
    assert sorted(found.daily["billed_cost"]) == [2**number for number in range(2 ** len(columns)) if number != 5]
    beside = found.daily.join(found.attributions, on="key_id")
    for *values, cost in beside.select(*columns, "billed_cost").iter_rows():
        assert cost == 2 ** sum(int(value) << place for place, value in enumerate(values))


def test_a_tag_that_no_line_has_is_a_column_of_the_key_that_says_nothing(tmp_path: Path) -> None:
    lines = [line(tags={"team": "a"}), line(tags={"team": ""})]
    asked = facts(tmp_path / "asked", lines, ("tag:absent", "tag:team"))
    named = facts(tmp_path / "named", lines, ("tag:team",))
    assert asked.attributions["tag:absent"].null_count() == 2
    assert asked.spelt == {"tag:absent": [], "tag:team": ["team"]}
    assert asked.daily.equals(named.daily)


def test_a_relevant_tag_divides_keys_and_an_irrelevant_one_does_not(tmp_path: Path) -> None:
    lines = [line(tags={"user:team": "a", "job": "1"}), line(tags={"user_Team": "a", "job": "2"}), line(tags={})]
    found = facts(tmp_path, lines, ("tag:team",))
    assert sorted(found.attributions["tag:team"].to_list(), key=str) == [None, "a"]
    assert found.daily["charge_count"].sort().to_list() == [1, 2]


def test_resources_are_kept_for_ai_and_accelerators_only(tmp_path: Path) -> None:
    kinds = ("m5", "ml", "p5")
    lines = [line(instance_type=kind, resource_id=f"{kind}-{number}") for kind in kinds for number in (1, 2)]
    found = facts(tmp_path, lines)
    resources = found.daily["resource_id"].sort(nulls_last=True).to_list()
    assert resources == ["ml-1", "ml-2", "p5-1", "p5-2", None]
    assert found.daily["billed_cost"].sum() == 6


def test_accelerator_hours_are_machine_hours_times_accelerators_also_where_they_are_a_fraction(tmp_path: Path) -> None:
    half = Decimal("0.5")
    lines = [line(0, instance_type="p5"), line(0, instance_type="g6f", consumed_quantity=half), line(0)]
    hours = facts(tmp_path, lines).gpu_hours
    assert hours is not None
    assert sorted(hours["gpu_hours"].to_list()) == [Decimal("0.0625"), Decimal(8)]


def test_hours_are_one_row_whatever_invoices_they_stand_on_and_each_in_its_currency(tmp_path: Path) -> None:
    lines = [line(instance_type="p5", invoice_id=invoice) for invoice in ("1", "2", None)]
    found = facts(tmp_path, [*lines, line(instance_type="p5", billing_currency="EUR")], reporting=EUROS_TOO)
    assert found.gpu_hours.select("gpu_hours", "billed_cost").sort("billed_cost").rows() == [
        (8, Decimal("1.25")),
        (24, 3),
    ]
    assert found.daily.height == 4


def test_a_quantity_that_counts_no_hours_makes_no_accelerator_hours(tmp_path: Path) -> None:
    hours = facts(tmp_path, [line(instance_type="p5", pricing_unit="GB", consumed_quantity=Decimal(100))]).gpu_hours
    assert hours is not None
    assert hours.select("gpu_hours", "billed_cost").rows() == [(0, 1)]


def test_split_cost_rows_repeat_money_and_are_left_out(tmp_path: Path) -> None:
    found = facts(tmp_path, [line(), line(cost="7", split_parent_resource_id="i-1")])
    assert found.daily.select("billed_cost", "charge_count").rows() == [(1, 1)]


def test_a_list_cost_that_no_line_states_is_unknown_not_zero(tmp_path: Path) -> None:
    lines = [line(0), line(24, list_cost=Decimal(3)), line(25)]
    assert facts(tmp_path, lines).daily["list_cost"].to_list() == [None, 3]


def test_each_currency_is_converted_at_the_rate_of_its_month_and_the_bills_own_amount_is_kept(tmp_path: Path) -> None:
    lines = [line(cost="10"), line(cost="10", billing_currency="EUR")]
    daily = facts(tmp_path, lines, reporting=EUROS_TOO).daily.sort("billed_cost")
    assert daily.select("billing_currency", "billed_cost", "effective_cost", "native_billed_cost").rows() == [
        ("USD", 10, 10, 10),
        ("EUR", Decimal("12.5"), Decimal("12.5"), 10),
    ]


def test_a_currency_without_a_rate_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="aws 2026-07: the bill is in JPY, the report in USD, and there is no rate"):
        facts(tmp_path, [line(billing_currency="JPY")], reporting=EUROS_TOO)


def test_a_rate_that_begins_later_does_not_hold_yet() -> None:
    later = Reporting("USD", [ExchangeRate(currency="EUR", rate=Decimal(1), effective_from=date(2026, 8, 1))])
    with pytest.raises(Refused, match="Add one for EUR to `exchange_rates`"):
        later.rate_of(["EUR"], "aws 2026-07", JULY)


def test_a_capacity_block_is_paid_for_by_the_days_that_it_lasts(tmp_path: Path) -> None:
    block: dict[str, Any] = {
        "instance_type": "p5",
        "usage_type": "USE1-CapacityBlockFee:p5.48xlarge",
        "resource_id": "cr-1",
    }
    start, end = (datetime(2026, 7, day, 11, 30, tzinfo=UTC) for day in (12, 14))
    period: dict[str, Any] = {"charge_period_start": start, "charge_period_end": end}
    fee = line(cost="960", consumed_quantity=None, **period, **block)
    found = facts(tmp_path, [line(0), fee])
    days = found.daily.filter(pl.col("resource_id") == "cr-1").select("usage_date", "effective_cost", "charge_count")
    assert days.rows() == [(date(2026, 7, 12), 250, 1), (date(2026, 7, 13), 480, 0), (date(2026, 7, 14), 230, 0)]
    assert found.daily["charge_count"].sum() == 2
    assert found.gpu_hours["effective_cost"].sum() == 960
    assert found.gpu_hours.height == 49
