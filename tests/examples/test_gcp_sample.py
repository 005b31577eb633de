from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from examples.gcp import write
from examples.gcp_columns import EXPORT
from examples.sample import main
from models.attribution import attribute
from models.dimensions import AiScope, Dimensions, tag_column
from models.rulebook import Rulebook

pytestmark = pytest.mark.pipeline

MONTHS = ("202607", "202608", "202609")
REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "gcp" / "billing_export_schema.json"
AMOUNTS = pl.element().struct.field("amount").cast(pl.Decimal(38, 6))
COST = pl.col("cost").cast(pl.Decimal(38, 6))
CREDITED = pl.col("credits").list.eval(AMOUNTS).list.sum().fill_null(0)
INVOICE = pl.col("invoice").struct.field("month")
SKU = pl.col("sku").struct.field("description")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write(folder)
    return folder


def files(folder: Path) -> list[Path]:
    return sorted((folder / "gcp").rglob("*.parquet"))


def bill(folder: Path) -> pl.DataFrame:
    frames = []
    for path in files(folder):
        frame = pl.read_parquet(path).with_row_index("row", offset=1).with_columns(pl.col("row").cast(pl.Int64))
        frames.append(frame.with_columns(file=pl.lit(path.relative_to(folder / "gcp").as_posix())))
    return pl.concat(frames)


def truth(folder: Path, month: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "truth" / f"gcp-{month[:4]}-{month[4:]}.parquet")


@pytest.fixture(scope="module")
def lines(folder: Path) -> pl.DataFrame:
    known = pl.concat(truth(folder, month) for month in MONTHS)
    return bill(folder).join(known, on=["file", "row"], validate="1:1", how="left", maintain_order="left")


def total(lines: pl.DataFrame, column: str) -> float:
    return float(lines[column].sum())


def test_same_seed_writes_the_same_frames_and_another_seed_does_not(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "again")
    write(tmp_path / "other", seed=8, months=[date(2026, 7, 1)])
    assert_frame_equal(bill(folder), bill(tmp_path / "again"), check_exact=True)
    assert_frame_equal(truth(folder, "202608"), truth(tmp_path / "again", "202608"), check_exact=True)
    first = bill(folder).filter(INVOICE.eq("202607"))["cost"]
    assert first.sum() != bill(tmp_path / "other")["cost"].sum()


def test_every_line_has_exactly_one_truth_under_its_invoice_month(folder: Path, lines: pl.DataFrame) -> None:
    assert 15_000 < lines.height <= 20_000
    assert lines["workload"].null_count() == 0
    for month in MONTHS:
        assert truth(folder, month).height == lines.filter(INVOICE.eq(month)).height


@pytest.mark.real_data
@pytest.mark.skipif(not REFERENCE.is_file(), reason="needs the reference beside the checkout")
def test_files_have_the_columns_of_the_detailed_export(folder: Path) -> None:
    kinds = {"STRING": pa.string(), "FLOAT": pa.float64(), "NUMERIC": pa.decimal128(38, 9), "BOOLEAN": pa.bool_()}
    kinds["TIMESTAMP"] = pa.timestamp("us", tz="UTC")

    def kind(field: dict[str, object]) -> pa.DataType:
        fields = field.get("fields")
        inner = pa.struct([(part["name"], kind(part)) for part in fields]) if isinstance(fields, list) else None
        whole = inner or kinds[str(field["type"])]
        return pa.list_(whole) if field["mode"] == "REPEATED" else whole

    documented = json.loads(REFERENCE.read_text(encoding="utf-8"))
    assert pa.schema([(field["name"], kind(field)) for field in documented]) == EXPORT
    for path in files(folder):
        # Parquet calls the inside of a list `element` where Arrow says `item`.
        read = pq.read_schema(path)
        assert read.names == EXPORT.names
        assert read.equals(EXPORT, check_metadata=False) or [str(t).replace("element", "item") for t in read.types] == [
            str(t) for t in EXPORT.types
        ]


def test_rows_are_appended_in_the_order_of_their_export(folder: Path) -> None:
    for path in files(folder):
        exported = pl.read_parquet(path)["export_time"]
        assert exported.is_sorted()
        assert set(exported.dt.strftime("%Y-%m")) == {path.name[:7]}


def test_a_file_may_hold_lines_of_two_invoices(lines: pl.DataFrame) -> None:
    assert lines.group_by("file").agg(INVOICE.n_unique().alias("months"))["months"].max() == 2


def test_invoice_months_are_pacific(lines: pl.DataFrame) -> None:
    usage = pl.col("usage_start_time")
    edge = lines.filter(INVOICE.eq("202607"), usage >= pl.datetime(2026, 8, 1, time_zone="UTC"))
    assert edge.height > 0
    assert edge["usage_start_time"].dt.hour().max() == 6


def test_two_projects_are_billed_in_dollars_and_one_in_euros(lines: pl.DataFrame) -> None:
    project = pl.col("project").struct.field("id")
    seen = lines.select("currency", "currency_conversion_rate", "billing_account_id", project.alias("project"))
    assert sorted(seen.drop_nulls().unique().iter_rows()) == [
        ("EUR", 0.8764, "017E3A-52C9D8-6B40F1", "meridian-europe"),
        ("USD", 1.0, "01B4C7-9D2E60-F3A815", "meridian-research"),
        ("USD", 1.0, "01B4C7-9D2E60-F3A815", "meridian-serving"),
    ]


@pytest.mark.parametrize("month", MONTHS)
def test_a_month_costs_about_four_hundred_thousand_dollars(lines: pl.DataFrame, month: str) -> None:
    net = (COST + CREDITED).cast(pl.Float64) / pl.col("currency_conversion_rate")
    by_workload = dict(lines.filter(INVOICE.eq(month)).group_by("workload").agg(net.sum().alias("net")).iter_rows())
    assert 350_000 < sum(by_workload.values()) < 450_000
    assert set(by_workload) == {
        "training", "fine_tuning", "inference", "storage", "development", "shared", "not_ai",
    }  # fmt: skip


@pytest.mark.parametrize("month", MONTHS[:2])
def test_finished_invoices_end_in_whole_cents_after_tax_and_rounding(lines: pl.DataFrame, month: str) -> None:
    invoice = lines.filter(INVOICE.eq(month))
    assert set(invoice["cost_type"]) >= {"regular", "tax", "rounding_error"}
    for (total,) in invoice.group_by("billing_account_id").agg((COST + CREDITED).sum()).select("cost").iter_rows():
        assert total == round(total, 2)


def test_the_open_month_has_no_tax_yet(lines: pl.DataFrame) -> None:
    assert set(lines.filter(INVOICE.eq("202609"))["cost_type"]) == {"regular"}


def test_july_is_taken_back_and_billed_again_on_the_august_invoice(lines: pl.DataFrame) -> None:
    corrections = lines.filter(pl.col("adjustment_info").struct.field("type") == "PRICE_CORRECTION")
    assert set(corrections.select(INVOICE).to_series()) == {"202608"}
    assert set(corrections["usage_start_time"].dt.month()) == {7}
    assert corrections["export_time"].dt.month().min() == 8
    taken_back = corrections.filter(pl.col("cost") < 0)
    july = lines.filter(INVOICE.eq("202607"), pl.col("cost_type") == "regular")
    same = july.join(taken_back.select("sku", "usage_start_time", back="cost"), on=["sku", "usage_start_time"])
    assert same.height == taken_back.height == 72
    assert same.select((pl.col("cost") + pl.col("back")).abs().max()).item() == 0
    again = corrections.filter(pl.col("cost") > 0)
    assert total(again, "cost") == pytest.approx(-0.91 * total(taken_back, "cost"))
    hours = pl.col("usage").struct.field("amount_in_pricing_units")
    assert corrections.select(hours.sum()).item() == 0


def test_what_is_measured_late_comes_with_the_next_invoice(lines: pl.DataFrame) -> None:
    late = lines.filter(INVOICE.eq("202608"), pl.col("usage_start_time").dt.month() == 7, cost_type="regular")
    assert late.height == 3
    assert set(late["workload"]) == {"inference"}


def test_every_kind_of_credit_is_planted(lines: pl.DataFrame) -> None:
    kinds = lines.select(pl.col("credits").explode().struct.field("type").drop_nulls().unique()).to_series()
    assert set(kinds) == {
        "PROMOTION", "SUSTAINED_USAGE_DISCOUNT", "COMMITTED_USAGE_DISCOUNT", "FEE_UTILIZATION_OFFSET", "DISCOUNT",
        "FREE_TIER",
    }  # fmt: skip


def test_a_flexible_commitment_costs_the_same_every_day_used_or_not(lines: pl.DataFrame) -> None:
    fees = lines.filter(SKU.str.starts_with("Commitment - dollar based"))
    model = pl.col("consumption_model").struct.field("description")
    covered = lines.filter(model == "Compute Flexible CUDs 1 Year")
    left = fees.group_by("usage_start_time").agg((COST + CREDITED).sum().alias("left"))
    used = covered.group_by("usage_start_time").agg(COST.sum().alias("used"))
    days = left.join(used, on="usage_start_time").select(whole=pl.col("left") + pl.col("used"))
    assert days.height == 92
    assert days["whole"].cast(pl.Float64).to_list() == pytest.approx([90.0] * 92, abs=1e-5)
    unused = fees.filter(pl.col("idle_reason") == "unused_commitment")
    assert 0 < unused["usage_start_time"].n_unique() < 92


def test_machines_on_flex_start_run_beside_the_fee_that_tells_what_for(lines: pl.DataFrame) -> None:
    fees = lines.filter(SKU.str.contains("management fee")).select("usage_start_time").unique()
    machines = lines.filter(SKU.str.contains("DWS")).select("usage_start_time").unique()
    assert fees.sort("usage_start_time").equals(machines.sort("usage_start_time"))


def test_without_tagging_only_labels_of_googles_own_say_anything(tmp_path: Path) -> None:
    write(tmp_path, months=[date(2026, 7, 1)], tagging="none")
    keys = bill(tmp_path).select(pl.col("labels").explode().struct.field("key").drop_nulls().unique()).to_series()
    assert {"goog-k8s-cluster-name", "k8s-namespace", "goog-originating-sku-id"} <= set(keys)
    assert not {"workload", "team"} & set(keys)


def test_command_line_writes_the_google_bill_too(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--lines", "2000"])
    assert {path.name for path in tmp_path.iterdir()} == {"bills", "gcp", "gpu", "tokens", "truth"}
    main(["--out", str(tmp_path / "without"), "--lines", "2000", "--no-gcp"])
    assert {path.name for path in (tmp_path / "without").iterdir()} == {"bills", "gpu", "tokens", "truth"}


def keys_of(lines: pl.DataFrame) -> pl.DataFrame:
    """Lay the lines out as charge keys, the way the connector does."""
    labels = {"": "labels", "system:": "system_labels"}
    rows = []
    for row in lines.iter_rows(named=True):
        tags = {tag_column(prefix + one["key"]): one["value"] for prefix, name in labels.items() for one in row[name]}
        system = "tag:system_compute_googleapis_com_"
        rows.append(
            {
                "provider_name": "Google Cloud",
                "service_code": row["service"]["id"],
                "service_name": row["service"]["description"],
                "usage_type": row["sku"]["description"],
                "line_item_type": row["cost_type"],
                "charge_category": "Purchase" if "Commitment" in row["sku"]["description"] else "Usage",
                "resource_name": (row["resource"] or {"name": None})["name"],
                "pricing_unit": (row["usage"] or {"pricing_unit": None})["pricing_unit"],
                "instance_type": tags.get(f"{system}machine_spec"),
                "capacity_reservation_status": "Unused" if tags.get(f"{system}is_unused_reservation") else None,
                **tags,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def test_our_rules_find_what_a_careful_reader_of_the_bill_would(lines: pl.DataFrame) -> None:
    found = attribute(keys_of(lines), Rulebook.load(), Dimensions(), AiScope(), "gcp").select(
        said="workload", said_model="llm_model", said_idle="idle_reason"
    )
    both = lines.hstack(found).with_columns(spent=pl.col("cost") / pl.col("currency_conversion_rate"))
    ai = both.filter(~pl.col("workload").is_in(["shared", "not_ai"]))
    evident = ai.filter("evidence_possible", ~SKU.str.contains("DWS"))
    right = evident.filter(pl.col("said") == pl.col("workload"))
    assert total(right, "spent") > 0.99 * total(evident, "spent")
    assert both.filter(pl.col("workload") == "shared", pl.col("said") != "shared").is_empty()
    assert both.filter(pl.col("workload") == "not_ai", pl.col("said") != "not_ai").is_empty()
    unsaid = both.filter(pl.col("said_idle").is_null() & pl.col("idle_reason").is_not_null())
    assert unsaid.is_empty()
    named = both.filter(pl.col("said_model").is_not_null())
    assert named.height > 1000
    assert named.filter(pl.col("said_model") != pl.col("llm_model")).is_empty()
