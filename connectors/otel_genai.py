"""Spans of OpenTelemetry's GenAI conventions, as collectors write them: OTLP JSON, or one span a line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, Final

from pydantic import BaseModel

from connectors.token_files import TokenFileOptions, TokenFiles, given, needed
from connectors.token_records import Record, instant, mapping, tags_of, text
from connectors.token_rows import Item
from models.llm_providers import provider_named, provider_of_model

# Spans of agents and workflows repeat what the calls below them used.
REPEATING: Final = frozenset({"invoke_agent", "agent_step", "create_agent", "execute_tool", "invoke_workflow"})
# Attributes by meaning; the later ones are from before the conventions had settled, or some library's own.
INPUT: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
OUTPUT: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
CACHE_READ: Final = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
)
CACHE_WRITE: Final = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
)
REASONING: Final = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.details.reasoning_tokens",
)
# What is said in a column already, or is a person's text and nobody's business here.
NO_TAGS: Final = (
    "gen_ai.usage.",
    "gen_ai.input.",
    "gen_ai.output.",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.system_",
)
# Where an attribute keeps its value in OTLP JSON; 64-bit integers are text there.
VALUES: Final = ("stringValue", "intValue", "doubleValue", "boolValue")


class OtelOptions(TokenFileOptions):
    """Say where the spans are and how they count."""

    input_includes_cached: bool = True
    """Input tokens include those read from and written to a cache, as the conventions ask; false where they do not."""
    team_attribute: str = "team"
    """Attribute of the span or resource that names the team."""
    feature_attribute: str = "feature"
    """Attribute of the span or resource that names the feature; the service's name when there is none."""


class OtelGenAi(TokenFiles):
    """Read spans that used tokens."""

    Options: type[BaseModel] = OtelOptions
    REPORTED_BY: ClassVar[str] = "trace"

    @cached_property
    def _said(self) -> OtelOptions:
        return OtelOptions.model_validate(self._options)

    def records(self, item: Item) -> Iterator[Record]:
        """Give the calls among the spans of a line."""
        for resource, span in _spans(item):
            said = {**resource, **_attributes(span.get("attributes"))}
            if given(said, *INPUT, *OUTPUT) is None or said.get("gen_ai.operation.name") in REPEATING:
                continue
            yield self._call(said, span)

    def _call(self, said: Item, span: Item) -> Record:
        options = self._said
        model_id = text(given(said, "gen_ai.response.model", "gen_ai.request.model"))
        provider = given(said, "gen_ai.provider.name", "gen_ai.system")
        trace = given(span, "traceId", "trace_id") or mapping(span.get("context")).get("trace_id")
        own = given(span, "spanId", "span_id") or mapping(span.get("context")).get("span_id")
        start = needed(span, "startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime")
        return {
            "usage_start": instant(start, "startTimeUnixNano"),
            "provider_name": provider_named(str(provider)) if provider else provider_of_model(model_id or ""),
            # Two instrumentations of one call make two spans, and the answer's id shows it.
            "request_id": text(given(said, "gen_ai.response.id") or (f"{trace}/{own}" if own else None)),
            "operation": text(said.get("gen_ai.operation.name")),
            "llm_model_id": model_id,
            "requests": 1,
            "service_tier": text(given(said, "gen_ai.openai.response.service_tier", "openai.response.service_tier")),
            "region_id": text(said.get("cloud.region")),
            "endpoint": text(said.get("server.address")),
            "team": text(said.get(options.team_attribute)),
            "user_id": text(given(said, "user.id", "enduser.id")),
            "feature": text(given(said, options.feature_attribute, "service.name")),
            "tags": tags_of({key: value for key, value in said.items() if not key.startswith(NO_TAGS)}),
            "outcome": "failure" if said.get("error.type") else "success",
            "usage": _usage(said, inclusive=options.input_includes_cached),
        }


def _usage(said: Item, *, inclusive: bool) -> Record:
    read, written = given(said, *CACHE_READ), given(said, *CACHE_WRITE)
    fresh, output, reasoning = given(said, *INPUT), given(said, *OUTPUT), given(said, *REASONING)
    if not inclusive:
        return {
            "uncached_input_tokens": fresh,
            "cache_read_tokens": read,
            "cache_write_5m_tokens": written,
            "output_tokens": output,
            "reasoning_tokens": reasoning,
        }
    return {
        "prompt_tokens": fresh,
        "cached_tokens": read,
        "cache_creation_input_tokens": written,
        "completion_tokens": output,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def _spans(item: Item) -> Iterator[tuple[Item, Item]]:
    """Give the spans of an OTLP request with their resource's attributes; a line without any is a span itself."""
    if "resourceSpans" not in item:
        if "attributes" not in item:
            raise ValueError(f"is no span (its fields: {', '.join(item)[:120]})")
        yield _attributes(mapping(item.get("resource")).get("attributes")), item
        return
    for group in item["resourceSpans"] or []:
        resource = _attributes(mapping(group.get("resource")).get("attributes"))
        for scope in group.get("scopeSpans") or []:
            for span in scope.get("spans") or []:
                yield resource, span


def _attributes(written: Any) -> dict[str, Any]:
    """Read attributes: OTLP's list of keys and typed values, or an object."""
    if isinstance(written, dict):
        return written
    found: dict[str, Any] = {}
    for attribute in written or []:
        value = attribute.get("value")
        found[str(attribute.get("key"))] = given(value, *VALUES) if isinstance(value, dict) else None
    return found
