"""Anthropic: what an organization was billed and what its messages used, from the Admin API's reports.

Four input buckets come disjoint. Claude Code's report tells the tokens of messages usage once more, by person: only its
sessions and its own reckoning of their cost are taken, never its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel

from connectors.api_months import Address, ApiKey, ApiMonths, ApiOptions
from connectors.api_pages import Endpoint, Query, next_page
from connectors.api_rows import Item, Row, Rows, Tally, charge, frame, month_items, page_rows, usage
from connectors.source import Landed, Totals
from models.errors import BadInput
from models.facts import Fact
from models.money import ARITHMETIC

ANTHROPIC: Final = "Anthropic"
VERSION: Final = "2023-06-01"
GROUP_BY: Final = "group_by[]"
COSTS: Final = "cost_report"
MESSAGES: Final = "messages"
CLAUDE_CODE: Final = "claude_code"
GROUPED: Final = (
    "model",
    "workspace_id",
    "service_tier",
    "context_window",
    "api_key_id",
    "inference_geo",
    "account_id",
    "service_account_id",
)
ADMIN: Final = (
    "Use an Admin API key (sk-ant-admin…), which a member with the admin role makes in the Console under Settings → "
    "Admin keys; other keys cannot read usage and costs, and personal accounts have no Admin API"
)
# Bucket → the report's field.
BUCKETS: Final[Mapping[str, str]] = {
    "uncached_input_tokens": "uncached_input_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_5m_tokens": "cache_creation.ephemeral_5m_input_tokens",
    "cache_write_1h_tokens": "cache_creation.ephemeral_1h_input_tokens",
    "output_tokens": "output_tokens",
}
SEARCHES: Final = "server_tool_use.web_search_requests"


class AnthropicOptions(ApiOptions):
    """Say whose usage and costs to read."""

    api_key: ApiKey
    """An Admin API key (`sk-ant-admin…`) of the organization."""
    base_url: Address = "https://api.anthropic.com"
    """Another address, for example of a proxy."""
    billing_account_id: str | None = None
    """What charges call your organization; the source's name when left out."""
    claude_code: bool = False
    """Also read who used Claude Code: sessions and reckoned cost per person, with mail addresses; a call a day."""


class Anthropic(ApiMonths):
    """Read an organization's cost report and messages usage."""

    Options: type[BaseModel] = AnthropicOptions

    def __init__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> None:
        super().__init__(name, options, landing, on_bytes)
        self._options = AnthropicOptions.model_validate(options)

    def endpoints(self) -> Sequence[Endpoint]:
        """Costs, messages, and Claude Code where it is asked for."""
        from connectors.paged_api import PagedApi  # httpx takes 0.2 s, and every command reads the configuration

        options, headers = self._options, {"anthropic-version": VERSION}
        header, timeout = ("x-api-key", "{}"), options.timeout_seconds
        api = PagedApi(options.base_url, options.api_key, header, permission=ADMIN, timeout=timeout, headers=headers)
        reports = "/v1/organizations"
        # Without `description` the report names neither model nor kind of token.
        found = [
            Endpoint(COSTS, api, f"{reports}/cost_report", _span, next_page, ("description", "workspace_id"), GROUP_BY),
            Endpoint(MESSAGES, api, f"{reports}/usage_report/messages", _span, next_page, GROUPED, GROUP_BY),
        ]
        if options.claude_code:
            path = f"{reports}/usage_report/claude_code"
            found.append(Endpoint(CLAUDE_CODE, api, path, _day, next_page, is_daily=True))
        return found

    def totals(self, landed: Landed) -> Totals:
        """Check every field and add up costs, tokens, searches and sessions."""
        tally, month = Tally(), landed.version.billing_period
        for file, path in zip(landed.version.files, landed.paths, strict=True):
            for item in month_items(path.read_bytes(), file.name, month):
                _COUNT[_endpoint(path)](item, tally)
            for _ in page_rows(path, file.name, month, self._rows(path)):
                pass  # every field has been read once
        return tally.totals(landed)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame per page: of charges, or of token usage."""
        frames: dict[Fact, list[pl.LazyFrame]] = {Fact.CHARGES: [], Fact.TOKEN_USAGE: []}
        for file, path in zip(landed.version.files, landed.paths, strict=True):
            fact = Fact.CHARGES if _endpoint(path) == COSTS else Fact.TOKEN_USAGE
            frames[fact].append(frame(fact, path, file.name, landed.version.billing_period, self._rows(path)))
        return frames

    def _rows(self, path: Path) -> Rows:
        return {COSTS: self._charges, MESSAGES: _messages, CLAUDE_CODE: _claude_code}[_endpoint(path)]

    def _charges(self, item: Item) -> list[Row]:
        currency = item.text("currency")
        if currency is None:
            raise item.error("currency", "it is missing")
        kind = item.text("cost_type")
        said = ("model", "token_type", "service_tier", "context_window", "inference_geo")
        return [
            charge(
                item,
                ANTHROPIC,
                _dollars(item, "amount"),
                billing_account_id=self._options.billing_account_id or self.name,
                sub_account_id=item.text("workspace_id"),
                billing_currency=currency.upper(),
                charge_description=item.text("description"),
                service_name="Claude API",
                usage_type=item.text("token_type") or kind,
                operation=kind,
                region_id=item.text("inference_geo"),
                tags={name: item.text(name) for name in said},
            )
        ]


def _span(first: date, end: date) -> Query:
    midnight = "T00:00:00Z"
    return {"starting_at": f"{first}{midnight}", "ending_at": f"{end}{midnight}", "bucket_width": "1d", "limit": "31"}


def _day(first: date, _end: date) -> Query:
    return {"starting_at": str(first), "limit": "1000"}


def _endpoint(path: Path) -> str:
    """Tell an endpoint by the name of its page."""
    for name in (COSTS, MESSAGES, CLAUDE_CODE):
        if path.name.startswith(f"{name}-"):
            return name
    raise BadInput(str(path), "no page of an endpoint that is known here", "Remove the month's folder and run again")


def _dollars(item: Item, name: str) -> Decimal:
    """Read an amount in cents."""
    return item.amount(name).scaleb(-2, ARITHMETIC)


def _messages(item: Item) -> list[Row]:
    """Read a result of messages usage; web searches are a row of their own, because they have another unit."""
    tier = item.text("service_tier")
    who = {
        "workspace_id": item.text("workspace_id"),
        "api_key_id": item.text("api_key_id"),
        "user_id": item.text("account_id"),
        "region_id": item.text("inference_geo"),
        "llm_model_id": item.text("model"),
        "service_tier": tier,
        "is_batch": None if tier is None else tier == "batch",
        "context_band": item.text("context_window"),
        "tags": {"service_account_id": item.text("service_account_id")},
    }
    tokens = {bucket: item.whole(field) for bucket, field in BUCKETS.items()}
    rows = [usage(item, ANTHROPIC, operation="chat", **tokens, **who)]
    searches = item.maybe(SEARCHES)
    if searches:
        rows.append(usage(item, ANTHROPIC, operation="web_search", unit="searches", quantity=searches, **who))
    return rows


def _claude_code(item: Item) -> list[Row]:
    """Read what one person did on one day, without the tokens: messages usage has them."""
    person = item.text("actor.email_address") or item.text("actor.api_key_name")
    return [
        usage(
            item,
            ANTHROPIC,
            operation="claude_code",
            feature="claude_code",
            user_id=person,
            unit="sessions",
            quantity=item.whole("core_metrics.num_sessions"),
            reported_cost=_reckoned(item),
            reported_currency="USD",
            tags={name: item.text(name) for name in ("customer_type", "terminal_type", "organization_id")},
        )
    ]


def _reckoned(item: Item) -> Decimal:
    """Add up what the report reckons each model cost, in cents."""
    models = item.field("model_breakdown")
    if not isinstance(models, list):
        raise item.error("model_breakdown", "it is no list")
    total = Decimal(0)
    for model in models:
        part = Item(model, item.file, item.row, item.start, item.end)
        if part.text("estimated_cost.currency") not in {None, "USD"}:
            raise part.error("estimated_cost.currency", "only USD is known here")
        total = ARITHMETIC.add(total, _dollars(part, "estimated_cost.amount"))
    return total


def _count_costs(item: Item, tally: Tally) -> None:
    tally.bill(_dollars(item, "amount"))


def _count_messages(item: Item, tally: Tally) -> None:
    tally.use(**{bucket: item.whole(field) for bucket, field in BUCKETS.items()})
    if item.maybe(SEARCHES):
        tally.use(quantity=item.amount(SEARCHES))


def _count_claude_code(item: Item, tally: Tally) -> None:
    tally.use(quantity=item.amount("core_metrics.num_sessions"), reported_cost=_reckoned(item))


_COUNT: Final[Mapping[str, Callable[[Item, Tally], None]]] = {
    COSTS: _count_costs,
    MESSAGES: _count_messages,
    CLAUDE_CODE: _count_claude_code,
}
