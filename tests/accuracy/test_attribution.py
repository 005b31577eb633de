"""Attribution against the sample company's truth, which no rule has seen, by effective dollars of use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from models.workloads import Workload
from pipelines.ledger.load import load
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.assets import Progress, refresh_months
from pipelines.orchestration.plan import changed_versions
from pipelines.settings import Settings
from pipelines.warehouse.build import show_lines
from pipelines.warehouse.database import opened, warehouse
from tests.cli.conftest import made

pytestmark = pytest.mark.pipeline

AI = ("training", "fine_tuning", "inference", "storage", "development")
GCP = "gcp_billing_export_resource_v1_"
LINES = """
select source, source_file, source_row, workload, evidence, attribution_rule_id, usage_type, resource_name, accelerator,
    billing_currency, effective_cost::double as cost
from ledger.charges
where charge_category = 'Usage' and split_parent_resource_id is null
    -- The bill of a model's own API says what it is for; truth line by line is of the clouds.
    and source != 'openai'
"""


def asked(folder: Path, question: str) -> pl.DataFrame:
    with opened(folder / ".apportion" / "warehouse.duckdb", read_only=True) as connection:
        answer: pl.DataFrame = connection.sql(question).pl()
    return answer


def judged(folder: Path) -> pl.DataFrame:
    """Give every line of use with what we say (`workload`) and what is true (`truth`), cost in dollars."""
    rates = {rate.currency: float(rate.rate) for rate in Settings.load(folder / "apportion.yaml").exchange_rates}
    rate = pl.col("billing_currency").replace_strict({"USD": 1.0, **rates})
    lines = asked(folder, LINES).with_columns(pl.col("cost") * rate)
    truth = pl.concat([_truth_of_aws(folder, lines), _truth_of_gcp(folder)])
    both = lines.join(truth, on=["source", "source_file", "source_row"])
    assert both.height == lines.height
    return both


def _truth_of_aws(folder: Path, lines: pl.DataFrame) -> pl.DataFrame:
    """Give the truth of each line by the id that the bill prints."""
    truth = []
    for file in lines.filter(source="aws")["source_file"].unique():
        month = next(part.rpartition("=")[2] for part in file.split("/") if part.startswith("BILLING_PERIOD="))
        native = pl.read_parquet(folder / "bills" / file, columns=["identity_line_item_id"])
        numbered = native.with_row_index("source_row", offset=1).with_columns(source_file=pl.lit(file))
        known = pl.read_parquet(folder / "truth" / f"{month}.parquet")
        truth.append(numbered.join(known, on="identity_line_item_id"))
    return _named(pl.concat(truth, how="diagonal_relaxed"), "aws")


def _truth_of_gcp(folder: Path) -> pl.DataFrame:
    """Give the truth of each line by file and row; a billing account's table is a source of its own."""
    truth = []
    for source in Settings.load(folder / "apportion.yaml").sources:
        table = str(source.model_dump().get("location", "")).rpartition("/")[2]
        known = pl.read_parquet(folder / "truth" / "gcp-*.parquet").rename({"file": "source_file", "row": "source_row"})
        if table.startswith(GCP):
            own = known.filter(pl.col("source_file").str.starts_with(table))
            truth.append(_named(own.with_columns(pl.col("source_file").str.strip_prefix(f"{table}/")), source.name))
    return pl.concat(truth)


def _named(truth: pl.DataFrame, source: str) -> pl.DataFrame:
    return truth.select(
        pl.lit(source).alias("source"),
        "source_file",
        pl.col("source_row").cast(pl.Int64),
        "evidence_possible",
        truth=pl.col("workload"),
    )


@pytest.fixture(scope="module")
def tagged(company: Path) -> pl.DataFrame:
    return judged(company)


@pytest.fixture(scope="module")
def untagged(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The lines of the bills alone, loaded and tagged; nothing else of a run is judged here."""
    folder = tmp_path_factory.mktemp("untagged")
    clouds = ("aws", "gcp", "gcp_europe")
    settings = Settings.load(made(folder, tagging="none", sources=clouds).config)
    ledger = Ledger.of(settings)
    for source in map(settings.open, clouds):
        for version in changed_versions(ledger, source):
            load(ledger, source, version)
    with warehouse(settings) as connection:
        refresh_months(settings, connection, Progress())
        show_lines(connection, ledger)
    return judged(folder)


def shares(lines: pl.DataFrame, of: str) -> Mapping[str, float]:
    """Give per workload in a column the share of its dollars on which we and the truth agree."""
    right = pl.col("cost").filter(pl.col("workload") == pl.col("truth")).sum()
    return dict(lines.group_by(of).agg(right / pl.col("cost").sum()).iter_rows())


def worst(lines: pl.DataFrame) -> str:
    """Show the dearest mistakes, for whoever has to find out why."""
    wrong = lines.filter(pl.col("workload") != pl.col("truth"), pl.col("workload") != Workload.UNATTRIBUTED)
    by = ["workload", "truth", "evidence", "attribution_rule_id", "usage_type", "resource_name"]
    return str(wrong.group_by(by).agg(pl.col("cost").sum()).sort("cost", descending=True).head(10).to_dicts())


def test_with_tags_precision_is_99_percent_in_every_ai_workload(tagged: pl.DataFrame) -> None:
    precision, recall = shares(tagged, "workload"), shares(tagged, "truth")
    print({workload: (round(precision[workload], 4), round(recall[workload], 4)) for workload in AI})  # noqa: T201
    assert min(precision[workload] for workload in AI) >= 0.99, worst(tagged)


def test_without_tags_precision_is_95_percent_in_every_ai_workload(untagged: pl.DataFrame) -> None:
    precision, recall = shares(untagged, "workload"), shares(untagged, "truth")
    print({workload: (round(precision[workload], 4), round(recall[workload], 4)) for workload in AI})  # noqa: T201
    assert min(precision[workload] for workload in AI) >= 0.95, worst(untagged)


def test_what_we_call_not_ai_is_hardly_ever_ai(tagged: pl.DataFrame, untagged: pl.DataFrame) -> None:
    for lines in (tagged, untagged):
        assert shares(lines, "workload")["not_ai"] >= 0.95, worst(lines)


def test_money_that_is_not_ai_is_never_called_ai(tagged: pl.DataFrame, untagged: pl.DataFrame) -> None:
    for lines in (tagged, untagged):
        assert lines.filter(pl.col("truth") == "not_ai", pl.col("workload") != "not_ai")["cost"].sum() == 0


def test_billed_evidence_is_never_wrong(tagged: pl.DataFrame, untagged: pl.DataFrame) -> None:
    # Tokens that an evaluation used are inference to every reader of a bill on which nobody labelled the evaluation.
    unlabelled = (pl.col("truth") == "development") & ~pl.col("evidence_possible")
    for lines in (tagged, untagged.filter(~unlabelled)):
        billed = lines.filter(pl.col("evidence") == "billed")
        assert billed.filter(pl.col("workload") != pl.col("truth"))["cost"].sum() == 0, worst(billed)


@pytest.mark.parametrize("sample", ["tagged", "untagged"])
def test_both_clouds_are_judged(sample: str, request: pytest.FixtureRequest) -> None:
    lines: pl.DataFrame = request.getfixturevalue(sample)
    spent = dict(lines.filter(pl.col("truth").is_in(AI)).group_by("source").agg(pl.col("cost").sum()).iter_rows())
    assert set(spent) == {"aws", "gcp", "gcp_europe"}
    assert spent["gcp"] > 0.15 * sum(spent.values())


def test_tags_only_ever_add_to_what_is_known(tagged: pl.DataFrame, untagged: pl.DataFrame) -> None:
    def known(lines: pl.DataFrame) -> float:
        return float(lines.filter(pl.col("workload").is_in(AI))["cost"].sum())

    assert known(tagged) > known(untagged)


def test_hardware_alone_says_nothing_about_purpose(untagged: pl.DataFrame) -> None:
    machines = untagged.filter(pl.col("accelerator").is_not_null(), pl.col("usage_type").str.contains("BoxUsage:"))
    unexplained = machines.filter(pl.col("evidence") == "none")
    assert set(unexplained["workload"]) == {"unattributed"}


NEIGHBORS = """
select usage_type, workload, evidence, accelerator, sum(effective_cost)::double as cost
from intermediate.int_charges_allocated
where source = 'gcp' and charge_category = 'Usage' and regexp_matches(usage_type, 'DWS|^N1')
group by all
"""


def test_machines_are_whole_and_know_what_the_lines_beside_them_know(company: Path, tagged: pl.DataFrame) -> None:
    # Cores, memory and disks name no accelerator; on flex-start no line of a machine says what it was for.
    parts = asked(company, NEIGHBORS)
    told = tagged.filter(pl.col("source") == "gcp", pl.col("usage_type").str.contains("DWS|^N1"))
    assert told.filter(pl.col("truth") == pl.col("workload")).is_empty()
    assert set(parts.select("accelerator", "workload", "evidence").iter_rows()) == {
        ("H100", "training", "inferred"),
        ("T4", "development", "inferred"),
    }
    true = dict(told.group_by("truth").agg(pl.col("cost").sum()).iter_rows())
    said = dict(parts.group_by("workload").agg(pl.col("cost").sum()).iter_rows())
    assert said == pytest.approx(true)


def test_google_s_money_by_invoice_month_project_and_service_is_what_duckdb_makes_of_the_raw_rows(
    company: Path,
) -> None:
    files_of = f"{company}/gcp/*/*.parquet"
    raw = f"""
    select invoice.month, project.id, service.id, count(*)::bigint,
        sum(round_even(cost::varchar::decimal(38, 20), 12))
        + sum(coalesce(list_sum([round_even(one.amount::varchar::decimal(38, 20), 12) for one in credits]), 0))
    from read_parquet('{files_of}') group by all order by all
    """
    ours = """
    select strftime(billing_period, '%Y%m'), sub_account_id, service_code, count(*)::bigint, sum(billed_cost)
    from ledger.charges where source like 'gcp%' group by all order by all
    """
    assert asked(company, ours).rows() == asked(company, raw).rows()
