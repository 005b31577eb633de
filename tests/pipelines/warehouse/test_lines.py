from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from pipelines.warehouse.database import opened
from pipelines.warehouse.lines import lines_of_key
from tests.pipelines.conftest import AUGUST, JULY, Company, Rows

pytestmark = pytest.mark.pipeline

# Names and values of tags that are text to us and syntax to somebody else.
HOSTILE: list[dict[str, str]] = [
    {"user_owner": 'Ann "the\nbuilder" O\'Hara'},
    {"user_owner": "back\\slash", "user:Owner": "first"},
    {"user_owner": "'; drop table computed.attributions; --"},
    {"user_owner": "$.x[*] ${HOME} {} % ü 漢 🤖"},
    {'user_it\'s "odd"': "yes"},
    {'user_it\'s "odd"': "line\r\nbreak\t\"quote\" 'quote'", "user_owner": " "},
    {"user_a.b[0]*$": "path"},
    {"user_back\\slash": "name"},
    {"user_owner": ""},
    {},
]
PAIR = pl.Struct({"key": pl.String, "value": pl.String})
HOSTILE_PAIRS = [[{"key": key, "value": value} for key, value in tags.items()] for tags in HOSTILE]
NAMES = ("owner", 'it\'s "odd"', "a.b[0]*$", "back\\slash")


def view(company: Company, sql: str) -> Rows:
    """Ask the pipeline's own database, which has the view of every line."""
    with opened(company.home / "warehouse.duckdb", read_only=True) as connection:
        return connection.sql(sql).fetchall()


def test_every_line_is_shown_once_with_its_money_and_its_workload(company: Company) -> None:
    shown = view(
        company,
        "select billing_period, count(*), count(distinct (source_file, source_row)), count(workload), "
        "sum(billed_cost), sum(effective_cost) from ledger.charges group by 1 order by 1",
    )
    kept = (
        company.lines()
        .group_by("billing_period")
        .agg(
            pl.len(),
            pl.struct("source_file", "source_row").n_unique().alias("places"),
            # A split-cost row repeats the money of another line and has no tag of its own.
            pl.col("split_parent_resource_id").is_null().sum().alias("tagged"),
            pl.col("billed_cost").sum(),
            pl.col("effective_cost").sum(),
        )
        .sort("billing_period")
    )
    assert shown == kept.collect().rows()
    assert [month for month, *_ in shown] == [JULY, AUGUST]


def test_the_lines_sum_to_the_marts(company: Company) -> None:
    by_workload = "select billing_period, workload, evidence, sum(effective_cost) from {} group by all order by all"
    # A commitment's negation is one line but allocated to many workloads, split-cost rows carry no money.
    own = "(from ledger.charges where split_parent_resource_id is null and line_item_type != 'SavingsPlanNegation')"
    daily = """(
        select day.billing_period, key.workload, key.evidence, day.effective_cost
        from ledger.charges_daily as day join computed.attributions as key using (source, billing_period, key_id)
        where key.line_item_type != 'SavingsPlanNegation'
    )"""
    assert view(company, by_workload.format(own)) == view(company, by_workload.format(daily))


def test_accelerator_hours_of_the_lines_sum_to_those_of_the_machines(company: Company) -> None:
    by_machine = (
        "select billing_period, workload, accelerator, instance_type, sum({0}) from {1} group by all "
        "having sum({0}) != 0 order by all"
    )
    machines = "ledger.gpu_hours join computed.attributions using (source, billing_period, key_id)"
    of_lines = view(company, by_machine.format("accelerator_hours", "ledger.charges"))
    assert of_lines == view(company, by_machine.format("gpu_hours", machines))
    assert len({accelerator for _, _, accelerator, *_ in of_lines}) > 2
    # Lines that count no hours of accelerators have none, and no zero that says they were measured.
    assert view(
        company, "select count(*) from ledger.charges where accelerator is null and accelerator_hours is not null"
    ) == [(0,)]


def test_lines_keep_their_workload_whatever_is_written_in_their_tags(tmp_path: Path) -> None:
    start = datetime(2026, 7, 1)  # noqa: DTZ001 - AWS writes UTC without a zone
    texts = {
        "bill_billing_entity": "AWS",
        "bill_invoice_id": "1",
        "bill_payer_account_id": "111122223333",
        "line_item_currency_code": "USD",
        "line_item_line_item_description": 'a "quoted"\nline',
        "line_item_line_item_type": "Usage",
        "line_item_operation": "RunInstances",
        "line_item_product_code": "AmazonEC2",
        "line_item_usage_account_id": "111122223333",
        "line_item_usage_type": "BoxUsage:p5.48xlarge",
    }
    instants = ("bill_billing_period_start_date", "line_item_usage_start_date", "line_item_usage_end_date")
    bill = pl.DataFrame(
        {
            "resource_tags": pl.Series(HOSTILE_PAIRS, dtype=pl.List(PAIR)).cast(pl.Map(pl.String, pl.String)),
            "line_item_unblended_cost": [1.5] * len(HOSTILE),
            "line_item_usage_amount": [1.0] * len(HOSTILE),
        }
    ).with_columns(**{name: pl.lit(text) for name, text in texts.items()}, **{name: pl.lit(start) for name in instants})
    made = Company(tmp_path / 'o\'hara "home"').configure(
        dimensions={"customer": [{"tag": NAMES[0]}], "project": [{"tag": name} for name in NAMES[1:]]}
    )
    (made.folder / "bills").mkdir()
    bill.write_parquet(made.folder / "bills" / "july.parquet")
    made.run()
    shown = view(made, "select source_row, workload, customer, project from ledger.charges order by source_row")
    assert [(row, workload) for row, workload, *_ in shown] == [
        (number, "unattributed") for number in range(1, len(HOSTILE) + 1)
    ]
    assert [(customer, project) for *_, customer, project in shown] == [
        ('ann-"the-builder"-o\'hara', None),
        ("first", None),
        ("';-drop-table-computed-attributions;", None),
        ("$-x[*]-${home}-{}-%-ü-漢-🤖", None),
        (None, "yes"),
        (None, "line-break-\"quote\"-'quote'"),
        (None, "path"),
        (None, "name"),
        (None, None),
        (None, None),
    ]
    assert view(made, "select count(*), sum(billed_cost) from ledger.charges") == [(10, Decimal(15))]


def test_the_hours_of_a_capacity_block_are_explained_by_its_one_line(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = (
        "select key_id, sum(native_billed_cost) from ledger.charges_daily inner join computed.attributions "
        "using (source, billing_period, key_id) where usage_type like '%CapacityBlockFee%' "
        "group by 1 having sum(charge_count) = 1 order by 1"
    )
    key_id, cost = view(company, sql)[0]
    # The sample's block is billed by the month, whose end then is the block's.
    monkeypatch.setattr("models.capacity_blocks._ENDS", time(0))
    _, lines = lines_of_key(company.home, company.ledger, key_id=key_id, limit=5)
    assert lines["billed_cost"].to_list() == [cost]
