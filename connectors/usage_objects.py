"""Count a raw `usage` object's tokens once more, one provider at a time in plain arithmetic.

What a load is reconciled against: nothing of `models.token_buckets` is used here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.token_buckets import ADDITIVE

Usage = Mapping[str, Any]
Counts = dict[str, int]
OWN = frozenset({"uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"})


def count(usage: Usage) -> Counts:
    """Give the sums that one object adds to; what it does not state adds nothing."""
    if not OWN.isdisjoint(usage):
        return {name: _number(usage.get(name)) for name in ADDITIVE}
    billed = _held(usage, "billed_units")
    if billed.get("input_tokens") is not None:
        return _counts(_number(billed.get("input_tokens")), 0, 0, 0, _number(billed.get("output_tokens")), 0)
    if _has(usage, "promptTokenCount", "candidatesTokenCount", "prompt_token_count", "candidates_token_count"):
        return _gemini(usage)
    if _has(usage, "inputTokens", "outputTokens", "inputTokenCount", "outputTokenCount"):
        return _converse(usage)
    return _chat(usage) if _has(usage, "prompt_tokens", "completion_tokens") else _messages_or_responses(usage)


def _gemini(usage: Usage) -> Counts:
    usage = {_camel(key): value for key, value in usage.items()}
    parts = [usage[name] for name in ("promptTokenCount", "toolUsePromptTokenCount") if usage.get(name) is not None]
    whole = sum(map(_number, parts)) if parts else None
    cached, thoughts = _number(usage.get("cachedContentTokenCount")), _number(usage.get("thoughtsTokenCount"))
    said = _number(usage.get("candidatesTokenCount")) or _number(usage.get("responseTokenCount"))
    return _counts(_left(whole, cached), cached, 0, 0, said + thoughts, thoughts)


def _converse(usage: Usage) -> Counts:
    def either(name: str) -> int:
        return _number(usage.get(name)) or _number(usage.get(f"{name[:-1]}Count"))

    hour = sum(_number(item.get("inputTokens")) for item in usage.get("cacheDetails") or [] if item.get("ttl") == "1h")
    written = either("cacheWriteInputTokens")
    fresh, read = either("inputTokens"), either("cacheReadInputTokens")
    return _counts(fresh, read, written - hour, hour, either("outputTokens"), 0)


def _chat(usage: Usage) -> Counts:
    details, after = _held(usage, "prompt_tokens_details"), _held(usage, "completion_tokens_details")
    lives = _held(usage, "cache_creation") or _held(details, "cache_creation_token_details")
    hour = _number(lives.get("ephemeral_1h_input_tokens"))
    read = _either(
        details.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),
        usage.get("cached_tokens"),
        usage.get("cache_read_input_tokens"),
    )
    written = _either(
        details.get("cache_write_tokens"),
        details.get("cache_creation_tokens"),
        usage.get("cache_creation_input_tokens"),
        hour + _number(lives.get("ephemeral_5m_input_tokens")),
    )
    whole, reasoning = _number(usage.get("prompt_tokens")), _number(after.get("reasoning_tokens"))
    said = _number(usage.get("completion_tokens"))
    is_stated = usage.get("prompt_tokens") is not None
    beside = is_stated and reasoning and _number(usage.get("total_tokens")) == whole + said + reasoning
    return _counts(
        _left(usage.get("prompt_tokens"), read + written),
        read,
        written - hour,
        hour,
        said + (reasoning if beside else 0),
        reasoning,
    )


def _messages_or_responses(usage: Usage) -> Counts:
    """Tell Anthropic's messages from OpenAI's responses by where the cached tokens stand."""
    inner, after = _held(usage, "input_tokens_details"), _held(usage, "output_tokens_details")
    fresh, said = _number(usage.get("input_tokens")), _number(usage.get("output_tokens"))
    reasoning = _number(after.get("reasoning_tokens")) or _number(after.get("thinking_tokens"))
    if inner.get("cached_tokens") is not None or not _has(
        usage, "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"
    ):
        read, written = _number(inner.get("cached_tokens")), _number(inner.get("cache_write_tokens"))
        return _counts(_left(usage.get("input_tokens"), read + written), read, written, 0, said, reasoning)
    lives = _held(usage, "cache_creation")
    hour = _number(lives.get("ephemeral_1h_input_tokens"))
    stated = usage.get("cache_creation_input_tokens")
    written = hour + _number(lives.get("ephemeral_5m_input_tokens")) if stated is None else _number(stated)
    return _counts(fresh, _number(usage.get("cache_read_input_tokens")), written - hour, hour, said, reasoning)


def _counts(fresh: int, read: int, minutes: int, hour: int, output: int, reasoning: int) -> Counts:  # noqa: PLR0913, PLR0917 - the six sums
    return dict(zip(ADDITIVE, (0, fresh, read, minutes, hour, output, reasoning), strict=True))


def _left(whole: Any, cached: int) -> int:
    """Take the cached part out of an input; an input that is not stated has nothing left."""
    return 0 if whole is None else _number(whole) - cached


def _either(*said: Any) -> int:
    return next((_number(value) for value in said if value is not None), 0)


def _number(value: Any) -> int:
    return 0 if value is None or value == "" else int(value)


def _has(usage: Usage, *names: str) -> bool:
    for name in names:  # noqa: SIM110 - a generator takes twice as long, and every record is asked several times
        if usage.get(name) is not None:
            return True
    return False


def _held(usage: Usage, name: str) -> Usage:
    held = usage.get(name)
    return held if isinstance(held, Mapping) else {}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
