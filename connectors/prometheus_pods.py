"""Pods that asked Kubernetes for accelerators, from kube-state-metrics, as jobs: one row per pod, node and month."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from connectors import samples, tabular
from connectors.gpu_readings import valid
from connectors.job_words import workload_of
from connectors.prometheus_series import NODES, label, resources, share
from connectors.samples import NAME
from models.facts import GPU_JOBS, schema
from models.months import next_month

REQUESTS: Final = "kube_pod_container_resource_requests"
# Replicas of time-slicing (`nvidia_com_gpu_shared`) are no devices: how many share one is not said.
RESOURCES: Final = (
    "nvidia_com_gpu|nvidia_com_mig_.*|amd_com_gpu|google_com_tpu|aws_amazon_com_neuron(device)?|habana_ai_gaudi"
)
HEARTBEAT: Final = "count(kube_pod_info)"
_OWNER: Final = "kube_pod_owner"
_LABELS: Final = "kube_pod_labels"
_PHASE: Final = "kube_pod_status_phase"
_REASON: Final = "kube_pod_status_reason"
_PHASES: Final = {"Succeeded": "completed", "Failed": "failed"}
_PREEMPTED: Final = ("Evicted", "NodeLost", "Shutdown", "Preempting")
_SLICE: Final = re.compile(r"nvidia_com_mig_(.+)")
_HASH: Final = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{6,10}$")


def queries(match: str) -> Mapping[str, str]:
    """Give what to ask for, by the name its series get; only pods that asked for accelerators come."""
    asked = f'{REQUESTS}{{resource=~"{RESOURCES}",node!=""{match and f",{match}"}}}'
    own = f" and on (cluster, namespace, pod) {asked}"
    return {
        REQUESTS: asked,
        NODES: f"{NODES}{{{match}}}",
        _OWNER: f"{_OWNER}{{{match}}}{own}",
        _LABELS: f"{_LABELS}{{{match}}}{own}",
        _PHASE: f'({_PHASE}{{phase=~"{"|".join(_PHASES)}"{match and f",{match}"}}} == 1){own}',
        _REASON: f'({_REASON}{{reason=~"{"|".join(_PREEMPTED)}"{match and f",{match}"}}} == 1){own}',
        HEARTBEAT: f"count(kube_pod_info{{{match}}})",
    }


@dataclass
class Pod:
    """What the series of one pod on one node say together; instants in microseconds."""

    first: int
    last: int
    file: int
    row: int
    counts: dict[str, float] = field(default_factory=dict)
    ended: int | None = None
    outcome: str | None = None
    owner: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


_Key = tuple[str | None, str, str, str]
_Span = tuple[int, int, int, int, float]


def jobs(
    files: Sequence[tuple[Path, str]], month: date, says: Mapping[str, str], cluster: str | None, *, is_over: bool
) -> pl.DataFrame:
    """Give one row per pod and node of a month; a pod that crosses its ends has a row in each month it ran in.

    Args:
        files: landed files of the month with their names.
        month: its first day.
        says: column of `GPU_JOBS` → pod label that says it.
        cluster: name of the cluster where no label says it.
        is_over: all of the month is here.
    """
    found: list[tuple[int, Mapping[str, str], _Span]] = []
    for number, (path, name) in enumerate(files):
        found += [(number, labels, span) for labels, span in _spans(path, name)]
    pods = _pods(found)
    _complete(pods, found)
    beats = [span[1] for _, labels, span in found if _name(labels) == HEARTBEAT]
    alive = max(beats or [pod.last for pod in pods.values()], default=0)
    machines = resources(labels for _, labels, _ in found)
    ends = _end_of(month)
    rows = []
    for (own_cluster, namespace, name, node), pod in sorted(pods.items(), key=lambda item: (item[1].file, item[1].row)):
        ended, outcome = _ended(pod, alive, ends, is_over=is_over)
        if ended is not None and ended <= pod.first:
            continue
        said = {column: pod.tags.get(_plain(key)) for column, key in says.items()}
        rows.append(
            {
                **said,
                "workload": workload_of(said.get("workload")),
                "source_file": files[pod.file][1],
                "source_row": pod.row,
                "job_id": f"{namespace}/{name}",
                "job_name": name,
                "resource_id": machines.get(node),
                "resource_name": node,
                "started_at": _instant(pod.first),
                "ended_at": None if ended is None else _instant(ended),
                "accelerator_count": sum(pod.counts.values()),
                "cluster": own_cluster or cluster,
                "namespace": namespace,
                "owner": pod.owner,
                "outcome": outcome,
                "tags": pod.tags,
            }
        )
    return pl.DataFrame(rows, schema={name: dtype for name, dtype in schema(GPU_JOBS).items() if name != "accelerator"})


def counted(files: Sequence[tuple[Path, str]]) -> dict[str, int]:
    """Count with Arrow the pods that held something: those not over when their requests were first seen.

    Raises:
        BadInput: a file is damaged.
    """
    asked: dict[_Key, int] = {}
    over: dict[_Key, int] = {}
    for path, name in files:
        named = samples.labels(path, name)
        firsts = samples.table(path, name).group_by("series").aggregate([("at", "min")])
        instants = firsts["at_min"].cast("int64").to_pylist()
        for series, at in zip(firsts["series"].to_pylist(), instants, strict=True):
            key, metric = _key(named[series]), _name(named[series])
            if metric == REQUESTS:
                asked[key] = min(at, asked.get(key, at))
            elif metric == _PHASE:
                over[*key[:3], ""] = min(at, over.get((*key[:3], ""), at))
    return {"rows": sum(over.get((*key[:3], ""), at + 1) > at for key, at in asked.items())}


def _spans(path: Path, name: str) -> Iterable[tuple[Mapping[str, str], _Span]]:
    """Give each series with its first and last instant, the end of the last sample, its first row and its most."""
    spans = (
        samples.scan(path)
        .filter(valid())
        .group_by("series")
        .agg(
            first=pl.col("at").min().dt.epoch("us"),
            last=(pl.col("at").dt.epoch("us") + pl.col("seconds").cast(pl.Int64) * samples.SECOND).max(),
            row=pl.col(tabular.ROW).min(),
            value=pl.col("value").max(),
        )
        .sort("series")
        .collect()
    )
    labels = samples.labels(path, name)
    for series, first, last, row, value in spans.iter_rows():
        yield labels[series], (first, last, row, series, value)


def _pods(found: Sequence[tuple[int, Mapping[str, str], _Span]]) -> dict[_Key, Pod]:
    pods: dict[_Key, Pod] = {}
    for file, labels, (first, last, row, _, value) in found:
        if _name(labels) != REQUESTS:
            continue
        pod = pods.setdefault(_key(labels), Pod(first, last, file, row))
        pod.first, pod.last = min(pod.first, first), max(pod.last, last)
        resource = label(labels, "resource") or ""
        cut = _SLICE.fullmatch(resource)
        part = (share(cut[1].replace("_", "."), None) or 1.0) if cut else 1.0
        container = f"{label(labels, 'container')}\0{resource}"
        pod.counts[container] = max(pod.counts.get(container, 0.0), value * part)
    return pods


def _complete(pods: Mapping[_Key, Pod], found: Sequence[tuple[int, Mapping[str, str], _Span]]) -> None:
    by_name: dict[_Key, list[Pod]] = {}
    for (cluster, namespace, name, _), pod in pods.items():
        by_name.setdefault((cluster, namespace, name, ""), []).append(pod)
    for _, labels, (first, *_rest) in found:
        own, namespace, name, _node = _key(labels)
        for pod in by_name.get((own, namespace, name, ""), []):
            match _name(labels):
                case "kube_pod_owner":
                    pod.owner = _owner(labels) or pod.owner
                case "kube_pod_labels":
                    pod.tags |= {key[6:]: value for key, value in labels.items() if key.startswith("label_")}
                case "kube_pod_status_phase":
                    pod.ended = min(first, pod.ended or first)
                    pod.outcome = pod.outcome or _PHASES.get(labels.get("phase", ""))
                case "kube_pod_status_reason":
                    pod.outcome = "preempted"


def _ended(pod: Pod, alive: int, month_end: int, *, is_over: bool) -> tuple[int | None, str | None]:
    """Tell when a pod let go: at its end, or when it was last seen unless it was seen to the last."""
    if pod.ended is not None:
        return min(pod.ended, pod.last), pod.outcome
    if pod.last < alive:
        return pod.last, pod.outcome
    if is_over or pod.last >= month_end:
        return min(pod.last, month_end), pod.outcome or ("running" if pod.last >= month_end else None)
    return None, pod.outcome or "running"


def _owner(labels: Mapping[str, str]) -> str | None:
    kind, name = label(labels, "owner_kind"), label(labels, "owner_name")
    if not kind or not name or name == "<none>":
        return None
    # A Deployment owns its pods through a ReplicaSet, named like it with a hash behind.
    if kind == "ReplicaSet" and _HASH.search(name):
        return f"Deployment/{_HASH.sub('', name)}"
    return f"{kind}/{name}"


def _key(labels: Mapping[str, str]) -> _Key:
    return (
        label(labels, "cluster"),
        label(labels, "namespace") or "",
        label(labels, "pod") or "",
        label(labels, "node") or "",
    )


def _name(labels: Mapping[str, str]) -> str:
    return labels.get(NAME, "")


def _plain(key: str) -> str:
    """Write a label's name as kube-state-metrics does."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


def _instant(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _end_of(month: date) -> int:
    following = next_month(month)
    return int(datetime(following.year, following.month, 1, tzinfo=UTC).timestamp()) * samples.SECOND
