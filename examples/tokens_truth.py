"""The truth of what tokens cost, added up as they are written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Final

_KEY: Final = ("month", "provider_name", "llm_model", "hosting", "cost_basis", "team", "feature")
_TOKENS: Final = ("input", "cache-read", "cache-write", "output")
COLUMNS: Final = (*_KEY, "requests", "cost", *(f"{kind.replace('-', '_')}_tokens" for kind in _TOKENS))
"""Columns of `truth/tokens.csv`. A fleet's cost is its machines', which the truth of the AWS bill has: 0 here."""


class Truth:
    """Sums by month, model and whoever used it."""

    def __init__(self) -> None:
        self._cost: dict[tuple[str, ...], Decimal | float] = {}
        self._counts: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(  # noqa: PLR0913, PLR0917 - a row of the table
        self,
        day: date,
        provider_name: str,
        llm_model: str,
        hosting: str,
        cost_basis: str,
        team: str | None,
        feature: str | None,
        *,
        requests: int,
        cost: Decimal | float,
        tokens: Mapping[str, int],
    ) -> None:
        """Add some requests of a day; dollars are exact where they come as Decimal."""
        key = (f"{day:%Y-%m}", provider_name, llm_model, hosting, cost_basis, team or "", feature or "")
        self._cost[key] = self._cost.get(key, type(cost)(0)) + cost  # type: ignore[operator]
        counts = self._counts[key]
        counts["requests"] += requests
        for kind, count in tokens.items():
            counts[kind] += count

    def rows(self) -> Iterator[list[object]]:
        """Give the rows of `COLUMNS`, sorted."""
        for key in sorted(self._cost):
            counts = self._counts[key]
            yield [*key, counts["requests"], self._cost[key], *(counts[kind] for kind in _TOKENS)]
