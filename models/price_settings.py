"""What a team says about prices of language models: its own prices, names of deployments, whose records count."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BUCKETS: Final = (
    "uncached_input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "output_audio",
)
"""What tokens are priced by. The last three are parts of the others, priced apart by some models."""

Money = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=12)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceOverride(_Strict):
    """A price or discount of your own; the last one that fits a request wins."""

    provider: str
    """Provider, for example `OpenAI`."""
    model: str | None = None
    """Model, its id, ARN or deployment name; all models of the provider if not given (only for a `discount`)."""
    effective_from: date
    """First UTC day it holds."""
    effective_until: date | None = None
    """Last UTC day it holds; for ever if not given."""
    is_batch: bool | None = None
    """Only batch requests, or only others; both if not given."""
    service_tier: str | None = None
    """Only this tier as the response states it; all if not given."""
    discount: Annotated[Decimal, Field(gt=0, lt=1, decimal_places=6)] | None = None
    """Share taken off the list price, for example 0.15."""
    per_million: dict[str, Money] | None = None
    """Dollars per million tokens by bucket: uncached_input, cache_read, cache_write_5m, cache_write_1h, output, and
    reasoning, input_audio, output_audio where they differ. Another bucket that is not given has no price."""
    provisioned: bool = False
    """Throughput bought by the hour: its tokens have no price of their own."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if sum((self.discount is not None, self.per_million is not None, self.provisioned)) != 1:
            raise ValueError("give exactly one of discount, per_million and provisioned")
        if self.per_million is not None and (unknown := sorted(set(self.per_million) - set(BUCKETS))):
            raise ValueError(f"per_million: unknown buckets {unknown}; known are {list(BUCKETS)}")
        if self.model is None and self.discount is None:
            raise ValueError("model is needed, except for a discount on everything of a provider")
        if self.effective_until is not None and self.effective_until < self.effective_from:
            raise ValueError("effective_until lies before effective_from")
        return self


class Authority(_Strict):
    """Whose records of usage count for a provider; the other records of the same requests do not."""

    provider: str
    """Provider, for example `OpenAI`."""
    scope: str | None = None
    """Cloud account or project (`sub_account_id`); all of the provider if not given."""
    reported_by: str | None = None
    """Kind of record: usage_api, invocation_log, gateway, trace or file."""
    source: str | None = None
    """Name of a source in `sources`."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.reported_by is None) == (self.source is None):
            raise ValueError("give exactly one of reported_by and source")
        return self


class Prices(_Strict):
    """The team's own prices, names of models, and whose usage records count."""

    models: dict[str, str] = {}
    """Deployment names, profile and provisioned ARNs → model, for example `prod-chat: gpt-4o`."""
    overrides: list[PriceOverride] = []
    """Negotiated discounts, private and fine-tuned models, provisioned throughput; the last that fits wins."""
    authority: list[Authority] = []
    """Whose records count, per provider and account; usage_api, invocation_log, gateway, trace, file if not given."""
    bill_omits: dict[str, list[str]] = {"Anthropic": ["priority", "priority_on_demand"]}
    """Service tiers that a provider's bill leaves out, so that they stay estimated although there is a bill."""
