"""Tokens of self-hosted models, from the counters of vLLM: one row per server, model and hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import polars as pl

from connectors import samples, tabular
from connectors.gpu_readings import valid
from connectors.prometheus_series import label
from connectors.samples import NAME
from models.facts import TAGS, TOKEN_USAGE, Schema, declared

HOUR: Final = 3_600_000_000
SUMS: Final = ("requests", "uncached_input_tokens", "cache_read_tokens", "output_tokens")
# Counter → what grows. Where tokens are counted by source, that says which were computed; else the cached ones are
# taken off the prompts; a server that counts neither says nothing of its cache.
COUNTERS: Final = {
    "vllm:prompt_tokens_by_source_total": "computed",
    "vllm:prompt_tokens_total": "prompt",
    "vllm:prompt_tokens_cached_total": "cached",
    "vllm:generation_tokens_total": "output",
    "vllm:request_success_total": "requests",
}
# More than a file has rows: a file and a row in it are one number.
_ROWS: Final = 1 << 40
_SERVED_BY: Final = ("service", "deployment", "app", "job")


@dataclass(frozen=True)
class Server:
    """Who served which model."""

    model: str
    endpoint: str | None
    tags: tuple[tuple[str, str], ...]


def _counter(labels: Mapping[str, str]) -> tuple[str, tuple[str, ...]] | None:
    """Tell what a series counts, and one name for it however many scrapers see it."""
    kind = COUNTERS.get(labels.get(NAME, ""))
    if kind is None or not labels.get("model_name"):
        return None
    if kind == "computed" and labels.get("source") != "local_compute":
        kind = "reused"
    words = ("model_name", "engine", "source", "finished_reason")
    place = tuple(label(labels, name) or "" for name in ("cluster", "namespace", "pod", "instance"))
    return kind, (labels[NAME], *place, *(labels.get(word, "") for word in words))


def _server(labels: Mapping[str, str], cluster: str | None) -> Server:
    said = {name: label(labels, name) for name in ("cluster", "namespace", "pod")}
    said["cluster"] = said["cluster"] or cluster
    tags = tuple((name, value) for name, value in said.items() if value)
    return Server(labels["model_name"], label(labels, *_SERVED_BY), tags)


def usage(files: Sequence[tuple[Path, str]], cluster: str | None) -> pl.LazyFrame:
    """Give what the counters grew by in each hour of a month; a counter that falls has begun at 0 again.

    Args:
        files: landed files of the month with their names, in the order of days.
        cluster: name of the cluster where no label says it.
    """
    counters: dict[tuple[str, ...], int] = {}
    servers: dict[Server, int] = {}
    frames = []
    for number, (path, name) in enumerate(files):
        rows = []
        for series, labels in enumerate(samples.labels(path, name)):
            if found := _counter(labels):
                server = servers.setdefault(_server(labels, cluster), len(servers))
                rows.append((series, found[0], counters.setdefault(found[1], len(counters)), server))
        kinds = {"series": pl.Int32, "kind": pl.String, "counter": pl.Int32, "server": pl.Int32}
        meaning = pl.LazyFrame(rows, schema=kinds, orient="row")
        frames.append(samples.scan(path).filter(valid()).join(meaning, on="series").with_columns(file=pl.lit(number)))
    grown = pl.col("value") - pl.col("value").shift(1).over("counter", order_by="at")
    growth = (
        pl.concat(frames)
        .group_by("counter", "at")
        # Two scrapers may see one counter.
        .agg(pl.col("value").max(), *[pl.col(name).min() for name in ("kind", "server", "file", tabular.ROW)])
        .sort("counter", "at")
        .with_columns(grown=grown)
        .filter(pl.col("grown").is_not_null())
        .with_columns(
            grown=pl.when(pl.col("grown") < 0).then("value").otherwise("grown"),
            # What a sample at the full hour has more than the one before came in the hour before.
            hour=(pl.col("at") - pl.duration(microseconds=1)).dt.truncate("1h"),
            place=pl.col("file").cast(pl.Int64) * _ROWS + pl.col(tabular.ROW),
        )
    )
    total = {kind: _total(kind) for kind in ("computed", "reused", "prompt", "cached", "output", "requests")}
    hours = growth.group_by("server", "hour").agg(**total, place=pl.col("place").min())
    cached = pl.when(pl.col("cached").is_not_null()).then(pl.min_horizontal("cached", "prompt"))
    names = pl.Series("name", [name for _, name in files])
    return declared(
        hours.join(_identities(servers), on="server")
        .filter(pl.any_horizontal(pl.col("computed", "prompt", "output", "requests").is_not_null()))
        .sort("place")
        .select(
            source_file=(pl.col("place") // _ROWS).replace_strict(range(len(files)), names, return_dtype=pl.String),
            source_row=pl.col("place") % _ROWS,
            usage_start=pl.col("hour"),
            usage_end=pl.col("hour").dt.offset_by("1h"),
            provider_name=pl.lit("self_hosted"),
            reported_by=pl.lit("metric"),
            llm_model_id=pl.col("model"),
            requests=pl.col("requests"),
            uncached_input_tokens=pl.coalesce("computed", pl.col("prompt") - cached, "prompt"),
            cache_read_tokens=pl.when(pl.col("computed").is_not_null())
            .then(pl.col("reused").fill_null(0))
            .otherwise(cached),
            output_tokens=pl.col("output"),
            endpoint=pl.col("endpoint"),
            tags=pl.col("tags"),
        ),
        TOKEN_USAGE,
    )


def _total(kind: str) -> pl.Expr:
    of_kind = pl.col("grown").filter(pl.col("kind") == kind)
    return pl.when(of_kind.len() > 0).then(of_kind.sum().round().cast(pl.Int64))


def _identities(servers: Mapping[Server, int]) -> pl.LazyFrame:
    rows = [
        {"server": number, "model": one.model, "endpoint": one.endpoint, "tags": dict(one.tags)}
        for one, number in servers.items()
    ]
    types: Schema = {"server": pl.Int32, "model": pl.String, "endpoint": pl.String, "tags": TAGS}
    return pl.LazyFrame(rows, schema=types)


def counted(files: Sequence[tuple[Path, str]], cluster: str | None) -> dict[str, int]:
    """Add up the counters' growth with plain arithmetic, sample by sample.

    Raises:
        BadInput: a file is damaged.
    """
    values: dict[tuple[str, ...], dict[int, float]] = defaultdict(dict)
    about: dict[tuple[str, ...], tuple[str, Server]] = {}
    for path, name in files:
        meaning = {}
        for number, labels in enumerate(samples.labels(path, name)):
            if found := _counter(labels):
                meaning[number] = found[1]
                about.setdefault(found[1], (found[0], _server(labels, cluster)))
        native = samples.table(path, name)
        instants = native["at"].cast("int64").to_pylist()
        for series, at, value in zip(native["series"].to_pylist(), instants, native["value"].to_pylist(), strict=True):
            if series in meaning and 0 <= value < 2**63:
                counter = values[meaning[series]]
                counter[at] = max(value, counter.get(at, 0.0))
    hours: dict[tuple[Server, int], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name_of, samples_of in values.items():
        kind, server = about[name_of]
        instants = sorted(samples_of)
        for before, at in pairwise(instants):
            more = samples_of[at] - samples_of[before]
            hours[server, (at - 1) // HOUR][kind] += more if more >= 0 else samples_of[at]
    return _tally(list(hours.values()))


def _tally(hours: Sequence[Mapping[str, float]]) -> dict[str, int]:
    sums = dict.fromkeys(("rows", *SUMS), 0)
    for hour in hours:
        grown = {kind: round(value) for kind, value in hour.items()}
        if not {"computed", "prompt", "output", "requests"} & set(grown):
            continue
        cached = min(grown.get("cached", 0), grown.get("prompt", 0))
        sums["rows"] += 1
        sums["requests"] += grown.get("requests", 0)
        sums["output_tokens"] += grown.get("output", 0)
        computed = "computed" in grown
        sums["uncached_input_tokens"] += grown["computed"] if computed else grown.get("prompt", 0) - cached
        sums["cache_read_tokens"] += grown.get("reused", 0) if computed else cached
    return sums
