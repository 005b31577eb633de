"""The spend-log API (v2) of a LiteLLM proxy: complete UTC days, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from connectors.api_months import ApiMonths
from connectors.api_pages import Endpoint, Page, Query
from connectors.litellm import LiteLlmOptions
from connectors.paged_api import PagedApi
from connectors.source import Landed, Totals
from connectors.token_files import TokenFiles
from models.facts import Fact

PERMISSION: Final = "Use a key whose user has the role proxy_admin or proxy_admin_viewer"


class SpendLogPages(ApiMonths):
    """Land months of spend logs; what the rows say is `rows`'."""

    Options = LiteLlmOptions

    def __init__(
        self, name: str, options: LiteLlmOptions, landing: Path, on_bytes: Callable[[int], None], rows: TokenFiles
    ) -> None:
        super().__init__(name, options, landing, on_bytes)
        self._options = options
        self._rows = rows

    def endpoints(self) -> Sequence[Endpoint]:
        """One, a day at a time: pages of a day that is over do not shift."""
        options = self._options
        assert options.base_url and options.api_key  # noqa: S101, PT018 - whoever makes this has checked
        bearer = ("Authorization", "Bearer {}")
        api = PagedApi(
            options.base_url, options.api_key, bearer, permission=PERMISSION, timeout=options.timeout_seconds
        )
        return [
            Endpoint(
                "spend_logs",
                api,
                "/spend/logs/v2",
                self._day,
                _following,
                is_daily=True,
                served_days=options.retention_days,
            )
        ]

    def _day(self, first: date, end: date) -> Query:
        # The end counts too, so a row of midnight is on two days: it is counted once, by its id.
        return {
            "start_date": f"{first} 00:00:00",
            "end_date": f"{end} 00:00:00",
            "page_size": str(self._options.page_size),
            "page": "1",
        }

    def totals(self, landed: Landed) -> Totals:
        """Count the month's rows and tokens."""
        return self._rows.totals(landed)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame per page."""
        return self._rows.read(landed)


def _following(page: Page) -> Mapping[str, str] | None:
    """Go on to the last page. The proxy may cap its count, and with it the number of pages: then until one is empty."""
    number = int(page["page"])
    if page.get("total_is_capped"):
        return {"page": str(number + 1)} if page["data"] else None
    return {"page": str(number + 1)} if number < int(page["total_pages"]) else None
