"""LiteLLM's spend logs: its table exported to files, or its API (v2), one row a request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, Field, model_validator

from connectors.api_months import Address, ApiKey, ApiOptions
from connectors.source import Landed, SourceVersion
from connectors.token_files import TokenFiles, UsageOptions, given, needed
from connectors.token_records import Record, amount, held, instant, mapping, tags_of, text
from connectors.token_rows import Item
from models.llm_providers import provider_named, provider_of_model
from models.token_buckets import DISJOINT

if TYPE_CHECKING:
    from connectors.litellm_api import SpendLogPages

# `call_type` without the leading `a` of asynchronous calls → OpenTelemetry's name of the operation.
OPERATIONS: Final[Mapping[str, str]] = {
    "completion": "chat",
    "responses": "chat",
    "anthropic_messages": "chat",
    "generate_content": "generate_content",
    "text_completion": "text_completion",
    "embedding": "embeddings",
    "image_generation": "image_generation",
    "speech": "speech",
    "transcription": "transcription",
    "rerank": "rerank",
    "moderation": "moderation",
}
# A key's hash is hexadecimal; LiteLLM's own traffic has words there, such as `litellm-internal-health-check`.
HASH: Final = re.compile(r"[0-9a-f]{64}")


class LiteLlmOptions(ApiOptions, UsageOptions):
    """Say where the spend logs are: files of the table, or the proxy."""

    base_url: Address | None = None
    """Address of the proxy, for its spend-log API."""
    api_key: ApiKey | None = None
    """Key of a proxy admin, or of an admin who may only view."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Rows a page; older proxies allow 100."""
    retention_days: Annotated[int, Field(ge=1)] | None = None
    """Days that the proxy keeps its logs for; older days are kept as they were read. Everything when left out."""

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.location is None) == (self.base_url is None):
            raise ValueError("name either a `location` or a `base_url`")
        if (self.base_url is None) != (self.api_key is None):
            raise ValueError("`base_url` and `api_key` go together")
        return self


class LiteLlm(TokenFiles):
    """Read spend logs."""

    Options: type[BaseModel] = LiteLlmOptions
    REPORTED_BY: ClassVar[str] = "gateway"
    # Columns that hold what people asked and what was answered are not read.
    WANTED: ClassVar[Sequence[str] | None] = (
        "request_id", "call_type", "api_key", "spend", "prompt_tokens", "completion_tokens", "startTime", "model",
        "model_id", "model_group", "custom_llm_provider", "api_base", "user", "metadata", "cache_hit", "request_tags",
        "team_id", "organization_id", "end_user", "session_id", "status",
    )  # fmt: skip

    @cached_property
    def _api(self) -> SpendLogPages | None:
        options = LiteLlmOptions.model_validate(self._options)
        if options.base_url is None:
            return None
        from connectors.litellm_api import SpendLogPages  # httpx takes 0.2 s, and commands only read the options

        return SpendLogPages(self.name, options, self._landing.parent, self._on_bytes, self)

    def versions(self) -> Sequence[SourceVersion]:
        """List the months of use there are, oldest first."""
        return self._api.versions() if self._api else super().versions()

    def fetch(self, version: SourceVersion) -> Landed:
        """Land the version's files or pages."""
        return self._landed(version, self._api.fetch(version).paths) if self._api else super().fetch(version)

    def records(self, item: Item) -> Iterator[Record]:
        """Give the request of a row."""
        metadata = mapping(item.get("metadata"))
        call = str(item.get("call_type") or "")
        model_id = text(item.get("model"))
        provider = text(item.get("custom_llm_provider"))
        labels = _labels(held(item.get("request_tags")))
        is_hit = str(item.get("cache_hit")).lower() == "true"
        said = {
            name: item.get(name) for name in ("model_group", "model_id", "end_user", "session_id") if item.get(name)
        }
        yield {
            "usage_start": instant(needed(item, "startTime"), "startTime"),
            "provider_name": provider_named(provider) if provider else provider_of_model(model_id or ""),
            "request_id": text(needed(item, "request_id")),
            "operation": OPERATIONS.get(call.removeprefix("a")) or OPERATIONS.get(call),
            "llm_model_id": model_id,
            "requests": 1,
            "is_batch": "batch" in call or None,
            "service_tier": text(mapping(metadata.get("usage_object")).get("service_tier")),
            "workspace_id": text(item.get("organization_id")),
            "endpoint": _address(item.get("api_base")),
            "team": text(given(metadata, "user_api_key_team_alias") or item.get("team_id")),
            "api_key_id": text(given(metadata, "user_api_key_alias")) or _key(item.get("api_key")),
            "user_id": text(item.get("user") or metadata.get("user_api_key_user_id")),
            "feature": text(given(labels, "feature", "app")),
            "tags": tags_of(said, mapping(metadata.get("spend_logs_metadata")), labels),
            "response_cache_hit": is_hit,
            "outcome": text(item.get("status") or metadata.get("status")),
            "reported_cost": amount(item.get("spend"), "spend"),
            "reported_currency": "USD",
            # An answer out of the proxy's own cache bought nothing, whatever the row repeats of the first one's tokens.
            "usage": dict.fromkeys(DISJOINT, 0) if is_hit else _usage(item, metadata),
        }


def _usage(item: Item, metadata: Item) -> Item | None:
    """Give the provider's own object as LiteLLM translated it: cached tokens inside the prompt for every provider."""
    usage = mapping(metadata.get("usage_object"))
    if any(usage.get(name) is not None for name in ("prompt_tokens", "completion_tokens", "input_tokens")):
        return usage
    counts = {name: item.get(name) for name in ("prompt_tokens", "completion_tokens")}
    if all(value is None for value in counts.values()):
        return None
    return {**mapping(metadata.get("additional_usage_values")), **counts}


def _key(written: Any) -> str | None:
    """Give the hash of a key, or the word that stands for one; a key itself is hashed, as the proxy would."""
    said = str(written or "")
    return said if HASH.fullmatch(said) else text(said)


def _address(written: Any) -> str | None:
    """Give an address without user, password and query: providers take keys there."""
    if not written:
        return None
    try:
        parts = urlsplit(str(written))
    except ValueError:
        return None
    return text(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def _labels(written: Any) -> dict[str, str]:
    """Read a list of tags; `jobID:1` is a key and a value."""
    found: dict[str, str] = {}
    for label in written if isinstance(written, list) else []:
        key, _, value = str(label).partition(":")
        found[text(key) or ""] = value
    return found
