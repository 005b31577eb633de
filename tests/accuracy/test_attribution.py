"""Attribution against the sample company's truth, which no rule has seen, by effective dollars of use."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from examples.sample import write_sample
from models.workloads import Workload
from pipelines.cli.run import run_settings
from pipelines.settings import Settings
from pipelines.warehouse.database import opened

pytestmark = pytest.mark.pipeline

AI = ("training", "fine_tuning", "inference", "storage", "development")
LINES = """
select source_file, source_row, workload, evidence, attribution_rule_id, usage_type, resource_name, accelerator,
    effective_cost::double as cost
from ledger.charges
where charge_category = 'Usage' and split_parent_resource_id is null
"""


def judged(folder: Path, tagging: Literal["half", "none"]) -> pl.DataFrame:
    """Give every line of use with what we say (`workload`) and what is true (`truth`)."""
    write_sample(folder, tagging=tagging)
    shutil.copy(str(files("examples") / "apportion.yaml"), folder)
    assert run_settings(Settings.load(folder / "apportion.yaml")) == 0
    with opened(folder / ".apportion" / "warehouse.duckdb", read_only=True) as connection:
        lines: pl.DataFrame = connection.sql(LINES).pl()
    truth = []
    for file in lines["source_file"].unique():
        month = next(part.rpartition("=")[2] for part in file.split("/") if part.startswith("BILLING_PERIOD="))
        native = pl.read_parquet(folder / "bills" / file, columns=["identity_line_item_id"])
        numbered = native.with_row_index("source_row", offset=1).with_columns(
            pl.col("source_row").cast(pl.Int64), source_file=pl.lit(file)
        )
        known = pl.read_parquet(folder / "truth" / f"{month}.parquet").rename({"workload": "truth"})
        truth.append(numbered.join(known.select("identity_line_item_id", "truth"), on="identity_line_item_id"))
    both = lines.join(pl.concat(truth), on=["source_file", "source_row"])
    assert both.height == lines.height
    return both


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return judged(tmp_path_factory.mktemp("tagged"), "half")


@pytest.fixture(scope="module")
def untagged(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return judged(tmp_path_factory.mktemp("untagged"), "none")


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
    for lines in (tagged, untagged):
        billed = lines.filter(pl.col("evidence") == "billed")
        assert billed.filter(pl.col("workload") != pl.col("truth"))["cost"].sum() == 0, worst(billed)


def test_tags_only_ever_add_to_what_is_known(tagged: pl.DataFrame, untagged: pl.DataFrame) -> None:
    def known(lines: pl.DataFrame) -> float:
        return float(lines.filter(pl.col("workload").is_in(AI))["cost"].sum())

    assert known(tagged) > known(untagged)


def test_hardware_alone_says_nothing_about_purpose(untagged: pl.DataFrame) -> None:
    machines = untagged.filter(pl.col("accelerator").is_not_null(), pl.col("usage_type").str.contains("BoxUsage:"))
    unexplained = machines.filter(pl.col("evidence") == "none")
    assert set(unexplained["workload"]) == {"unattributed"}
