from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from models.accelerators import AI_KINDS, Shape, catalogue, stale, with_accelerator


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
