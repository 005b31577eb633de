"""Which of CloudWatch's metrics are about accelerators, and what each says of which device, by its dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.gpu_readings import Device, Reading, Role
from connectors.samples import NAME

# What stands beside the dimensions of a series: where it is from, and what SageMaker says of the resource.
NAMESPACE: Final = "@namespace"
REGION: Final = "@region"
STATISTIC: Final = "@statistic"
PERIOD: Final = "@period"
GPUS: Final = "@gpus"
ARN: Final = "@arn"

AGENT: Final = "CWAgent"
CONTAINERS: Final = "ContainerInsights"
ENDPOINTS: Final = "/aws/sagemaker/Endpoints"
JOBS: Final = ("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TransformJobs")
CALLS: Final = "AWS/SageMaker"
_PERCENT: Final = 0.01
_MINUTE: Final = 60

# Namespace → metric → what it says, and the factor to a fraction.
METRICS: Final[Mapping[str, Mapping[str, tuple[Role, float]]]] = {
    AGENT: {
        "nvidia_smi_utilization_gpu": (Role.BUSY, _PERCENT),
        "nvidia_smi_memory_used": (Role.MEMORY_USED, 1.0),
        "nvidia_smi_memory_total": (Role.MEMORY_TOTAL, 1.0),
    },
    CONTAINERS: {
        "node_gpu_utilization": (Role.BUSY, _PERCENT),
        "node_gpu_memory_utilization": (Role.MEMORY, _PERCENT),
        "node_gpu_tensor_core_utilization": (Role.TENSOR, _PERCENT),
        "node_gpu_limit": (Role.DEVICES, 1.0),
    },
    **{
        namespace: {"GPUUtilization": (Role.BUSY, _PERCENT), "GPUMemoryUtilization": (Role.MEMORY, _PERCENT)}
        for namespace in (ENDPOINTS, *JOBS)
    },
    CALLS: {"Invocations": (Role.INVOCATIONS, 1.0)},
}


def statistics(namespace: str, metric: str) -> tuple[str, ...]:
    """Give what to ask of a metric: its average, how often it was called, and from how many instances it came."""
    if namespace == CALLS:
        return ("Sum",)
    return ("Average", "SampleCount") if (namespace, metric) == (ENDPOINTS, "GPUUtilization") else ("Average",)


def reading(labels: Mapping[str, str], gpu_counts: Mapping[str, int]) -> Reading | None:
    """Tell what a series says; None where it is no device's, or its unit is not known."""
    namespace, metric = labels.get(NAMESPACE, ""), labels.get(NAME, "")
    if metric not in METRICS.get(namespace, {}):
        return None
    role, scale = METRICS[namespace][metric]
    match namespace:
        case "CWAgent":
            return _of(role, metric, scale, _agents(labels))
        case "ContainerInsights":
            return _of(role, metric, scale, _nodes(labels))
        case "/aws/sagemaker/Endpoints" | "AWS/SageMaker":
            return _endpoints(labels, gpu_counts, role, scale)
    return _jobs(labels, gpu_counts, role, scale)


def uncounted(labels: Mapping[str, str]) -> str | None:
    """Name the SageMaker resource of a series that cannot be read without the number of its GPUs."""
    if labels.get(NAMESPACE) in {ENDPOINTS, *JOBS}:
        return labels.get("EndpointName") or labels.get("Host", "").partition("/")[0] or None
    return None


def _of(role: Role, metric: str, scale: float, device: Device | None) -> Reading | None:
    return Reading(role, metric, device, scale) if device else None


def _agents(labels: Mapping[str, str]) -> Device | None:
    """Give the GPU of an instance; what the agent sums up over several instances is no device's."""
    instance, host = labels.get("InstanceId"), labels.get("host")
    if not instance and not host:
        return None
    region, name = labels.get(REGION), None if instance else host
    accelerator = labels.get("name")
    whole = Device("instance", instance, name, region_id=region, facts={"accelerator": accelerator})
    if (index := labels.get("index")) is None:
        return whole
    facts = {"device_share": 1.0, "device_count": 1, "accelerator": accelerator}
    return Device("instance", instance, name, region_id=region, device=index, whole=whole, facts=facts)


def _nodes(labels: Mapping[str, str]) -> Device | None:
    """Give the node, or its GPU; what stands for a whole cluster is no device's."""
    if not (instance := labels.get("InstanceId")):
        return None
    node, region, cluster = labels.get("NodeName"), labels.get(REGION), labels.get("ClusterName")
    whole = Device("instance", instance, node, region_id=region, cluster=cluster)
    if (device := labels.get("GpuDevice")) is None:
        return whole
    facts = {"device_share": 1.0, "device_count": 1}
    return Device(
        "instance", instance, node, region_id=region, cluster=cluster, device=device, whole=whole, facts=facts
    )


def _endpoints(labels: Mapping[str, str], gpu_counts: Mapping[str, int], role: Role, scale: float) -> Reading | None:
    """Read an endpoint's variant: percent × GPUs, averaged over its instances, or one GPU with enhanced metrics."""
    endpoint, variant = labels.get("EndpointName"), labels.get("VariantName")
    metric = labels[NAME]
    if not endpoint or not variant:
        return None
    gpus = gpu_counts.get(endpoint) or int(labels.get(GPUS, 0))
    region, arn = labels.get(REGION), labels.get(ARN)
    facts = {"device_share": 1.0, "device_count": gpus or None}
    whole = Device("endpoint", arn, endpoint, region_id=region, device=variant, facts=facts)
    if role == Role.INVOCATIONS:
        # Calls are of every endpoint; one without accelerators does not idle any.
        return Reading(role, metric, whole) if gpus else None
    if labels.get(STATISTIC) == "SampleCount":
        # Each instance sends one value a minute.
        return Reading(Role.DEVICES, metric, whole, _MINUTE / int(labels[PERIOD]))
    if (accelerator := labels.get("AcceleratorId")) and (instance := labels.get("InstanceId")):
        one = Device(
            "endpoint",
            arn,
            endpoint,
            region_id=region,
            device=f"{variant}/{instance}/{accelerator}",
            whole=whole,
            facts={"device_share": 1.0, "device_count": 1},
        )
        return Reading(role, metric, one, scale)
    if labels.get("InstanceId") or not gpus:
        return None
    return Reading(role, metric, whole, scale / gpus)


def _jobs(labels: Mapping[str, str], gpu_counts: Mapping[str, int], role: Role, scale: float) -> Reading | None:
    """Read one instance of a job: percent × GPUs."""
    job, _, host = labels.get("Host", "").partition("/")
    gpus = gpu_counts.get(job) or int(labels.get(GPUS, 0))
    if not job or not gpus:
        return None
    facts = {"device_share": 1.0, "device_count": gpus}
    device = Device("job", labels.get(ARN), job, region_id=labels.get(REGION), device=host or None, facts=facts)
    return Reading(role, labels[NAME], device, scale / gpus)
