import re
from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from models.accelerators import AI_KINDS, Shape, catalogue, stale, with_accelerator
from tests.models.reference_tables import REFERENCE, rows


def _found(*key: str | None) -> tuple[object, ...]:
    fields = ("service_code", "instance_type", "usage_type", "charge_description")
    frame = pl.DataFrame([dict(zip(fields, key, strict=False))], schema=dict.fromkeys(fields, pl.String))
    return with_accelerator(frame, catalogue()).select("accelerator", "accelerator_count").row(0)


def test_every_shape_is_listed_once_with_its_source() -> None:
    shapes = catalogue()
    assert shapes["instance_type"].is_unique().all()
    assert shapes.select("accelerator", "count", "kind", "source_url").null_count().row(0) == (0, 0, 0, 0)
    assert (shapes["count"] > 0).all()


@pytest.mark.parametrize(
    ("instance_type", "usage_type", "expected"),
    [
        ("p5.48xlarge", "USE1-BoxUsage:p5.48xlarge", ("H100", 8)),
        (None, "UnusedBox:p4d.24xlarge", ("A100", 8)),
        ("g6f.large", "EU-SpotUsage:g6f.large", ("L4", Decimal("0.125"))),
        (None, "BoxUsage:p6-b200.48xlarge", ("B200", 8)),
        ("m5.large", "BoxUsage:m5.large", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_a_shape_is_known_from_the_instance_type_or_the_usage_type(
    instance_type: str | None, usage_type: str | None, expected: tuple[object, ...]
) -> None:
    assert _found("AmazonEC2", instance_type, usage_type) == expected


def test_a_bill_without_usage_types_names_the_shape_in_its_description() -> None:
    description = "$1.624 per On Demand Linux g5.4xlarge Instance Hour"
    assert _found(None, None, None, description) == ("A10G", 1)


def test_sagemaker_machines_are_the_same_shapes() -> None:
    assert _found("AmazonSageMaker", None, "APN2-Studio:JupyterLab-ml.g6.24xlarge") == ("L4", 4)


def test_hardware_newer_than_the_catalogue_is_seen_without_a_count() -> None:
    assert _found("AmazonEC2", "p5.96xlarge", "BoxUsage:p5.96xlarge") == ("H100", None)
    assert _found("AmazonEC2", "p9.48xlarge", "BoxUsage:p9.48xlarge") == ("unknown (p9)", None)


@pytest.mark.parametrize(
    "usage_type", ["EBSOptimized:p3.2xlarge", "Reservation:p3.2xlarge", "CapacityBlockFee:p3.2xlarge"]
)
def test_lines_that_are_not_machine_hours_carry_no_count(usage_type: str) -> None:
    assert _found("AmazonEC2", "p3.2xlarge", usage_type) == ("V100", None)


def test_a_surcharge_of_another_service_does_not_count_its_accelerators_twice() -> None:
    assert _found("ElasticMapReduce", "p3.2xlarge", "BoxUsage:p3.2xlarge") == ("V100", None)


@pytest.mark.parametrize("instance_type", ["f2.6xlarge", "vt1.3xlarge"])
def test_fpgas_and_transcoders_are_no_ai_accelerators(instance_type: str) -> None:
    kind = catalogue().filter(pl.col("instance_type") == instance_type)["kind"].item()
    assert kind not in AI_KINDS
    assert _found("AmazonEC2", instance_type, f"BoxUsage:{instance_type}") == (None, None)


def test_a_shape_of_the_teams_own_wins_over_ours() -> None:
    own = Shape(instance_type="p5.48xlarge", accelerator="H100 (half)", count=Decimal(4))
    row = catalogue([own]).filter(pl.col("instance_type") == "p5.48xlarge")
    assert row.select("accelerator", "count").row(0) == ("H100 (half)", 4)


def test_shapes_nobody_has_checked_are_stale_from_the_start() -> None:
    assert "p3.2xlarge" in stale(date(2026, 11, 23), 180)["instance_type"]
    assert "p5.48xlarge" not in stale(date(2026, 11, 23), 180)["instance_type"]
    assert stale(date(2028, 1, 1), 180).height == catalogue().height


LOOKS_LIKE_AWS = r"(?:^|[:\- ])(?:ml\.)?(?:p|g|gr|trn|inf|dl)[0-9][a-z0-9-]*\.[0-9]*(?:x?large|metal)"
LOOKS_LIKE_GCP = r"(?i)nvidia|\bgpu\b|\btpu"
# Licenses of software, surcharges that name all GPUs at once, and models' names.
NO_HARDWARE = r"(?i)licen[cs]e|^Vertex AI: .*accelerator management|nemotron"


@pytest.mark.real_data
@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the reference beside the checkout")
def test_every_accelerator_shape_of_the_reference_is_listed_alike() -> None:
    ours = {row["instance_type"]: row for row in catalogue().iter_rows(named=True)}
    for shape in rows(REFERENCE / "aws" / "accelerators.csv"):
        own = ours[shape["instance_type"]]
        assert (own["count"], own["kind"]) == (Decimal(shape["count"]), shape["kind"])
        assert own["generation"]
        assert not shape["mem_mib_each"] or own["memory_mib"] == int(shape["mem_mib_each"])


@pytest.mark.real_data
@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the reference beside the checkout")
def test_every_gpu_looking_usage_type_of_the_references_has_an_entry() -> None:
    aws = [
        {"service_code": row["service_code"], "usage_type": row["usage_type"]}
        for row in rows(REFERENCE / "aws" / "usage_types.csv")
        if re.search(LOOKS_LIKE_AWS, row["usage_type"])
    ]
    gcp = [
        {"service_code": "6F81-5844-456A", "usage_type": row["sku_description"].strip("%")}
        for row in rows(REFERENCE / "gcp" / "skus.csv")
        if re.search(LOOKS_LIKE_GCP, row["sku_description"]) and not re.search(NO_HARDWARE, row["sku_description"])
    ]
    fields = ("service_code", "instance_type", "usage_type", "charge_description")
    keys = pl.DataFrame([*aws, *gcp], schema=dict.fromkeys(fields, pl.String))
    found = with_accelerator(keys, catalogue())
    missing = found.filter(
        ~pl.col("accelerator").is_in(catalogue()["accelerator"].unique().to_list()).fill_null(value=False)
    )
    assert missing["usage_type"].to_list() == []
    assert len(aws) > 15
    assert len(gcp) > 30
