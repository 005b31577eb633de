"""Months of a provider's API: which are open, landed page by page, replaced whole, frozen when they have settled.

Under the source's landing folder every month has a folder of its own: `current.json` says what was read and when,
a folder named by the digest of its content holds the pages as they came, and `pull` holds a reading under way.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from connectors.api_pages import Endpoint
from connectors.api_pull import DAY, NoLongerServedError, Pull, Span, write_json
from connectors.api_rows import month_items
from connectors.landing import jailed
from connectors.source import Landed, SourceFile, SourceVersion, Totals
from models.errors import BadInput
from models.facts import Fact
from models.months import next_month

# Providers restate for about a month. A month is read again until it has been read this long after its last day.
SETTLED_AFTER: Final = timedelta(days=34)
logger = logging.getLogger(__name__)


def _key(key: SecretStr) -> SecretStr:
    value = key.get_secret_value().strip()
    # A header that cannot be sent would be quoted, key and all, by whoever refuses it.
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be one word of plain characters")
    return SecretStr(value)


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError("must be an address such as https://host/v1, without user, password or query")
    return url.rstrip("/")


ApiKey = Annotated[SecretStr, AfterValidator(_key)]
Address = Annotated[str, AfterValidator(_address)]


class ApiOptions(BaseModel):
    """Say which days to read, and how patiently."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    since: date | None = None
    """First UTC day to read. When left out: the last 35 days, from the first of that month."""
    until: date | None = None
    """Last UTC day to read; yesterday when left out, because today is not complete."""
    refresh_minutes: Annotated[float, Field(ge=0)] = 15
    """A month read less than so many minutes ago is not read again."""
    max_pages: Annotated[int, Field(gt=0, lt=100_000)] = 5_000
    """No endpoint may take more pages a month."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 60
    """How long one answer may take before it is asked for again."""


class ApiMonths(ABC):
    """List, land and freeze months; what the pages say is a subclass's."""

    Options: type[BaseModel] = ApiOptions
    READER: ClassVar[int] = 1
    """Raise it when `read` comes to say more of the same pages: months that have not changed are then loaded anew."""

    def __init__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> None:
        self.name = name
        self._landing = jailed(landing, name)
        self._on_bytes = on_bytes
        self._api_options = ApiOptions.model_validate(options.model_dump(include=set(ApiOptions.model_fields)))

    @abstractmethod
    def endpoints(self) -> Sequence[Endpoint]:
        """Say what to ask."""

    @abstractmethod
    def totals(self, landed: Landed) -> Totals:
        """Check every field `read` needs and add up what the pages say."""

    @abstractmethod
    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame per page and fact."""

    def versions(self) -> Sequence[SourceVersion]:
        """Read the open months again, and list every month that has landed, oldest first.

        Raises:
            BadInput: the API cannot be reached, refuses the key, or answers what is no page.
        """
        yesterday = datetime.now(UTC).date() - DAY
        until = min(self._api_options.until or yesterday, yesterday)
        endpoints = self.endpoints()
        try:
            for month in self._open(until):
                self._refresh(month, until, endpoints)
        finally:
            for endpoint in endpoints:
                endpoint.api.close()
        return [self._version(month) for month in self._months()]

    def fetch(self, version: SourceVersion) -> Landed:
        """Check that the month's pages are whole; `versions` has landed them.

        Raises:
            BadInput: the month was read again meanwhile, or a page is missing or damaged.
        """
        folder = self._folder(version.billing_period)
        current = _current(folder)
        if current is None or self._version(version.billing_period).fingerprint != version.fingerprint:
            raise BadInput(str(folder), "the month was read again meanwhile", "Run again")
        paths = []
        for file in version.files:
            path = jailed(folder / current["content"][:16], Path(file.name).name)
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file.etag:
                fix = "Remove the month's folder and run again; it is read again while the provider still has it"
                raise BadInput(str(path), "the landed page is missing or damaged", fix)
            paths.append(path)
        return Landed(version, paths)

    def _folder(self, month: date) -> Path:
        return self._landing / f"{month:%Y-%m}"

    def _months(self) -> Sequence[date]:
        """Give the months that have landed."""
        return sorted(date.fromisoformat(f"{path.parent.name}-01") for path in self._landing.glob("*/current.json"))

    def _open(self, until: date) -> Iterator[date]:
        """Give the months to read, gaps included, until each has been read once after it settled."""
        since = self._api_options.since
        earliest = [*self._months(), _first_of(until - SETTLED_AFTER)]
        month = _first_of(since) if since else min(earliest)
        while month <= until:
            current = _current(self._folder(month))
            if current is None or not _has_settled(month, current):
                yield month
            month = next_month(month)

    def _refresh(self, month: date, until: date, endpoints: Sequence[Endpoint]) -> None:
        first = max(month, self._api_options.since or month)
        span = Span(first, min(next_month(month), until + DAY))
        if not span.days:
            return
        folder = self._folder(month)
        current = _current(folder)
        question = _question(span, endpoints)
        if current and (current["question"], current["until"]) == (question, str(until)) and self._is_fresh(current):
            return
        before = folder / current["content"][:16] if current else None
        pull = Pull(self.name, folder / "pull", question, self._api_options.max_pages, self._on_bytes)
        try:
            for endpoint in endpoints:
                pull.read(endpoint, span, until, before)
        except NoLongerServedError as error:
            shutil.rmtree(pull.folder)
            logger.warning(
                "%s: %s is not read: the provider no longer tells of %s. Set `since` to read from a later day",
                self.name,
                f"{month:%Y-%m}",
                error,
            )
            return
        self._adopt(month, until, question, pull)

    def _is_fresh(self, current: Mapping[str, Any]) -> bool:
        age = datetime.now(UTC) - datetime.fromisoformat(current["read_at"])
        return timedelta(0) <= age < timedelta(minutes=self._api_options.refresh_minutes)

    def _adopt(self, month: date, until: date, question: str, pull: Pull) -> None:
        """Make a complete reading the current one; pages that say the same as before stay as they are."""
        folder = self._folder(month)
        current = _current(folder)
        pages = sorted(page for page in pull.folder.glob("*-[0-9][0-9][0-9][0-9][0-9].json"))
        try:
            content = _content(pages, month)
        except BadInput:
            # Pages that cannot be read are asked for again, not taken up by the next run.
            shutil.rmtree(pull.folder)
            raise
        said = {
            "question": question,
            "until": until.isoformat(),
            "read_at": datetime.now(UTC).isoformat(),
            "group_by": dict(pull.group_by),
            "notes": pull.notes,
        }
        if current and current["content"] == content:
            write_json(folder / "current.json", {**current, **said})
            shutil.rmtree(pull.folder)
            return
        target = folder / content[:16]
        # Left by a run that was killed between the two next steps: `current.json` does not name it.
        shutil.rmtree(target, ignore_errors=True)
        files = [[page.name, page.stat().st_size, hashlib.sha256(page.read_bytes()).hexdigest()] for page in pages]
        pull.folder.rename(target)
        write_json(folder / "current.json", {"content": content, "files": files, **said})
        for old in folder.iterdir():
            if old.is_dir() and old != target:
                shutil.rmtree(old)

    def _version(self, month: date) -> SourceVersion:
        current = _current(self._folder(month))
        assert current is not None  # noqa: S101 - `_months` lists months that have one
        files = [SourceFile(f"{month:%Y-%m}/{name}", size, etag) for name, size, etag in current["files"]]
        found = SourceVersion(month, _fingerprint(month, current), files, _has_settled(month, current))
        return found.read_by(self.READER)


def _current(folder: Path) -> dict[str, Any] | None:
    path = folder / "current.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _has_settled(month: date, current: Mapping[str, Any]) -> bool:
    return date.fromisoformat(current["until"]) >= next_month(month) - DAY + SETTLED_AFTER


def _fingerprint(month: date, current: Mapping[str, Any]) -> str:
    """Tell versions apart; a month that has settled is loaded once more, as final."""
    said = f"{current['content']}\0{'settled' if _has_settled(month, current) else 'open'}"
    return hashlib.sha256(said.encode()).hexdigest()


def _content(pages: Sequence[Path], month: date) -> str:
    """Digest what the pages say of the month, whatever their order, page breaks and cursors."""
    digests = []
    for page in pages:
        name = page.name.rpartition("-")[0]
        for item in month_items(page.read_bytes(), page.name, month):
            said = json.dumps([name, item.start, item.end, item.said], sort_keys=True, default=str)
            digests.append(hashlib.sha256(said.encode()).digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _question(span: Span, endpoints: Sequence[Endpoint]) -> str:
    asked = [(endpoint.name, endpoint.api.base_url, endpoint.path, endpoint.group_by) for endpoint in endpoints]
    return hashlib.sha256(json.dumps([str(span), asked]).encode()).hexdigest()


def _first_of(day: date) -> date:
    return day.replace(day=1)
