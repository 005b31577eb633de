"""What DCGM's and vLLM's series say, by their labels; Kubernetes says which machine on the bill a node is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from connectors.gpu_readings import Device, Reading, Role
from connectors.samples import NAME

GRAPHICS: Final = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
NODES: Final = "kube_node_info"
# Metric → what it says, the factor to a fraction, and the rank: the engine's own activity is finer than the driver's
# utilization, and the only one there is on slices.
METRICS: Final[Mapping[str, tuple[Role, float, int]]] = {
    GRAPHICS: (Role.BUSY, 1.0, 0),
    "DCGM_FI_DEV_GPU_UTIL": (Role.BUSY, 0.01, 1),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": (Role.TENSOR, 1.0, 0),
    "DCGM_FI_DEV_FB_USED_PERCENT": (Role.MEMORY, 1.0, 0),
    "DCGM_FI_DEV_FB_USED": (Role.MEMORY_USED, 1.0, 0),
    "DCGM_FI_DEV_FB_FREE": (Role.MEMORY_FREE, 1.0, 0),
    "vllm:num_requests_running": (Role.RUNNING, 1.0, 0),
    "vllm:num_requests_waiting": (Role.WAITING, 1.0, 0),
}
_PROFILE: Final = re.compile(r"(?:MIG )?(\d+)g\.\d+gb")
_SLICES: Final = 7
# Cards that are cut into four slices, not seven.
_QUARTERED: Final = re.compile(r"\bA30\b|RTX PRO [56]000", re.IGNORECASE)
_EC2: Final = re.compile(r"aws:///[^/]*/(i-[0-9a-f]+)")
_GCE: Final = re.compile(r"gce://[^/]+/[^/]+/([^/]+)")


def label(labels: Mapping[str, str], *names: str) -> str | None:
    """Give the first label that says anything; what a target said itself may stand as `exported_…`."""
    for name in names:
        for key in (f"exported_{name}", name):
            if labels.get(key):
                return labels[key]
    return None


def resources(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Give node → the machine's id or name on the bill, from Kubernetes' own node series."""
    known = {}
    for labels in found:
        provider = labels.get("provider_id", "")
        match = _EC2.match(provider) or _GCE.match(provider)
        if labels.get(NAME) == NODES and match and labels.get("node"):
            known[labels["node"]] = match[1]
    return known


def reading(labels: Mapping[str, str], machines: Mapping[str, str], cluster: str | None) -> Reading | None:
    """Tell what a series says of which device; None for series that say nothing of one."""
    if (metric := labels.get(NAME, "")) not in METRICS:
        return None
    role, scale, rank = METRICS[metric]
    if role in {Role.RUNNING, Role.WAITING}:
        return Reading(role, metric, None, namespace=label(labels, "namespace"), pod=label(labels, "pod"))
    namespace, pod = holder(labels)
    return Reading(role, metric, _device(labels, machines, cluster), scale, rank, namespace, pod)


def holder(labels: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Give namespace and pod that hold the device.

    Scraped as a pod, the exporter's own names stand in `pod` and `namespace`, and the holder's in `exported_…`.
    """
    exported = any(labels.get(f"exported_{name}") for name in ("pod", "namespace", "container"))
    if exported:
        return labels.get("exported_namespace") or None, labels.get("exported_pod") or None
    pod, container = labels.get("pod", ""), labels.get("container", "")
    if not pod or "dcgm" in pod or "dcgm" in container or container == "exporter":
        return None, None
    return labels.get("namespace") or None, pod


def _device(labels: Mapping[str, str], machines: Mapping[str, str], cluster: str | None) -> Device:
    node = _node(labels)
    model = label(labels, "modelName")
    whole = Device(
        "node",
        resource_id=machines.get(node or ""),
        resource_name=node,
        cluster=label(labels, "cluster", "k8s_cluster") or cluster,
        device=label(labels, "UUID", "gpu", "device"),
        facts={"device_share": 1.0, "device_count": 1, "accelerator": model},
    )
    if not (slice_id := label(labels, "GPU_I_ID")):
        return whole
    return Device(
        "node",
        resource_id=whole.resource_id,
        resource_name=node,
        cluster=whole.cluster,
        device=f"{whole.device}/MIG-{slice_id}",
        whole=whole,
        facts={**whole.facts, "device_share": share(label(labels, "GPU_I_PROFILE"), model)},
    )


def _node(labels: Mapping[str, str]) -> str | None:
    """Give the node's name; an exporter that was not told its node calls itself by its pod."""
    host = label(labels, "Hostname", "hostname")
    if host and host != labels.get("pod"):
        return host
    instance = label(labels, "instance") or ""
    return (
        label(labels, "node", "kubernetes_node", "nodename") or host or instance.rpartition(":")[0] or instance or None
    )


def share(profile: str | None, model: str | None) -> float | None:
    """Give the part of a card that a slice of a profile is, such as 4/7 for 4g.40gb; None where it is not said."""
    match = _PROFILE.match(profile or "")
    slices = 4 if _QUARTERED.search(model or "") else _SLICES
    return min(1.0, int(match[1]) / slices) if match else None
