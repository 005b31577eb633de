"""SageMaker: jobs, endpoints, clusters, notebooks and what they keep on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from examples.company import PREFIXES, SAGEMAKER_MARKUP, SHAPES
from examples.meters import SAGEMAKER, Grain, Meter, arn


@dataclass(frozen=True, kw_only=True)
class Component:
    """Instances that SageMaker runs under one ARN; several of them share a line, with their number as its quantity."""

    prefix: str
    """What stands before the instance type in the usage type."""
    name: str
    account: str
    team: str
    workload: str
    instance: str
    count: float = 1.0
    shape: str = "always"
    later_shapes: tuple[str, ...] = ()
    jitter: float = 0.0
    growth: float = 1.0
    grain: Grain = "hour"
    price_share: float = 1.0
    tag: str = ""
    llm_model: str | None = None
    idle_reason: str | None = None
    is_evident: bool = True
    region: str = "us-east-1"


COMPONENTS: Final = (
    Component(prefix="Host:", name="endpoint/assistant-chat-70b", account="inference-prod", team="assistant",
              workload="inference", instance="p5.48xlarge", tag="inference", llm_model="meridian-chat-70b"),
    Component(prefix="Host:", name="endpoint/search-rerank", account="inference-prod", team="search",
              workload="inference", instance="p4d.24xlarge", llm_model="meridian-ranker-2b"),
    Component(prefix="Host:", name="endpoint/moderation", account="inference-prod", team="assistant",
              workload="inference", instance="g5.12xlarge", count=2, llm_model="meridian-guard-8b", tag="inference"),
    Component(prefix="Host:", name="endpoint/staging-chat", account="inference-staging", team="assistant",
              workload="inference", instance="g5.xlarge", shape="10..11", tag="Inference ",
              llm_model="meridian-chat-70b"),
    Component(prefix="AsyncInf:", name="endpoint/document-summaries", account="inference-prod", team="assistant",
              workload="inference", instance="g6e.2xlarge", count=4, shape="daytime", grain="day", jitter=0.4,
              tag="inference", llm_model="meridian-adapters-8b"),
    Component(prefix="Tsform:", name="transform-job/catalog-embeddings", account="data", team="search",
              workload="inference", instance="g5.2xlarge", count=12, shape="nights", grain="day", jitter=0.3,
              llm_model="meridian-embed-1b"),
    Component(prefix="Train:", name="training-job/chat-70b-stage-1", account="research-training", team="research",
              workload="training", instance="p4d.24xlarge", count=6, shape="2..6", tag="training",
              llm_model="meridian-chat-70b"),
    Component(prefix="Train:", name="training-job/chat-70b-stage-2", account="research-training", team="research",
              workload="training", instance="p4d.24xlarge", count=6, shape="9..10", tag="TRAIN",
              llm_model="meridian-chat-70b"),
    Component(prefix="Train:", name="training-job/embed-1b-2607", account="research-training", team="research",
              workload="training", instance="p4d.24xlarge", count=4, shape="15..20", later_shapes=("15..19", "15..17"),
              llm_model="meridian-embed-1b"),
    # The usage type says "Train:", the tag says what for.
    Component(prefix="Train:", name="training-job/adapters-8b-lora", account="applied-ml", team="applied-ml",
              workload="fine_tuning", instance="p4d.24xlarge", count=4, shape="20..26", tag="fine-tuning",
              llm_model="meridian-adapters-8b"),
    Component(prefix="Train:", name="training-job/guard-8b-dpo", account="applied-ml", team="applied-ml",
              workload="fine_tuning", instance="g5.48xlarge", count=1, shape="12..13", tag="fine tunning",
              llm_model="meridian-guard-8b"),
    Component(prefix="TrSpt:", name="training-job/ranker-2b-spot", account="research-training", team="search",
              workload="training", instance="g5.48xlarge", count=4, shape="nights", jitter=0.3, grain="day",
              price_share=0.38, tag="training", llm_model="meridian-ranker-2b"),
    Component(prefix="TrainWarmPool:", name="training-job/chat-70b-stage-1", account="research-training",
              team="research", workload="training", instance="p4d.24xlarge", count=6, shape="7..7",
              idle_reason="warm_pool", llm_model="meridian-chat-70b"),
    Component(prefix="Cluster:", name="cluster/hyperpod-a", account="research-training", team="research",
              workload="training", instance="p4d.24xlarge", count=4, region="us-west-2",
              llm_model="meridian-chat-70b"),
    Component(prefix="Processing:", name="processing-job/corpus-dedup", account="data", team="data",
              workload="development", instance="m5.4xlarge", count=30, shape="nights", grain="day", jitter=0.5,
              tag="development"),
    Component(prefix="Notebk:", name="notebook-instance/explore-1", account="applied-ml", team="applied-ml",
              workload="development", instance="t3.medium", count=5, shape="office", grain="day"),
    Component(prefix="Studio:JupyterLab-", name="space/d-meridian/lab", account="applied-ml", team="applied-ml",
              workload="development", instance="g5.2xlarge", count=8, shape="office", grain="day", jitter=0.3,
              tag="development"),
    Component(prefix="Studio:CodeEditor-", name="space/d-meridian/eval", account="research-training", team="research",
              workload="development", instance="g5.12xlarge", count=2, shape="office", grain="day", jitter=0.3),
    # Announced next year: no rule has heard of it.
    Component(prefix="Hyperscale:", name="hyperscale/preview", account="research-training", team="research",
              workload="training", instance="x9.48xlarge", count=2, shape="10..19", grain="day", is_evident=False),
)  # fmt: skip

_DISKS: Final = (
    ("USE1-Studio:VolumeUsage.gp3", "applied-ml", "applied-ml", "space/d-meridian/lab", 6_000, 0.112),
    ("USE1-Host:VolumeUsage.gp2", "inference-prod", "assistant", "endpoint/assistant-chat-70b", 2_000, 0.14),
    ("USW2-Cluster:VolumeUsage.gp2", "research-training", "research", "cluster/hyperpod-a", 12_000, 0.14),
    ("USE1-Notebk:VolumeUsage.gp2", "applied-ml", "applied-ml", "notebook-instance/explore-1", 500, 0.14),
)


def meters(index: int) -> Iterator[Meter]:
    """Meter every component in the `index`-th month, the disks and the serverless endpoint."""
    for component in COMPONENTS:
        yield _instances(component, index)
    for usage_type, account, team, name, gib, rate in _DISKS:
        yield Meter(
            account=account,
            product=SAGEMAKER,
            usage_type=usage_type,
            operation="CreateVolume-Gp3" if "gp3" in usage_type else "CreateVolume-Gp2",
            description=f"${rate} per GB-Mo of ML storage",
            rate=rate,
            unit="GB-Mo",
            family="ML Storage",
            resource=arn("sagemaker", account, name),
            quantity=gib / 730,
            grain="day",
            workload="storage",
            team=team,
        )
    yield Meter(
        account="inference-prod",
        product=SAGEMAKER,
        usage_type="USE1-ServerlessInf:Mem-3GB",
        operation="RunInstance",
        description="$0.00006 per second of Serverless Inference with 3 GB of memory",
        rate=0.00006,
        unit="Second",
        family="ML Serverless",
        resource=arn("sagemaker", "inference-prod", "endpoint/spell-fix"),
        quantity=9_000,
        jitter=0.6,
        shape="diurnal",
        grain="day",
        growth=1.1,
        workload="inference",
        team="search",
        llm_model="meridian-spell-1b",
    )


def _instances(component: Component, index: int) -> Meter:
    on_demand = SHAPES[component.instance].price * SAGEMAKER_MARKUP
    rate = on_demand * component.price_share
    instance = f"ml.{component.instance}"
    what = component.prefix.rstrip(":-")
    return Meter(
        account=component.account,
        product=SAGEMAKER,
        usage_type=f"{PREFIXES[component.region]}{component.prefix}{instance}",
        operation="RunInstance",
        description=f"${rate:.10g} per {what} {instance} hour in {component.region}",
        rate=rate,
        on_demand_rate=on_demand,
        family="ML Instance",
        instance=instance,
        region=component.region,
        resource=arn("sagemaker", component.account, component.name, component.region),
        quantity=component.count,
        jitter=component.jitter,
        shape=(component.shape, *component.later_shapes)[min(index, len(component.later_shapes))],
        growth=component.growth,
        grain=component.grain,
        tag=component.tag,
        workload=component.workload,
        team=component.team,
        llm_model=component.llm_model,
        idle_reason=component.idle_reason,
        # A training job's usage type says "training" even where it fine-tunes: only the tag knows better.
        is_evident=component.is_evident and component.workload != "fine_tuning",
    )
