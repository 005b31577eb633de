"""The EC2 fleets: GPU and CPU nodes, on demand, on spot or reserved, in clusters that say what they do or do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from examples.company import PREFIXES, SHAPES, SPOT_SHARE
from examples.meters import EC2, EKS, Grain, Meter, arn, resource_id


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Identical nodes doing one job; `tagged` of them carry `tag`, the rest none."""

    name: str
    account: str
    team: str
    workload: str
    instance: str
    nodes: int = 1
    added: int = 0
    """Nodes that join every month."""
    shape: str = "always"
    later_shapes: tuple[str, ...] = ()
    """The shapes of the months after the first, where they differ."""
    jitter: float = 0.0
    cluster: str = ""
    group: str = ""
    tag: str = ""
    tagged: int = 99
    llm_model: str | None = None
    is_spot: bool = False
    is_evident: bool = True
    savings_ratio: float | None = None
    region: str = "us-east-1"
    reserved: str = ""
    grain: Grain = "hour"


FLEETS: Final = (
    # The serving cluster's name says what it does, tagged or not.
    Fleet(name="llm-serving", account="inference-prod", team="assistant", workload="inference", instance="p5.48xlarge",
          nodes=3, added=1, cluster="llm-serving-prod", tag="inference", tagged=2, llm_model="meridian-chat-70b"),
    Fleet(name="llm-reserved", account="inference-prod", team="assistant", workload="inference", instance="p5.48xlarge",
          shape="weekdays", cluster="llm-serving-prod", llm_model="meridian-chat-70b", reserved="cr-0a5e1d2c3b4f59687"),
    Fleet(name="adapters", account="inference-prod", team="assistant", workload="inference", instance="g5.12xlarge",
          nodes=2, shape="evening", cluster="llm-serving-prod", llm_model="meridian-adapters-8b"),
    Fleet(name="ranker", account="platform", team="search", workload="inference", instance="g6.48xlarge", nodes=2,
          shape="daytime", group="search-ranker-inference", tag="inference", savings_ratio=0.701,
          llm_model="meridian-ranker-2b"),
    Fleet(name="embedder", account="inference-prod", team="search", workload="inference", instance="inf2.48xlarge",
          group="embedding-serve", tag="inference", llm_model="meridian-embed-1b"),
    Fleet(name="canary", account="inference-staging", team="assistant", workload="inference", instance="g6.12xlarge",
          shape="15..18", tag="infrence", is_evident=False, llm_model="meridian-chat-70b"),
    Fleet(name="demo", account="inference-staging", team="assistant", workload="inference", instance="g5.xlarge",
          shape="10..13", tag="training", is_evident=False, llm_model="meridian-chat-70b"),
    # Nothing on the bill tells these apart: same cluster, no tags, training and serving side by side.
    Fleet(name="shared-a", team="research", workload="training", instance="p5.48xlarge", shape="1..26",
          account="applied-ml", cluster="ml-shared", is_evident=False),
    Fleet(name="shared-b", team="assistant", workload="inference", instance="p5.48xlarge", shape="3..28",
          llm_model="meridian-chat-70b", account="applied-ml",
          cluster="ml-shared", is_evident=False),
    Fleet(name="shared-c", team="search", workload="inference", instance="p4d.24xlarge",
          llm_model="meridian-ranker-2b", account="applied-ml",
          cluster="ml-shared", is_evident=False),
    Fleet(name="shared-d", team="applied-ml", workload="fine_tuning", instance="p4d.24xlarge",
          llm_model="meridian-adapters-8b", account="applied-ml",
          cluster="ml-shared", is_evident=False),
    Fleet(name="pretrain", account="research-training", team="research", workload="training", instance="p5.48xlarge",
          nodes=5, shape="2..23", later_shapes=("2..22", "4..22"), cluster="train-cluster-a", tag="training", tagged=2,
          llm_model="meridian-chat-70b", region="us-west-2"),
    Fleet(name="trainium", account="research-training", team="research", workload="training", instance="trn1.32xlarge",
          shape="5..20", tag="training", is_evident=False, llm_model="meridian-embed-1b"),
    Fleet(name="sweep", account="research-training", team="research", workload="training", instance="p4d.24xlarge",
          shape="nights", jitter=0.35, group="spot-hparam-sweep", tag="trainng", is_spot=True),
    Fleet(name="sweep-small", account="research-training", team="research", workload="training", is_spot=True,
          instance="g5.48xlarge", shape="8..16", jitter=0.3, group="spot-hparam-sweep", tag="training"),
    Fleet(name="tuning", account="applied-ml", team="applied-ml", workload="fine_tuning", instance="p4d.24xlarge",
          nodes=2, tag="fine-tuning", is_evident=False, llm_model="meridian-adapters-8b"),
    Fleet(name="bench", account="applied-ml", team="applied-ml", workload="development", instance="g5.2xlarge",
          shape="office", tag="development", is_evident=False),
    # Not AI.
    Fleet(name="web", account="platform", team="platform", workload="not_ai", instance="m7i.48xlarge", nodes=2,
          savings_ratio=0.727, group="web-frontend"),
    Fleet(name="web-peak", account="platform", team="platform", workload="not_ai", instance="c7i.48xlarge",
          shape="daytime", savings_ratio=0.719, group="web-frontend"),
    Fleet(name="warehouse", account="data", team="data", workload="not_ai", instance="r7i.24xlarge", nodes=9,
          group="spark-etl", grain="day"),
    Fleet(name="build", account="platform", team="platform", workload="not_ai", instance="m7i.48xlarge", nodes=3,
          shape="office", group="ci-runners", grain="day"),
)  # fmt: skip


def meters(seed: int, index: int) -> Iterator[Meter]:
    """Meter every fleet in the `index`-th month: node hours and volumes, then the clusters."""
    for fleet in FLEETS:
        for node in range(fleet.nodes + fleet.added * index):
            yield _node(seed, fleet, node, index)
        yield _volumes(seed, fleet, index)
    yield from _control_planes()


def node_id(seed: int, fleet: str, node: int) -> str:
    """Name the instance that is the `node`-th of a fleet."""
    return resource_id(seed, "i", fleet, node)


def _node(seed: int, fleet: Fleet, node: int, index: int) -> Meter:
    shape = SHAPES[fleet.instance]
    market = "SpotUsage" if fleet.is_spot else "BoxUsage"
    rate = shape.price * SPOT_SHARE if fleet.is_spot else shape.price
    market_words = "Linux/UNIX Spot" if fleet.is_spot else "On Demand Linux"
    return Meter(
        account=fleet.account,
        product=EC2,
        usage_type=f"{prefix(fleet.region)}{market}:{fleet.instance}",
        operation="RunInstances:SV001" if fleet.is_spot else "RunInstances",
        description=f"${rate:.10g} per {market_words} {fleet.instance} Instance Hour",
        rate=rate,
        on_demand_rate=shape.price,
        family="Compute Instance",
        instance=fleet.instance,
        region=fleet.region,
        resource=node_id(seed, fleet.name, node),
        quantity=1.0 - fleet.jitter,
        jitter=fleet.jitter,
        shape=(fleet.shape, *fleet.later_shapes)[min(index, len(fleet.later_shapes))],
        grain=fleet.grain,
        tag=fleet.tag if node < fleet.tagged else "",
        tags=_names(fleet),
        extra=held(fleet, "Used") if fleet.reserved else {},
        savings_ratio=fleet.savings_ratio,
        workload=fleet.workload,
        team=fleet.team,
        llm_model=fleet.llm_model,
        is_evident=fleet.is_evident,
    )


def _volumes(seed: int, fleet: Fleet, index: int) -> Meter:
    """Meter the root and scratch volumes of one fleet; beside an accelerator they are AI storage."""
    is_ai = SHAPES[fleet.instance].gpus > 0
    gib = (2000 if is_ai else 500) * (fleet.nodes + fleet.added * index)
    return Meter(
        account=fleet.account,
        product=EC2,
        usage_type=f"{prefix(fleet.region)}EBS:VolumeUsage.gp3",
        operation="CreateVolume-Gp3",
        description="$0.08 per GB-month of General Purpose (gp3) provisioned storage",
        rate=0.08,
        unit="GB-Mo",
        family="Storage",
        region=fleet.region,
        resource=resource_id(seed, "vol", fleet.name),
        quantity=gib / 730,
        grain="day",
        tags=_names(fleet),
        workload="storage" if is_ai else "not_ai",
        team=fleet.team,
        is_evident=bool(fleet.cluster) or not is_ai,
    )


def _control_planes() -> Iterator[Meter]:
    """Meter the EKS control planes: a flat fee per cluster, which follows what the cluster is for."""
    for account, cluster in (("inference-prod", "llm-serving-prod"), ("applied-ml", "ml-shared")):
        yield Meter(
            account=account,
            product=EKS,
            usage_type="USE1-AmazonEKS-Hours:perCluster",
            operation="CreateOperation",
            description="Amazon EKS cluster usage",
            rate=0.10,
            family="Compute",
            resource=arn("eks", account, f"cluster/{cluster}"),
            grain="day",
            tags={"aws_eks_cluster_name": cluster},
            workload="inference",
            team="platform",
            is_evident=cluster != "ml-shared",
        )


def held(fleet: Fleet, status: str) -> dict[str, str]:
    """Fill the columns that say which reservation a line stands in, and whether it is used."""
    column = "capacity_reservation_capacity_reservation"
    return {
        f"{column}_arn": arn("ec2", fleet.account, f"capacity-reservation/{fleet.reserved}"),
        f"{column}_status": status,
        f"{column}_type": "ODCR",
    }


def _names(fleet: Fleet) -> dict[str, str]:
    names = {"aws_eks_cluster_name": fleet.cluster, "aws_autoscaling_group_name": fleet.group}
    return {key: name for key, name in names.items() if name}


def prefix(region: str) -> str:
    """Spell the region in front of an EC2 usage type: nothing at all for us-east-1."""
    return "" if region == "us-east-1" else PREFIXES[region]
