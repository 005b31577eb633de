"""Bedrock: tokens in the three naming styles of its bills, fine-tuning, and throughput bought by the hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from examples.meters import BEDROCK, BEDROCK_SERVICE, Meter, Product, arn

Style = Literal["native", "service", "mantle", "marketplace"]

_KINDS: Final = {
    "native": ("-input-tokens", "-output-tokens", "-cache-read-input-token-count", "-cache-write-input-token-count"),
    "service": ("-input-tokens", "-output-tokens", "-cache-read-input-token-count", "-cache-write-input-token-count"),
    "mantle": ("-input-tokens", "-output-tokens", "-cache-read-tokens", "-cache-write-tokens"),
    "marketplace": ("InputTokenCount", "OutputTokenCount", "CacheReadInputTokenCount", "CacheWriteInputTokenCount"),
}


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """One application's calls to one model: prices in dollars and volumes in millions of tokens a day, by kind."""

    style: Style
    sku: str
    """How the usage type spells the model; on Marketplace, the product code, which spells nothing."""
    llm_model: str
    prices: tuple[float, ...]
    volumes: tuple[float, ...]
    """Input, output, cache reads, cache writes; as many as are used."""
    account: str
    team: str
    suffix: str = ""
    product_name: str = ""
    application: str = ""
    tag: str = ""
    growth: float = 1.10
    shape: str = "diurnal"


_SONNET: Final = (3.0, 15.0, 0.3, 3.75)
_HAIKU: Final = (1.0, 5.0, 0.1, 1.25)

TRAFFIC: Final = (
    Traffic(style="marketplace", sku="c6bf4v2m8q1t9x5z3n7k0w2hd", llm_model="claude-sonnet-4.5", prices=_SONNET,
            product_name="Claude Sonnet 4.5 (Amazon Bedrock Edition)", volumes=(590, 141, 1780, 70),
            account="inference-prod", team="assistant", suffix="_Global", application="assistant", tag="inference"),
    Traffic(style="marketplace", sku="c6bf4v2m8q1t9x5z3n7k0w2hd", llm_model="claude-sonnet-4.5", prices=(1.5, 7.5),
            product_name="Claude Sonnet 4.5 (Amazon Bedrock Edition)", volumes=(240, 30), account="data",
            team="data", suffix="_Global_Batch"),
    Traffic(style="marketplace", sku="9r3h5t0p8y2e6u1j4s7d9g3kb", llm_model="claude-haiku-4.5", prices=_HAIKU,
            product_name="Claude Haiku 4.5 (Amazon Bedrock Edition)", volumes=(720, 130, 900, 40),
            account="inference-prod", team="search", application="query-rewrite"),
    Traffic(style="marketplace", sku="9r3h5t0p8y2e6u1j4s7d9g3kb", llm_model="claude-haiku-4.5", prices=_HAIKU,
            product_name="Claude Haiku 4.5 (Amazon Bedrock Edition)", volumes=(2.1, 0.4), growth=1.0,
            account="inference-staging", team="search", application="query-rewrite-staging", tag="inference"),
    Traffic(style="mantle", sku="anthropic.claude-opus-4-8", llm_model="claude-opus-4.8", prices=(5.0, 25.0, 0.5, 6.25),
            volumes=(95, 21, 140, 9), account="inference-prod", team="assistant", suffix="-global-standard",
            application="deep-research", tag="inference", growth=1.2),
    Traffic(style="mantle", sku="openai.gpt-oss-120b", llm_model="gpt-oss-120b", prices=(0.15, 0.6),
            volumes=(400, 90), account="platform", team="platform", suffix="-standard"),
    Traffic(style="service", sku="Claude4Sonnet", llm_model="claude-sonnet-4", prices=_SONNET, volumes=(70, 16, 110, 6),
            account="inference-prod", team="assistant", suffix="-cross-region-global", growth=0.8),
    Traffic(style="native", sku="Nova2.0Lite", llm_model="nova-2.0-lite", prices=(0.3, 2.5, 0.075),
            volumes=(820, 110, 400), account="inference-prod", team="assistant", application="triage", tag="inference"),
    Traffic(style="native", sku="Nova2.0Lite", llm_model="nova-2.0-lite", prices=(0.15, 1.25), volumes=(300, 24),
            account="data", team="data", suffix="-batch"),
    Traffic(style="native", sku="Nova2.0Lite", llm_model="nova-2.0-lite", prices=(0.3, 2.5), volumes=(150, 21),
            account="applied-ml", team="applied-ml", suffix="-custom-model"),
    Traffic(style="native", sku="Llama3-3-70B", llm_model="llama-3.3-70b", prices=(0.72, 0.72), volumes=(260, 70),
            account="inference-prod", team="search"),
    Traffic(style="native", sku="NovaMicro", llm_model="nova-micro", prices=(0.035, 0.14), volumes=(0.11, 0.02),
            account="inference-staging", team="assistant", growth=1.0, shape="3..4", application="smoke",
            tag="infrence"),
    Traffic(style="native", sku="TitanEmbeddingV2-Text", llm_model="titan-embedding-v2", prices=(0.02,),
            volumes=(900,), account="data", team="search"),
    # A pilot that somebody forgot: a few calls a day, fractions of a cent.
    Traffic(style="native", sku="MistralSmall", llm_model="mistral-small", prices=(1.0, 3.0), volumes=(0.004, 0.001),
            account="platform", team="platform", growth=1.0, shape="3..4", application="pilot", tag="training"),
)  # fmt: skip

_HOURLY: Final = (
    # usage type, account, team, workload, model, unit, dollars a unit, units an hour, shape, idle reason
    ("USE1-Nova2.0Lite-ProvisionedThroughput-NoCommit-ModelUnits", "inference-prod", "assistant", "inference",
     "nova-2.0-lite", "ModelUnits", 60.50, 1.0, "daytime", None),
    ("USW2-Llama3-1-70B-ProvisionedThroughput-NoCommit-ModelUnits", "inference-staging", "search", "inference",
     "llama-3.1-70b", "ModelUnits", 24.0, 1.0, "1..12", "unused_throughput"),
    ("USE1-Nova2.0Lite-Customization-Training", "applied-ml", "applied-ml", "fine_tuning",
     "nova-2.0-lite", "1K tokens", 0.00378, 36_000.0, "6..9", None),
    ("USE1-Nova2.0Lite-RFT-Training-Hours", "applied-ml", "applied-ml", "fine_tuning",
     "nova-2.0-lite", "Hrs", 98.4, 1.0, "14..15", None),
    ("USE1-Nova2.0Lite-Customization-Storage", "applied-ml", "applied-ml", "storage",
     "nova-2.0-lite", "Model-Mo", 1.95, 6 / 730, "always", None),
    ("USE1-cohere.rerank-english-v3-search-units", "inference-prod", "search", "inference",
     "cohere-rerank-english-v3", "Search Units", 0.002, 1_150.0, "diurnal", None),
    ("USE1-Guardrail-ContentPolicyImageUnitsConsumed", "inference-prod", "assistant", "inference",
     None, "Units", 0.00075, 900.0, "diurnal", None),
    # A meter that no price list of today has.
    ("USE1-Zephyr9-omni-thought-units", "inference-prod", "assistant", "inference",
     None, "Thought-Units", 0.0041, 2_300.0, "diurnal", None),
)  # fmt: skip


def meters() -> Iterator[Meter]:
    """Meter all traffic, and what is bought by the hour or the job."""
    for traffic in TRAFFIC:
        for kind, price, volume in zip(_KINDS[traffic.style], traffic.prices, traffic.volumes, strict=False):
            yield _tokens(traffic, kind, price, volume)
    for usage_type, account, team, workload, model, unit, rate, quantity, shape, idle in _HOURLY:
        yield Meter(
            account=account,
            product=BEDROCK,
            usage_type=usage_type,
            operation="InvokeModelInference" if workload == "inference" else "CreateModelCustomizationJob",
            description=f"${rate:.10g} per {unit} for {usage_type.split('-', 1)[1]}",
            rate=rate,
            unit=unit,
            family="Amazon Bedrock",
            region="us-west-2" if usage_type.startswith("USW2") else "us-east-1",
            quantity=quantity,
            jitter=0.0 if unit in {"ModelUnits", "Model-Mo"} else 0.4,
            shape=shape,
            grain="day",
            workload=workload,
            team=team,
            llm_model=model,
            idle_reason=idle,
            is_evident="Zephyr9" not in usage_type,
        )


def _tokens(traffic: Traffic, kind: str, price: float, volume: float) -> Meter:
    per_thousand = traffic.style in {"native", "service"}
    on_marketplace = traffic.style == "marketplace"
    unit = "Units" if on_marketplace else "1K tokens" if per_thousand else "1M tokens"
    rate = price / 1000 if per_thousand else price
    profile = f"application-inference-profile/{traffic.application}"
    return Meter(
        account=traffic.account,
        product=_product(traffic),
        usage_type=_usage_type(traffic, kind),
        operation="InvokeModelStreamingInference" if traffic.application else "InvokeModelInference",
        description=(
            f"AWS Marketplace software usage|us-east-1|{kind}{traffic.suffix}"
            if on_marketplace
            else f"${rate:.10g} per {unit} for {traffic.sku}{kind}{traffic.suffix} in US East (N. Virginia)"
        ),
        rate=rate,
        on_demand_rate=0.0 if on_marketplace else rate,
        unit=unit,
        family="" if on_marketplace else "Amazon Bedrock",
        resource=arn("bedrock", traffic.account, profile) if traffic.application else "",
        quantity=volume / 24 * (1000 if per_thousand else 1),
        jitter=0.35,
        shape=traffic.shape,
        grain="day",
        growth=traffic.growth,
        tag=traffic.tag,
        extra={"line_item_iam_principal": arn("iam", traffic.account, f"role/{traffic.team}-bedrock", "")},
        workload="inference",
        team=traffic.team,
        llm_model=traffic.llm_model,
    )


def _product(traffic: Traffic) -> Product:
    if traffic.style == "marketplace":
        return Product(traffic.sku, traffic.product_name, "", discounted=False, entity="AWS Marketplace")
    return BEDROCK_SERVICE if traffic.style == "service" else BEDROCK


def _usage_type(traffic: Traffic, kind: str) -> str:
    if traffic.style == "marketplace":
        return f"USE1-MP:USE1_{kind}{traffic.suffix}-Units"
    middle = "-mantle" if traffic.style == "mantle" else ""
    return f"USE1-{traffic.sku}{middle}{kind}{traffic.suffix}"
