"""Which of Cloud Monitoring's metrics are about accelerators, and what each says of which device, by its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.gpu_readings import Device, Reading, Role
from connectors.samples import NAME

# The factor from the descriptor's unit to a fraction stands beside the labels: the same kind of metric is 0–1 at one
# service and 0–100 at another.
UNIT: Final = "@unit"
RESOURCE: Final = "@resource"
NODE: Final = "@node"
_USED, _TOTAL = Role.MEMORY_USED, Role.MEMORY_TOTAL
METRICS: Final[Mapping[str, Role]] = {
    "agent.googleapis.com/gpu/utilization": Role.BUSY,
    "agent.googleapis.com/gpu/memory/bytes_used": _USED,
    "kubernetes.io/container/accelerator/duty_cycle": Role.BUSY,
    "kubernetes.io/container/accelerator/memory_used": _USED,
    "kubernetes.io/container/accelerator/memory_total": _TOTAL,
    "kubernetes.io/node/accelerator/duty_cycle": Role.BUSY,
    "kubernetes.io/node/accelerator/memory_used": _USED,
    "kubernetes.io/node/accelerator/memory_total": _TOTAL,
    "aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle": Role.BUSY,
    "ml.googleapis.com/training/accelerator/utilization": Role.BUSY,
    "tpu.googleapis.com/accelerator/duty_cycle": Role.BUSY,
}
# What a value is multiplied with to be a fraction, by the unit its descriptor states.
FRACTION_OF: Final[Mapping[str, float]] = {"%": 0.01, "1": 1.0, "10^2.%": 1.0, "": 1.0}
_FREE: Final = "free"


def reading(labels: Mapping[str, str]) -> Reading | None:
    """Tell what a series says of which device."""
    metric = labels.get(NAME, "")
    if (role := METRICS.get(metric)) is None:
        return None
    state = labels.get("memory_state")
    if state and state != "used":
        if state != _FREE:
            return None
        role = Role.MEMORY_FREE
    scale = FRACTION_OF[labels[UNIT]] if role == Role.BUSY else 1.0
    # A node's own figure and that of the container on it are of one device: the container's names its pod.
    rank = 1 if metric.startswith("kubernetes.io/node/") else 0
    device, holder = _device(labels)
    return Reading(role, metric, device, scale, rank, *holder)


def _device(labels: Mapping[str, str]) -> tuple[Device, tuple[str | None, str | None]]:
    project, holder = labels.get("project_id"), (None, None)
    facts: dict[str, Any] = {"device_share": 1.0, "device_count": 1, "accelerator": labels.get("model")}
    said: dict[str, Any] = {"sub_account_id": project, "region_id": labels.get("zone") or labels.get("location")}
    match labels.get(RESOURCE):
        case "gce_instance":
            number = labels.get("uuid") or labels.get("gpu_number")
            device = Device("instance", labels.get("instance_id"), device=number, facts=facts, **said)
        case "k8s_container" | "k8s_node":
            node = labels.get("node_name") or labels.get(NODE)
            cluster, number = labels.get("cluster_name"), labels.get("accelerator_id")
            device = Device("node", None, node, cluster=cluster, device=number, facts=facts, **said)
            if pod := labels.get("pod_name"):
                return device, (labels.get("namespace_name"), pod)
        case "aiplatform.googleapis.com/Endpoint":
            said["sub_account_id"] = project or labels.get("resource_container")
            # An average over the replicas of a deployed model.
            facts["device_count"] = None
            model = labels.get("deployed_model_id")
            device = Device("endpoint", None, labels.get("endpoint_id"), device=model, facts=facts, **said)
        case "cloudml_job":
            worker = "/".join(filter(None, (labels.get("task_name"), labels.get("accelerator_id")))) or None
            device = Device("job", None, labels.get("job_id"), device=worker, facts=facts, **said)
        case "tpu_worker":
            worker = "/".join(filter(None, (labels.get("worker_id"), labels.get("accelerator_id")))) or None
            device = Device("tpu", None, labels.get("node_id"), device=worker, facts=facts, **said)
        case other:
            name = labels.get("instance_id") or labels.get("node_name") or labels.get("node_id") or other
            number = labels.get("accelerator_id")
            device = Device(
                "tpu" if "tpu" in (other or "") else "instance", None, name, device=number, facts=facts, **said
            )
    return device, holder
