import json
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from connectors.focus import Focus
from connectors.source import Totals
from models.errors import BadSettings
from models.facts import Fact
from models.focus import columns, dtype, violations
from models.money import MONEY
from pipelines.governance_settings import SharingSettings
from pipelines.reports.focus_export import write_focus
from pipelines.warehouse.reader import NotFound
from tests.pipelines.conftest import AUGUST, JULY, Company

pytestmark = pytest.mark.pipeline

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "focus" / "focus_1_0_sample.csv"
ELEMENTS = pl.Struct({"Elements": pl.List(pl.Struct({"AllocatedRatio": pl.String}))})
COSTS = ("BilledCost", "EffectiveCost", "x_NetCost")
# A row of a line: a part, as shown to a team.
ROW = ("x_SourceFile", "x_SourceRow", "x_AllocatedPart", "x_ShowbackTeam")


def lines_of(company: Company, month: date) -> pl.DataFrame:
    own = (pl.col("billing_period") == month) & pl.col("split_parent_resource_id").is_null()
    return company.lines().filter(own).collect()


def imported(file: Path, folder: Path) -> tuple[pl.DataFrame, Totals]:
    bill = Focus("again", Focus.Options(location=str(file)), folder, lambda _: None)
    (version,) = bill.versions()
    landed = bill.fetch(version)
    return pl.concat([frame.collect() for frame in bill.read(landed)[Fact.CHARGES]]), bill.totals(landed)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The real FOCUS file, run once."""
    if not SAMPLE.exists():
        pytest.skip("the real bills are not beside this checkout")
    made = Company(tmp_path_factory.mktemp("focus"))
    bills = made.folder / "bills"
    bills.mkdir()
    shutil.copy(SAMPLE, bills)
    made.configure(sources=[{"name": "sample", "type": "focus", "location": "bills"}])
    made.run()
    return made


@pytest.mark.parametrize("version", ["1.4", "1.3", "1.2", "1.0"])
def test_what_is_exported_breaks_no_rule_and_loses_no_cent(company: Company, tmp_path: Path, version: str) -> None:
    parquet, _ = write_focus(company.settings, AUGUST, tmp_path, version)
    rows = pl.read_parquet(parquet)
    assert violations(rows, version).rows() == []
    lines = lines_of(company, AUGUST)
    sums = lines.select("billed_cost", "effective_cost", "net_cost").sum().row(0)
    assert rows.select(COSTS).sum().row(0) == sums
    assert rows.select("x_SourceFile", "x_SourceRow").n_unique() == lines.height
    known = columns(version)
    assert all(rows.schema[name] == dtype(known[name].kind) for name in rows.columns if name in known)


def test_both_files_say_the_same(company: Company, tmp_path: Path) -> None:
    parquet, csv = write_focus(company.settings, JULY, tmp_path)
    assert (parquet.name, csv.name) == ("charges_focus.parquet", "charges_focus.csv")
    query = "select count(*), sum(BilledCost::decimal(38, 12)), sum(EffectiveCost::decimal(38, 12)) from "
    said = [
        duckdb.execute(f"{query} read_parquet(?)", [str(parquet)]).fetchall(),
        duckdb.execute(f"{query} read_csv(?, all_varchar = true)", [str(csv)]).fetchall(),
    ]
    assert said[0] == said[1]
    assert csv.read_text().splitlines()[1].count("T00:00:00Z") >= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [csv.name, parquet.name]


def test_an_export_read_as_a_bill_gives_the_same_figures(company: Company, tmp_path: Path) -> None:
    for version in ("1.4", "1.2"):
        for file in write_focus(company.settings, AUGUST, tmp_path / version, version):
            charges, totals = imported(file, tmp_path / "landing")
            lines = lines_of(company, AUGUST)
            for column in ("billed_cost", "effective_cost", "net_cost", "consumed_quantity"):
                assert charges[column].sum() == lines[column].sum(), (version, file, column)
            by_service = ["service_code", "charge_period_start"]
            sums = [
                frame.group_by(by_service).agg(pl.col("billed_cost").sum()).sort(by_service)
                for frame in (charges, lines)
            ]
            assert sums[0].equals(sums[1])
            assert totals.quantized["billed_cost"] == lines["billed_cost"].sum()


def test_an_export_gives_the_same_rows_in_the_same_order(company: Company, tmp_path: Path) -> None:
    once, again = (write_focus(company.settings, AUGUST, tmp_path / name)[0] for name in ("once", "again"))
    assert pl.read_parquet(once).equals(pl.read_parquet(again))


def test_tags_survive_the_export(company: Company, tmp_path: Path) -> None:
    _, csv = write_focus(company.settings, AUGUST, tmp_path)
    charges, _ = imported(csv, tmp_path / "landing")
    sets = [
        {tuple(sorted(dict(tags).items())) for tags in frame["tags"].drop_nulls()}
        for frame in (charges, lines_of(company, AUGUST))
    ]
    assert sets[0] == sets[1]
    assert len(sets[0]) > 10


def test_what_a_fee_left_unused_stands_on_a_row_of_its_own(company: Company, tmp_path: Path) -> None:
    parquet, _ = write_focus(company.settings, AUGUST, tmp_path)
    rows = pl.read_parquet(parquet)
    # A fee may have several owners; each has its part of what was billed and of what was unused.
    parted = rows.filter(pl.len().over(ROW) > 1).sort(*ROW, "ChargeCategory")
    fees, unused = parted[::2], parted[1::2]
    assert parted.height > 0
    assert set(fees["ChargeCategory"]) == {"Purchase"}
    assert set(fees["EffectiveCost"]) == {Decimal(0)}
    assert set(unused["ChargeCategory"]) == {"Usage"}
    assert set(unused["CommitmentDiscountStatus"]) == {"Unused"}
    assert set(unused["BilledCost"]) == {Decimal(0)}


def test_our_words_stand_beside_those_of_focus(company: Company, tmp_path: Path) -> None:
    parquet, _ = write_focus(company.settings, AUGUST, tmp_path)
    rows = pl.read_parquet(parquet)
    assert rows["x_AttributionRuleId"].null_count() == 0
    assert rows.filter(pl.col("x_Team").is_not_null() & pl.col("x_Dimensions").str.contains('"team":')).height > 0


@pytest.mark.parametrize("owner", ["Workload", "Team"])
def test_the_export_sums_to_the_mart(company: Company, tmp_path: Path, owner: str) -> None:
    costs = ["BilledCost", "EffectiveCost"]
    for month in (JULY, AUGUST):
        rows = pl.read_parquet(write_focus(company.settings, month, tmp_path)[0])
        ours = rows.group_by(f"x_{owner}").agg(pl.col(costs).sum()).sort(f"x_{owner}").rows()
        mart = f"select {owner}, sum(billed_cost), sum(effective_cost) from marts.costs_by_{owner}"
        assert ours == company.ask(f"{mart} where billing_period = '{month}' group by all order by 1 nulls first")
    assert rows["x_AllocationMethod"].n_unique() > 2


def test_each_team_s_rows_sum_to_what_the_mart_shows_it_to_the_last_digit(company: Company, tmp_path: Path) -> None:
    mart = (
        "select team, sum(showback_billed_cost), sum(showback_effective_cost), sum(showback_net_cost) "
        "from marts.costs_by_team where cost_basis = 'billed' and billing_period = '{}' group by all "
        "order by team nulls first"
    )
    for month in (JULY, AUGUST):
        rows = pl.read_parquet(write_focus(company.settings, month, tmp_path)[0])
        shown = rows.group_by("x_ShowbackTeam").agg(pl.col(COSTS).sum()).sort("x_ShowbackTeam").rows()
        assert shown == company.ask(mart.format(month))
        assert len(shown) > 2
    shared = rows.filter(pl.col("x_SharingPool").is_not_null())
    pools = company.ask(f"select distinct pool from computed.shared_costs where billing_period = '{AUGUST}'")
    assert set(shared["x_SharingPool"]) == {pool for (pool,) in pools}
    assert len(pools) > 2
    assert shared["x_Team"].null_count() == shared.height
    assert shared["AllocatedMethodId"].str.ends_with("showback_proportional").all()
    # Whether a row is to somebody or left over, and to whom.
    assert shared.filter(pl.col("x_ShowbackTeam").is_not_null() & pl.col("AllocatedResourceId").is_null()).is_empty()
    row = shared.filter(pl.col("x_ShowbackTeam") == "search").row(0, named=True)
    tags = json.loads(row["AllocatedTags"])
    assert (tags["apportion/team"], tags["apportion/pool"]) == ("search", row["x_SharingPool"])
    assert {"team=search", f"pool={row['x_SharingPool']}"} <= set(row["AllocatedResourceId"].split(", "))


def test_shared_lines_stay_whole_where_the_configuration_says_so(company: Company, tmp_path: Path) -> None:
    settings = company.settings.model_copy(update={"sharing": SharingSettings(by_line=False)})
    rows = pl.read_parquet(write_focus(settings, AUGUST, tmp_path)[0])
    assert rows["x_SharingPool"].null_count() == rows.height
    assert rows["x_ShowbackTeam"].equals(rows["x_Team"])
    assert rows.select(COSTS).sum().row(0) == lines_of(company, AUGUST).select(
        "billed_cost", "effective_cost", "net_cost"
    ).sum().row(0)


def test_a_line_of_several_owners_is_one_row_for_each(company: Company, tmp_path: Path) -> None:
    rows = pl.read_parquet(write_focus(company.settings, AUGUST, tmp_path)[0])
    place = ["x_SourceFile", "x_SourceRow"]
    parts = rows.filter(pl.col("x_AllocatedPart").is_not_null())
    assert parts.height > 0
    assert parts["AllocatedMethodId"].equals(parts["x_AllocationMethod"])
    assert parts.select(*ROW, "ChargeCategory").is_duplicated().sum() == 0
    assert parts.group_by(place).agg(pl.col("x_Workload").n_unique()).filter(pl.col("x_Workload") > 1).height > 0
    lines = lines_of(company, AUGUST).rename({"source_file": place[0], "source_row": place[1]})
    amounts = {"BilledCost": "billed_cost", "EffectiveCost": "effective_cost", "ConsumedQuantity": "consumed_quantity"}
    sums = rows.group_by(place).agg(pl.col(list(amounts)).sum()).join(lines, on=place)
    assert sums.height == lines.height
    for exported, native in amounts.items():
        assert sums.filter(pl.col(exported) != pl.col(native).fill_null(0)).height == 0, exported


def test_a_part_says_how_it_was_divided_to_whom_and_which_ratio_of_its_line(company: Company, tmp_path: Path) -> None:
    rows = pl.read_parquet(write_focus(company.settings, AUGUST, tmp_path)[0])
    told = [name for name in rows.columns if name.startswith("Allocated")]
    assert told == [f"Allocated{name}" for name in ("MethodDetails", "MethodId", "ResourceId", "ResourceName", "Tags")]
    whole = rows.filter(pl.col("x_AllocatedPart").is_null())
    assert whole.height > 0
    assert whole.select(pl.col(told).is_not_null().any()).row(0) == (False,) * 5
    parts = rows.filter(pl.col("x_AllocatedPart").is_not_null())
    for name in ("AllocatedMethodDetails", "AllocatedMethodId"):
        assert parts[name].null_count() == 0
    left_over = parts["AllocatedResourceId"].is_null()
    of_nobody = parts["x_Workload"].is_in(["unattributed", "shared"]) & parts["x_ShowbackTeam"].is_null()
    assert left_over.equals(of_nobody)
    owned = parts.filter(~left_over)
    assert 0 < owned.height < parts.height
    for row in owned.head(200).iter_rows(named=True):
        tags = json.loads(row["AllocatedTags"])
        assert tags["apportion/workload"] == row["x_Workload"]
        assert tags.get("apportion/team") == row["x_ShowbackTeam"]
        assert not tags.keys() & json.loads(row["Tags"]).keys()
    ratio = pl.col("AllocatedMethodDetails").str.json_decode(ELEMENTS).struct[0].list.first().struct[0].cast(MONEY)
    place = ["x_SourceFile", "x_SourceRow", "ChargeCategory"]
    found = parts.with_columns(ratio=ratio, whole=pl.col("EffectiveCost").sum().over(place))
    assert set(found.group_by(place).agg(pl.col("ratio").sum())["ratio"]) == {Decimal(1)}
    off = pl.col("ratio").cast(pl.Float64) * pl.col("whole").cast(pl.Float64) - pl.col("EffectiveCost").cast(pl.Float64)
    assert found.filter(off.abs() > 1e-6).is_empty()
    # A resource is one of its line's parts.
    assert owned.group_by(*place, "AllocatedResourceId").len()["len"].max() == 1


def test_an_unknown_version_or_month_is_refused(company: Company, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"Choose one of 1\.0, 1\.1"):
        write_focus(company.settings, AUGUST, tmp_path, "2.0")
    with pytest.raises(NotFound, match="Months there are: 2026-07, 2026-08"):
        write_focus(company.settings, date(2020, 1, 1), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_data
def test_a_real_file_runs_to_a_report_that_reconciles(sample: Company) -> None:
    (both,) = sample.ask("select sum(lines_loaded), sum(billed_cost_loaded), sum(difference) from marts.reconciliation")
    assert both == (1000, Decimal("20.520226728990"), 0)
    found = {rule for (rule,) in sample.ask("select distinct attribution_rule_id from computed.attributions")}
    assert {"ai-of-unknown-purpose", "azure-machine-learning-storage", "not-ai"} <= found
    hours = sample.ask("select accelerator, workload, gpu_hours from marts.gpu_idle_costs where accelerator = 'A10G'")
    assert hours == [("A10G", "unattributed", Decimal("6.283056000000"))]


@pytest.mark.real_data
@pytest.mark.parametrize("version", ["1.4", "1.2"])
def test_a_real_file_comes_back_conformant_with_the_same_figures(sample: Company, tmp_path: Path, version: str) -> None:
    file = pl.read_csv(SAMPLE, infer_schema=False, null_values=["NULL"])
    native = file.filter(pl.col("BillingPeriodStart") == "2024-09-01 00:00:00")
    parquet, csv = write_focus(sample.settings, date(2024, 9, 1), tmp_path, version)
    assert violations(pl.read_parquet(parquet), version).rows() == []
    charges, _ = imported(csv, tmp_path / "landing")
    for column, name in {
        "billed_cost": "BilledCost",
        "effective_cost": "EffectiveCost",
        "list_cost": "ListCost",
    }.items():
        amounts: list[Any] = native[name].to_list()
        assert charges[column].sum() == sum(map(Decimal, amounts))


@pytest.mark.real_data
def test_the_known_defects_of_the_real_file_are_found() -> None:
    if not SAMPLE.exists():
        pytest.skip("the real bills are not beside this checkout")
    known = columns("1.0")
    text = pl.read_csv(SAMPLE, infer_schema=False, null_values=["NULL"])
    rows = text.with_columns(
        pl.col(name).cast(dtype("Decimal"))
        if known[name].kind == "Decimal"
        else pl.col(name).str.to_datetime(time_zone="UTC")
        for name in text.columns
        if name in known and known[name].kind in {"Decimal", "DateTime"}
    )
    found = violations(rows, "1.0").group_by("column", "rule").len()
    counts = {(column, rule): count for column, rule, count in found.rows()}
    assert counts["Id", "is not a column of this version, and has no x_"] == 1
    assert counts["ChargeFrequency", "must be an allowed value"] == 7
    assert counts["ContractedCost", "must not be null"] == 7
    assert counts["ContractedCost", "must be ContractedUnitPrice × PricingQuantity"] > 0
    assert ("ListCost", "must not be null") not in counts
