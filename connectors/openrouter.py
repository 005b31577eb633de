"""OpenRouter: what every model and upstream provider cost in credits and used, per day, from its activity report.

The report tells the last thirty completed UTC days, so each day is landed by itself and kept: a month is put together
from the days that are served still and those that landed when they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel

from connectors.api_months import Address, ApiKey, ApiMonths, ApiOptions
from connectors.api_pages import Endpoint, Query, only_one
from connectors.api_rows import Item, Row, Tally, charge, frame, month_items, page_rows, usage
from connectors.source import Landed, Totals
from models.facts import Fact

OPENROUTER: Final = "OpenRouter"
SERVED: Final = 30
MANAGEMENT: Final = (
    "Use a management key, made under Settings → Management keys; keys for inference cannot read activity"
)


class OpenRouterOptions(ApiOptions):
    """Say whose activity to read."""

    api_key: ApiKey
    """A management key."""
    base_url: Address = "https://openrouter.ai/api/v1"
    """Another address, for example of a proxy."""
    billing_account_id: str | None = None
    """What charges call your account; the source's name when left out."""


class OpenRouter(ApiMonths):
    """Read an account's activity."""

    Options: type[BaseModel] = OpenRouterOptions

    def __init__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> None:
        super().__init__(name, options, landing, on_bytes)
        self._options = OpenRouterOptions.model_validate(options)

    def endpoints(self) -> Sequence[Endpoint]:
        """Activity, a day at a time."""
        from connectors.paged_api import PagedApi  # httpx takes 0.2 s, and every command reads the configuration

        options = self._options
        bearer = ("Authorization", "Bearer {}")
        timeout = options.timeout_seconds
        api = PagedApi(options.base_url, options.api_key, bearer, permission=MANAGEMENT, timeout=timeout)
        return [Endpoint("activity", api, "/activity", _day, only_one, is_daily=True, served_days=SERVED)]

    def totals(self, landed: Landed) -> Totals:
        """Check every field and add up credits, requests and tokens."""
        tally, month = Tally(), landed.version.billing_period
        for file, path in zip(landed.version.files, landed.paths, strict=True):
            for item in month_items(path.read_bytes(), file.name, month):
                tally.bill(item.amount("usage"))
                tally.use(
                    requests=item.whole("requests"),
                    uncached_input_tokens=max(item.whole("prompt_tokens") - (item.maybe("cached_tokens") or 0), 0),
                    cache_read_tokens=min(item.whole("prompt_tokens"), item.maybe("cached_tokens") or 0),
                    output_tokens=item.whole("completion_tokens"),
                    reasoning_tokens=item.maybe("reasoning_tokens"),
                    reported_cost=item.amount("usage"),
                )
            for rows in (_usage, self._charges):
                for _ in page_rows(path, file.name, month, rows):
                    pass  # every field has been read once
        return tally.totals(landed)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame of charges and one of token usage per page."""
        pages = list(zip(landed.paths, landed.version.files, strict=True))
        make = partial(frame, month=landed.version.billing_period)
        return {
            Fact.CHARGES: [make(Fact.CHARGES, path, file.name, rows=self._charges) for path, file in pages],
            Fact.TOKEN_USAGE: [make(Fact.TOKEN_USAGE, path, file.name, rows=_usage) for path, file in pages],
        }

    def _charges(self, item: Item) -> list[Row]:
        """Read what was taken from the credits; what an own key cost upstream stands on the upstream's bill."""
        return [
            charge(
                item,
                OPENROUTER,
                item.amount("usage"),
                billing_account_id=self._options.billing_account_id or self.name,
                billing_currency="USD",
                charge_description=item.text("model"),
                service_name="OpenRouter API",
                usage_type=item.text("model_permaslug") or item.text("model"),
                operation="chat",
                tags=_tags(item),
            )
        ]


def _day(first: date, _end: date) -> Query:
    return {"date": str(first)}


def _tags(item: Item) -> dict[str, str | None]:
    upstream = item.maybe_amount("byok_usage_inference")
    return {
        "upstream_provider": item.text("provider_name"),
        "byok_usage_inference": f"{upstream:f}" if upstream else None,
    }


def _usage(item: Item) -> list[Row]:
    """Read tokens: the prompt includes cached ones; a replayed answer may tell more cached than the prompt has."""
    prompt, cached = item.whole("prompt_tokens"), item.maybe("cached_tokens") or 0
    read = min(prompt, cached)
    tags = _tags(item) | {"cached_tokens": str(cached) if cached > prompt else None}
    return [
        usage(
            item,
            OPENROUTER,
            operation="chat",
            llm_model_id=item.text("model_permaslug") or item.text("model"),
            endpoint=item.text("endpoint_id"),
            requests=item.whole("requests"),
            uncached_input_tokens=prompt - read,
            cache_read_tokens=read,
            cache_write_5m_tokens=0,
            cache_write_1h_tokens=0,
            output_tokens=item.whole("completion_tokens"),
            reasoning_tokens=item.maybe("reasoning_tokens"),
            reported_cost=item.amount("usage"),
            reported_currency="USD",
            tags=tags,
        )
    ]
