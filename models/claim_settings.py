"""What only a team can say before claims and what-ifs about its money can be answered."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[Decimal, Field(ge=0, le=1, decimal_places=6)]
Money = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=12)]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClaimSettings(_Strict):
    """What claims need to know beside the bills."""

    production_environments: list[Text] = ["prod", "production", "live"]
    """Values of `dimensions.environment` that are production; case does not matter."""
    research_declared: bool = False
    """The team trains to find something out, so training may come first where it costs more than inference."""
    operations_cost: Money = Decimal(15000)
    """What operating self-hosted models costs a month beside machines, in the reporting currency."""
    model_life_months: int = Field(default=12, ge=1, le=120)
    """Months over which `marts.claim_sensitivity` spreads a month's training where it spreads training."""
    routed_share: Share = Decimal("0.7")
    """Share of the tokens that a router would send to a smaller model."""


class Alternative(_Strict):
    """A language model that the same tokens could have gone to."""

    provider: Text
    """Provider, for example `Anthropic`."""
    model: Text
    """The provider's id of the model, for example `claude-haiku-4-5`."""
    replaces: str = ""
    """A router would send tokens of models whose name starts like this to it; empty: none."""


_ALTERNATIVES: Final = [
    Alternative(provider="Anthropic", model="claude-haiku-4-5", replaces="claude-"),
    Alternative(provider="Google Cloud", model="gemini-2.5-flash-lite", replaces="gemini-"),
    Alternative(provider="OpenAI", model="gpt-4o-mini", replaces="gpt-"),
    Alternative(provider="AWS", model="amazon.nova-micro-v1:0", replaces="nova-"),
]


class Plan(_Strict):
    """What the marts `what_if_…` assume; each prints it."""

    request_growth: Annotated[Decimal, Field(gt=-1, decimal_places=6)] | None = None
    """Growth of requests a month, for example 0.15; without it nothing is projected."""
    months: int = Field(default=12, ge=1, le=60)
    """Months to project."""
    alternatives: list[Alternative] = _ALTERNATIVES
    """Models that the same tokens are priced at."""
    batch_discount: Share = Decimal("0.5")
    """Share off the price for work that can wait a day; providers publish a half."""
    commitment_discount: Share | None = None
    """Share off on-demand machines that are reserved, where the bills show no rate of the team's own."""
    spot_discount: Share | None = None
    """Share off on-demand machines on spot, where the bills show no rate of the team's own."""
    serverless_multiple: Annotated[Decimal, Field(gt=0)] = Decimal("2.5")
    """What a serverless GPU costs per busy hour, in multiples of the team's own hour."""
