"""Cloud Monitoring, with Google's own client over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import pytest
import stamina

from connectors.cloud_monitoring import CloudMonitoring
from models.errors import BadInput
from models.facts import GPU_UTILIZATION, Fact, schema
from tests.connectors.fake_monitoring import FakeMonitoring, serving

NINE = datetime(2026, 7, 1, 9, tzinfo=UTC)
NOW = datetime(2026, 7, 2, 6, 2, tzinfo=UTC)
AGENT = "agent.googleapis.com/gpu/utilization"
MEMORY = "agent.googleapis.com/gpu/memory/bytes_used"
GKE = "kubernetes.io/container/accelerator/duty_cycle"
VERTEX = "aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle"
TPU = "tpu.googleapis.com/accelerator/duty_cycle"
MACHINE = {"project_id": "acme", "zone": "us-central1-a", "instance_id": "4711"}
GPU = {"gpu_number": "0", "model": "NVIDIA H100 80GB HBM3", "uuid": "GPU-1"}
Rows = Callable[..., list[dict[str, Any]]]


def hour(value: float, periods: int = 12) -> list[tuple[datetime, float]]:
    return [(NINE + timedelta(minutes=5 * number), value) for number in range(periods)]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    def read_all(fake: FakeMonitoring) -> list[dict[str, Any]]:
        with serving(fake):
            chosen = CloudMonitoring.Options(projects=["acme"], api_endpoint=fake.endpoint, since=date(2026, 7, 1))
            source = CloudMonitoring("gcm", chosen, tmp_path / "landing", lambda _: None, lambda: NOW)
            whole = [pl.DataFrame(schema=schema(GPU_UTILIZATION))]
            for version in source.versions():
                landed = source.fetch(version)
                frames = [frame.collect() for frame in source.read(landed)[Fact.GPU_UTILIZATION]]
                said = source.totals(landed).usage[Fact.GPU_UTILIZATION]
                assert sum(frame.height for frame in frames) == said["rows"]
                whole += frames
        return pl.concat(whole, how="diagonal").sort("hour", "resource_id", "resource_name").to_dicts()

    return read_all


def test_a_machines_gpu_is_a_row_with_its_memory(rows: Rows) -> None:
    fake = FakeMonitoring({AGENT: "%", MEMORY: "By"}, page=2)
    fake.series = [
        (AGENT, "gce_instance", MACHINE, GPU, "", hour(40)),
        (AGENT, "gce_instance", {**MACHINE, "instance_id": "4712"}, GPU, "", hour(0, periods=6)),
        (AGENT, "gce_instance", {**MACHINE, "instance_id": "4713"}, GPU, "", hour(100)),
        (MEMORY, "gce_instance", MACHINE, {**GPU, "memory_state": "used"}, "", hour(20e9)),
        (MEMORY, "gce_instance", MACHINE, {**GPU, "memory_state": "free"}, "", hour(60e9)),
    ]
    first, second, third = rows(fake)
    assert (first["hour"], first["resource_kind"], first["resource_id"]) == (NINE, "instance", "4711")
    assert (first["busy_fraction"], first["memory_fraction"], first["measured_seconds"]) == (0.4, 0.25, 3600)
    assert (first["sub_account_id"], first["region_id"], first["device"]) == ("acme", "us-central1-a", "GPU-1")
    assert (second["busy_fraction"], second["measured_seconds"]) == (0.0, 1800)
    assert third["busy_fraction"] == 1.0


@pytest.mark.parametrize(("unit", "value"), [("%", 25), ("1", 0.25), ("10^2.%", 0.25)])
def test_the_descriptor_says_whether_full_use_is_one_or_a_hundred(rows: Rows, unit: str, value: float) -> None:
    fake = FakeMonitoring({VERTEX: unit})
    place = {"resource_container": "acme", "location": "us-central1", "endpoint_id": "987"}
    fake.series = [(VERTEX, "aiplatform.googleapis.com/Endpoint", place, {"deployed_model_id": "1"}, "", hour(value))]
    (row,) = rows(fake)
    assert (row["resource_kind"], row["resource_name"], row["sub_account_id"]) == ("endpoint", "987", "acme")
    assert row["busy_fraction"] == 0.25


def test_a_unit_nobody_knows_is_refused(rows: Rows) -> None:
    with pytest.raises(BadInput, match=r"duty_cycle is measured in 'ms', none of '%', '1'"):
        rows(FakeMonitoring({VERTEX: "ms"}))


def test_a_container_names_node_and_pod(rows: Rows) -> None:
    fake = FakeMonitoring({GKE: "%"})
    place = {
        "project_id": "acme",
        "location": "us-central1",
        "cluster_name": "prod",
        "namespace_name": "ml",
        "pod_name": "train-0",
        "container_name": "main",
    }
    labels = {"accelerator_id": "GPU-1", "make": "nvidia", "model": "nvidia-h100-80gb"}
    fake.series = [(GKE, "k8s_container", place, labels, "gke-prod-gpu-1", hour(80))]
    (row,) = rows(fake)
    assert (row["resource_kind"], row["resource_name"], row["cluster"]) == ("node", "gke-prod-gpu-1", "prod")
    assert (row["namespace"], row["pod"], row["accelerator"]) == ("ml", "train-0", "nvidia-h100-80gb")


def test_a_tpu_is_a_row(rows: Rows) -> None:
    fake = FakeMonitoring({TPU: "%"})
    place = {"project_id": "acme", "zone": "us-central1-a", "node_id": "pod-1", "worker_id": "0"}
    fake.series = [(TPU, "tpu_worker", place, {"accelerator_id": "3"}, "", hour(50))]
    (row,) = rows(fake)
    assert (row["resource_kind"], row["resource_name"], row["device"]) == ("tpu", "pod-1", "0/3")


def test_what_passes_by_itself_is_tried_again(rows: Rows) -> None:
    fake = FakeMonitoring({AGENT: "%"}, faults=[grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
    fake.series = [(AGENT, "gce_instance", MACHINE, GPU, "", hour(40))]
    assert len(rows(fake)) == 1


def test_who_may_not_ask_is_told_the_role_at_once(rows: Rows) -> None:
    fake = FakeMonitoring({AGENT: "%"}, faults=[grpc.StatusCode.PERMISSION_DENIED] * 50)
    with pytest.raises(BadInput, match=r"Give roles/monitoring\.viewer"):
        rows(fake)
    assert len(fake.faults) > 40


def test_no_metrics_are_no_months(rows: Rows) -> None:
    assert rows(FakeMonitoring({})) == []
