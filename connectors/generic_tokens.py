"""Any file of token usage by a mapping of columns, or with the provider's raw `usage` object in one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, model_validator

from connectors.token_files import TokenFileOptions, TokenFiles
from connectors.token_records import COLUMNS, Record, amount, held, instant, mapping, tags_of, text
from connectors.token_rows import Item
from models.llm_providers import provider_named, provider_of_model
from models.token_buckets import DISJOINT, tokens

OURS: Final = frozenset({*COLUMNS, *DISJOINT, "input_tokens", "usage"}) - {"source_row", "reported_by", "tags"}
AMOUNTS: Final = ("quantity", "reported_cost")
TRUE: Final = frozenset({"true", "1", "yes", "t", "y"})
FALSE: Final = frozenset({"false", "0", "no", "f", "n"})


class GenericTokenOptions(TokenFileOptions):
    """Say where the files are and what their columns mean."""

    columns: Mapping[str, str]
    """Column of `token_usage` → column of the file; dots lead into nested fields. `usage_start` is needed, and either
    `usage` (the provider's raw object), `input_tokens` (cached ones included) or `uncached_input_tokens`."""
    tags: Mapping[str, str] = {}
    """Name of a tag → column of the file."""
    constants: Mapping[str, str] = {}
    """Column of `token_usage` → what it says on every row, for example `provider_name: OpenAI`."""

    @model_validator(mode="after")
    def _is_enough(self) -> Self:
        if unknown := sorted((set(self.columns) | set(self.constants)) - OURS):
            raise ValueError(f"token_usage has no column {unknown[0]!r}; it has: {', '.join(sorted(OURS))}")
        if "usage_start" not in self.columns:
            raise ValueError("`columns` must say which column is `usage_start`")
        counts = {"usage", "input_tokens", "uncached_input_tokens", "output_tokens", "quantity"} & set(self.columns)
        if not counts:
            raise ValueError("`columns` must say where the tokens are: `usage`, or `input_tokens` and `output_tokens`")
        if len(counts & {"usage", "input_tokens", "uncached_input_tokens"}) > 1:
            raise ValueError("`usage`, `input_tokens` and `uncached_input_tokens` say the same: map one of them")
        return self


class GenericTokens(TokenFiles):
    """Read usage by a mapping."""

    Options: type[BaseModel] = GenericTokenOptions
    REPORTED_BY: ClassVar[str] = "file"

    @cached_property
    def _said(self) -> GenericTokenOptions:
        return GenericTokenOptions.model_validate(self._options)

    def records(self, item: Item) -> Iterator[Record]:
        """Give the record of a row."""
        options = self._said
        said: dict[str, Any] = {**options.constants}
        for ours, theirs in options.columns.items():
            if (value := _at(item, theirs)) not in (None, ""):
                said[ours] = value
        if "usage_start" not in said:
            raise ValueError(f"column {options.columns['usage_start']!r} is missing or blank")
        record: Record = {name: text(value) for name, value in said.items() if name in COLUMNS}
        raw = mapping(said["usage"]) if "usage" in said else None
        tier = text(said.get("service_tier") or _tier(raw or {}))
        record |= {name: amount(said.get(name), name) for name in AMOUNTS}
        record |= {
            "usage_start": instant(said["usage_start"], "usage_start"),
            "requests": tokens(said.get("requests", 1), "requests"),
            "service_tier": tier,
            "is_batch": _truth(said["is_batch"], "is_batch") if "is_batch" in said else tier == "batch" or None,
            "response_cache_hit": _truth(said.get("response_cache_hit"), "response_cache_hit"),
            "tags": tags_of({tag: _at(item, theirs) for tag, theirs in options.tags.items()}),
            "usage": _usage(said) if raw is None else raw,
        }
        record["usage_end"] = instant(said["usage_end"], "usage_end") if "usage_end" in said else record["usage_start"]
        provider = record.get("provider_name")
        record["provider_name"] = (
            provider_named(provider) if provider else provider_of_model(record.get("llm_model_id") or "")
        )
        yield record


def _at(item: Item, path: str) -> Any:
    """Follow a path; a column whose name has dots is found under its whole name first."""
    if path in item:
        return item[path]
    found: Any = item
    for part in path.split("."):
        found = held(found) if isinstance(found, str) else found
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _usage(said: Mapping[str, Any]) -> Record | None:
    counts = {name: said[name] for name in DISJOINT if name in said}
    if "input_tokens" not in said:
        return {"uncached_input_tokens": None, **counts} if counts else None
    return {
        "prompt_tokens": said["input_tokens"],
        "completion_tokens": counts.get("output_tokens"),
        "cached_tokens": counts.get("cache_read_tokens"),
        "cache_creation_input_tokens": _written(counts),
        "cache_creation": {"ephemeral_1h_input_tokens": counts.get("cache_write_1h_tokens")},
        "prompt_tokens_details": {"audio_tokens": counts.get("input_audio_tokens")},
        "completion_tokens_details": {
            "reasoning_tokens": counts.get("reasoning_tokens"),
            "audio_tokens": counts.get("output_audio_tokens"),
        },
    }


def _written(counts: Mapping[str, Any]) -> int | None:
    parts = [tokens(counts.get(name), name) for name in ("cache_write_5m_tokens", "cache_write_1h_tokens")]
    return None if parts == [None, None] else sum(part or 0 for part in parts)


def _tier(usage: Mapping[str, Any]) -> Any:
    """Find the tier of the answer in its own usage object."""
    return usage.get("service_tier") or usage.get("serviceTier") or usage.get("trafficType")


def _truth(value: Any, field: str) -> bool | None:
    if value is None:
        return None
    said = str(value).strip().lower()
    if said not in TRUE | FALSE:
        raise ValueError(f"{field} is {said[:40]!r}, which is neither true nor false")
    return said in TRUE
