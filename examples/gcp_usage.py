"""What Meridian AI runs on Google Cloud: jobs, endpoints, tokens, nodes, buckets, and the business beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from examples.gcp_company import COMPUTE, GEMINI_API, MACHINES, PLACES, PROJECTS, STORAGE, VERTEX, Meter

RESEARCH, SERVING, EU = PROJECTS

_PODS: Final = (
    # Cluster, pool, machine, and who had what part of it: namespace, controller, share, workload, team, model, evident.
    ("llm-serving", "serve-h100", "a3-highgpu-8g", (
        ("assistant", "vllm-chat", 0.71, "inference", "assistant", "meridian-chat-70b", True),
        ("kube:unallocated", "", 0.24, "inference", None, None, True),
        ("kube:system-overhead", "", 0.05, "inference", None, None, True))),
    ("ml-shared", "pool-a100", "a2-highgpu-8g", (
        ("research", "ablation-pretrain", 0.38, "training", "research", "meridian-ranker-2b", True),
        ("search", "search-a", 0.34, "inference", "search", "meridian-ranker-2b", False),
        ("kube:unallocated", "", 0.28, "training", None, None, False))),
    ("ml-shared", "pool-l4", "g2-standard-48", (
        ("search", "embedding-serve", 0.66, "inference", "search", "meridian-embed-1b", True),
        ("jupyterhub", "hub", 0.22, "development", "research", None, True),
        ("kube:unallocated", "", 0.12, "inference", None, None, False))),
)  # fmt: skip

_TOKENS: Final = (
    # Project, service, SKU, dollars per million, millions per hour, model, team, tag.
    (SERVING, VERTEX, "Gemini 2.5 Flash GA Text Input - Predictions", 0.3, 14.0, "gemini-2.5-flash", "assistant", ""),
    (SERVING, VERTEX, "Gemini 2.5 Flash GA Input Text Caching", 0.075, 31.0, "gemini-2.5-flash", "assistant", ""),
    (SERVING, VERTEX, "Gemini 2.5 Flash GA Text Output (Thinking On) - Predictions", 2.5, 2.1, "gemini-2.5-flash",
     "assistant", ""),
    (SERVING, VERTEX, "Gemini 2.5 Pro Text Input (Long) - Predictions", 2.5, 3.2, "gemini-2.5-pro", "search", ""),
    (SERVING, VERTEX, "Gemini 2.5 Pro Thinking Text Output - Predictions", 10.0, 0.5, "gemini-2.5-pro", "search", ""),
    (SERVING, VERTEX, "Gemini 2.5 Pro Text Input Caching Storage", 4.5, 0.05, "gemini-2.5-pro", "search", ""),
    (RESEARCH, VERTEX, "Gemini 2.5 Pro Text Input - Batch Predictions", 0.625, 9.0, "gemini-2.5-pro", "research",
     "evaluation"),
    (RESEARCH, VERTEX, "Gemini 2.5 Pro Text Output - Batch Predictions", 5.0, 0.9, "gemini-2.5-pro", "research",
     "evaluation"),
    (EU, VERTEX, "Gemini 3.5 Flash Global Text Input - Predictions", 0.5, 9.0, "gemini-3.5-flash", "support", ""),
    (EU, VERTEX, "Gemini 3.5 Flash Global Text Output - Predictions", 3.0, 1.7, "gemini-3.5-flash", "support", ""),
    (EU, GEMINI_API, "Generate content input token count gemini 2.5 flash short input text", 0.3, 2.0,
     "gemini-2.5-flash", "support", ""),
    (EU, GEMINI_API, "Generate content cached input token count gemini 3.5 flash text", 0.05, 4.0,
     "gemini-3.5-flash", "support", ""),
    (EU, GEMINI_API, "Generate_content image output token count for Gemini 3 Pro Image", 120.0, 0.01,
     "gemini-3-pro-image", "support", ""),
)  # fmt: skip

_CLAUDE: Final = (
    ("Input Tokens", 3.0, 2.4),
    ("Input Cache Read Tokens", 0.3, 9.0),
    ("Input Cache Write Tokens (TTL 3600 seconds)", 6.0, 0.4),
    ("Output Tokens", 15.0, 0.45),
)

_BUCKETS: Final = (
    # Project, bucket, GiB, purpose label, workload, team.
    (RESEARCH, "meridian-llm-checkpoints", 310_000.0, "", "storage", "research"),
    (RESEARCH, "meridian-corpus-2026", 95_000.0, "training", "storage", "research"),
    (EU, "meridian-eu-invoices", 61_000.0, "", "not_ai", "platform"),
    (SERVING, "meridian-web-assets", 24_000.0, "", "not_ai", "platform"),
)  # fmt: skip


def machine(machine_type: str, *, nodes: float = 1.0, spot: bool = False, **more: Any) -> Iterator[Meter]:
    """Meter a machine as Compute Engine bills it: accelerators, cores and memory apart."""
    shape = MACHINES[machine_type]
    place = PLACES[PROJECTS[more["project"]].country]
    running = f"attached to Spot Preemptible VMs running in {place}" if spot else f"running in {place}"
    prefix, off = ("Spot Preemptible ", 0.4) if spot else ("", 1.0)
    common = Meter(service=COMPUTE, sku="", price=0.0, machine=machine_type, **more)
    if shape.gpus:
        gpus = nodes * shape.gpus
        yield replace(common, sku=f"{shape.gpu} GPU {running}", price=shape.gpu_price * off, quantity=gpus)
    core, memory = f"{prefix}{shape.series} Core", f"{prefix}{shape.series} Ram"
    yield replace(common, sku=f"{core} running in {place}", price=shape.core_price * off, quantity=nodes * shape.cores)
    yield replace(
        common,
        sku=f"{memory} running in {place}",
        price=shape.memory_price * off,
        quantity=nodes * shape.memory_gib,
        unit="gibibyte hour",
    )


def meters() -> Iterator[Meter]:
    """Meter everything but the long tail and what commitments cover."""
    yield from _training()
    yield from _flex_start()
    yield from _serving()
    yield from _nodes()
    yield from _tokens()
    yield from _storage()


def _labels(team: str, workload: str = "") -> Mapping[str, str]:
    return {"team": team, **({"workload": workload} if workload else {})}


def _vertex(job: str, parts: Mapping[str, tuple[float, float, str]], **more: Any) -> Iterator[Meter]:
    for part, (price, quantity, unit) in parts.items():
        yield Meter(service=VERTEX, sku=f"Vertex AI: {job} {part}", price=price, quantity=quantity, unit=unit, **more)


def _training() -> Iterator[Meter]:
    h100 = {
        "on NVIDIA H100 80GB in Iowa": (11.2660332, 16.0, "hour"),
        "on A3 Instance Core in Iowa": (0.0293227, 416.0, "hour"),
        "on A3 Instance RAM in Iowa": (0.0025534, 3744.0, "gibibyte hour"),
        "on SSD backed PD Capacity": (0.0002678, 4000.0, "gibibyte hour"),
    }
    run: dict[str, Any] = {"project": RESEARCH, "workload": "training", "team": "research", "kind": "customJobs"}
    yield from _vertex("Training/Pipelines", h100, **run, shape="3..18", grain=1, resource="4410582237715",
                       labels=_labels("research"), llm_model="meridian-chat-70b", growth=0.95,
                       credit=("PROMOTION", 0.06))  # fmt: skip
    a100 = {
        "on NVIDIA A100 80GB in Iowa": (4.517292, 8.0, "hour"),
        "on A2 Instance Core in Iowa": (0.0363527, 96.0, "hour"),
        "on A2 Instance RAM in Iowa": (0.0048725, 1360.0, "gibibyte hour"),
    }
    tune = {**run, "workload": "fine_tuning", "team": "applied-ml", "is_evident": False}
    yield from _vertex("Training/Pipelines", a100, **tune, shape="8..17", resource="5120077648821",
                       labels=_labels("applied-ml", "fine-tuning"), llm_model="meridian-adapters-8b")  # fmt: skip
    yield from _vertex("Training/Pipelines", a100, **tune, shape="24..25", resource="5120077650017",
                       labels=_labels("applied-ml"), llm_model="meridian-adapters-8b")  # fmt: skip
    yield Meter(project=RESEARCH, service=COMPUTE, sku="TpuV5e running in Americas", price=1.2, quantity=64.0,
                shape="5..14", grain=1, machine="ct5lp-hightpu-8t", resource="embed-train-v5e", workload="training",
                team="search", llm_model="meridian-embed-1b")  # fmt: skip
    yield Meter(project=RESEARCH, service=COMPUTE, sku="A4 Nvidia B200 (1 gpu slice) running in Americas", price=12.3,
                quantity=8.0, shape="20..24", grain=1, machine="a4-highgpu-8g", resource="b200-a", workload="training",
                labels=_labels("research", "trainng"), team="research", is_evident=False)  # fmt: skip


def _flex_start() -> Iterator[Meter]:
    """Meter a job on flex-start: Compute Engine bills the machines, and only the fee of Vertex AI says what for."""
    job: dict[str, Any] = {"project": RESEARCH, "shape": "26..28", "grain": 1, "workload": "training",
                           "team": "research", "llm_model": "meridian-ranker-2b"}  # fmt: skip
    gpu, vms = "Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Americas", "DWS Defined Duration"
    for sku, price, quantity, unit in (
        (gpu, 4.200761, 16.0, "hour"),
        (f"{vms} A3 Core running in Americas", 0.010934, 416.0, "hour"),
        (f"{vms} A3 Ram running in Americas", 0.000952, 3744.0, "gibibyte hour"),
        (f"{vms} SSD backed Local Storage running in Americas", 0.0001096, 12_000.0, "gibibyte hour"),
    ):
        yield Meter(service=COMPUTE, sku=sku, price=price, quantity=quantity, unit=unit, **job)
    fees = {
        "on NVIDIA H100 80GB in Iowa": (1.4694826, 16.0, "hour"),
        "on A3 Instance Core in Iowa": (0.0038247, 416.0, "hour"),
        "on A3 Instance RAM in Iowa": (0.0003331, 3744.0, "gibibyte hour"),
    }
    yield from _vertex("Training/Pipelines management fee", fees, **job)


def _serving() -> Iterator[Meter]:
    endpoint: dict[str, Any] = {"kind": "endpoints", "workload": "inference", "growth": 1.05}
    h100 = {
        "Nvidia H100 80gb GPU running in Iowa": (11.2660332, 4.0, "hour"),
        "A3 Predefined Instance Core running in Iowa": (0.0293227, 104.0, "hour"),
        "A3 Predefined Instance Ram running in Iowa": (0.0025534, 936.0, "gibibyte hour"),
    }
    yield from _vertex("Online/Batch Prediction", h100, **endpoint, project=SERVING, resource="880214477",
                       team="assistant", labels=_labels("assistant", "infrence"),
                       llm_model="meridian-chat-70b")  # fmt: skip
    l4 = {
        "Nvidia L4 GPU running in Frankfurt": (0.8, 8.0, "hour"),
        "G2 Instance Core running in Frankfurt": (0.032, 96.0, "hour"),
        "G2 Instance Ram running in Frankfurt": (0.0037, 384.0, "gibibyte hour"),
    }
    yield from _vertex("Online/Batch Prediction", l4, **endpoint, project=EU, resource="771905583", team="support",
                       labels=_labels("support"), llm_model="meridian-adapters-8b")  # fmt: skip
    unused = {"compute.googleapis.com/is_unused_reservation": "true",
              "compute.googleapis.com/reservation_name": "llm-serving-h100"}  # fmt: skip
    yield from machine("a3-highgpu-8g", project=SERVING, shape="weekends", grain=1, kind="reservations",
                       resource="llm-serving-h100", system_labels=unused, workload="inference", team="assistant",
                       llm_model="meridian-chat-70b", idle_reason="unused_reservation")  # fmt: skip
    yield from machine("n1-standard-16", nodes=4, project=RESEARCH, shape="office", resource="workstation-notebooks",
                       credit=("SUSTAINED_USAGE_DISCOUNT", 0.1), workload="development", team="research",
                       labels=_labels("research", "notebooks"))  # fmt: skip


def _nodes() -> Iterator[Meter]:
    for cluster, pool, kind, pods in _PODS:
        for namespace, controller, share, workload, team, llm_model, is_evident in pods:
            labels = {
                "goog-fleet-project": SERVING,
                "goog-k8s-cluster-location": PROJECTS[SERVING].region,
                "goog-k8s-cluster-name": cluster,
                "goog-k8s-node-pool-name": pool,
                "k8s-namespace": namespace,
            }
            if controller:
                labels |= {"k8s-workload-name": controller, "k8s-workload-type": "apps/v1-Deployment"}
            yield from machine(kind, nodes=share, project=SERVING, jitter=0.1, resource=f"gke-{cluster}-{pool}-7c1e",
                               labels=labels, workload=workload, team=team, llm_model=llm_model, is_evident=is_evident,
                               idle_reason="unallocated" if namespace == "kube:unallocated" else None)  # fmt: skip


def _tokens() -> Iterator[Meter]:
    for project, service, sku, per_million, millions, llm_model, team, tag in _TOKENS:
        yield Meter(project=project, service=service, sku=sku, price=per_million / 1e6, quantity=millions * 1e6,
                    unit="count", jitter=0.3, growth=1.15, labels=_labels(team, tag), team=team, llm_model=llm_model,
                    workload="development" if tag else "inference", is_evident=not tag)  # fmt: skip
    for counted, per_million, millions in _CLAUDE:
        sku = f"Claude Sonnet 4.6 — {counted} — global — Context Window Size from 0 to 200000 Tokens"
        yield Meter(project=SERVING, service=("5A0C-91D4-7E26", "Claude Sonnet 4.6"), sku=sku, price=per_million / 1e6,
                    quantity=millions * 1e6, unit="count", jitter=0.3, growth=1.2, seller="Anthropic",
                    workload="inference", team="assistant", llm_model="claude-sonnet-4.6")  # fmt: skip


def _storage() -> Iterator[Meter]:
    for project, bucket, gib, tag, workload, team in _BUCKETS:
        common = Meter(project=project, service=STORAGE, sku="", price=0.0, resource=bucket, kind="buckets",
                       labels=_labels(team, tag), team=team, workload=workload, growth=1.04,
                       is_evident=not tag)  # fmt: skip
        region = "US Regional" if project != EU else "Frankfurt"
        hourly = gib / 720
        yield replace(common, sku=f"Standard Storage {region}", price=0.02, quantity=hourly, unit="gibibyte month")
        yield replace(
            common, sku="Regional Standard Class A Operations", price=5e-6, quantity=gib, unit="count", jitter=0.5
        )
    yield Meter(project=SERVING, service=COMPUTE, sku="SSD backed PD Capacity in Americas", price=0.17, quantity=30.0,
                unit="gibibyte month", resource="vllm-model-cache", kind="disks", workload="storage",
                team="assistant")  # fmt: skip
    yield Meter(project=EU, service=COMPUTE, sku="Balanced PD Capacity in Frankfurt", price=0.12, quantity=40.0,
                unit="gibibyte month", resource="erp-data", kind="disks", workload="not_ai",
                team="platform")  # fmt: skip
