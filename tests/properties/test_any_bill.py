"""What holds for any bill, by real loads into a real ledger and warehouse."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.facts import COST_COLUMNS
from models.workloads import Workload
from pipelines.ledger.load import load
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.assets import Progress, refresh_months
from pipelines.orchestration.plan import changed_versions, tagging_of
from pipelines.settings import Settings
from pipelines.warehouse.build import build, show_lines, sql_checks, sql_models
from pipelines.warehouse.database import warehouse
from pipelines.warehouse.reference import refresh_reference
from pipelines.warehouse.tables import TABLES
from tests.properties.bills import Format, Line, bills, said, write

if TYPE_CHECKING:
    import duckdb

    from dbt_like_sql.sql_model import SqlModel

pytestmark = pytest.mark.pipeline

# What a bill's money goes through; every other mart is compared between runs of whole companies.
MARTS = (
    *("costs_by_workload", "costs_by_team", "llm_model_costs", "gpu_idle_waterfall", "unattributed_charges"),
    *("reconciliation", "load_identities", "commitment_utilization", "cost_variance"),
)
# Every example is a real run of most of a second, so a failing one is shown as it was found and not shrunk for minutes.
EXAMPLES = settings(
    max_examples=3,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
formats = st.sampled_from(["parquet", "csv"])
# Split rows repeat the money of other lines and are nobody's.
OWN = "ledger.charges where split_parent_resource_id is null"
LEDGER_SUMS = "select " + ", ".join(f"coalesce(sum({name}), 0) as {name}" for name in COST_COLUMNS)
OURS = """
rules:
  - id: everything-in-one-account-trains
    workload: training
    evidence: declared
    reason: The research account does nothing but train.
    when: { sub_account_id: { equals: "111122223333" } }
    effective_from: 2006-03-01
    examples: [ { sub_account_id: "111122223333" } ]
"""


@dataclass(frozen=True)
class Books:
    """A folder with a configuration and a bill, and what became of it."""

    folder: Path

    @property
    def settings(self) -> Settings:
        return Settings.load(self.folder / "apportion.yaml")

    @property
    def ledger(self) -> Ledger:
        return Ledger.of(self.settings)

    def configure(self, **changed: Any) -> None:
        source = {"name": "aws", "type": "aws_cur", "location": "bills"}
        config = {"home": "home", "sources": [source], "dimensions": {"team": [{"tag": "team"}]}, **changed}
        (self.folder / "apportion.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def run(self) -> int:
        """Do what a run does short of publishing, for these marts; checks must pass. Give how many months loaded."""
        ledger, source = self.ledger, self.settings.open("aws")
        changed = changed_versions(ledger, source)
        for version in changed:
            load(ledger, source, version)
        with warehouse(self.settings) as connection:
            refresh_months(self.settings, connection, Progress())
            refresh_reference(connection, ledger, self.settings, tagging_of(self.settings).rulebook)
            show_lines(connection, ledger)
            there = set(TABLES)
            for model in needed():
                build(connection, model)
                there.add(model.table)
            for assertion in sql_checks():
                if assertion.depends_on <= there:
                    assert connection.sql(assertion.sql).fetchall() == [], assertion.name
        return len(changed)

    def versions(self) -> list[int]:
        return [table.open().version() for table in (self.ledger.charges, self.ledger.loads, self.ledger.attributions)]

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with warehouse(self.settings) as connection:
            yield connection

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.opened() as connection:
            rows: list[tuple[Any, ...]] = connection.sql(sql).fetchall()
        return rows

    def marts(self) -> dict[str, list[tuple[Any, ...]]]:
        """Give every mart as sorted rows; when something was loaded is left out."""
        found = {}
        with self.opened() as connection:
            for mart in MARTS:
                frame = connection.sql(f"from marts.{mart}").pl().drop("loaded_at", strict=False)
                found[mart] = sorted(frame.rows(), key=repr)
        return found


@cache
def needed() -> tuple[SqlModel, ...]:
    """Give the marts looked at and what they are made from, in an order in which they can be built."""
    wanted = {f"marts.{mart}" for mart in MARTS}
    for model in reversed(sql_models()):
        if model.table in wanted:
            wanted |= model.depends_on
    return tuple(model for model in sql_models() if model.table in wanted)


@contextmanager
def books(bill: Sequence[Line], written_as: Format, files: int = 1) -> Iterator[Books]:
    with tempfile.TemporaryDirectory() as folder:
        made = Books(Path(folder))
        made.configure()
        write(made.folder / "bills", bill, written_as, files)
        made.run()
        yield made


@EXAMPLES
@given(bill=bills, written_as=formats)
def test_nothing_is_lost_from_the_file_to_the_marts_and_every_part_has_one_workload(
    bill: list[Line], written_as: Format
) -> None:
    expected = said(bill, written_as)
    with books(bill, written_as) as kept:
        (loaded,) = kept.ask("select lines_loaded, split_lines, billed_cost_loaded from ledger.loads")
        assert loaded == (expected.lines, expected.split_lines, expected.billed_cost)
        (sums,) = kept.ask(f"{LEDGER_SUMS} from {OWN}")
        assert (sums[0], sums[3]) == (expected.billed_cost, expected.list_cost)
        for table in ("ledger.charges_daily", "intermediate.int_charges_allocated"):
            assert kept.ask(f"{LEDGER_SUMS} from {table}") == [sums], table
        for mart in ("costs_by_workload", "costs_by_team"):
            costs = "select coalesce(sum(billed_cost), 0), coalesce(sum(effective_cost), 0)"
            assert kept.ask(f"{costs} from marts.{mart}") == [sums[:2]], mart
        workloads = f"select workload from intermediate.int_charges_allocated union select workload from {OWN}"
        assert {workload for (workload,) in kept.ask(workloads)} <= {str(workload) for workload in Workload}
        assert kept.ask("from computed.allocations select daily_id, part group by all having count(*) > 1") == []
        assert kept.ask("select count(*) from ledger.charges") == [(len(bill),)]
        divided = """
            select whole.daily_id from ledger.charges_daily as whole
            inner join (select daily_id, sum(effective_cost) as parts from computed.allocations group by all) as part
            using (daily_id) where whole.effective_cost <> part.parts
        """
        assert kept.ask(divided) == []


@EXAMPLES
@given(bill=bills, written_as=formats)
def test_running_twice_changes_nothing(bill: list[Line], written_as: Format) -> None:
    with books(bill, written_as) as kept:
        before = kept.versions(), kept.marts(), kept.ask("from ledger.charges_daily order by all")
        assert kept.run() == 0
        assert (kept.versions(), kept.marts(), kept.ask("from ledger.charges_daily order by all")) == before


@EXAMPLES
@given(bill=bills, written_as=formats, files=st.integers(1, 4), order=st.randoms(use_true_random=False))
def test_order_and_partitioning_of_files_change_nothing(
    bill: list[Line], written_as: Format, files: int, order: random.Random
) -> None:
    shuffled = order.sample(bill, len(bill))
    with books(bill, written_as) as one, books(shuffled, written_as, files) as other:
        assert one.marts() == other.marts()
        daily = "from ledger.charges_daily order by all"
        assert one.ask(daily) == other.ask(daily)
        assert one.ask("from computed.allocations order by all") == other.ask("from computed.allocations order by all")


@EXAMPLES
@given(bill=bills, written_as=formats)
def test_a_new_rule_changes_tags_and_no_sum(bill: list[Line], written_as: Format) -> None:
    sums = f"{LEDGER_SUMS}, coalesce(sum(charge_count), 0) from intermediate.int_charges_allocated"
    tags = f"select source_row, attribution_rule_id, workload from {OWN} and sub_account_id {{}} order by all"
    with books(bill, written_as) as kept:
        before, others = kept.ask(sums), kept.ask(tags.format("<> '111122223333'"))
        version = kept.versions()[0]
        (kept.folder / "ours.yaml").write_text(OURS, encoding="utf-8")
        kept.configure(rules=["ours.yaml"])
        assert kept.run() == 0
        assert kept.versions()[0] == version
        assert kept.ask(sums) == before
        assert kept.ask(tags.format("<> '111122223333'")) == others
        decided = {rule for _, rule, _ in kept.ask(tags.format("= '111122223333'"))}
        assert decided <= {"everything-in-one-account-trains"}
