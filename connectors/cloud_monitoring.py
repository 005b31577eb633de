"""Google Cloud Monitoring: accelerators as the Ops Agent, GKE, Vertex AI and TPUs measure them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import polars as pl
from pydantic import BaseModel, Field

from connectors import cloud_monitoring_series, gpu_readings, samples
from connectors.gpu_readings import Readings
from connectors.metric_pulls import MetricOptions, MetricPulls, PeriodSeconds
from connectors.samples import Series
from connectors.source import Landed, Totals
from models.facts import GPU_UTILIZATION, Fact, schema

if TYPE_CHECKING:
    from connectors.cloud_monitoring_api import CloudMonitoringApi

# Google keeps points of its own metrics for six weeks.
KEPT: Final = 42


class CloudMonitoringOptions(MetricOptions):
    """Say whose metrics."""

    projects: Annotated[list[str], Field(min_length=1)]
    """Projects whose metrics are read; of a metrics scope the scoping project sees the others' too."""
    period_seconds: PeriodSeconds = 300
    """Length of the averages that are asked for."""
    api_endpoint: str | None = None
    """Another Cloud Monitoring API; Google's when left out. Over http:// nobody signs in."""


class CloudMonitoring(MetricPulls):
    """Read GPU and TPU utilization."""

    Options: type[BaseModel] = CloudMonitoringOptions
    groups = ("gpu",)

    _options: CloudMonitoringOptions

    def asked(self) -> Mapping[str, Any]:
        """Give projects and period."""
        return self._options.model_dump(include={"projects", "period_seconds", "api_endpoint"})

    def meaning(self) -> Mapping[str, Any]:
        """Give nothing: labels say it all."""
        return {}

    @property
    def retention_days(self) -> int | None:
        """Days that Google keeps."""
        return KEPT

    @cached_property
    def _api(self) -> CloudMonitoringApi:
        from connectors.cloud_monitoring_api import CloudMonitoringApi  # Google's clients take a second to import

        return CloudMonitoringApi(self._options.api_endpoint, self.pace.turn, self.report)

    def release(self) -> None:
        """Close the channel."""
        if api := self.__dict__.pop("_api", None):
            api.close()

    def pull(self, group: str, start: datetime, end: datetime) -> Sequence[Series]:
        """Ask each project for every metric it has."""
        del group
        period = self._options.period_seconds
        return [
            series
            for project in self._options.projects
            for metric in cloud_monitoring_series.METRICS
            for series in self._api.series(project, metric, start, end, period)
        ]

    def totals(self, landed: Landed) -> Totals:
        """Check every value and count devices, hours and samples, without going through `read`.

        Raises:
            BadInput: a utilization is no share; names file, row and metric.
        """
        parts = [gpu_readings.counted(path, readings) for path, readings in _readings(landed)]
        usage = {Fact.GPU_UTILIZATION: gpu_readings.added(parts)}
        return Totals(0, 0, {}, {}, is_final=bool(landed.version.is_final), usage=usage)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame per day."""
        frames = [gpu_readings.utilization(path, readings) for path, readings in _readings(landed)]
        return {Fact.GPU_UTILIZATION: frames or [pl.LazyFrame(schema=schema(GPU_UTILIZATION))]}


def _readings(landed: Landed) -> list[tuple[Path, Readings]]:
    pairs = zip(landed.version.files, landed.paths, strict=True)
    return [
        (path, Readings(file.name, [cloud_monitoring_series.reading(one) for one in samples.labels(path, file.name)]))
        for file, path in pairs
    ]
