from __future__ import annotations

import ast
import json
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from examples.bill import WORKLOAD_TAGS, says_another_workload
from examples.sample import main, write_sample

pytestmark = pytest.mark.pipeline

MONTHS = ("2026-07", "2026-08", "2026-09")
LINE_TYPE = pl.col("line_item_line_item_type")
EXPORT = "meridian-cur"
write_aws = partial(write_sample, gcp=False, tokens=False, gpu=False)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_aws(folder)
    return folder


def manifest(folder: Path, month: str) -> dict[str, Any]:
    path = folder / "bills" / EXPORT / "metadata" / f"BILLING_PERIOD={month}" / f"{EXPORT}-Manifest.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def bill(folder: Path, month: str) -> pl.DataFrame:
    files = manifest(folder, month)["dataFiles"]
    return pl.read_parquet([folder / "bills" / uri.removeprefix("s3://meridian-billing/exports/") for uri in files])


def truth(folder: Path, month: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "truth" / f"{month}.parquet")


def with_truth(folder: Path, month: str) -> pl.DataFrame:
    return bill(folder, month).join(truth(folder, month), on="identity_line_item_id", validate="1:1")


def effective_cost() -> pl.Expr:
    fee = pl.col("savings_plan_total_commitment_to_date") - pl.col("savings_plan_used_commitment")
    unused = "reservation_net_unused_amortized_upfront_fee_for_billing_period"
    return (
        pl.when(LINE_TYPE == "SavingsPlanCoveredUsage")
        .then(pl.col("savings_plan_net_savings_plan_effective_cost"))
        .when(LINE_TYPE.is_in(["SavingsPlanNegation", "SavingsPlanUpfrontFee", "BundledDiscount", "EdpDiscount"]))
        .then(0.0)
        .when(LINE_TYPE == "SavingsPlanRecurringFee")
        .then(fee)
        .when(LINE_TYPE == "DiscountedUsage")
        .then(pl.col("reservation_net_effective_cost"))
        .when(LINE_TYPE == "RIFee")
        .then(pl.col(unused) + pl.col("reservation_net_unused_recurring_fee"))
        .when((LINE_TYPE == "Fee") & (pl.col("reservation_reservation_a_r_n") != ""))
        .then(0.0)
        .otherwise(pl.col("line_item_net_unblended_cost"))
    )


def total(lines: pl.DataFrame, amount: str | pl.Expr = "cost") -> float:
    return float(lines.select((pl.col(amount) if isinstance(amount, str) else amount).sum()).item())


def dollars(folder: Path, month: str) -> dict[str, float]:
    by_workload = with_truth(folder, month).group_by("workload").agg(effective_cost().sum().alias("cost"))
    return dict(by_workload.iter_rows())


def test_same_seed_writes_the_same_frames_and_another_seed_does_not(sample: Path, tmp_path: Path) -> None:
    write_aws(tmp_path / "again")
    write_aws(tmp_path / "other", seed=8, months=[date(2026, 7, 1)])
    for month in MONTHS:
        assert_frame_equal(bill(sample, month), bill(tmp_path / "again", month), check_exact=True)
        assert_frame_equal(truth(sample, month), truth(tmp_path / "again", month), check_exact=True)
        assert manifest(sample, month) == manifest(tmp_path / "again", month)
    assert not bill(sample, "2026-07").equals(bill(tmp_path / "other", "2026-07"))


def test_restated_month_keeps_both_deliveries_and_its_manifest_names_only_the_second(sample: Path) -> None:
    folders = sorted((sample / "bills" / EXPORT / "data" / "BILLING_PERIOD=2026-08").iterdir())
    named = manifest(sample, "2026-08")
    assert len(folders) == 2
    assert all(folders[1].name in uri for uri in named["dataFiles"])
    assert folders[1].name.endswith(named["executionId"])
    first, second = (pl.read_parquet(folder / "*.parquet") for folder in folders)
    assert set(first["bill_invoice_id"]) == {""}
    assert "" not in set(second["bill_invoice_id"])
    assert not set(first["identity_line_item_id"]) & set(second["identity_line_item_id"])
    assert second.height == first.height + 2
    assert first["line_item_unblended_cost"].sum() != pytest.approx(second["line_item_unblended_cost"].sum())


def test_one_delivery_leaves_the_restated_month_as_it_first_came(sample: Path, tmp_path: Path) -> None:
    write_aws(tmp_path, months=[date(2026, 8, 1)], deliveries=1)
    folders = sorted((sample / "bills" / EXPORT / "data" / "BILLING_PERIOD=2026-08").iterdir())
    assert_frame_equal(bill(tmp_path, "2026-08"), pl.read_parquet(folders[0] / "*.parquet"), check_exact=True)
    assert with_truth(tmp_path, "2026-08").height == bill(tmp_path, "2026-08").height


def test_bills_are_final_until_the_open_month(sample: Path) -> None:
    assert "" not in set(bill(sample, "2026-07")["bill_invoice_id"])
    assert set(bill(sample, "2026-09")["bill_invoice_id"]) == {""}


def test_manifest_names_the_columns_of_the_files_in_order(sample: Path) -> None:
    for month in MONTHS:
        lines = bill(sample, month)
        names = {"double": pl.Float64(), "string": pl.String(), "timestamp": pl.Datetime("ms")}
        names |= {f"map<string,{kind}>": pl.Map(pl.String, names[kind]) for kind in ("string", "double")}
        columns = manifest(sample, month)["columns"]
        assert {column["name"]: names[column["type"]] for column in columns} == dict(lines.schema)
        assert [column["name"] for column in columns] == lines.columns


def test_every_line_has_exactly_one_truth(sample: Path) -> None:
    for month in MONTHS:
        ids = bill(sample, month)["identity_line_item_id"]
        assert ids.n_unique() == len(ids)
        assert sorted(ids) == sorted(truth(sample, month)["identity_line_item_id"])


@pytest.mark.parametrize("month", MONTHS)
def test_negations_take_back_what_the_savings_plan_covers(sample: Path, month: str) -> None:
    lines = bill(sample, month)
    offset = lines.filter(LINE_TYPE.is_in(["SavingsPlanCoveredUsage", "SavingsPlanNegation"]))
    keys = ("line_item_usage_start_date", "line_item_usage_account_id", "line_item_usage_type")
    left = offset.group_by(keys).agg(pl.col("line_item_unblended_cost").sum())["line_item_unblended_cost"]
    assert offset.height > 0
    assert abs(total(offset, "line_item_unblended_cost")) < 1e-6
    assert left.abs().sum() < 1e-6
    assert set(offset.filter(LINE_TYPE == "SavingsPlanNegation")["line_item_resource_id"]) == {""}


@pytest.mark.parametrize("month", MONTHS)
def test_covered_and_unused_commitment_make_the_whole_commitment_every_hour(sample: Path, month: str) -> None:
    lines = bill(sample, month)
    covered = pl.col("savings_plan_savings_plan_effective_cost")
    unused = pl.col("savings_plan_total_commitment_to_date") - pl.col("savings_plan_used_commitment")
    paid = pl.col("savings_plan_recurring_commitment_for_billing_period") + pl.col(
        "savings_plan_amortized_upfront_commitment_for_billing_period"
    )
    plan = lines.filter(LINE_TYPE.is_in(["SavingsPlanCoveredUsage", "SavingsPlanRecurringFee"]))
    hours = plan.group_by("line_item_usage_start_date").agg((covered + unused - paid).sum().abs().alias("difference"))
    assert hours.filter(pl.col("difference") > 1e-9).is_empty()
    assert abs(total(plan, covered + unused - paid)) < 1e-6
    assert plan.select((unused > 1).mean()).item() > 0.05
    assert plan.filter(unused < -1e-9).is_empty()


def test_savings_plan_covers_gpus_and_web_servers_alike(sample: Path) -> None:
    covered = with_truth(sample, "2026-07").filter(LINE_TYPE == "SavingsPlanCoveredUsage")
    assert set(covered["workload"]) == {"inference", "not_ai"}


def test_split_rows_add_no_money_and_repeat_their_nodes(sample: Path) -> None:
    lines = bill(sample, "2026-07")
    pods = lines.filter(pl.col("line_item_operation") == "EKSPod-EC2")
    nodes = lines.filter(pl.col("line_item_resource_id").is_in(pods["split_line_item_parent_resource_id"].implode()))
    said_again = total(pods, pl.col("split_line_item_split_cost") + pl.col("split_line_item_unused_cost"))
    assert pods["line_item_unblended_cost"].sum() == 0
    assert said_again == pytest.approx(nodes["line_item_unblended_cost"].sum())
    assert pods["split_line_item_unused_cost"].sum() > 0


@pytest.mark.parametrize("month", MONTHS)
def test_net_columns_are_the_gross_ones_after_every_discount(sample: Path, month: str) -> None:
    lines = bill(sample, month).filter(~LINE_TYPE.is_in(["BundledDiscount", "EdpDiscount"]))
    net = pl.col("line_item_unblended_cost") + pl.col("discount_total_discount")
    assert lines.select((net - pl.col("line_item_net_unblended_cost")).abs().max()).item() < 1e-9
    parts = pl.col("discount").map.get("edp_discount").fill_null(0.0) + pl.col("discount_bundled_discount")
    assert lines.select((parts - pl.col("discount_total_discount")).abs().max()).item() < 1e-9


@pytest.mark.parametrize("lines", [None, 1_500, 110_000])
def test_enterprise_discount_stands_on_lines_of_its_own_too(sample: Path, tmp_path: Path, lines: int | None) -> None:
    folder = sample if lines is None else tmp_path
    if lines is not None:
        write_aws(folder, lines=lines)
    owner = ["line_item_usage_account_id", "line_item_product_code"]
    named = ["product_servicecode", "product_name", "bill_billing_entity"]
    blank = ["line_item_resource_id", "line_item_usage_type", "line_item_operation"]
    for month in MONTHS:
        bills = with_truth(folder, month).with_columns(
            edp=pl.col("discount").map.get("edp_discount").fill_null(0.0),
            product_name=pl.col("product").map.get("product_name"),
        )
        discounts = bills.filter(LINE_TYPE == "EdpDiscount")
        discounted = bills.filter(pl.col("edp") != 0).group_by(owner).agg(pl.col(named).unique(), pl.col("edp").sum())
        both = discounts.join(discounted.explode(named), on=[*owner, *named], how="full", suffix="_inside")
        assert both.height == discounts.height == discounted.height > 0
        assert both.select((pl.col("line_item_unblended_cost") - pl.col("edp_inside")).abs().max()).item() < 1e-6
        assert abs(total(bills, "line_item_unblended_cost") - total(bills, "line_item_net_unblended_cost")) < 1e-6
        assert total(discounts, pl.col("line_item_net_unblended_cost").abs()) == 0
        assert discounts.select(pl.col(blank).unique()).rows() == [("", "", "")]
        assert discounts.select((pl.col("resource_tags").map.keys().list.len()).sum()).item() == 0
        assert discounts.select("workload", "team", "evidence_possible").unique().rows() == [("shared", None, False)]
        for end in ("start", "end"):
            period = discounts[f"bill_billing_period_{end}_date"]
            assert discounts[f"line_item_usage_{end}_date"].equals(period)


def test_bundled_discount_stands_on_its_line_and_in_the_usage_it_discounts(sample: Path) -> None:
    lines = bill(sample, "2026-07")
    line = lines.filter(LINE_TYPE == "BundledDiscount")
    assert line.height == 1
    assert line["line_item_unblended_cost"].sum() == pytest.approx(lines["discount_bundled_discount"].sum())


def test_one_workload_tag_in_twenty_is_wrong_or_misspelt(sample: Path) -> None:
    lines = pl.concat(with_truth(sample, month) for month in MONTHS)
    tagged = lines.with_columns(tag=pl.col("resource_tags").map.get("user_workload")).filter(
        pl.col("tag").is_not_null()
    )
    bad = tagged.filter(pl.col("tag") != pl.col("workload").replace_strict(WORKLOAD_TAGS))
    wrong = [says_another_workload(tag, workload) for tag, workload in bad.select("tag", "workload").iter_rows()]
    assert bad.height / tagged.height == pytest.approx(0.05, abs=0.01)
    assert sum(wrong) / bad.height == pytest.approx(0.2, abs=0.05)
    assert total(bad.filter(pl.Series(wrong)), effective_cost()) < 2_000


def test_about_half_of_ai_dollars_carry_a_workload_tag(sample: Path) -> None:
    lines = with_truth(sample, "2026-07").filter(~pl.col("workload").is_in(["shared", "not_ai"]))
    lines = lines.with_columns(cost=effective_cost(), tag=pl.col("resource_tags").map.get("user_workload"))
    tagged = lines.filter(pl.col("tag").is_not_null())
    assert total(tagged) / total(lines) == pytest.approx(0.5, abs=0.05)


def test_without_tagging_only_tags_of_amazons_own_say_anything(tmp_path: Path) -> None:
    write_aws(tmp_path, months=[date(2026, 7, 1)], tagging="none")
    lines = with_truth(tmp_path, "2026-07")
    keys = set(lines["resource_tags"].map.keys().explode().drop_nulls())
    assert {"aws_eks_cluster_name", "aws_autoscaling_group_name"} <= keys
    assert not {"user_workload", "user_team"} & keys
    tuning = lines.filter((pl.col("workload") == "fine_tuning") & (pl.col("line_item_product_code") == "AmazonEC2"))
    assert not tuning["evidence_possible"].any()


@pytest.mark.parametrize(("month", "inference"), [("2026-07", 0.62), ("2026-08", 0.65), ("2026-09", 0.68)])
def test_inference_grows_into_two_thirds_of_ai_spend(sample: Path, month: str, inference: float) -> None:
    cost = dollars(sample, month)
    purposes = cost["inference"] + cost["training"] + cost["fine_tuning"]
    assert cost["inference"] / purposes == pytest.approx(inference, abs=0.01)
    assert cost["fine_tuning"] / purposes == pytest.approx(0.075, abs=0.01)
    ai = purposes + cost["storage"] + cost["development"]
    assert ai / sum(cost.values()) == pytest.approx(0.76, abs=0.03)
    assert 1_200_000 < sum(cost.values()) < 1_800_000


@pytest.mark.parametrize("month", MONTHS)
def test_a_tenth_of_ai_dollars_cannot_be_told_from_the_bill(sample: Path, month: str) -> None:
    lines = with_truth(sample, month).with_columns(cost=effective_cost())
    ai = lines.filter(~pl.col("workload").is_in(["shared", "not_ai"]))
    hidden = ai.filter(~pl.col("evidence_possible"))
    assert 0.08 < total(hidden) / total(ai) < 0.12


def test_idle_money_of_every_billed_kind_is_planted(sample: Path) -> None:
    planted = set(truth(sample, "2026-07")["idle_reason"].drop_nulls())
    assert planted == {"unused_reservation", "unused_commitment", "warm_pool", "unused_throughput"}


def test_hostile_tags_are_planted_on_ordinary_services(sample: Path) -> None:
    owners = with_truth(sample, "2026-07").select("workload", owner=pl.col("resource_tags").map.get("user_owner"))
    hostile = owners.drop_nulls("owner")
    assert set(hostile["workload"]) == {"not_ai"}
    assert any('"' in owner and "\n" in owner for owner in hostile["owner"])
    assert any("<script>" in owner for owner in hostile["owner"])


@pytest.mark.parametrize("lines", [1_500, 20_000, 110_000])
def test_sample_has_the_lines_asked_for_and_still_spends_what_the_company_spends(
    sample: Path, tmp_path: Path, lines: int
) -> None:
    write_aws(tmp_path, lines=lines)
    assert sum(bill(tmp_path, month).height for month in MONTHS) == lines
    asked, whole = dollars(tmp_path, "2026-08"), dollars(sample, "2026-08")
    assert asked["inference"] == pytest.approx(whole["inference"])
    assert sum(asked.values()) == pytest.approx(sum(whole.values()), rel=0.01)


def test_too_few_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"2026-07 needs at least \d+ lines, not 3"):
        write_aws(tmp_path, lines=10)


def test_command_line_writes_a_sample(tmp_path: Path) -> None:
    main(
        [
            "--out",
            str(tmp_path),
            "--lines",
            "1500",
            "--seed",
            "3",
            "--tagging",
            "none",
            "--no-gcp",
            "--no-gpu",
            "--no-tokens",
        ]
    )
    assert {path.name for path in tmp_path.iterdir()} == {"bills", "truth"}


def test_sample_imports_nothing_of_the_product() -> None:
    allowed = {"examples", "polars", "pyarrow"}
    product = {"models", "connectors", "pipelines", "dbt_like_sql"}
    for path in (Path(__file__).parents[2] / "examples").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names}
            assert not roots & product, path.name
            assert roots <= allowed | sys.stdlib_module_names, path.name
