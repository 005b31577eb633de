"""What connectors of metric APIs share: months pulled day by day into files, each pulled once it is over."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connectors import samples
from connectors.landing import jailed, seal
from connectors.samples import Series
from connectors.source import Landed, SourceFile, SourceVersion
from models.errors import BadInput
from models.months import next_month

DAY: Final = timedelta(days=1)
# Monitoring systems take in the last samples of a day a little late.
SETTLED: Final = timedelta(hours=1)
# What reading means: another number loads every month again.
READING: Final = 1
_FILE: Final = re.compile(r"(\d{4}-\d\d-\d\d)(\.open)?\.(\d+)\.([0-9a-f]{32})\.parquet")
logger = logging.getLogger(__name__)


def _divides_an_hour(seconds: int) -> int:
    if seconds % 60 or 3600 % seconds:
        raise ValueError("write whole minutes that divide an hour, for example 300")
    return seconds


PeriodSeconds: TypeAlias = Annotated[int, Field(ge=60, le=3600), AfterValidator(_divides_an_hour)]


class MetricOptions(BaseModel):
    """Say from when on to pull, and how hard the API may be asked."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    since: date | None = None
    """Pull from this day's month on; `window_days` decides when left out."""
    window_days: Annotated[int, Field(gt=0)] = 35
    """Days that are looked at each time, back to the first of their month; older months stay as they were pulled."""
    refresh_minutes: Annotated[float, Field(ge=0)] = 15
    """The day that is not over is pulled again when this old."""
    max_concurrent: Annotated[int, Field(gt=0, le=64)] = 4
    """Requests at the same time."""
    min_interval_seconds: Annotated[float, Field(ge=0)] = 0
    """Pause between the starts of two requests."""


class Pace:
    """Hold requests to so many at once and so many in a time.

    Args:
        max_concurrent: requests at the same time.
        min_interval: seconds between the starts of two.
    """

    def __init__(self, max_concurrent: int, min_interval: float) -> None:
        self._free = BoundedSemaphore(max_concurrent)
        self._interval = min_interval
        self._lock = Lock()
        self._next = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and hold it."""
        with self._free:
            with self._lock:
                start = max(time.monotonic(), self._next)
                self._next = start + self._interval
            time.sleep(max(0.0, start - time.monotonic()))
            yield


class Pulled(NamedTuple):
    """A file that was pulled, as its name tells."""

    path: Path
    day: date
    is_open: bool
    rows: int
    digest: str

    @classmethod
    def of(cls, path: Path) -> Pulled | None:
        """Read a name; None where it is not one of ours."""
        found = _FILE.fullmatch(path.name)
        return found and cls(path, date.fromisoformat(found[1]), bool(found[2]), int(found[3]), found[4])


class MetricPulls(ABC):
    """Pull groups of series by the day; what they say is a subclass's.

    A day that is over is pulled once and kept, so a broken run goes on where it stopped, and a month stays whole when
    the API no longer serves it. A month that is over and of which a day is neither here nor served is left out.
    """

    Options: type[BaseModel] = MetricOptions
    groups: tuple[str, ...] = ()
    _options: MetricOptions

    def __init__(
        self,
        name: str,
        options: BaseModel,
        landing: Path,
        on_bytes: Callable[[int], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self._options = cast("MetricOptions", self.Options.model_validate(options))
        self._landing = jailed(landing, name) / _digest(self.asked())[:16]
        self._on_bytes = on_bytes
        self._now = now
        self._progress = Lock()
        self.pace = Pace(self._options.max_concurrent, self._options.min_interval_seconds)

    @abstractmethod
    def asked(self) -> Mapping[str, Any]:
        """Give what decides the samples that are pulled: another folder is used when it changes."""

    @abstractmethod
    def meaning(self) -> Mapping[str, Any]:
        """Give what decides how samples are read: months are loaded again when it changes."""

    @abstractmethod
    def pull(self, group: str, start: datetime, end: datetime) -> Sequence[Series]:
        """Ask for a group's samples from `start` until before `end`, within one UTC day."""

    @property
    def retention_days(self) -> int | None:
        """Days that the API serves; None where it does not forget."""
        return None

    def release(self) -> None:
        """Close what was opened to ask; called when the asking is done."""
        return

    def report(self, count: int) -> None:
        """Tell of bytes received."""
        with self._progress:
            self._on_bytes(count)

    def versions(self) -> Sequence[SourceVersion]:
        """Pull what is new and list every month that holds samples, oldest first.

        Raises:
            BadInput: the API cannot be asked; days already pulled stay.
        """
        now = self._now()
        first = (self._options.since or now.date() - timedelta(days=self._options.window_days)).replace(day=1)
        oldest = now - timedelta(days=self.retention_days) if self.retention_days else None
        wanted = [
            (group, day)
            for day in _days(first, now.date())
            if oldest is None or _midnight(day) >= oldest
            for group in self.groups
            if not self._is_fresh(group, day, now)
        ]
        try:
            self._pull_all(wanted, now)
        finally:
            self.release()
        months = sorted(path for path in self._landing.glob("[0-9]*-[0-9]*") if path.is_dir())
        found = [self._version(date.fromisoformat(f"{month.name}-01"), now) for month in months]
        return [version for version in found if version]

    def _pull_all(self, wanted: Sequence[tuple[str, date]], now: datetime) -> None:
        with ThreadPoolExecutor(self._options.max_concurrent) as pool:
            pulls = [pool.submit(self._pull, group, day, now) for group, day in wanted]
            try:
                for pull in pulls:
                    pull.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def fetch(self, version: SourceVersion) -> Landed:
        """Give the pulled files, checked against the digests in the version.

        Raises:
            BadInput: a file was pulled again meanwhile, or is damaged.
        """
        return Landed(version, [self._path(version, file) for file in version.files])

    def _path(self, version: SourceVersion, file: SourceFile) -> Path:
        group, _, day = file.name.removesuffix(".parquet").partition("/")
        folder = jailed(self._landing, f"{version.billing_period:%Y-%m}/{group}")
        found = [one for one in self._files(folder) if one.day.isoformat() == day and one.digest == file.etag]
        if not found:
            raise BadInput(f"{self.name}: {file.name}", "the day was pulled again while reading", "Run again")
        if _content(found[0].path) != file.etag:
            raise BadInput(str(found[0].path), "the file is damaged", "Delete it and run again: it is pulled anew")
        return found[0].path

    def _version(self, month: date, now: datetime) -> SourceVersion | None:
        last = min(next_month(month) - DAY, now.date())
        by_group = {group: self._files(self._landing / f"{month:%Y-%m}" / group) for group in self.groups}
        files = [(group, one) for group, found in by_group.items() for one in found]
        is_past = next_month(month) <= now.date()
        if is_past and len(files) < len(self.groups) * len(list(_days(month, last))):
            logger.warning(
                "%s: %s is no longer served whole, so it stays as it was loaded", self.name, f"{month:%Y-%m}"
            )
            return None
        if not any(one.rows for _, one in files):
            return None
        kept = [
            SourceFile(f"{group}/{one.day}.parquet", one.path.stat().st_size, one.digest)
            for group, one in files
            if one.rows
        ]
        content = [READING, self.meaning(), [(file.name, file.etag) for file in kept]]
        is_final = is_past and not any(one.is_open for _, one in files)
        return SourceVersion(month, _digest(content), kept, is_final=is_final)

    def _files(self, folder: Path) -> list[Pulled]:
        """List a month of a group, one file a day: the newest, should a killed run have left two."""
        found = [pulled for path in sorted(folder.glob("*.parquet")) if (pulled := Pulled.of(path))]
        by_day: dict[date, Pulled] = {}
        for pulled in sorted(found, key=lambda one: (not one.is_open, one.path.stat().st_mtime)):
            by_day[pulled.day] = pulled
        return [by_day[day] for day in sorted(by_day)]

    def _is_fresh(self, group: str, day: date, now: datetime) -> bool:
        folder = self._landing / f"{day:%Y-%m}" / group
        for pulled in (one for path in folder.glob(f"{day}.*") if (one := Pulled.of(path))):
            age = now.timestamp() - pulled.path.stat().st_mtime
            # A file from the future was pulled before the clock was set back.
            if not pulled.is_open or 0 <= age < self._options.refresh_minutes * 60:
                return True
        return False

    def _pull(self, group: str, day: date, now: datetime) -> None:
        start, end = _midnight(day), min(_midnight(day + DAY), now)
        found = self.pull(group, start, end)
        for series in found:
            outside = [at for at in series.at if not start.timestamp() <= at / samples.SECOND <= end.timestamp()]
            if outside:
                problem = f"{series.labels.get(samples.NAME)} has a sample at {_shown(outside[0])}, outside {day}"
                raise BadInput(f"{self.name}: {group}", problem, "Check the clocks of the API and of this machine")
        folder = jailed(self._landing, f"{day:%Y-%m}/{group}")
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{day}.part"
        rows = samples.write(part, found)
        mark = "" if now >= _midnight(day + DAY) + SETTLED else ".open"
        target = folder / f"{day}{mark}.{rows}.{_content(part)}.parquet"
        os.utime(part, (now.timestamp(), now.timestamp()))
        seal(part, target)
        for old in folder.glob(f"{day}.*.parquet"):
            if old != target:
                old.unlink()


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _shown(at: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at / samples.SECOND, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return f"{at // samples.SECOND} seconds from 1970"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY
