"""CloudWatch's metrics of one region, and what SageMaker says of the resources they are about. Read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any, Final

import boto3
import polars as pl
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connectors.cloudwatch_series import (
    ARN,
    CALLS,
    ENDPOINTS,
    GPUS,
    JOBS,
    METRICS,
    NAMESPACE,
    PERIOD,
    REGION,
    STATISTIC,
    statistics,
)
from connectors.samples import NAME, SECOND, Series
from models.accelerators import catalogue
from models.errors import BadInput, BadSettings

ATTEMPTS: Final = 6
# A request may hold 500 queries and is answered with up to 100,800 values.
QUERIES: Final = 500
VALUES: Final = 100_800
_FORBIDDEN: Final = 403
_SLOW: Final = 429
_BROKEN: Final = 500
# Namespace of a job → how SageMaker is asked about it: method, argument, path to the instance type, ARN.
_DESCRIBE: Final[Mapping[str, tuple[str, str, Sequence[str], str]]] = {
    "/aws/sagemaker/TrainingJobs": (
        "describe_training_job",
        "TrainingJobName",
        ("ResourceConfig", "InstanceType"),
        "TrainingJobArn",
    ),
    "/aws/sagemaker/ProcessingJobs": (
        "describe_processing_job",
        "ProcessingJobName",
        ("ProcessingResources", "ClusterConfig", "InstanceType"),
        "ProcessingJobArn",
    ),
    "/aws/sagemaker/TransformJobs": (
        "describe_transform_job",
        "TransformJobName",
        ("TransformResources", "InstanceType"),
        "TransformJobArn",
    ),
}


class CloudWatchApi:
    """Ask one region. Credentials are boto3's own chain.

    Args:
        region: None leaves it to boto3's own chain.
        profile: of the AWS configuration files.
        endpoint_url: another endpoint.
        turn: holds a request back until it may go.
        on_bytes: is told of bytes received.
    """

    def __init__(
        self,
        region: str | None,
        profile: str | None,
        endpoint_url: str | None,
        turn: Callable[[], AbstractContextManager[None]],
        on_bytes: Callable[[int], None],
    ) -> None:
        self._turn = turn
        self._on_bytes = on_bytes
        self._listing = Lock()
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS}, connect_timeout=10, read_timeout=60
        )
        try:
            session = boto3.Session(profile_name=profile, region_name=region)
            self._client: Any = session.client("cloudwatch", endpoint_url=endpoint_url, config=config)
            self._sagemaker: Any = session.client("sagemaker", endpoint_url=endpoint_url, config=config)
        except (BotoCoreError, ValueError) as error:
            raise BadSettings(f"CloudWatch: {error}") from error
        self._region: str = self._client.meta.region_name
        self._described: dict[tuple[str, str], Mapping[str, str]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._sagemaker.close()

    def series(self, start: datetime, end: datetime, period: int) -> list[Series]:
        """Ask for every metric about accelerators there is.

        Raises:
            BadInput: CloudWatch refuses or cannot be reached.
        """
        with self._listing:
            metrics = self._metrics
        asked = [(metric, one) for metric in metrics for one in statistics(metric["Namespace"], metric["MetricName"])]
        steps = int((end - start).total_seconds() // period) + 1
        size = max(1, min(QUERIES, VALUES // steps))
        found = []
        for first in range(0, len(asked), size):
            found += self._values(asked[first : first + size], start, end, period)
        return found

    @cached_property
    def _metrics(self) -> list[Any]:
        """List the metrics with values in the last two weeks: CloudWatch lists no others."""
        listed = []
        for namespace, metrics in METRICS.items():
            for metric in metrics:
                pages = self._client.get_paginator("list_metrics").paginate(Namespace=namespace, MetricName=metric)
                with self._explained("cloudwatch:ListMetrics"), self._turn():
                    listed += [_metric(one) for page in pages for one in self._told(page)["Metrics"]]
        return [one for one in listed if one["Dimensions"]]

    def _values(self, asked: Sequence[tuple[Any, str]], start: datetime, end: datetime, period: int) -> list[Series]:
        queries = [
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": metric,
                    "Period": period,
                    "Stat": statistic,
                },
            }
            for number, (metric, statistic) in enumerate(asked)
        ]
        values: dict[str, dict[int, float]] = {}
        pages = self._client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
        )
        with self._explained("cloudwatch:GetMetricData"), self._turn():
            for page in pages:
                for result in self._told(page)["MetricDataResults"]:
                    instants = [int(at.timestamp()) * SECOND for at in result["Timestamps"]]
                    measured = [float(value) for value in result["Values"]]
                    values.setdefault(result["Id"], {}).update(zip(instants, measured, strict=True))
        found = []
        for number, (metric, statistic) in enumerate(asked):
            if at := sorted(values.get(f"m{number}", {})):
                labels = {**self._labels(metric), STATISTIC: statistic, PERIOD: str(period)}
                found.append(Series(labels, period, at, [values[f"m{number}"][instant] for instant in at]))
        return found

    def _labels(self, metric: Any) -> dict[str, str]:
        named = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
        labels = {**named, NAME: metric["MetricName"], NAMESPACE: metric["Namespace"], REGION: self._region}
        return {**labels, **self._resource(metric["Namespace"], named)}

    def _resource(self, namespace: str, named: Mapping[str, str]) -> Mapping[str, str]:
        """Say how many GPUs an instance of a resource has and how the bill calls it, where SageMaker tells."""
        if namespace in {ENDPOINTS, CALLS}:
            key = (ENDPOINTS, f"{named.get('EndpointName')}/{named.get('VariantName')}")
        elif namespace in JOBS:
            key = (namespace, named.get("Host", "").partition("/")[0])
        else:
            return {}
        if key not in self._described:
            try:
                with self._turn():
                    self._described[key] = self._endpoint(key[1]) if key[0] == ENDPOINTS else self._job(*key)
            except (ClientError, BotoCoreError, KeyError):
                # Deleted, or not allowed: the bill or `gpu_counts` may still tell.
                self._described[key] = {}
        return self._described[key]

    def _endpoint(self, name: str) -> Mapping[str, str]:
        endpoint, _, variant = name.partition("/")
        said = self._sagemaker.describe_endpoint(EndpointName=endpoint)
        config = self._sagemaker.describe_endpoint_config(EndpointConfigName=said["EndpointConfigName"])
        shapes = {one["VariantName"]: one.get("InstanceType") for one in config["ProductionVariants"]}
        return _said(said["EndpointArn"], shapes.get(variant))

    def _job(self, namespace: str, name: str) -> Mapping[str, str]:
        method, argument, path, arn = _DESCRIBE[namespace]
        said = getattr(self._sagemaker, method)(**{argument: name})
        shape = said
        for part in path:
            shape = shape[part]
        return _said(said[arn], shape)

    def _told(self, page: Any) -> Any:
        self._on_bytes(int(page["ResponseMetadata"]["HTTPHeaders"].get("content-length", 0)))
        return page

    @contextmanager
    def _explained(self, permission: str) -> Iterator[None]:
        name = f"CloudWatch in {self._region}"
        try:
            yield
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = error.response.get("Error", {}).get("Code", "")
            problem, fix = f"CloudWatch answers {status} {code}", "Check region, endpoint and permissions"
            if status == _FORBIDDEN or "AccessDenied" in code:
                problem, fix = f"access denied ({code})", f"Allow {permission} to the credentials in use"
            elif status == _SLOW or "Throttl" in code or status >= _BROKEN:
                fix = "Run again later, or set `min_interval_seconds`: days already pulled are kept"
            raise BadInput(name, problem, fix) from error
        except (AttributeError, KeyError, RuntimeError, OverflowError, TypeError, ValueError) as error:
            # botocore hands on what it was answered, whatever that is.
            found = f"the answer is none of CloudWatch's ({type(error).__name__}: {error})"
            raise BadInput(name, found, "Check `endpoint_url`, or run again later") from error
        except BotoCoreError as error:
            fix = "Check credentials, region and endpoint"
            raise BadInput(name, f"CloudWatch cannot be asked ({error})", fix) from error


def _metric(one: Any) -> dict[str, Any]:
    """Give what names a metric, seen to be text."""
    named = [{"Name": by["Name"], "Value": by["Value"]} for by in one["Dimensions"]]
    metric = {"Namespace": one["Namespace"], "MetricName": one["MetricName"], "Dimensions": named}
    for text in (one["Namespace"], one["MetricName"], *(word for by in named for word in by.values())):
        text.encode()
    return metric


def _said(arn: str, shape: str | None) -> Mapping[str, str]:
    known = catalogue().filter(pl.col("instance_type") == (shape or "").removeprefix("ml."))["count"].to_list()
    gpus = {GPUS: str(int(known[0]))} if known and known[0] == int(known[0]) else {}
    return {ARN: arn, **gpus}
