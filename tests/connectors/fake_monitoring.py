"""A Cloud Monitoring over real gRPC: it knows some metrics and their series, and fails as it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
from google.api import metric_pb2  # type: ignore[import-untyped]
from google.cloud import monitoring_v3

SERVICE = "google.monitoring.v3.MetricService"


@dataclass
class FakeMonitoring:
    """What it knows and was asked.

    Attributes:
        units: metric → unit of its descriptor.
        series: metric, resource type, resource labels, metric labels, node, points as (start of period, value).
        faults: status codes to answer with first, one each.
        asked: filters of the requests.
        page: series a page.
    """

    units: dict[str, str]
    series: list[tuple[str, str, dict[str, str], dict[str, str], str, list[tuple[datetime, float]]]] = field(
        default_factory=list
    )
    faults: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    page: int = 1
    endpoint: str = ""

    def descriptor(self, request: Any, context: Any) -> Any:
        """Describe a metric."""
        if self.faults:
            context.abort(self.faults.pop(0), "told to")
        metric = request.name.partition("/metricDescriptors/")[2]
        if metric not in self.units:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such metric")
        return metric_pb2.MetricDescriptor(name=request.name, type=metric, unit=self.units[metric])

    def time_series(self, request: Any, context: Any) -> Any:
        """List series, a page at a time, averaged over periods that end with the interval."""
        if self.faults:
            context.abort(self.faults.pop(0), "told to")
        self.asked.append(request.filter)
        period = request.aggregation.alignment_period
        found = [one for one in self.series if f'"{one[0]}"' in request.filter]
        first = int(request.page_token or 0)
        answer = [self._series(one, request, period) for one in found[first : first + self.page]]
        token = str(first + self.page) if first + self.page < len(found) else ""
        return monitoring_v3.ListTimeSeriesResponse(time_series=answer, next_page_token=token)

    @staticmethod
    def _series(one: Any, request: Any, period: timedelta) -> Any:
        metric, kind, resource, labels, node, points = one
        found = []
        for start, value in reversed(points):
            end = start + period
            if request.interval.start_time < end <= request.interval.end_time:
                found.append({"interval": {"start_time": start, "end_time": end}, "value": {"double_value": value}})
        return monitoring_v3.TimeSeries(
            metric={"type": metric, "labels": labels},
            resource={"type": kind, "labels": resource},
            metadata={"system_labels": {"node_name": node} if node else {}},
            points=found,
        )


@contextmanager
def serving(fake: FakeMonitoring) -> Iterator[FakeMonitoring]:
    """Serve it on a free port."""
    methods = {
        "GetMetricDescriptor": grpc.unary_unary_rpc_method_handler(
            fake.descriptor,
            monitoring_v3.GetMetricDescriptorRequest.deserialize,
            metric_pb2.MetricDescriptor.SerializeToString,
        ),
        "ListTimeSeries": grpc.unary_unary_rpc_method_handler(
            fake.time_series,
            monitoring_v3.ListTimeSeriesRequest.deserialize,
            monitoring_v3.ListTimeSeriesResponse.serialize,
        ),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    fake.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(grace=None).wait()
