"""What Google Cloud's lines say beyond their SKU: labels, kinds of cost, reservations, machine shapes."""

from collections.abc import Mapping
from decimal import Decimal

import polars as pl
import pytest

from models.accelerators import catalogue, with_accelerator
from models.attribution import attribute
from models.dimensions import AiScope, Dimensions, tag_column
from models.rulebook import Rulebook

BOOK = Rulebook.load()
COMPUTE, VERTEX, GEMINI, STORAGE = "6F81-5844-456A", "C7E2-9256-1C43", "AEFD-7695-64FA", "95FF-2EF5-5EA1"
GPU = {"service_code": COMPUTE, "usage_type": "Nvidia L4 GPU running in Americas"}
CORE = {"service_code": COMPUTE, "usage_type": "N1 Predefined Instance Core running in Americas"}
JOB = {"service_code": VERTEX, "usage_type": "Vertex AI: Training/Pipelines on NVIDIA H100 80GB in Iowa"}
TOKENS = {"service_code": VERTEX, "usage_type": "Gemini 2.5 Flash GA Text Input - Predictions", "pricing_unit": "count"}
BUCKET = {"service_code": STORAGE, "usage_type": "Standard Storage US Regional"}


def _one(key: Mapping[str, str], labels: Mapping[str, str] | None = None, **more: str) -> dict[str, object]:
    tags = {tag_column(name): value for name, value in (labels or {}).items()}
    frame = pl.DataFrame([{"provider_name": "Google Cloud", **key, **tags, **more}])
    return attribute(frame, BOOK, Dimensions(), AiScope(), "gcp").row(0, named=True)


def _said(key: Mapping[str, str], labels: Mapping[str, str] | None = None, **more: str) -> tuple[object, object]:
    row = _one(key, labels, **more)
    return row["workload"], row["evidence"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"k8s-namespace": "pretraining"}, ("training", "inferred")),
        ({"k8s-namespace": "team-a", "k8s-workload-name": "vllm-chat"}, ("inference", "inferred")),
        ({"k8s-label/app.kubernetes.io/name": "triton"}, ("inference", "inferred")),
        ({"k8s-workload-name": "llama-lora-7"}, ("fine_tuning", "inferred")),
        ({"k8s-namespace": "jupyterhub"}, ("development", "inferred")),
        ({"k8s-namespace": "team-a", "goog-k8s-cluster-name": "llm-serving"}, ("inference", "inferred")),
        ({"goog-k8s-node-pool-name": "train-h100"}, ("training", "inferred")),
        ({"k8s-namespace": "goog-k8s-unknown"}, ("unattributed", "none")),
        ({"k8s-namespace": "kube:system-overhead"}, ("unattributed", "none")),
    ],
)
def test_gke_labels_tell_what_an_accelerator_was_for(labels: dict[str, str], said: tuple[str, str]) -> None:
    assert _said(GPU, labels) == said


def test_a_namespace_is_nearer_to_the_work_than_its_cluster() -> None:
    assert _said(GPU, {"k8s-namespace": "pretraining", "goog-k8s-cluster-name": "llm-serving"})[0] == "training"


def test_pods_whose_names_contradict_each_other_say_nothing() -> None:
    assert _said(GPU, {"k8s-namespace": "training", "k8s-workload-name": "vllm"}) == ("unattributed", "none")


def test_a_teams_label_wins_over_names_and_over_its_project() -> None:
    labels = {"workload": "training", "k8s-namespace": "vllm", "project:workload": "serving"}
    assert _said(GPU, labels) == ("training", "declared")
    assert _said(GPU, {"project:workload": "serving", "k8s-namespace": "trainer"}) == ("inference", "declared")


def test_what_no_pod_asked_for_is_unallocated() -> None:
    row = _one(GPU, {"k8s-namespace": "kube:unallocated", "goog-k8s-cluster-name": "llm-serving"})
    assert (row["workload"], row["idle_reason"]) == ("inference", "unallocated")
    assert _one(CORE, {"k8s-namespace": "kube:unallocated"})["idle_reason"] is None


@pytest.mark.parametrize(
    ("labels", "status"),
    [({"system:compute.googleapis.com/is_unused_reservation": "true"}, ""), ({}, "Unused")],
)
def test_an_unused_reservation_is_idle_and_its_name_may_say_for_what(labels: dict[str, str], status: str) -> None:
    named = {**labels, "system:compute.googleapis.com/reservation_name": "llm-serving-h100"}
    row = _one(GPU, named, capacity_reservation_status=status)
    assert (row["workload"], row["idle_reason"]) == ("inference", "unused_reservation")


def test_only_a_label_tells_a_fine_tune_from_a_training_job() -> None:
    assert _said(JOB) == ("training", "inferred")
    assert _said(JOB, {"workload": "inference"}) == ("training", "inferred")
    assert _said(JOB, {"job_type": "sft"}) == ("fine_tuning", "declared")
    assert _said(JOB, {"purpose": "evaluation"}) == ("development", "declared")


def test_machines_on_flex_start_are_judged_by_their_own_labels() -> None:
    compute = {**GPU, "usage_type": "Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Americas"}
    assert _said(compute) == ("unattributed", "none")
    assert _said(compute, {"workload": "training"}) == ("training", "declared")
    fee = {**JOB, "usage_type": "Vertex AI: Training/Pipelines management fee on NVIDIA H100 80GB in Iowa"}
    row = _one(fee)
    assert (row["workload"], row["accelerator"], row["accelerator_count"]) == ("training", "H100", None)


def test_storage_is_ai_only_where_something_says_so() -> None:
    disk = {"service_code": COMPUTE, "usage_type": "Balanced PD Capacity in Iowa"}
    files = {"service_name": "Cloud Filestore", "usage_type": "Filestore Capacity Zonal"}
    for key in (BUCKET, disk, files):
        assert _said(key) == ("not_ai", "none")
        assert _said(key, {"workload": "model-training"}) == ("storage", "declared")
        assert _said(key, resource_name="acme-llm-checkpoints") == ("storage", "inferred")


def test_a_local_disk_of_an_accelerators_machine_follows_the_machine() -> None:
    disk = {"service_code": COMPUTE, "usage_type": "SSD backed Local Storage", "instance_type": "a3-highgpu-8g"}
    assert _said(disk, {"workload": "training"}) == ("training", "declared")


@pytest.mark.parametrize(
    ("kind", "key", "workload"),
    [
        ("tax", GPU, "shared"),
        ("rounding_error", {}, "shared"),
        ("adjustment", {}, "shared"),
        ("adjustment", {"service_name": "Invoice", "usage_type": "Billing correction"}, "shared"),
        ("adjustment", TOKENS, "inference"),
        ("regular", TOKENS, "inference"),
    ],
)
def test_kinds_of_cost(kind: str, key: dict[str, str], workload: str) -> None:
    assert _said(key, line_item_type=kind)[0] == workload


@pytest.mark.parametrize(
    ("sku", "idle"),
    [
        ("Commitment v1: A3 Cpu in Americas for 1 Year", None),
        ("Commitment - dollar based v1: Compute Flexible for 1 Year", "unused_commitment"),
        ("Compute Flexible CUDs 1 Year", "unused_commitment"),
    ],
)
def test_commitment_fees_are_shared_and_what_a_spend_based_one_leaves_is_unused(sku: str, idle: str | None) -> None:
    row = _one({"usage_type": sku, "charge_category": "Purchase"}, {"workload": "training"})
    assert (row["workload"], row["idle_reason"]) == ("shared", idle)


def test_a_fee_that_paid_for_usage_is_not_unused() -> None:
    fee = {"usage_type": "Commitment - dollar based v1: GCE for 1 Year", "charge_category": "Purchase"}
    row = _one(fee, {"goog-originating-sku-id": "2E27-4F75-95CD"}, pricing_category="Committed")
    assert (row["workload"], row["idle_reason"]) == ("shared", None)


def test_bought_throughput_is_inference_whatever_kind_of_charge_it_is() -> None:
    key = {"service_code": VERTEX, "usage_type": "Generative AI Provisioned Throughput - 1 month commitment"}
    assert _said(key, charge_category="Usage") == ("inference", "billed")
    assert _said(key, charge_category="Purchase") == ("inference", "billed")


@pytest.mark.parametrize(("unit", "tokens"), [("count", 1), ("1K tokens", 1000), ("1M tokens", 1_000_000), ("h", None)])
def test_units_say_how_many_tokens_they_are(unit: str, tokens: int | None) -> None:
    row = _one(TOKENS, pricing_unit=unit)
    assert (row["token_bucket"], row["tokens_per_unit"]) == ("uncached_input", tokens)


def test_characters_and_pictures_before_gemini_2_are_no_tokens() -> None:
    row = _one({**TOKENS, "usage_type": "Gemini 1.5 Pro Text Input - Predictions"})
    assert (row["llm_model"], row["token_bucket"]) == ("gemini-1.5-pro", None)


def test_nothing_of_googles_is_ai_by_its_name_alone_outside_its_ai_services() -> None:
    assert _said({"service_name": "Cloud SQL", "usage_type": "Zonal - vCPU in Iowa"}, {"workload": "training"}) == (
        "not_ai",
        "none",
    )
    assert _said({"service_name": "Cloud Vision API", "usage_type": "Text Detection Operations"})[0] == "unattributed"


@pytest.mark.parametrize(
    ("shape", "sku", "expected"),
    [
        ("a3-highgpu-8g", "Nvidia H100 80GB GPU running in Americas", ("H100", Decimal(1))),
        ("a3-highgpu-8g", "A3 Instance Core running in Americas", ("H100", None)),
        ("a3-ultragpu-8g-nolssd", "A3 Instance Ram running in Americas", ("H200", None)),
        ("a3-ultragpu-16g", "SSD backed Local Storage", ("H200", None)),
        (None, "A3Ultra Instance Core running in Americas", ("H200", None)),
        ("g2-custom-8-32768", "G2 Custom Instance Core running in Americas", ("L4", None)),
        ("ct6e-standard-4t", "TpuV6e running in Americas", ("TPU v6e", Decimal(1))),
        ("tpu7x-standard-4t", "TPU7x in Iowa", ("TPU v7x", Decimal(1))),
        ("a9-highgpu-8g", "Z9 Instance Core running in Americas", ("unknown (a9-highgpu)", None)),
        (None, "Nvidia R300 GPU running in Americas", ("R300", Decimal(1))),
        ("n1-standard-8", "N1 Predefined Instance Core running in Americas", (None, None)),
        (None, "Licensing Fee for Nvidia Tesla T4 Virtual Workstation", (None, None)),
        (None, "Commitment v1: Nvidia L4 GPU in Americas for 1 Year", ("L4", None)),
    ],
)
def test_an_accelerator_is_known_from_the_sku_or_the_shape(
    shape: str | None, sku: str, expected: tuple[object, ...]
) -> None:
    fields = {"service_code": COMPUTE, "instance_type": shape, "usage_type": sku, "charge_description": None}
    frame = pl.DataFrame([fields], schema=dict.fromkeys(fields, pl.String))
    assert with_accelerator(frame, catalogue()).select("accelerator", "accelerator_count").row(0) == expected


def test_shapes_and_skus_spell_an_accelerator_alike() -> None:
    google = catalogue().filter(pl.col("instance_type").str.contains(r"^(?:a\d|g\d|ct|tpu)\w*-"))
    assert google.height >= 50
    skus = {"RTX PRO Server 6000": "RTX 6000 96GB running", "TPU v7x": "TPU7x"}
    for name in google["accelerator"].unique():
        sku = skus.get(name, name.replace("TPU ", "Tpu") if name.startswith("TPU") else f"Nvidia {name} GPU running")
        assert _one({"service_code": COMPUTE, "usage_type": sku})["accelerator"] == name
