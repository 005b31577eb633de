"""CloudWatch over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import polars as pl
import pytest
from pytest_httpserver import HTTPServer

from connectors.cloudwatch import CloudWatch
from models.errors import BadInput
from models.facts import GPU_UTILIZATION, Fact, schema

# CloudWatch takes in what is at most two weeks old; a month of two days is soon asked for.
DAY = (datetime.now(UTC) - timedelta(days=1)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
NOW = DAY + timedelta(days=1, hours=6)
NINE = DAY + timedelta(hours=9)
pytestmark = pytest.mark.pipeline  # moto takes its time
Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def aws(bucket: Any, s3_server: str) -> str:
    """Empty CloudWatch and SageMaker; the bucket's fixture sets the credentials."""
    del bucket
    httpx.post(f"{s3_server}/moto-api/reset")
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket="acme-billing")
    return s3_server


@pytest.fixture
def put(aws: str) -> Callable[..., None]:
    """Send one value in five minutes of values a minute, or each."""
    client: Any = boto3.client("cloudwatch", endpoint_url=aws)

    def send(
        namespace: str, metric: str, values: list[float], start: datetime = NINE, every: int = 5, **named_by: str
    ) -> None:
        named = [{"Name": name, "Value": value} for name, value in named_by.items()]
        data = [
            {"MetricName": metric, "Dimensions": named, "Value": value, "Timestamp": start + timedelta(minutes=number)}
            for number, value in list(enumerate(values))[::every]
        ]
        client.put_metric_data(Namespace=namespace, MetricData=data)

    return send


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., CloudWatch]:
    def make(endpoint: str, **options: Any) -> CloudWatch:
        chosen = CloudWatch.Options(endpoint_url=endpoint, since=DAY.date(), **options)
        return CloudWatch("cw", chosen, tmp_path / "landing", lambda _: None, lambda: NOW)

    return make


@pytest.fixture
def rows(aws: str, source: Callable[..., CloudWatch]) -> Rows:
    def read_all(**options: Any) -> list[dict[str, Any]]:
        cloudwatch = source(aws, **options)
        whole = [pl.DataFrame(schema=schema(GPU_UTILIZATION))]
        for version in cloudwatch.versions():
            landed = cloudwatch.fetch(version)
            frames = [frame.collect() for frame in cloudwatch.read(landed)[Fact.GPU_UTILIZATION]]
            said = cloudwatch.totals(landed).usage[Fact.GPU_UTILIZATION]
            assert sum(frame.height for frame in frames) == said["rows"]
            whole += frames
        return pl.concat(whole, how="diagonal").sort("hour", "resource_id", "device").to_dicts()

    return read_all


def test_the_agents_gpus_are_rows_of_their_instance(put: Callable[..., None], rows: Rows) -> None:
    gpu = {"InstanceId": "i-0abc", "name": "NVIDIA A10G", "arch": "Ampere", "host": "ip-10-0-0-1"}
    put("CWAgent", "nvidia_smi_utilization_gpu", [20.0] * 30 + [60.0] * 30, index="0", **gpu)
    put("CWAgent", "nvidia_smi_utilization_gpu", [0.0] * 60, index="1", **gpu)
    put("CWAgent", "nvidia_smi_memory_used", [6.0] * 60, index="0", **gpu)
    put("CWAgent", "nvidia_smi_memory_total", [24.0] * 60, index="0", **gpu)
    # The agent may also send the average of an instance: its parts are there, so it is left out.
    put("CWAgent", "nvidia_smi_utilization_gpu", [30.0] * 60, InstanceId="i-0abc")
    first, second = rows()
    assert (first["hour"], first["resource_id"], first["device"]) == (NINE, "i-0abc", "0")
    assert (first["busy_fraction"], first["memory_fraction"], first["measured_seconds"]) == (0.4, 0.25, 3600)
    assert (first["accelerator"], first["region_id"], first["device_share"]) == ("NVIDIA A10G", "us-east-1", 1.0)
    assert (second["device"], second["busy_fraction"]) == ("1", 0.0)


def test_a_gap_is_not_measured(put: Callable[..., None], rows: Rows) -> None:
    put("CWAgent", "nvidia_smi_utilization_gpu", [20.0] * 15, index="0", InstanceId="i-0abc")
    (row,) = rows()
    assert (row["measured_seconds"], row["sample_count"]) == (900, 3)


def test_container_insights_gives_nodes_where_it_gives_no_gpus(put: Callable[..., None], rows: Rows) -> None:
    node = {"ClusterName": "prod", "NodeName": "ip-10-0-0-1", "InstanceId": "i-0abc"}
    put("ContainerInsights", "node_gpu_utilization", [50.0] * 60, **node)
    put("ContainerInsights", "node_gpu_limit", [8.0] * 60, **node)
    put("ContainerInsights", "node_gpu_tensor_core_utilization", [10.0] * 60, **node)
    put("ContainerInsights", "node_gpu_utilization", [50.0] * 60, ClusterName="prod")
    (row,) = rows()
    assert (row["resource_id"], row["resource_name"], row["cluster"]) == ("i-0abc", "ip-10-0-0-1", "prod")
    assert (row["busy_fraction"], row["tensor_fraction"], row["device"], row["device_count"]) == (0.5, 0.1, None, 8)


def endpoint(aws: str, name: str, shape: str) -> None:
    sagemaker: Any = boto3.client("sagemaker", endpoint_url=aws)
    role = "arn:aws:iam::123456789012:role/r"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": "i"})
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 2, "InstanceType": shape}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


def test_an_endpoints_percent_times_gpus_is_divided_by_its_gpus(aws: str, put: Callable[..., None], rows: Rows) -> None:
    endpoint(aws, "chat", "ml.g4dn.12xlarge")
    variant = {"EndpointName": "chat", "VariantName": "AllTraffic"}
    put("/aws/sagemaker/Endpoints", "GPUUtilization", [200.0] * 60, every=1, **variant)
    put("/aws/sagemaker/Endpoints", "GPUUtilization", [200.0] * 60, every=1, **variant)
    put("/aws/sagemaker/Endpoints", "GPUMemoryUtilization", [300.0] * 60, **variant)
    put("AWS/SageMaker", "Invocations", [2.0] * 60, every=1, **variant)
    (row,) = rows()
    assert (row["resource_kind"], row["resource_name"]) == ("endpoint", "chat")
    assert row["resource_id"] == "arn:aws:sagemaker:us-east-1:123456789012:endpoint/chat"
    assert (row["busy_fraction"], row["memory_fraction"], row["invocations"]) == (0.5, 0.75, 120.0)
    assert row["device_count"] == 8


def test_an_endpoint_that_nobody_called_was_idle_though_nobody_measured_its_gpus(
    aws: str, put: Callable[..., None], rows: Rows
) -> None:
    endpoint(aws, "chat", "ml.g4dn.12xlarge")
    endpoint(aws, "cpu", "ml.m5.large")
    for name in ("chat", "cpu"):
        put("AWS/SageMaker", "Invocations", [0.0] * 60, EndpointName=name, VariantName="AllTraffic")
        put(
            "AWS/SageMaker",
            "Invocations",
            [1.0] * 60,
            NINE + timedelta(hours=1),
            EndpointName=name,
            VariantName="AllTraffic",
        )
    (row,) = rows()
    assert (row["hour"], row["resource_name"], row["busy_fraction"]) == (NINE, "chat", 0.0)
    assert (row["metric"], row["invocations"]) == ("Invocations", 0.0)


def test_an_endpoint_of_unknown_size_is_not_measured_and_that_is_said(
    put: Callable[..., None], rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    put("/aws/sagemaker/Endpoints", "GPUUtilization", [200.0] * 60, EndpointName="gone", VariantName="AllTraffic")
    with caplog.at_level(logging.WARNING, "connectors"):
        assert rows() == []
    assert "how many GPUs gone has is not known" in caplog.text
    (row,) = rows(gpu_counts={"gone": 4})
    assert row["busy_fraction"] == 0.5


def test_each_instance_of_a_training_job_is_a_row(put: Callable[..., None], rows: Rows) -> None:
    put("/aws/sagemaker/TrainingJobs", "GPUUtilization", [760.0] * 60, Host="llama-sft/algo-1")
    put("/aws/sagemaker/TrainingJobs", "GPUUtilization", [80.0] * 60, Host="llama-sft/algo-2")
    found = rows(gpu_counts={"llama-sft": 8})
    assert [(row["resource_kind"], row["resource_name"], row["device"], row["busy_fraction"]) for row in found] == [
        ("job", "llama-sft", "algo-1", 0.95),
        ("job", "llama-sft", "algo-2", 0.1),
    ]


def test_utilization_that_is_no_share_is_refused(put: Callable[..., None], rows: Rows) -> None:
    put("CWAgent", "nvidia_smi_utilization_gpu", [20.0] * 5 + [140.0] * 5, index="0", InstanceId="i-0abc")
    with pytest.raises(BadInput, match=rf"gpu/{DAY:%Y-%m-%d}\.parquet, row 2, column nvidia_smi_utilization_gpu: 140"):
        rows()


def test_a_day_that_is_over_is_asked_for_once(
    aws: str, put: Callable[..., None], source: Callable[..., CloudWatch]
) -> None:
    put("CWAgent", "nvidia_smi_utilization_gpu", [20.0] * 5, index="0", InstanceId="i-0abc")
    before = [version.fingerprint for version in source(aws).versions()]
    put("CWAgent", "nvidia_smi_utilization_gpu", [90.0] * 5, index="1", InstanceId="i-0abc")
    assert [version.fingerprint for version in source(aws).versions()] == before


def test_periods_last_as_long_as_cloudwatch_keeps_them(source: Callable[..., CloudWatch]) -> None:
    kept = {period: source("http://127.0.0.1:9", period_seconds=period).retention_days for period in (60, 300, 3600)}
    assert kept == {60: 15, 300: 63, 3600: 455}
    with pytest.raises(ValueError, match="whole minutes"):
        source("http://127.0.0.1:9", period_seconds=420)


def test_who_may_not_ask_is_told_the_permission(
    aws: str, source: Callable[..., CloudWatch], httpserver: HTTPServer
) -> None:
    del aws
    body = '{"__type": "AccessDeniedException", "message": "no canary-secret"}'
    httpserver.expect_request("/", method="POST").respond_with_data(
        body, 403, content_type="application/x-amz-json-1.0"
    )
    httpserver.expect_request("/service/GraniteServiceVersion20100801/operation/ListMetrics").respond_with_data(
        body, 403
    )
    with pytest.raises(BadInput, match="Allow cloudwatch:ListMetrics") as raised:
        source(httpserver.url_for("")).versions()
    assert "canary-secret" not in str(raised.value)
