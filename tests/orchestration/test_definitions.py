from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.definitions import definitions, defs
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.assets import MONTHS, month_range
from pipelines.orchestration.lineage import column_lineage
from pipelines.settings import Settings
from pipelines.warehouse.build import sql_models
from pipelines.warehouse.reader import ask
from pipelines.warehouse.tables import TABLES
from tests.orchestration.conftest import QUIET, Ran

pytestmark = pytest.mark.pipeline

ROOT = Path(__file__).parents[2]
CHARGES = dg.AssetKey(["sources", "aws"])
SUMMER = date(2026, 7, 1), date(2026, 9, 1)


def loaded(folder: Path) -> list[str]:
    ledger = Ledger.of(Settings.load(folder / "apportion.yaml"))
    return sorted(f"{period:%Y-%m}" for _, period in ledger.charges.partitions())


def job(folder: Path) -> dg.JobDefinition:
    whole = definitions(Settings.load(folder / "apportion.yaml"))
    return whole.resolve_implicit_global_asset_job_def()


def damage(folder: Path, month: str) -> None:
    for file in (folder / "bills").rglob(f"data/BILLING_PERIOD={month}/*/*.parquet"):
        content = bytearray(file.read_bytes())
        content[-1000:-8] = bytes(992)
        file.write_bytes(bytes(content))


def test_dg_accepts_the_definitions(delivered: Path) -> None:
    environment = {
        **os.environ,
        "APPORTION_CONFIG": str(delivered / "apportion.yaml"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    command = [str(Path(sys.executable).with_name("dg")), "check", "defs"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_definitions_reads_no_file_and_no_variable(tmp_path: Path) -> None:
    code = "from pipelines.definitions import defs; print(type(defs).__name__)"
    environment = {**os.environ, "APPORTION_CONFIG": str(tmp_path / "there-is-none.yaml")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_configuration_is_named_when_dagster_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPORTION_CONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(Exception, match=r"none\.yaml: there is no such file"):
        defs()


def test_every_asset_says_what_it_is(delivered: Path) -> None:
    graph = definitions(Settings.load(delivered / "apportion.yaml")).resolve_asset_graph()
    assert len(graph.get_all_asset_keys()) > 10
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        assert asset.group_name not in {None, "default"}, key
        assert asset.description, key
        assert asset.kinds, key


def test_every_table_shows_its_columns(delivered: Path) -> None:
    graph = definitions(Settings.load(delivered / "apportion.yaml")).resolve_asset_graph()
    tables = [key for key in graph.get_all_asset_keys() if key.path[0] != "reports"]
    for key in tables:
        schema: Any = graph.get(key).metadata["dagster/column_schema"]
        columns = getattr(schema, "schema", schema).columns
        assert columns, key
        assert [column.name for column in columns if not column.description] == [], key


def test_a_partition_loads_its_month_and_no_other(company: Path, instance: dg.DagsterInstance) -> None:
    result = job(company).execute_in_process(
        instance=instance, asset_selection=[CHARGES], partition_key="2026-08", run_config=QUIET
    )
    assert result.success
    assert loaded(company) == ["2026-08"]
    assert instance.get_materialized_partitions(CHARGES) == {"2026-08"}
    (event,) = result.asset_materializations_for_node("sources__aws")
    assert event.metadata["months"].value == "2026-08"


def test_a_backfill_over_months_is_one_run(company: Path, instance: dg.DagsterInstance) -> None:
    graph = definitions(Settings.load(company / "apportion.yaml")).resolve_asset_graph()
    assert graph.get(CHARGES).backfill_policy == dg.BackfillPolicy.single_run()
    result = job(company).execute_in_process(
        instance=instance, asset_selection=[CHARGES], tags=month_range(*SUMMER), run_config=QUIET
    )
    assert result.success
    assert loaded(company) == ["2026-07", "2026-08", "2026-09"]
    assert instance.get_runs_count() == 1
    assert instance.get_materialized_partitions(CHARGES) >= {"2026-07", "2026-08", "2026-09"}


def test_a_refused_month_fails_its_check_and_keeps_no_other_from_loading(
    company: Path, instance: dg.DagsterInstance
) -> None:
    damage(company, "2026-08")
    result = job(company).execute_in_process(
        instance=instance, asset_selection=[CHARGES], tags=month_range(*SUMMER), run_config=QUIET
    )
    assert loaded(company) == ["2026-07", "2026-09"]
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.asset_key, check.passed) == ("every_month_loaded", CHARGES, False)
    reason = str(check.metadata["refused"].value)
    assert "2026-08" in reason
    assert "Fetch or export the file again" in reason


def test_a_partition_that_is_there_already_is_not_loaded_again(company: Path, instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        assert (
            job(company)
            .execute_in_process(instance=instance, asset_selection=[CHARGES], partition_key="2026-07", run_config=QUIET)
            .success
        )
    assert Ledger.of(Settings.load(company / "apportion.yaml")).loads.open().version() == 1


def test_the_whole_graph_runs_from_bill_to_report(ran: Ran) -> None:
    assert ran.result.success
    assert (ran.folder / ".apportion" / "reports.duckdb").exists()
    failed = [check.check_name for check in ran.result.get_asset_check_evaluations() if not check.passed]
    assert set(failed) <= {"newest_day_is_recent"}  # A warning: the sample company's bills end when they end.


def test_a_table_shows_its_rows_its_money_and_where_each_column_comes_from(ran: Ran) -> None:
    folder, result = ran.folder, ran.result
    shown = {event.asset_key: event.metadata for event in result.asset_materializations_for_node("sql_models")}
    costs = shown[dg.AssetKey(["marts", "costs_by_workload"])]
    (billed,) = ask(folder / ".apportion", "select sum(billed_cost)::varchar from marts.costs_by_workload").row(0)
    assert costs["billed_cost"].value == billed
    assert int(str(costs["dagster/row_count"].value)) > 0
    lineage: Any = costs["dagster/column_lineage"].value
    sources = {dep.asset_key.to_user_string() for dep in lineage.deps_by_column["billed_cost"]}
    assert sources == {"intermediate/int_costs_by_key", "intermediate/int_estimated_charges"}
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["assert_costs_by_workload_sum_to_charges"]
    assert len(checks) > 10


def test_every_column_of_every_mart_has_its_lineage() -> None:
    tables = {table: list(columns) for table, (_, columns) in TABLES.items()}
    found = column_lineage(sql_models(), tables)
    # A count, and a word that stands in the SQL itself, come from no column.
    unknown = {
        f"{model.table}.{column}"
        for model in sql_models()
        for column in model.columns
        if model.schema == "marts" and not found[model.table].get(column)
    }
    assert len(unknown) < 0.02 * sum(len(model.columns) for model in sql_models()), unknown
    reads = {(table, column) for columns in found.values() for deps in columns.values() for table, column in deps}
    known = {table: set(columns) for table, columns in tables.items()}
    known |= {model.table: set(model.columns) for model in sql_models()}
    assert {(table, column) for table, column in reads if column not in known[table]} == set()


def test_months_reach_back_and_hold_the_open_one() -> None:
    months = MONTHS.get_partition_keys()
    assert months[0] == "2015-01"
    assert months[-1] == f"{date.today():%Y-%m}"  # noqa: DTZ011 - both are of this machine's day


def test_the_settings_decide_the_assets(tmp_path: Path) -> None:
    sources = [{"name": name, "type": "aws_cur", "location": "bills"} for name in ("prod", "sandbox")]
    (tmp_path / "apportion.yaml").write_text(json.dumps({"sources": sources}), encoding="utf-8")
    graph = definitions(Settings.load(tmp_path / "apportion.yaml")).resolve_asset_graph()
    names = {key.path[1] for key in graph.get_all_asset_keys() if key.path[0] == "sources"}
    assert names == {"prod", "sandbox"}
