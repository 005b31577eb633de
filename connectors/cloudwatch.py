"""CloudWatch: accelerators as the CloudWatch agent, Container Insights and SageMaker measure them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import polars as pl
from pydantic import BaseModel, Field

from connectors import cloudwatch_series, gpu_readings, samples
from connectors.gpu_readings import Readings
from connectors.metric_pulls import MetricOptions, MetricPulls, PeriodSeconds
from connectors.samples import Series
from connectors.source import Landed, Totals
from models.facts import GPU_UTILIZATION, Fact, schema

if TYPE_CHECKING:
    from connectors.cloudwatch_api import CloudWatchApi

# CloudWatch keeps periods of under five minutes, under an hour, and longer ones for so many days.
_KEPT: Final = ((300, 15), (3600, 63))
_KEPT_LONGEST: Final = 455
logger = logging.getLogger(__name__)


class CloudWatchOptions(MetricOptions):
    """Say whose metrics, in which regions."""

    regions: list[str] = Field(default_factory=list)
    """Regions to ask; boto3's own chain decides when left out."""
    profile: str | None = None
    """Profile of the AWS configuration files; boto3's own chain decides when left out."""
    endpoint_url: str | None = None
    """Another endpoint for CloudWatch and SageMaker, for example a VPC endpoint."""
    period_seconds: PeriodSeconds = 300
    """Length of the averages that are asked for."""
    gpu_counts: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    """GPUs of one instance by the name of the SageMaker endpoint or job, where SageMaker cannot be asked."""


class CloudWatch(MetricPulls):
    """Read GPU utilization."""

    Options: type[BaseModel] = CloudWatchOptions
    groups = ("gpu",)

    _options: CloudWatchOptions

    @cached_property
    def _has_said(self) -> set[str]:
        return set()

    def asked(self) -> Mapping[str, Any]:
        """Give account, regions and period."""
        return self._options.model_dump(include={"regions", "profile", "endpoint_url", "period_seconds"})

    def meaning(self) -> Mapping[str, Any]:
        """Give the counts of GPUs."""
        return self._options.model_dump(include={"gpu_counts"})

    @property
    def retention_days(self) -> int | None:
        """Days that CloudWatch keeps averages of this length."""
        return next((days for below, days in _KEPT if self._options.period_seconds < below), _KEPT_LONGEST)

    @cached_property
    def _apis(self) -> Sequence[CloudWatchApi]:
        from connectors.cloudwatch_api import CloudWatchApi  # boto3 takes 0.3 s to import

        options = self._options
        regions: Sequence[str | None] = options.regions or [None]
        return [
            CloudWatchApi(region, options.profile, options.endpoint_url, self.pace.turn, self.report)
            for region in regions
        ]

    def release(self) -> None:
        """Forget the clients, and with them which metrics there are."""
        for api in self.__dict__.pop("_apis", []):
            api.close()

    def pull(self, group: str, start: datetime, end: datetime) -> Sequence[Series]:
        """Ask each region for every metric it has."""
        del group
        period = self._options.period_seconds
        return [series for api in self._apis for series in api.series(start, end, period)]

    def totals(self, landed: Landed) -> Totals:
        """Check every value and count devices, hours and samples, without going through `read`.

        Raises:
            BadInput: a utilization is no share; names file, row and metric.
        """
        parts = [gpu_readings.counted(path, readings) for path, readings in self._readings(landed)]
        usage = {Fact.GPU_UTILIZATION: gpu_readings.added(parts)}
        return Totals(0, 0, {}, {}, is_final=bool(landed.version.is_final), usage=usage)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame per day."""
        frames = [gpu_readings.utilization(path, readings) for path, readings in self._readings(landed)]
        return {Fact.GPU_UTILIZATION: frames or [pl.LazyFrame(schema=schema(GPU_UTILIZATION))]}

    def _readings(self, landed: Landed) -> list[tuple[Path, Readings]]:
        found = []
        for file, path in zip(landed.version.files, landed.paths, strict=True):
            of_series = []
            for labels in samples.labels(path, file.name):
                reading = cloudwatch_series.reading(labels, self._options.gpu_counts)
                of_series.append(reading)
                if reading is None and (resource := cloudwatch_series.uncounted(labels)):
                    self._say(resource)
            found.append((path, Readings(file.name, of_series)))
        return found

    def _say(self, resource: str) -> None:
        if resource not in self._has_said:
            self._has_said.add(resource)
            logger.warning(
                "%s: how many GPUs %s has is not known, so its utilization (percent × GPUs) is not measured; "
                "allow sagemaker:Describe…, or write it into `gpu_counts`",
                self.name,
                resource,
            )
