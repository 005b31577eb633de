"""Split cost allocation: one EKS node group's cost said again per pod, which adds no money to the bill."""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from examples.bill import STRING_MAP
from examples.compute import node_id
from examples.meters import EKS

_NODE_GROUP: Final = "adapters"


class _Pod(NamedTuple):
    node: int
    namespace: str
    workload_name: str
    gpus: int


_PODS: Final = (
    _Pod(0, "assistant", "adapters-8b-vllm", 3),
    _Pod(1, "assistant", "adapters-8b-vllm", 2),
    _Pod(1, "moderation", "guard-8b-vllm", 1),
)
_GPUS: Final = 4
_WEIGHTS: Final = {"EKS-EC2-Accelerator-Hours": 0.88, "EKS-EC2-vCPU-Hours": 0.09, "EKS-EC2-GB-Hours": 0.03}
"""How a node's cost falls on what its pods reserve."""


def split(lines: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Repeat the node group's lines per pod and resource: reserved shares and the idle rest add up to the node."""
    pods = pl.DataFrame(
        [
            {
                "line_item_resource_id": node_id(seed, _NODE_GROUP, pod.node),
                "pod": f"arn:aws:eks:us-east-1:cluster/llm-serving-prod/{pod.namespace}/{pod.workload_name}/{number}",
                "share": pod.gpus / _GPUS,
                "part_of_node": pod.gpus / sum(other.gpus for other in _PODS if other.node == pod.node),
                "weight": weight,
                "split_usage_type": f"USE1-{usage_type}",
                "pod_tags": {
                    "aws_eks_cluster_name": "llm-serving-prod",
                    "aws_eks_namespace": pod.namespace,
                    "aws_eks_workload_name": pod.workload_name,
                },
            }
            for number, pod in enumerate(_PODS)
            for usage_type, weight in _WEIGHTS.items()
        ],
        schema_overrides={"pod_tags": STRING_MAP},
    )
    reserved = pl.col("line_item_unblended_cost") * pl.col("weight") * pl.col("share")
    idle = pl.col("line_item_unblended_cost") * pl.col("weight") * pl.col("part_of_node") - reserved
    hours = pl.col("line_item_usage_amount") * pl.col("share")
    free = pl.lit(0.0)
    return (
        lines.join(pods, on="line_item_resource_id", maintain_order="left_right")
        .with_columns(
            split_line_item_parent_resource_id=pl.col("line_item_resource_id"),
            split_line_item_split_cost=reserved,
            split_line_item_unused_cost=idle,
            split_line_item_public_on_demand_split_cost=reserved,
            split_line_item_public_on_demand_unused_cost=idle,
            split_line_item_net_split_cost=reserved * (1 - pl.col("discount_rate")),
            split_line_item_net_unused_cost=idle * (1 - pl.col("discount_rate")),
            split_line_item_reserved_usage=hours,
            split_line_item_actual_usage=hours * 0.61,
            split_line_item_split_usage=hours,
            split_line_item_split_usage_ratio=pl.col("share"),
            line_item_resource_id=pl.col("pod"),
            resource_tags=pl.col("pod_tags"),
            line_item_usage_amount=hours,
            line_item_unblended_cost=free,
            pricing_public_on_demand_cost=free,
            line_item_unblended_rate=pl.lit("0.0000000000"),
            pricing_public_on_demand_rate=pl.lit(""),
            product=pl.lit(pl.Series([{"product_name": EKS.name, "region": "us-east-1"}], dtype=STRING_MAP)).first(),
            # A pod is no machine: counting the node's accelerators again would double them.
            product_instance_type=pl.lit(""),
            line_item_product_code=pl.lit(EKS.code),
            product_servicecode=pl.lit(EKS.code),
            product_product_family=pl.lit("Split Cost Allocation"),
            product_operation=pl.lit("EKSPod-EC2"),
            line_item_operation=pl.lit("EKSPod-EC2"),
            line_item_usage_type=pl.col("split_usage_type"),
            product_usagetype=pl.col("split_usage_type"),
            line_item_line_item_description=pl.lit("EKS pod split cost allocation"),
        )
        .drop("pod", "share", "part_of_node", "weight", "split_usage_type", "pod_tags")
    )
