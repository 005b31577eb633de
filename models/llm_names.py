"""Give every spelling of a language model one name: API ids, ARNs, deployment names and what bills write.

Two names come out of one id: `llm_model`, the form that `models.attribution.llm_model_name` gives to bill text, so that
usage and bill meet; and `price_id`, what a rate card is asked for, with versions and dates still in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import polars as pl

from models.attribution import llm_model_name

LONGEST_NAME: Final = 200
"""Characters kept of an id that nobody knows: logs may hold anything."""
_LONGEST_ID: Final = 2048  # an ARN's limit; nothing longer names a model

PROVIDERS: Final[Mapping[str, str]] = {
    "amazon": "aws",
    "amazon bedrock": "aws",
    "amazon web services": "aws",
    "aws bedrock": "aws",
    "bedrock": "aws",
    "azure openai": "azure",
    "azure ai": "azure",
    "microsoft": "azure",
    "microsoft azure": "azure",
    "gcp": "google",
    "gemini": "google",
    "google ai studio": "google",
    "google cloud": "google",
    "google cloud platform": "google",
    "vertex ai": "google",
    "vertex_ai": "google",
    "mistral ai": "mistral",
    "mistralai": "mistral",
    "together ai": "together",
    "together_ai": "together",
    "fireworks ai": "fireworks",
    "fireworks_ai": "fireworks",
    "moonshot ai": "moonshotai",
    "voyage ai": "voyageai",
    "xai": "x-ai",
    "z.ai": "zai",
}
"""Names in bills and logs → the rate card's; what is not listed is asked for as it is, in lower case."""

# Gateways write the route before the model. OpenRouter's own ids have a vendor there, which is part of the id.
_ROUTE: Final = re.compile(
    r"^(?:azure|azure_ai|bedrock|bedrock_converse|vertex_ai|vertex_ai_beta|gemini|openrouter|models)/"
)
_BEDROCK_ROUTE: Final = re.compile(r"^(?:converse|invoke|converse_like|[a-z]{2}(?:-[a-z]+)+-[0-9])/")
_PUBLISHER: Final = re.compile(
    r"^(?:https?:/+[^/]+/v[^/]+/)?(?:projects/[^/]+/)?(?:locations/[^/]+/)?publishers/[^/]+/models/"
)
_BEDROCK_ARN: Final = re.compile(r"^arn:aws[a-z-]*:bedrock:[^:]*:[^:]*:(foundation-model|inference-profile)/(.+)$")
_CROSS_REGION: Final = re.compile(r"^(?:us-gov|us|eu|apac|ap|au|ca|jp|sa|global)\.(?=[a-z0-9]+\.)")
_VENDOR: Final = re.compile(
    r"^(?:anthropic|amazon|meta|mistral|cohere|ai21|stability|deepseek|openai|google|qwen|moonshotai?|zai|nvidia|minimax|writer)\."
)
_SLASH_VENDOR: Final = re.compile(r"^[a-z0-9~-]+/(?=[^/]+$)")
_DATE: Final = re.compile(r"-20[0-9]{2}-[0-9]{2}-[0-9]{2}(?=$|:)|@(?:[0-9]{3}|[0-9]{8}|default|latest)$")
_VERSION: Final = re.compile(r"(?<=[a-z])-00[0-9]$")
_NOVA: Final = re.compile(r"^nova-([2-9])-(?=[a-z])")  # the bill writes Nova2.0Lite
_TUNED: Final = re.compile(r"^ft[:-]([^:]+)")

# Their ids name models and nothing else; on Azure or a gateway the same text may be the name of a deployment.
_OWN_IDS: Final = frozenset({"openai", "anthropic", "google", "mistral", "cohere", "deepseek", "x-ai"})


@dataclass(frozen=True)
class LlmName:
    """What an id stands for."""

    llm_model: str | None
    """Canonical name, or the raw id where nobody knows what it stands for; null where the source names none."""
    price_id: str | None
    """What to ask a rate card for; null where the id says nothing about the model."""
    known: bool
    """Whether the canonical name is known to be a model's."""


def provider_id(provider_name: str | None) -> str:
    """Give the rate card's name of a provider; bills and usage meet in it too."""
    name = (provider_name or "").strip().lower()
    return PROVIDERS.get(name, name)


def name_of(
    provider_name: str | None,
    raw: str | None,
    aliases: Mapping[str, str],
    is_known: Callable[[str, str], bool] = lambda _provider, _model: False,
) -> LlmName:
    """Resolve one id.

    Args:
        provider_name: who serves it, as charges name it.
        raw: model id, ARN or deployment name as the source writes it.
        aliases: the team's own map from ids, ARNs and deployment names to models; it is asked first.
        is_known: tells whether the rate card lists a model of a provider.
    """
    text = (raw or "").strip()
    if not text:
        return LlmName(None, None, known=False)
    provider = provider_id(provider_name)
    routeless = _without_route(provider, text)
    candidates = (text, text.lower(), routeless, routeless.lower(), text.rpartition("/")[2] if ":" in text else text)
    alias = next((aliases[candidate] for candidate in candidates if candidate in aliases), None)
    target = alias or text
    price_id = price_id_of(provider, target)
    # Some providers list ids that look like a route and a model.
    if price_id is not None and price_id != target and not is_known(provider, price_id) and is_known(provider, target):
        price_id = target
    if price_id is None:
        return LlmName(text[:LONGEST_NAME], None, known=False)
    stated = alias is not None or provider in _OWN_IDS or (provider == "aws" and bool(_VENDOR.match(_bare(price_id))))
    if stated or is_known(provider, price_id):
        return LlmName(spelled(price_id)[:LONGEST_NAME], price_id, known=True)
    return LlmName(text[:LONGEST_NAME], price_id, known=False)


def price_id_of(provider: str, text: str) -> str | None:
    """Strip what says where a model runs; null for ARNs of profiles and provisioned models, which name no model."""
    if len(text) > _LONGEST_ID:
        return None
    text = _without_route(provider, text)
    if arn := _BEDROCK_ARN.match(text):
        return arn[2]
    return None if text.startswith("arn:") else text or None


def _without_route(provider: str, text: str) -> str:
    text = _PUBLISHER.sub("", text[: _LONGEST_ID + 1])
    route = _ROUTE.match(text.lower())
    if route is None:
        own = provider != "openrouter" and text.lower().startswith(f"{provider}/")
        return text[len(provider) + 1 :] if own else text
    text = text[route.end() :]
    while provider == "aws" and (inner := _BEDROCK_ROUTE.match(text.lower())):
        text = text[inner.end() :]
    return text


@lru_cache(maxsize=4096)
def spelled(price_id: str) -> str:
    """Spell a model id as bills are spelled: no route, vendor, date or version; `ft-` and the base for a tuned one.

    OpenAI's bill says `ft-gpt-4o` for all models tuned from it, so that is the finest name both sides state.
    """
    text = _bare(price_id.lower())
    text = _SLASH_VENDOR.sub("", text)
    tuned = _TUNED.match(text)
    if vendor := _VENDOR.match(text):
        # Bedrock's bill leaves out that a model follows instructions.
        text = text[vendor.end() :].replace("-instruct", "")
    base = tuned[1] if tuned else text
    base = _NOVA.sub(r"nova-\1.0-", _VERSION.sub("", _DATE.sub("", base)))
    name: str = pl.select(llm_model_name(pl.lit(base))).item()
    return f"ft-{name}" if tuned else name


def _bare(text: str) -> str:
    return _CROSS_REGION.sub("", text)


def resolve_names(
    ids: pl.DataFrame,
    aliases: Mapping[str, str],
    is_known: Callable[[str, str], bool] = lambda _provider, _model: False,
) -> pl.DataFrame:
    """Resolve every distinct (`provider_name`, `llm_model_id`) once.

    Adds `llm_model`, `price_model_id` and `llm_model_is_known`.
    """
    distinct = ids.select("provider_name", "llm_model_id").unique(maintain_order=True)
    names = [name_of(provider, raw, aliases, is_known) for provider, raw in distinct.iter_rows()]
    return distinct.with_columns(
        pl.Series("llm_model", [name.llm_model for name in names], dtype=pl.String),
        pl.Series("price_model_id", [name.price_id for name in names], dtype=pl.String),
        pl.Series("llm_model_is_known", [name.known for name in names], dtype=pl.Boolean),
    )
