"""The rate card that the configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.rate_card import RateCard

if TYPE_CHECKING:
    from pipelines.settings import Settings


def rate_card(settings: Settings) -> RateCard:
    """Give the library's prices with the team's own in front; `digest` says when tokens must be priced again."""
    return RateCard(settings.prices)
