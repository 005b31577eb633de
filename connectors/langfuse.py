"""Langfuse's exports of observations: blob storage (JSON, JSONL, CSV, Parquet), the UI's files, or pages of its API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, ClassVar, Final

from pydantic import BaseModel

from connectors.token_files import TokenFileOptions, TokenFiles, given, needed
from connectors.token_records import Record, amount, held, instant, mapping, tags_of, text
from connectors.token_rows import Item
from models.llm_providers import provider_named, provider_of_model
from models.token_buckets import tokens

# Other kinds (spans, agents, chains, tools) repeat what the generations below them used.
OPERATIONS: Final[Mapping[str, str]] = {"GENERATION": "chat", "EMBEDDING": "embeddings"}


class LangfuseOptions(TokenFileOptions):
    """Say where the exports are and who serves the models."""

    providers: Mapping[str, str] = {}
    """Pattern of a model's name → provider, for example `claude-*: AWS`: Langfuse does not say who served a model."""


class Langfuse(TokenFiles):
    """Read observations that used tokens."""

    Options: type[BaseModel] = LangfuseOptions
    REPORTED_BY: ClassVar[str] = "trace"

    def records(self, item: Item) -> Iterator[Record]:
        """Give the call of an observation, nothing for other kinds of observation."""
        kind = str(needed(item, "type")).upper()
        usage = _usage(item)
        if kind not in OPERATIONS or usage is None:
            return
        labels = _labels(held(item.get("tags")))
        model_id = text(given(item, "providedModelName", "provided_model_name", "model"))
        said = {
            "environment": item.get("environment"),
            "name": item.get("name"),
            "trace_name": given(item, "traceName", "trace_name"),
            "session_id": given(item, "sessionId", "session_id"),
        }
        yield {
            "usage_start": instant(needed(item, "startTime", "start_time"), "startTime"),
            "provider_name": self._provider(model_id or ""),
            "request_id": text(needed(item, "id")),
            "operation": OPERATIONS[kind],
            "llm_model_id": model_id,
            "requests": 1,
            "project_id": text(given(item, "projectId", "project_id")),
            "user_id": text(given(item, "userId", "user_id")),
            "team": text(labels.get("team")),
            "feature": text(given(labels, "feature", "app")),
            "tags": tags_of({key: value for key, value in said.items() if value}, labels),
            "outcome": "failure" if str(item.get("level")).upper() == "ERROR" else "success",
            "reported_cost": amount(given(item, "totalCost", "total_cost"), "totalCost"),
            "reported_currency": "USD",
            "usage": usage,
        }

    @cached_property
    def _patterns(self) -> Sequence[tuple[str, str]]:
        return tuple(LangfuseOptions.model_validate(self._options).providers.items())

    def _provider(self, model_id: str) -> str:
        chosen = (name for pattern, name in self._patterns if fnmatchcase(model_id, pattern))
        return provider_named(next(chosen, None) or provider_of_model(model_id))


def _labels(written: Any) -> dict[str, str]:
    """Read a list of tags; `feature:search` is a key and a value."""
    found: dict[str, str] = {}
    for label in written if isinstance(written, list) else []:
        key, _, value = str(label).partition(":")
        found[key] = value
    return found


def _usage(item: Item) -> dict[str, int | None] | None:
    """Sort the usage details: buckets that exclude each other, under names that clients choose."""
    details = mapping(given(item, "usageDetails", "usage_details", "usage"))
    counts = {
        key: count for key, value in details.items() if key != "unit" and (count := tokens(value, key)) is not None
    }
    counts.pop("total", None)
    if not counts:
        return None
    found: dict[str, int | None] = {"uncached_input_tokens": 0}
    for key, count in counts.items():
        bucket = _bucket(key)
        found[bucket] = (found.get(bucket) or 0) + count
        # Parts of the input and output that stay in them: reasoning is a bucket of its own in Langfuse.
        for word, part in (("reasoning", "reasoning_tokens"), ("audio", f"{_side(key)}_audio_tokens")):
            if word in key and bucket in {"uncached_input_tokens", "output_tokens"}:
                found[part] = (found.get(part) or 0) + count
    return found


def _bucket(key: str) -> str:
    if _side(key) == "output":
        return "output_tokens"
    if "creation" in key or "cache_write" in key:
        return "cache_write_1h_tokens" if "1h" in key else "cache_write_5m_tokens"
    return "cache_read_tokens" if "cache" in key else "uncached_input_tokens"


def _side(key: str) -> str:
    if key.startswith(("output", "completion", "reasoning", "candidates", "thoughts")):
        return "output"
    if key.startswith(("input", "prompt", "cache", "tool_use_prompt")):
        return "input"
    raise ValueError(f"usage detail {key!r} is neither of the input nor of the output")
