from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.attribution import COLUMNS, attribute, llm_model_name
from models.dimensions import AiScope, Dimensions
from models.rulebook import Rulebook
from models.workloads import Evidence, Workload

BOOK = Rulebook.load()


def _attributed(*keys: Mapping[str, object], scope: AiScope | None = None, book: Rulebook = BOOK) -> pl.DataFrame:
    frame = pl.DataFrame(list(keys), infer_schema_length=None)
    return attribute(frame, book, Dimensions(), scope or AiScope(), "aws")


def _one(key: Mapping[str, object] | None = None, scope: AiScope | None = None, **more: object) -> dict[str, object]:
    whole = {name.replace("tag_", "tag:", 1): value for name, value in {**(key or {}), **more}.items()}
    return _attributed(whole, scope=scope).row(0, named=True)


def _said(key: Mapping[str, object] | None = None, **more: object) -> tuple[object, object]:
    row = _one({**(key or {}), **more})
    return row["workload"], row["evidence"]


GPU = {"service_code": "AmazonEC2", "usage_type": "USE1-BoxUsage:p5.48xlarge", "instance_type": "p5.48xlarge"}
S3 = {"service_code": "AmazonS3", "usage_type": "USE1-TimedStorage-ByteHrs"}


def test_hardware_alone_says_nothing() -> None:
    row = _one(GPU)
    assert (row["workload"], row["evidence"]) == ("unattributed", "none")
    assert (row["accelerator"], row["accelerator_count"]) == ("H100", Decimal(8))


@pytest.mark.parametrize(
    ("value", "workload"),
    [
        ("training", "training"),
        (" Pre-Training", "training"),
        ("llm_training", "training"),
        ("traning", "training"),
        ("Fine Tuning", "fine_tuning"),
        ("finetunning", "fine_tuning"),
        ("qlora", "fine_tuning"),
        ("Inference", "inference"),
        ("inferance", "inference"),
        ("model-serving", "inference"),
        ("evaluation", "development"),
        ("notebooks", "development"),
        ("dev", "development"),
        ("data-prep", "development"),
        ("infra", "unattributed"),
        ("web", "unattributed"),
        ("transcoding", "unattributed"),
        ("training-and-inference", "unattributed"),
        ("constraint-solver", "unattributed"),
    ],
)
def test_a_workload_tag_decides_an_accelerator(value: str, workload: str) -> None:
    assert _said(GPU, tag_workload=value) == (workload, "none" if workload == "unattributed" else "declared")


@pytest.mark.parametrize(
    ("usage_type", "tag", "expected"),
    [
        ("USE1-Train:ml.g5.xlarge", "inference", ("training", "billed")),
        ("USE1-Train:ml.g5.xlarge", "fine-tuning", ("fine_tuning", "declared")),
        ("USE1-Host:ml.g5.xlarge", "training", ("inference", "billed")),
        ("USE1-Host:ml.g5.xlarge", "evaluation", ("development", "declared")),
        ("USE1-Cluster:ml.p5.48xlarge", None, ("unattributed", "none")),
        ("USE1-Cluster:ml.p5.48xlarge", "training", ("training", "declared")),
        ("USE1-Processing:ml.m5.large", None, ("unattributed", "none")),
        ("USE1-SomethingNew:ml.m5.large", None, ("unattributed", "none")),
        ("USE1-SomethingNew:ml.m5.large", "serving", ("inference", "declared")),
        ("USE1-Studio:VolumeUsage.gp3", "training", ("storage", "billed")),
    ],
)
def test_a_tag_refines_what_sagemaker_bills_but_does_not_contradict_it(
    usage_type: str, tag: str | None, expected: tuple[str, str]
) -> None:
    assert _said(service_code="AmazonSageMaker", usage_type=usage_type, tag_workload=tag) == expected


@pytest.mark.parametrize(
    ("key", "workload"),
    [
        (
            {"service_code": "AmazonRDS", "usage_type": "InstanceUsage:db.r5.large", "tag_workload": "training"},
            "not_ai",
        ),
        ({"service_code": "AmazonEC2", "usage_type": "BoxUsage:m5.large", "tag_workload": "web"}, "not_ai"),
        ({"service_code": "AmazonEC2", "usage_type": "BoxUsage:m5.large", "tag_workload": "serving"}, "not_ai"),
        ({"service_code": "AmazonEC2", "usage_type": "BoxUsage:m5.large", "tag_purpose": "training"}, "not_ai"),
        ({"service_code": "AmazonEC2", "usage_type": "BoxUsage:m5.large", "tag_workload": "dev"}, "not_ai"),
        ({"service_code": "AmazonEC2", "usage_type": "BoxUsage:m5.large", "tag_workload": "training"}, "training"),
        ({"service_code": "AWSLambda", "usage_type": "EU-Lambda-GB-Second", "tag_workload": "inference"}, "inference"),
        (
            {"service_code": "AmazonEKS", "usage_type": "EU-AmazonEKS-Hours:perCluster", "tag_workload": "training"},
            "not_ai",
        ),
    ],
)
def test_a_tag_makes_plain_services_ai_only_where_machines_work(key: dict[str, object], workload: str) -> None:
    assert _said(key)[0] == workload


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({}, ("not_ai", "none")),
        ({"tag_workload": "training"}, ("storage", "declared")),
        ({"tag_workload": "web"}, ("not_ai", "none")),
        ({"resource_name": "acme-model-weights"}, ("storage", "inferred")),
        ({"resource_name": "spark-checkpoints"}, ("not_ai", "none")),
        ({"resource_name": "email-archive"}, ("not_ai", "none")),
    ],
)
def test_storage_counts_only_with_ai_evidence(key: dict[str, object], expected: tuple[str, str]) -> None:
    assert _said({**S3, **key}) == expected


def test_a_declared_account_makes_its_storage_ai_and_the_rest_unattributed() -> None:
    scope = AiScope(accounts=("1",))
    assert _one(S3, scope, sub_account_id="1")["workload"] == "storage"
    assert (
        _one({"service_code": "AmazonVPC", "usage_type": "NatGateway-Hours"}, scope, sub_account_id="1")["workload"]
        == "unattributed"
    )
    assert _one(S3, scope, sub_account_id="2")["workload"] == "not_ai"


def test_names_are_inferred_and_contradicting_names_say_nothing() -> None:
    assert _said({**GPU, "tag:aws_eks_cluster_name": "prod-train"}) == ("training", "inferred")
    assert _said({**GPU, "tag:name": "vllm-0"}) == ("inference", "inferred")
    assert _said({**GPU, "tag:name": "vllm-0", "tag:aws_eks_cluster_name": "train"}) == ("unattributed", "none")
    assert _said(service_code="AmazonEC2", usage_type="BoxUsage:m5.large", tag_name="train-1") == (
        "not_ai",
        "none",
    )


@pytest.mark.parametrize(
    ("line_item_type", "service_code", "idle"),
    [
        ("Tax", "AmazonSageMaker", None),
        ("Credit", "AmazonBedrock", None),
        ("Refund", "AmazonEC2", None),
        ("SavingsPlanNegation", "AmazonEC2", None),
        ("SavingsPlanUpfrontFee", "ComputeSavingsPlans", None),
        ("SavingsPlanRecurringFee", "AWSMachineLearningSavingsPlans", "unused_commitment"),
        ("RIFee", "AmazonEC2", "unused_commitment"),
        ("Usage", "AWSSupportBusiness", None),
    ],
)
def test_money_that_nobody_owns_is_shared(line_item_type: str, service_code: str, idle: str | None) -> None:
    row = _one(
        line_item_type=line_item_type,
        service_code=service_code,
        usage_type="USE1-NovaPro-input-tokens",
        tag_workload="training",
    )
    assert (row["workload"], row["evidence"], row["idle_reason"], row["llm_model"]) == ("shared", "none", idle, None)


def test_a_fee_is_shared_only_when_it_pays_for_a_reservation() -> None:
    assert _said(line_item_type="Fee", service_code="AmazonEC2", usage_type="HeavyUsage:p4d.24xlarge")[0] == "shared"
    assert _said({**GPU, "usage_type": "CapacityBlockFee:p5.48xlarge"}, line_item_type="Fee")[0] == "unattributed"


@pytest.mark.parametrize("line_item_type", ["SavingsPlanCoveredUsage", "DiscountedUsage", "BundledDiscount", "Usage"])
def test_discounted_usage_is_classified_as_its_usage(line_item_type: str) -> None:
    assert (
        _said(line_item_type=line_item_type, service_code="AmazonSageMaker", usage_type="Host:ml.g5.xlarge")[0]
        == "inference"
    )


def test_idle_capacity_keeps_its_reason_whoever_says_the_workload() -> None:
    unused = {**GPU, "usage_type": "USE1-UnusedBox:p5.48xlarge"}
    for tag, workload in ((None, "unattributed"), ("training", "training")):
        row = _one(unused, tag_workload=tag)
        assert (row["workload"], row["idle_reason"]) == (workload, "unused_reservation")
    assert _one(service_code="AmazonEC2", usage_type="UnusedBox:m5.large")["idle_reason"] is None
    warm = _one(service_code="AmazonSageMaker", usage_type="USE1-TrainWarmPool:ml.p5.48xlarge")
    assert (warm["workload"], warm["idle_reason"]) == ("training", "warm_pool")


HAIKU = "Claude Haiku 4.5 (Amazon Bedrock Edition)"


@pytest.mark.parametrize(
    ("named", "usage_type", "pricing_unit", "expected"),
    [
        (
            "AmazonBedrock",
            "NovaPro-cache-read-input-token-count",
            "1K tokens",
            ("nova-pro", "cache_read", 1000),
        ),
        ("AmazonBedrock", "Nova2.0Lite-input-tokens-custom-model", None, ("nova-2.0-lite", "uncached_input", None)),
        (
            "AmazonBedrockService",
            "USW2-anthropic.claude-haiku-4-5-mantle-output-tokens-standard",
            "1K tokens",
            ("claude-haiku-4.5", "output", 1000),
        ),
        (HAIKU, "MP:USE1_CacheWrite1hInputTokenCount-Units", "Units", ("claude-haiku-4.5", "cache_write", 1_000_000)),
        (HAIKU, "USW2-MP:USW2_Reserved_1Month_InputTPM_Geo-Units", "Units", ("claude-haiku-4.5", None, None)),
    ],
)
def test_bedrock_names_its_model_in_three_styles(
    named: str, usage_type: str, pricing_unit: str | None, expected: tuple[str, str | None, int | None]
) -> None:
    field = "service_name" if named == HAIKU else "service_code"
    row = _one({field: named, "usage_type": usage_type, "pricing_unit": pricing_unit})
    assert (row["workload"], row["evidence"]) == ("inference", "billed")
    assert (row["llm_model"], row["token_bucket"], row["tokens_per_unit"]) == expected


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("Claude3-5Haiku", "claude-haiku-3.5"),
        ("Claude 3.5 Haiku", "claude-haiku-3.5"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4.5"),
        ("Claude4.6Opus", "claude-opus-4.6"),
        ("Nova2.0Lite", "nova-2.0-lite"),
        ("Llama3-3-70B", "llama-3.3-70b"),
        ("Meta Llama 3.3 70B", "llama-3.3-70b"),
        ("Gemma-3-4B-IT", "gemma-3-4b-it"),
        ("deepseek.v3.2", "deepseek-v3.2"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
    ],
)
def test_a_model_has_one_name_however_it_is_spelt(spelt: str, name: str) -> None:
    assert pl.select(llm_model_name(pl.lit(spelt))).item() == name
    assert pl.select(llm_model_name(pl.lit(name))).item() == name


def test_another_product_of_the_marketplace_is_not_ai() -> None:
    assert (
        _said(
            service_name="Log Lake (Annual)", invoice_issuer_name="AWS Marketplace", usage_type="MP:USE1_Ingest-Units"
        )[0]
        == "not_ai"
    )


def test_a_teams_rule_keeps_the_models_the_bill_names(tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    rule = {
        "id": "eval-account", "workload": "development", "evidence": "declared", "reason": "Evaluations only.",
        "when": {"sub_account_id": {"equals": "42"}}, "effective_from": date(2026, 1, 1),
        "examples": [{"sub_account_id": "42"}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump({"rules": [rule]}))
    key = {"sub_account_id": "42", "service_code": "AmazonBedrock", "usage_type": "USE1-NovaPro-output-tokens"}
    row = _attributed(key, book=Rulebook.load([path])).row(0, named=True)
    assert (row["attribution_rule_id"], row["llm_model"], row["token_bucket"]) == ("eval-account", "nova-pro", "output")


def test_dimensions_stand_beside_the_key_and_in_a_map() -> None:
    keys = pl.DataFrame({"tag:team": ["Ads", None], "tag:cell": ["A 1", None]})
    dimensions = Dimensions.model_validate({"team": [{"tag": "team"}], "cell": [{"tag": "cell"}]})
    out = attribute(keys, BOOK, dimensions, AiScope(), "aws")
    assert out["team"].to_list() == ["ads", None]
    assert out["dimensions"].to_list() == [{"team": "ads", "cell": "a-1"}, {}]


def test_no_keys_give_no_attributions_of_the_same_type() -> None:
    full = _attributed(GPU)
    assert (
        _attributed(GPU).clear().schema
        == attribute(pl.DataFrame([GPU]).clear(), BOOK, Dimensions(), AiScope(), "aws").schema
    )
    assert full.columns == [*GPU, *COLUMNS]


WORDS = st.sampled_from(["training", "web", "inference", "", "Fine-Tuning", "vllm-1"])
KEYS = st.fixed_dictionaries(
    {
        "service_code": st.sampled_from(
            [None, "AmazonEC2", "AmazonSageMaker", "AmazonBedrock", "AmazonS3", "AmazonRDS"]
        ),
        "usage_type": st.sampled_from(
            [None, "BoxUsage:p5.48xlarge", "USE1-Train:ml.g5.xlarge", "NovaPro-input-tokens", "x"]
        ),
        "line_item_type": st.sampled_from([None, "Usage", "Tax", "RIFee"]),
        "tag:workload": st.none() | WORDS,
        "tag:name": st.none() | WORDS,
        "usage_period": st.sampled_from([None, date(2014, 1, 1), date(2026, 1, 1)]),
    }
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(KEYS, min_size=2, max_size=8))
def test_every_key_gets_one_workload_whatever_stands_beside_it(keys: list[dict[str, object]]) -> None:
    schema = {name: pl.Date if name == "usage_period" else pl.String for name in keys[0]}
    frame = pl.DataFrame(keys, schema=schema)
    together = attribute(frame, BOOK, Dimensions(), AiScope(), "aws")
    halves = [attribute(half, BOOK, Dimensions(), AiScope(), "aws") for half in (frame[:1], frame[1:])]
    assert together.equals(pl.concat(halves))
    assert together["workload"].is_in([*Workload]).all()
    assert together["evidence"].is_in([*Evidence]).all()
    assert together.select(frame.columns).equals(frame)
