"""A provider's raw `usage` object as disjoint token buckets: what each field means, kept in one place.

Some providers count cached tokens inside the input, some beside it; some count reasoning inside the output, Gemini
beside it. `flat` picks the fields that matter out of an object, `buckets` turns them into columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

# Nobody has used more tokens than this in one request or one bucket: larger is damage, and sums of it overflow.
LARGEST: Final = 10**15
SHOWN: Final = 40

# Field of `flat` → where the objects of different providers keep it, first found first. Bedrock sends both spellings of
# its cache fields with the same number, so they are alternatives and never added.
FIELDS: Final[Mapping[str, Sequence[str]]] = {
    # OpenAI chat and everybody who copies it, LiteLLM included: cached inside, reasoning inside.
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "total_tokens": ("total_tokens",),
    # OpenAI responses: the same. Anthropic: cached beside.
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cached_inside": (
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",  # DeepSeek
        "cached_tokens",
    ),
    "written_inside": (
        "prompt_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_tokens",  # LiteLLM
        "input_tokens_details.cache_write_tokens",
    ),
    "reasoning": (
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "output_tokens_details.thinking_tokens",
    ),
    "audio_input": ("prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens"),
    "audio_output": ("completion_tokens_details.audio_tokens", "output_tokens_details.audio_tokens"),
    "cache_read": ("cache_read_input_tokens",),
    "cache_write": ("cache_creation_input_tokens",),
    "cache_write_5m": (
        "cache_creation.ephemeral_5m_input_tokens",
        "prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",
    ),
    "cache_write_1h": (
        "cache_creation.ephemeral_1h_input_tokens",
        "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
    ),
    # Bedrock Converse and its invocation log: cached beside.
    "converse_input": ("inputTokens", "inputTokenCount"),
    "converse_output": ("outputTokens", "outputTokenCount"),
    "converse_read": ("cacheReadInputTokens", "cacheReadInputTokenCount"),
    "converse_write": ("cacheWriteInputTokens", "cacheWriteInputTokenCount"),
    "converse_write_1h": ("cacheDetails[1h]",),
    # Gemini and Vertex: cached inside, prompts of tools and thoughts beside. Their libraries write snake_case.
    "gemini_prompt": ("promptTokenCount", "prompt_token_count"),
    "gemini_tools": ("toolUsePromptTokenCount", "tool_use_prompt_token_count"),
    "gemini_cached": ("cachedContentTokenCount", "cached_content_token_count"),
    "gemini_candidates": ("candidatesTokenCount", "candidates_token_count", "responseTokenCount"),
    "gemini_thoughts": ("thoughtsTokenCount", "thoughts_token_count"),
    "gemini_audio_input": ("promptTokensDetails[AUDIO]", "prompt_tokens_details[AUDIO]"),
    "gemini_audio_tools": ("toolUsePromptTokensDetails[AUDIO]", "tool_use_prompt_tokens_details[AUDIO]"),
    "gemini_audio_output": ("candidatesTokensDetails[AUDIO]", "candidates_tokens_details[AUDIO]"),
    # Cohere: what it bills differs from what it counted.
    "billed_input": ("billed_units.input_tokens",),
    "billed_output": ("billed_units.output_tokens",),
    # Ours, for sources that keep disjoint buckets themselves.
    "uncached_input_tokens": ("uncached_input_tokens",),
    "cache_read_tokens": ("cache_read_tokens",),
    "cache_write_5m_tokens": ("cache_write_5m_tokens",),
    "cache_write_1h_tokens": ("cache_write_1h_tokens",),
    "reasoning_tokens": ("reasoning_tokens",),
    "input_audio_tokens": ("input_audio_tokens",),
    "output_audio_tokens": ("output_audio_tokens",),
}
# Fields of which one must be there, or the object is nobody's usage.
_KNOWN: Final = frozenset(
    (
        "prompt_tokens",
        "completion_tokens",
        "input_tokens",
        "output_tokens",
        "converse_input",
        "converse_output",
        "gemini_prompt",
        "gemini_candidates",
        "billed_input",
        "uncached_input_tokens",
    )
)
USAGE: Final = pl.Struct(dict.fromkeys(FIELDS, pl.Int64))
# Columns of TOKEN_USAGE that are sums over requests; what a load is reconciled on.
ADDITIVE: Final = (
    "requests",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
_LAST: Final = len(FIELDS)
_PARTS: Final = re.compile(r"\[?[^.\[]+")
# First part of a path → the fields that may be there: name, rank among the places of that field, path, names inwards.
_BY_KEY: Final[dict[str, list[tuple[str, int, str, Sequence[str]]]]] = {}
for _field, _paths in FIELDS.items():
    for _rank, _path in enumerate(_paths):
        _key, *_inwards = _PARTS.findall(_path)
        _BY_KEY.setdefault(_key, []).append((_field, _rank, _path, _inwards))
# Names of FIELDS under which a source may state buckets that exclude each other already.
DISJOINT: Final = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)
# What lists inside the objects are keyed by, and where each item keeps its number.
_ITEMS: Final = (("ttl", ("inputTokens",)), ("modality", ("tokenCount", "token_count")))


def flat(usage: Mapping[str, Any]) -> dict[str, int]:
    """Pick the fields of a raw usage object; what it does not state is not there.

    Raises:
        ValueError: nothing in it is known, or a number is none; names the field.
    """
    found: dict[str, int] = {}
    ranks: dict[str, int] = {}
    for key, value in usage.items():
        if value is None:
            continue
        for field, rank, path, inwards in _BY_KEY.get(key, ()):
            said = _at(value, inwards) if inwards else value
            if said is None or rank >= ranks.get(field, _LAST):
                continue
            if (count := tokens(said, path)) is not None:
                found[field], ranks[field] = count, rank
    if _KNOWN.isdisjoint(found):
        keys = ", ".join(sorted(map(str, usage)))
        raise ValueError(f"the usage object is of no known provider (its fields: {keys[:120] or 'none'})")
    return found


def tokens(value: Any, field: str) -> int | None:
    """Read a count of tokens: a number, or text of one, as OTLP and CSV write it; blank is None.

    Raises:
        ValueError: it is no whole number, negative, or impossibly large.
    """
    if type(value) is int and 0 <= value < LARGEST:
        return value
    if value is None or value == "":
        return None
    try:
        count = int(value)
        is_whole = isinstance(value, str) or (not isinstance(value, bool) and count == value)
    except (TypeError, ValueError, OverflowError):
        is_whole = False
    if not is_whole:
        raise ValueError(f"{field} is {str(value)[:SHOWN]!r}, which is no count")
    if count < 0:
        raise ValueError(f"{field} is {count}, which is negative")
    if count >= LARGEST:
        raise ValueError(f"{field} is {str(value)[:SHOWN]}, which is impossibly large")
    return count


def _at(held: Any, inwards: Sequence[str]) -> Any:
    """Follow names inwards; `[AUDIO]` sums the items of a list that are of that kind."""
    for part in inwards:
        if part.startswith("["):
            return _listed(held, part[1:-1])
        held = held.get(part) if isinstance(held, dict) else None
    return held


def _listed(items: Any, kind: str) -> int | None:
    counts = [
        tokens(item[place], f"{place} of {kind}")
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict)
        for key, places in _ITEMS
        if item.get(key) == kind
        for place in places
        if place in item
    ]
    return sum(count or 0 for count in counts) if counts else None


def buckets(usage: pl.Expr) -> dict[str, pl.Expr]:
    """Give the token columns of a `USAGE` struct; a part that the object does not state is null, never 0.

    A negative bucket means that more is said to be cached than went in: see `impossible`.
    """
    field = usage.struct.field
    is_chat = _any(field, "prompt_tokens", "completion_tokens")
    is_gemini = _any(field, "gemini_prompt", "gemini_candidates")
    # Anthropic names its cache at the top and has no details; OpenAI's responses keep theirs in the details.
    is_anthropic = (
        ~is_chat
        & field("cached_inside").is_null()
        & _any(field, "cache_read", "cache_write", "cache_write_5m", "cache_write_1h")
    )
    cache_read = pl.coalesce(
        map(field, ("cache_read_tokens", "cached_inside", "cache_read", "converse_read", "gemini_cached"))
    )
    written = pl.coalesce(
        *map(field, ("written_inside", "cache_write", "converse_write")),
        pl.when(_any(field, "cache_write_5m", "cache_write_1h")).then(
            _sum(field("cache_write_5m"), field("cache_write_1h"))
        ),
    )
    write_1h = pl.coalesce(map(field, ("cache_write_1h_tokens", "cache_write_1h", "converse_write_1h")))
    write_5m = pl.coalesce(field("cache_write_5m_tokens"), written - write_1h.fill_null(0))
    inside = pl.coalesce(
        field("prompt_tokens"),
        pl.when(~is_anthropic).then(field("input_tokens")),
        pl.when(_any(field, "gemini_prompt", "gemini_tools")).then(_sum(field("gemini_prompt"), field("gemini_tools"))),
    )
    beside = pl.coalesce(map(field, ("uncached_input_tokens", "billed_input", "converse_input", "input_tokens")))
    is_inside = inside.is_not_null() & field("uncached_input_tokens").is_null() & field("billed_input").is_null()
    reasoning = pl.coalesce(map(field, ("reasoning_tokens", "reasoning", "gemini_thoughts")))
    return {
        "uncached_input_tokens": pl.when(is_inside)
        .then(inside - cache_read.fill_null(0) - pl.coalesce(written, _sum(write_5m, write_1h)))
        .otherwise(beside),
        "cache_read_tokens": pl.when(field("billed_input").is_null()).then(cache_read),
        "cache_write_5m_tokens": write_5m,
        "cache_write_1h_tokens": write_1h,
        "output_tokens": _output(field, is_gemini, reasoning),
        "reasoning_tokens": reasoning,
        "input_audio_tokens": pl.coalesce(
            *map(field, ("input_audio_tokens", "audio_input")),
            pl.when(_any(field, "gemini_audio_input", "gemini_audio_tools")).then(
                _sum(field("gemini_audio_input"), field("gemini_audio_tools"))
            ),
        ),
        "output_audio_tokens": pl.coalesce(map(field, ("output_audio_tokens", "audio_output", "gemini_audio_output"))),
    }


def impossible() -> dict[str, pl.Expr]:
    """Tell rows of `buckets` that cannot be, by what is wrong with them."""
    written = pl.sum_horizontal("cache_write_5m_tokens", "cache_write_1h_tokens")
    return {
        "more tokens are said to be cached than went in": pl.col("uncached_input_tokens") < 0,
        "more tokens are said to be cached for an hour than were cached": pl.col("cache_write_5m_tokens") < 0,
        "more tokens are said to be reasoning than came out": pl.col("reasoning_tokens") > pl.col("output_tokens"),
        "the numbers of tokens are impossibly large": written >= LARGEST,
    }


def _output(field: Any, is_gemini: pl.Expr, reasoning: pl.Expr) -> pl.Expr:
    chat = field("completion_tokens")
    # xAI counts reasoning beside the completion; only the total shows it.
    apart = chat + reasoning
    is_apart = (reasoning > 0) & (field("total_tokens") == field("prompt_tokens") + apart)
    return pl.coalesce(
        pl.when(is_apart).then(apart),
        chat,
        field("billed_output"),
        field("output_tokens"),
        field("converse_output"),
        # Thoughts without candidates happen: a request cut off at its limit.
        pl.when(is_gemini & _any(field, "gemini_candidates", "gemini_thoughts")).then(
            _sum(field("gemini_candidates"), field("gemini_thoughts"))
        ),
    )


def _any(field: Any, *names: str) -> pl.Expr:
    return pl.any_horizontal(*(field(name).is_not_null() for name in names))


def _sum(*parts: pl.Expr) -> pl.Expr:
    return pl.sum_horizontal(*(part.fill_null(0) for part in parts))
