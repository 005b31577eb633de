"""Prometheus: accelerators measured by DCGM, servers of models by vLLM, and pods by kube-state-metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import polars as pl
from pydantic import AfterValidator, BaseModel, Field, SecretStr

from connectors import gpu_readings, prometheus_pods, prometheus_series, prometheus_tokens, samples
from connectors.gpu_readings import Readings
from connectors.metric_pulls import MetricOptions, MetricPulls
from connectors.samples import NAME, SECOND, Series
from connectors.source import Landed, Totals
from models.facts import GPU_JOBS, GPU_UTILIZATION, TOKEN_USAGE, Fact, declared, schema

if TYPE_CHECKING:
    from connectors.prometheus_api import PrometheusApi

SAYS: Final = ("workload", "team", "llm_model", "user_id", "project_id")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_URL: Final = re.compile(r"https?://[^/@\s]+(/[^@?#\s]*)?")
_HOUR: Final = 3600


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError(
            "write http://host:port or https://…, without a user: credentials go into `token` or `headers`"
        )
    return text


def _match(matchers: Mapping[str, str]) -> Mapping[str, str]:
    if odd := [name for name in matchers if not _LABEL.fullmatch(name)]:
        raise ValueError(f"{odd[0]!r} is no name of a label")
    return matchers


def _says(labels: Mapping[str, str]) -> Mapping[str, str]:
    if odd := [name for name in labels if name not in SAYS]:
        raise ValueError(f"{odd[0]!r} is none of {', '.join(SAYS)}")
    return labels


class PrometheusOptions(MetricOptions):
    """Say where the server is and which of its series are meant."""

    url: Annotated[str, AfterValidator(_url)]
    """Address of the server: what stands before `/api/v1`."""
    token: SecretStr | None = None
    """Bearer token, best as `${NAME}`."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """More headers, for example `X-Scope-OrgID` or `Authorization: Basic …`."""
    match: Annotated[dict[str, str], AfterValidator(_match)] = Field(default_factory=dict)
    """Labels that every series must have, for example `cluster: prod`."""
    cluster: str | None = None
    """Name of the cluster, where no label says it."""
    pod_labels: Annotated[dict[str, str], AfterValidator(_says)] = Field(default_factory=dict)
    """What labels of pods say: `workload`, `team`, `llm_model`, `user_id` or `project_id` → name of the label."""
    step_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Distance of samples; best the scrape interval."""
    retention_days: Annotated[int, Field(gt=0)] | None = None
    """How long the server keeps samples, so that a month it has begun to forget is not loaded again."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 60
    """How long one request may take."""


class Prometheus(MetricPulls):
    """Read GPU utilization, pods and tokens of self-hosted models."""

    Options: type[BaseModel] = PrometheusOptions
    groups = ("gpu", "pods", "vllm")

    _options: PrometheusOptions

    def asked(self) -> Mapping[str, Any]:
        """Give server, matchers and step."""
        return self._options.model_dump(include={"url", "match", "step_seconds"})

    def meaning(self) -> Mapping[str, Any]:
        """Give what names clusters and pods."""
        return self._options.model_dump(include={"cluster", "pod_labels"})

    @property
    def retention_days(self) -> int | None:
        """Days that the server keeps."""
        return self._options.retention_days

    @cached_property
    def _api(self) -> PrometheusApi:
        from connectors.prometheus_api import PrometheusApi  # every command reads the configuration; httpx is slow

        options = self._options
        headers = {name: value.get_secret_value() for name, value in options.headers.items()}
        if options.token:
            headers["Authorization"] = f"Bearer {options.token.get_secret_value()}"
        return PrometheusApi(options.url, headers, options.timeout_seconds, self.pace.turn, self.report)

    def release(self) -> None:
        """Close the connections to the server."""
        if api := self.__dict__.pop("_api", None):
            api.close()

    def pull(self, group: str, start: datetime, end: datetime) -> Sequence[Series]:
        """Ask for each metric of a group by itself; counters up to and with the last instant, gauges before it."""
        step = self._options.step_seconds
        found: list[Series] = []
        for metric, query in self._queries(group).items():
            pace = max(step, _HOUR) if metric == prometheus_series.NODES else step
            answer = self._api.series(query, start, end, pace)
            named = [Series({**one.labels, NAME: metric}, one.seconds, one.at, one.value) for one in answer]
            found += named if group == "vllm" else [_before(one, end) for one in named]
        return [one for one in found if one.at]

    def _queries(self, group: str) -> Mapping[str, str]:
        match = ",".join(f"{name}={_quoted(value)}" for name, value in sorted(self._options.match.items()))
        if group == "pods":
            return prometheus_pods.queries(match)
        metrics = (
            prometheus_tokens.COUNTERS if group == "vllm" else (*prometheus_series.METRICS, prometheus_series.NODES)
        )
        return {metric: f"{metric}{{{match}}}" for metric in metrics}

    def totals(self, landed: Landed) -> Totals:
        """Check every value and count what the samples say, without going through `read`.

        Raises:
            BadInput: a utilization is no share; names file, row and metric.
        """
        usage = {
            Fact.GPU_UTILIZATION: gpu_readings.added(
                [gpu_readings.counted(path, self._readings(path, name)) for path, name in _files(landed, "gpu")]
            ),
            Fact.GPU_JOBS: prometheus_pods.counted(_files(landed, "pods")),
            Fact.TOKEN_USAGE: prometheus_tokens.counted(_files(landed, "vllm"), self._options.cluster),
        }
        return Totals(0, 0, {}, {}, is_final=bool(landed.version.is_final), usage=usage)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give utilization by the day's file, and pods and tokens of the month, whose samples belong together."""
        gpu = [gpu_readings.utilization(path, self._readings(path, name)) for path, name in _files(landed, "gpu")]
        pods, vllm = _files(landed, "pods"), _files(landed, "vllm")
        known = {name: dtype for name, dtype in schema(GPU_JOBS).items() if name != "accelerator"}
        build = partial(
            prometheus_pods.jobs,
            pods,
            landed.version.billing_period,
            self._options.pod_labels,
            self._options.cluster,
            is_over=bool(landed.version.is_final),
        )
        return {
            Fact.GPU_UTILIZATION: gpu or [pl.LazyFrame(schema=schema(GPU_UTILIZATION))],
            Fact.GPU_JOBS: [declared(pl.defer(build, schema=known) if pods else pl.LazyFrame(schema=known), GPU_JOBS)],
            Fact.TOKEN_USAGE: [
                prometheus_tokens.usage(vllm, self._options.cluster)
                if vllm
                else pl.LazyFrame(schema=schema(TOKEN_USAGE))
            ],
        }

    def _readings(self, path: Path, name: str) -> Readings:
        labels = samples.labels(path, name)
        machines = prometheus_series.resources(labels)
        return Readings(name, [prometheus_series.reading(one, machines, self._options.cluster) for one in labels])


def _files(landed: Landed, group: str) -> list[tuple[Path, str]]:
    pairs = zip(landed.version.files, landed.paths, strict=True)
    return [(path, file.name) for file, path in pairs if file.name.startswith(f"{group}/")]


def _before(series: Series, end: datetime) -> Series:
    """Leave out the instant at which the next day begins."""
    kept = [number for number, at in enumerate(series.at) if at < end.timestamp() * SECOND]
    return Series(
        series.labels, series.seconds, [series.at[number] for number in kept], [series.value[number] for number in kept]
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
