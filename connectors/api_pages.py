"""Pages of an API: what to ask an endpoint, what its pages say, and how one leads to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from connectors import strict_json
from models.errors import BadInput

if TYPE_CHECKING:
    from connectors.paged_api import PagedApi

Page = Mapping[str, Any]
Query = Mapping[str, str | Sequence[str]]


class RejectedError(Exception):
    """The API does not understand the question (400, 422); the text is its own, without the key."""


class NotServedError(Exception):
    """There is no such endpoint (404)."""


def parsed(content: bytes, where: str) -> Page:
    """Read a page: numbers with decimals keep every digit they are written with.

    Raises:
        BadInput: it is no JSON object with a list `data`.
    """
    try:
        page = strict_json.loads(content, strict_json.EXACT)
    except ValueError as error:
        raise BadInput(where, f"not JSON ({error})", "Check `base_url`, then run again") from None
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        names = ", ".join(list(page)[:10]) if isinstance(page, dict) else type(page).__name__
        raise BadInput(where, f"no page: it has no list `data`, but {names or 'nothing'}", "Check `base_url`")
    return page


def next_page(page: Page) -> Mapping[str, str] | None:
    """Follow `next_page`, as usage and cost reports do."""
    if not page.get("has_more"):
        return None
    return {"page": str(page["next_page"])} if page.get("next_page") else {}


def after_last(page: Page) -> Mapping[str, str] | None:
    """Follow the last item's id, as lists of objects do."""
    if not page.get("has_more"):
        return None
    return {"after": str(page["data"][-1]["id"])} if page["data"] else {}


def only_one(_: Page) -> None:
    """Follow nothing: everything is on one page."""


@dataclass(frozen=True)
class Endpoint:
    """What to ask one endpoint of an API.

    Attributes:
        name: what its landed files are called.
        api: where and with which key.
        path: its path.
        span: the query for days from the first to before the second; UTC.
        following: what the query of the next page adds; None after the last page, nothing where the page should say.
        group_by: the finest grouping, the most dispensable last.
        group_by_name: name of that parameter.
        is_daily: one day a question.
        is_optional: where it is missing, that is said, and the rest is read.
        served_days: how many completed days the provider still tells; None for all.
    """

    name: str
    api: PagedApi
    path: str
    span: Callable[[date, date], Query]
    following: Callable[[Page], Mapping[str, str] | None]
    group_by: tuple[str, ...] = ()
    group_by_name: str = "group_by"
    is_daily: bool = False
    is_optional: bool = False
    served_days: int | None = None
