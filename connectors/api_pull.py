"""One reading of one month from an API, a page a file; one that was killed is taken up where it stopped."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from connectors.api_pages import Endpoint, NotServedError, Query, RejectedError, parsed
from connectors.landing import seal
from models.errors import BadInput

# Pages of two readings further apart are not mixed: the provider may have restated what the earlier ones said.
RESUMED_WITHIN: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
logger = logging.getLogger(__name__)


class NoLongerServedError(Exception):
    """A day is older than what the provider tells, and was never landed."""


@dataclass(frozen=True)
class Span:
    """Days from `first` to before `end`, UTC."""

    first: date
    end: date

    @property
    def days(self) -> Sequence[date]:
        """Every day of it."""
        return [self.first + DAY * number for number in range((self.end - self.first).days)]


def write_json(path: Path, content: Any) -> None:
    """Write a file that is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    seal(part, path)


class Pull:
    """A reading under way.

    Args:
        source: name of the source, for messages.
        folder: holds the pages and what is known of the reading.
        question: digest of everything that is asked; pages of another question are thrown away.
        max_pages: more pages than this are taken for a provider that runs in circles.
        on_bytes: is told of bytes fetched.
    """

    def __init__(
        self, source: str, folder: Path, question: str, max_pages: int, on_bytes: Callable[[int], None]
    ) -> None:
        self._source = source
        self.folder = folder
        self._max_pages = max_pages
        self._on_bytes = on_bytes
        self._memory = folder / "pull.json"
        now = datetime.now(UTC)
        said: dict[str, Any] = json.loads(self._memory.read_text()) if self._memory.is_file() else {}
        is_ours = said.get("question") == question
        if not is_ours or not now - RESUMED_WITHIN <= datetime.fromisoformat(said["started_at"]) <= now:
            shutil.rmtree(folder, ignore_errors=True)
            said = {"question": question, "started_at": now.isoformat(), "group_by": {}, "notes": []}
        self._said = said
        write_json(self._memory, said)

    @property
    def notes(self) -> list[str]:
        """What a person should know of this reading."""
        return list(self._said["notes"])

    @property
    def group_by(self) -> Mapping[str, list[str]]:
        """Endpoint → the grouping that was read."""
        return dict(self._said["group_by"])

    def read(self, endpoint: Endpoint, span: Span, until: date, before: Path | None) -> None:
        """Land every page of an endpoint.

        Args:
            endpoint: what to ask.
            span: days to read.
            until: last day the provider has completed.
            before: folder of the month's current pages; days no longer served are taken from there.

        Raises:
            NoLongerServedError: a day can neither be asked for nor be taken from there.
        """
        if not endpoint.is_daily:
            self._pages(endpoint, endpoint.name, span)
            return
        oldest = date.min if endpoint.served_days is None else until - DAY * (endpoint.served_days - 1)
        for day in span.days:
            name = f"{endpoint.name}-{day}"
            if day >= oldest:
                self._pages(endpoint, name, Span(day, day + DAY))
            else:
                self._keep(name, before, day)

    def _keep(self, name: str, before: Path | None, day: date) -> None:
        kept = sorted(before.glob(f"{name}-*.json")) if before else []
        if not kept:
            raise NoLongerServedError(f"{day}")
        for page in kept:
            part = self.folder / f"{page.name}.part"
            shutil.copyfile(page, part)
            seal(part, self.folder / page.name)

    def _pages(self, endpoint: Endpoint, name: str, span: Span) -> None:
        has_resumed = bool(self._landed(name))
        try:
            self._follow(endpoint, name, span)
        except RejectedError as error:
            if not has_resumed:
                raise _refused(endpoint, error) from error
            # A cursor does not live for ever: read this one from its first page.
            for page in self._landed(name):
                page.unlink()
            try:
                self._follow(endpoint, name, span)
            except RejectedError as again:
                raise _refused(endpoint, again) from again
        except NotServedError as error:
            url = endpoint.api.base_url + endpoint.path
            if not endpoint.is_optional:
                raise BadInput(url, "there is no such endpoint (HTTP 404)", "Check `base_url`") from error
            self._note(f"{endpoint.name}: not served by {url} (HTTP 404), so it was not read")

    def _landed(self, name: str) -> list[Path]:
        # Digits only: `costs-*.json` must not take pages of another endpoint for its own.
        return sorted(self.folder.glob(f"{name}-[0-9][0-9][0-9][0-9][0-9].json"))

    def _follow(self, endpoint: Endpoint, name: str, span: Span) -> None:
        where = f"{endpoint.api.base_url}{endpoint.path}"
        query = endpoint.span(span.first, span.end)
        # What each page's question adds; the first adds nothing, so a page that should name the next and does not
        # counts as running in circles too.
        cursors: list[Mapping[str, str]] = []
        cursor: Mapping[str, str] | None = {}
        while cursor is not None:
            if cursor in cursors:
                # What sends us round in circles is not taken up by the next run.
                for landed in self._landed(name):
                    landed.unlink()
                raise BadInput(where, f"after page {len(cursors)} comes none, or one already read", "Run again later")
            cursors.append(cursor)
            if len(cursors) > self._max_pages:
                fix = "Raise `max_pages` if that is what your organization uses"
                raise BadInput(where, f"more than {self._max_pages} pages for {span.first:%Y-%m}", fix)
            target = self.folder / f"{name}-{len(cursors):05}.json"
            if target.is_file():
                page = parsed(target.read_bytes(), where)
            else:
                content = self._ask(endpoint, query, cursor)
                page = parsed(content, where)
                self._land(target, content)
            try:
                cursor = endpoint.following(page)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                target.unlink()
                found = f"page {len(cursors)} does not say whether another follows ({type(error).__name__}: {error})"
                raise BadInput(where, found, "Run again later") from error

    def _ask(self, endpoint: Endpoint, query: Query, cursor: Mapping[str, str]) -> bytes:
        """Ask for a page; the first one says what the finest grouping is that the API accepts."""
        while True:
            try:
                content = endpoint.api.get(endpoint.path, {**self._grouped(endpoint, query), **cursor})
            except RejectedError as error:
                columns = self._columns(endpoint)
                if cursor or not columns:
                    raise
                dropped = _blamed(columns, str(error))
                self._said["group_by"][endpoint.name] = [column for column in columns if column != dropped]
                self._note(f"{endpoint.name}: the API does not group by {dropped}, so it is read coarser ({error})")
            else:
                if endpoint.name not in self._said["group_by"]:
                    self._said["group_by"][endpoint.name] = list(endpoint.group_by)
                    write_json(self._memory, self._said)
                return content

    def _columns(self, endpoint: Endpoint) -> list[str]:
        found: list[str] = self._said["group_by"].get(endpoint.name, list(endpoint.group_by))
        return found

    def _grouped(self, endpoint: Endpoint, query: Query) -> Query:
        columns = self._columns(endpoint)
        return {**query, endpoint.group_by_name: columns} if columns else query

    def _land(self, target: Path, content: bytes) -> None:
        self._on_bytes(len(content))
        part = target.with_name(f"{target.name}.part")
        part.write_bytes(content)
        seal(part, target)

    def _note(self, note: str) -> None:
        logger.warning("%s: %s", self._source, note)
        self._said["notes"].append(note)
        write_json(self._memory, self._said)


def _blamed(columns: Sequence[str], said: str) -> str:
    """Guess which column the API does not group by; the most dispensable where it does not say."""
    named = [column for column in columns if re.search(rf"\b{column}\b", said)]
    if len(named) == 1:
        return named[0]
    # Several names are those that are allowed.
    return ([column for column in columns if column not in named] or list(columns))[-1]


def _refused(endpoint: Endpoint, error: RejectedError) -> BadInput:
    url = endpoint.api.base_url + endpoint.path
    return BadInput(url, f"the API refuses the question ({error})", "Check `since`, `until` and `base_url`")
