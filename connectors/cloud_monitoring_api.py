"""Time series of Cloud Monitoring, averaged over periods by Google. Read-only; credentials are google-auth's chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import grpc
import stamina
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

from connectors.cloud_monitoring_series import FRACTION_OF, METRICS, NODE, RESOURCE, UNIT
from connectors.gpu_readings import Role
from connectors.samples import NAME, SECOND, Series
from models.errors import BadInput

CALL: Final = 60.0
ATTEMPTS: Final = 5
PLAIN: Final = "http://"
_TRANSIENT: Final = (
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
)


class CloudMonitoringApi:
    """Ask one API.

    Args:
        endpoint: another API; `http://host:port` is not encrypted and nobody signs in.
        turn: holds a request back until it may go.
        on_bytes: is told of bytes received.
    """

    def __init__(
        self, endpoint: str | None, turn: Callable[[], AbstractContextManager[None]], on_bytes: Callable[[int], None]
    ) -> None:
        self._turn = turn
        self._on_bytes = on_bytes
        self._units: dict[tuple[str, str], str | None] = {}
        client: Any = monitoring_v3.MetricServiceClient
        with _explained("Cloud Monitoring"):
            if (endpoint or "").startswith(PLAIN):
                channel = grpc.insecure_channel((endpoint or "").removeprefix(PLAIN))
                self._client: Any = client(transport=MetricServiceGrpcTransport(channel=channel))
            else:
                self._client = client(client_options=ClientOptions(api_endpoint=endpoint))

    def close(self) -> None:
        """Close the channel."""
        self._client.transport.close()

    def series(self, project: str, metric: str, start: datetime, end: datetime, period: int) -> list[Series]:
        """Ask for the averages of one metric; none where the project has no such metric.

        Raises:
            BadInput: Google refuses, cannot be reached, or measures in a unit that is not known.
        """
        unit = self._unit(project, metric)
        # Google cuts periods backwards from the end, so that must be the end of one.
        whole = int((end - start).total_seconds()) // period
        end = start + timedelta(seconds=whole * period)
        if unit is None or not whole:
            return []
        request = monitoring_v3.ListTimeSeriesRequest(
            name=f"projects/{project}",
            filter=f'metric.type = "{metric}"',
            interval=monitoring_v3.TimeInterval(start_time=start, end_time=end),
            aggregation=monitoring_v3.Aggregation(
                alignment_period={"seconds": period},
                per_series_aligner=monitoring_v3.Aggregation.Aligner.ALIGN_MEAN,
            ),
            view=monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
        )
        found: dict[str, Series] = {}
        for page in self._call(
            project, lambda: list(self._client.list_time_series(request, timeout=CALL, retry=None).pages)
        ):
            self._on_bytes(monitoring_v3.ListTimeSeriesResponse.pb(page).ByteSize())
            for one in page.time_series:
                labels = {**_labels(one), NAME: metric, UNIT: unit}
                points = _points(project, one, start, period)
                series = Series(labels, period, [at for at, _ in points], [value for _, value in points])
                before = found.get(series.text)
                if before:
                    series = Series(labels, period, [*before.at, *series.at], [*before.value, *series.value])
                found[series.text] = series
        return [_ascending(one) for one in found.values() if one.at]

    def _unit(self, project: str, metric: str) -> str | None:
        key = (project, metric)
        if key not in self._units:
            name = f"projects/{project}/metricDescriptors/{metric}"
            try:
                said = self._call(
                    project, lambda: self._client.get_metric_descriptor(name=name, timeout=CALL, retry=None)
                )
                self._units[key] = said.unit
            except _AbsentError:
                self._units[key] = None
        unit = self._units[key]
        if unit is not None and METRICS[metric] == Role.BUSY and unit not in FRACTION_OF:
            known = ", ".join(repr(one) for one in FRACTION_OF)
            raise BadInput(f"project {project}", f"{metric} is measured in {unit!r}, none of {known}", "Report this")
        return unit

    def _call(self, project: str, ask: Callable[[], Any]) -> Any:
        with _explained(f"project {project}"):
            for attempt in stamina.retry_context(on=_TRANSIENT, attempts=ATTEMPTS, timeout=120, wait_max=20):
                with attempt, self._turn():
                    return ask()
        raise TypeError(project)


class _AbsentError(Exception):
    """There is no such metric in the project."""


def _labels(one: Any) -> dict[str, str]:
    labels = {**dict(one.resource.labels), **dict(one.metric.labels), RESOURCE: one.resource.type}
    system = type(one).pb(one).metadata.system_labels.fields
    if "node_name" in system:
        labels[NODE] = system["node_name"].string_value
    return labels


def _points(project: str, one: Any, start: datetime, period: int) -> list[tuple[int, float]]:
    """Give the start of each period with its average; Google names a period by its end."""
    found = []
    for point in one.points:
        if point.interval.end_time is None:
            raise BadInput(f"project {project}", f"{one.metric.type} has a value without a time", "Run again later")
        at = int(point.interval.end_time.timestamp()) - period
        value = point.value.double_value or float(point.value.int64_value)
        if at >= start.timestamp():
            found.append((at * SECOND, value))
    return found


def _ascending(series: Series) -> Series:
    ordered = sorted(zip(series.at, series.value, strict=True))
    return Series(series.labels, series.seconds, [at for at, _ in ordered], [value for _, value in ordered])


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except exceptions.NotFound as error:
        raise _AbsentError(name) from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        problem = f"permission denied ({_first_line(error)})"
        raise BadInput(name, problem, "Give roles/monitoring.viewer to the credentials in use") from error
    except exceptions.GoogleAPICallError as error:
        fix = "Run again later: days already pulled are kept"
        if isinstance(error, exceptions.BadRequest):
            fix = "Check `projects`"
        raise BadInput(name, f"Cloud Monitoring cannot be asked ({_first_line(error)})", fix) from error
    except GoogleAuthError as error:
        fix = "Sign in: gcloud auth application-default login, or give the machine a service account"
        raise BadInput(name, f"there are no usable credentials ({_first_line(error)})", fix) from error


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
