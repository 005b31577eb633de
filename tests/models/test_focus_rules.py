"""What bills of other providers than AWS and Google say in FOCUS."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from models.attribution import attribute
from models.dimensions import AiScope, Dimensions
from models.rulebook import Rulebook


def attributed(**key: str | None) -> Mapping[str, object]:
    keys = pl.DataFrame([{"usage_period": date(2026, 1, 1), "charge_category": "Usage", **key}])
    return attribute(keys, Rulebook.load(), Dimensions(), AiScope(), "bill").row(0, named=True)


@pytest.mark.parametrize(
    ("provider", "text", "unit", "accelerator", "count"),
    [
        ("CoreWeave", "8x NVIDIA H100 SXM5 80GB", "Hours", "H100", 8),
        ("Lambda", "gpu_1x_a100_sxm4", "Hours", "A100", 1),
        ("RunPod", "Secure Cloud RTX 4090 pod", "Hours", "RTX 4090", None),
        ("Oracle", "BM.GPU.H100.8", "Hours", "H100", 8),
        ("Oracle", "VM.GPU.A10.2", "Hours", "A10", 2),
        ("Modal", "GPU time H200", "GPU-Hours", "H200", 1),
        ("Microsoft", "Virtual Machines NCasT4 v3 Series - NC4as T4 v3 - US East", "1 Hour", "T4", None),
        ("Microsoft", "Virtual Machines ND H100 v5 Series", "1 Hour", "H100", None),
        ("Microsoft", "Premium SSD Managed Disks - P4 LRS - US East", "1/Month", None, None),
        ("Microsoft", "Virtual Machines A Series - A10 - US East", "1 Hour", None, None),
        ("Microsoft", "Standard HDD Managed Disks - S4 LRS", "1/Month", None, None),
        ("AWS", "Support for H100 users", "Hours", None, None),
    ],
)
def test_an_accelerator_is_known_by_its_words(
    provider: str, text: str, unit: str, accelerator: str | None, count: int | None
) -> None:
    found = attributed(provider_name=provider, charge_description=text, pricing_unit=unit)
    assert (found["accelerator"], found["accelerator_count"]) == (accelerator, count and Decimal(count))


def test_hardware_alone_says_nothing_about_purpose() -> None:
    found = attributed(provider_name="CoreWeave", charge_description="8x H100", service_category="Compute")
    assert (found["workload"], found["evidence"]) == ("unattributed", "none")


def test_a_tag_says_what_hardware_cannot() -> None:
    found = attributed(provider_name="CoreWeave", charge_description="8x H100", **{"tag:workload": "pre-training"})
    assert (found["workload"], found["evidence"]) == ("training", "declared")


@pytest.mark.parametrize(
    ("text", "workload"),
    [
        ("Azure OpenAI - gpt 4o 0806 Inp glbl Tokens - US East", "inference"),
        ("Azure OpenAI - gpt 4o FT Outp Tokens", "inference"),
        ("Azure OpenAI - gpt 4o mini finetuned hosting", "inference"),
        ("Azure OpenAI - gpt 4o FT Training 1K Tokens", "fine_tuning"),
        ("Azure OpenAI - something new", "unattributed"),
    ],
)
def test_azure_openai_says_what_it_sold(text: str, workload: str) -> None:
    category = {"service_category": "AI and Machine Learning", "service_name": "Azure OpenAI"}
    assert attributed(provider_name="Microsoft", charge_description=text, **category)["workload"] == workload


def test_a_word_about_training_is_no_evidence_on_what_is_not_ai() -> None:
    found = attributed(provider_name="Microsoft", charge_description="Training vouchers", service_category="Other")
    assert found["workload"] == "not_ai"


def test_the_unused_part_of_a_commitment_is_idle() -> None:
    found = attributed(provider_name="Microsoft", commitment_discount_status="Unused", service_name="Virtual Machines")
    assert (found["workload"], found["idle_reason"]) == ("shared", "unused_commitment")


def test_storage_is_ai_where_a_tag_says_so() -> None:
    key = {"provider_name": "Microsoft", "service_category": "Storage", "service_name": "Storage Accounts"}
    assert attributed(**key)["workload"] == "not_ai"
    assert attributed(**key, **{"tag:workload": "training"})["workload"] == "storage"


def test_words_do_not_overrule_the_usage_types_of_amazon() -> None:
    key = {"provider_name": "AWS", "service_code": "AmazonSageMaker", "usage_type": "USE1-Cluster:ml.p5.48xlarge"}
    assert attributed(**key, charge_description="training plan cluster")["workload"] == "unattributed"
