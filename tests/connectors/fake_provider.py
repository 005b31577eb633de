"""A provider's API over real HTTP: buckets in pages, with whatever fault a test asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from connectors.source import Landed, Source, SourceFile, SourceVersion, Totals
from models.facts import COST_COLUMNS, FACTS, Fact, schema

KEY = "sk-admin-canary-5f1c9a"
DAY = timedelta(days=1)
JOBS_A_PAGE = 2
Said = dict[str, Any]


def epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


@dataclass
class FakeProvider:
    """What the server answers, and what it was asked.

    Attributes:
        results: path and day → what that day's bucket holds.
        jobs: what a list of objects holds.
        faults: answers given instead, first come, first served; None lets a request through.
        page_size: buckets a page.
        groupings: the only columns it groups by, where it is choosy.
        asked: path and query of every request that came.
        on_request: called before each answer.
    """

    results: Callable[[str, date], Sequence[Said]] = lambda _path, _day: []
    jobs: Sequence[Said] = ()
    faults: list[Response | None] = field(default_factory=list)
    page_size: int = 31
    groupings: set[str] | None = None
    asked: list[tuple[str, Mapping[str, list[str]]]] = field(default_factory=list)
    on_request: Callable[[str], None] = lambda _path: None

    def answer(self, request: Request) -> Response:
        query = {name: request.args.getlist(name) for name in request.args}
        self.on_request(request.path)
        self.asked.append((request.path, query))
        if KEY not in f"{request.headers.get('Authorization')} {request.headers.get('x-api-key')}":
            return problem(401, f"Incorrect key provided: {KEY[:14]}")
        if self.faults and (fault := self.faults.pop(0)) is not None:
            return fault
        grouped = query.get("group_by", []) + query.get("group_by[]", [])
        refused = [column for column in grouped if self.groupings is not None and column not in self.groupings]
        if refused:
            return problem(400, f"unsupported group_by: {refused[0]}")
        body = self._list(query) if request.path.endswith("/jobs") else self._buckets(request.path, query)
        return Response(json.dumps(body), content_type="application/json")

    def _list(self, query: Mapping[str, list[str]]) -> Said:
        ids = [job["id"] for job in self.jobs]
        start = ids.index(query["after"][0]) + 1 if "after" in query else 0
        data = list(self.jobs)[start : start + JOBS_A_PAGE]
        return {"object": "list", "data": data, "has_more": start + JOBS_A_PAGE < len(ids)}

    def _buckets(self, path: str, query: Mapping[str, list[str]]) -> Said:
        first, end = span(query)
        place = int(query.get("page", ["page_0"])[0].removeprefix("page_"))
        days = [first + DAY * number for number in range((end - first).days)]
        if "date" in query or path.endswith("claude_code"):
            return {"data": [result for day in days for result in self.results(path, day)], "has_more": False}
        data = [self._bucket(path, day, query) for day in days[place : place + self.page_size]]
        following = place + self.page_size
        more = following < len(days)
        return {"object": "page", "data": data, "has_more": more, "next_page": f"page_{following}" if more else None}

    def _bucket(self, path: str, day: date, query: Mapping[str, list[str]]) -> Said:
        results = list(self.results(path, day))
        if "start_time" in query:
            return {"object": "bucket", "start_time": epoch(day), "end_time": epoch(day + DAY), "results": results}
        return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{day + DAY}T00:00:00Z", "results": results}

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


def span(query: Mapping[str, list[str]]) -> tuple[date, date]:
    if "start_time" in query:
        first, end = (datetime.fromtimestamp(int(query[name][0]), UTC) for name in ("start_time", "end_time"))
        assert first.time() == end.time() == datetime.min.time(), "days are aligned to midnight UTC"
        return first.date(), end.date()
    if "ending_at" in query:
        first, end = (datetime.fromisoformat(query[name][0]) for name in ("starting_at", "ending_at"))
        return first.date(), end.date()
    (day,) = query.get("date") or query["starting_at"]
    return date.fromisoformat(day), date.fromisoformat(day) + DAY


def problem(status: int, message: str, **headers: str) -> Response:
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}})
    return Response(body, status, headers, content_type="application/json")


def serving(server: HTTPServer, provider: FakeProvider) -> str:
    """Answer everything; give the address."""
    server.expect_request(re.compile("/.*")).respond_with_handler(provider.answer)
    return server.url_for("").rstrip("/")


def read(source: Source, version: SourceVersion) -> tuple[dict[Fact, pl.DataFrame], Totals]:
    """Read a version all the way, and check that the frames are what the totals say."""
    return collected(source, source.fetch(version))


def collected(source: Source, landed: Landed) -> tuple[dict[Fact, pl.DataFrame], Totals]:
    totals = source.totals(landed)
    frames = {}
    for fact, parts in source.read(landed).items():
        whole = pl.DataFrame(schema=schema(FACTS[fact]))
        frames[fact] = pl.concat([whole, *(part.collect() for part in parts)])
        required = [name for name, column in FACTS[fact].items() if column.required]
        assert sum(frames[fact].select(required).null_count().row(0)) == 0
    charges = frames[Fact.CHARGES]
    assert totals.lines == len(charges)
    for column in set(COST_COLUMNS) & set(totals.quantized):
        assert totals.quantized[column] == charges[column].sum()
    usage = dict(totals.usage[Fact.TOKEN_USAGE])
    assert usage.pop("rows") == len(frames[Fact.TOKEN_USAGE])
    for column, total in usage.items():
        assert total == frames[Fact.TOKEN_USAGE][column].sum(), column
    return frames, totals


def landed_pages(folder: Path, pages: Mapping[str, Any], month: date) -> Landed:
    """Land bodies as they are, without asking for them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, body in pages.items():
        paths.append(folder / f"{name}-00001.json")
        paths[-1].write_text(body if isinstance(body, str) else json.dumps(body))
    files = [SourceFile(f"{month:%Y-%m}/{path.name}") for path in paths]
    return Landed(SourceVersion(month, "fingerprint", files, is_final=False), paths)
