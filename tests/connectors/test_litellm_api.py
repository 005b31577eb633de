"""LiteLLM's spend-log API over real HTTP: pages, throttling, a cut pull, days at the edge of a month."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from connectors.source import Source, connector
from models.errors import BadInput
from models.facts import Fact
from models.token_buckets import ADDITIVE
from tests.connectors.usage_files import litellm

KEY = "sk-canary-master-0123456789"
NOW = datetime.now(UTC)
YESTERDAY = (NOW - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
Row = dict[str, Any]


class Proxy:
    """A proxy that holds rows of spend logs and serves them as version 2 of its API does."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.faults: list[Response] = []
        self.is_capped = False
        self.cut_at = 0
        self.asked: list[dict[str, str]] = []

    def add(self, at: datetime, **columns: Any) -> None:
        self.rows.append({**litellm(len(self.rows)), "startTime": at.isoformat(), **columns})

    def answer(self, request: Request) -> Response:
        query = dict(request.args)
        self.asked.append(query)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return Response(f"your key {KEY} may not", status=403)
        if self.cut_at and len(self.asked) >= self.cut_at:
            return Response("gone", status=410)
        if self.faults:
            return self.faults.pop(0)
        first, last = (datetime.fromisoformat(query[name]).replace(tzinfo=UTC) for name in ("start_date", "end_date"))
        found = [row for row in self.rows if first <= datetime.fromisoformat(row["startTime"]) <= last]
        number, size = int(query["page"]), int(query["page_size"])
        total = min(len(found), size) if self.is_capped else len(found)
        page = {
            "data": found[(number - 1) * size : number * size],
            "total": total,
            "page": number,
            "page_size": size,
            "total_pages": -(-total // size),
            "total_is_capped": self.is_capped and len(found) > size,
        }
        return Response(json.dumps(page), content_type="application/json")


@pytest.fixture
def proxy(httpserver: HTTPServer) -> Proxy:
    found = Proxy()
    httpserver.expect_request("/spend/logs/v2").respond_with_handler(found.answer)
    return found


@pytest.fixture
def opened(tmp_path: Path, httpserver: HTTPServer) -> Callable[..., Source]:
    def make(landing: str = "landing", **options: Any) -> Source:
        chosen = connector("litellm")
        said = {"base_url": httpserver.url_for(""), "api_key": KEY, "refresh_minutes": 0, "page_size": 2, **options}
        said.setdefault("since", YESTERDAY.date())
        return chosen("litellm", chosen.Options(**said), tmp_path / landing, lambda _: None)

    return make


def read(source: Source) -> pl.DataFrame:
    found = []
    for version in source.versions():
        landed = source.fetch(version)
        frames = [frame.collect() for frame in source.read(landed)[Fact.TOKEN_USAGE]]
        found.append(pl.concat(frames))
        said = source.totals(landed).usage[Fact.TOKEN_USAGE]
        assert said == {"rows": found[-1].height, **{name: found[-1][name].sum() for name in ADDITIVE}}
    return pl.concat(found)


def test_all_pages_of_every_complete_day_are_read(proxy: Proxy, opened: Callable[..., Source]) -> None:
    for minute in range(5):
        proxy.add(YESTERDAY + timedelta(minutes=minute))
    proxy.add(NOW)  # today is not complete
    found = read(opened())
    assert sorted(found["request_id"]) == [f"request-{number}" for number in range(5)]
    assert found["uncached_input_tokens"].to_list() == [10] * 5
    assert [query["page"] for query in proxy.asked] == ["1", "2", "3"]


def test_a_proxy_that_caps_its_count_is_read_until_a_page_is_empty(proxy: Proxy, opened: Callable[..., Source]) -> None:
    proxy.is_capped = True
    for minute in range(5):
        proxy.add(YESTERDAY + timedelta(minutes=minute))
    assert read(opened()).height == 5


def test_a_row_at_midnight_counts_once_and_in_its_own_month(proxy: Proxy, opened: Callable[..., Source]) -> None:
    for at in ("2024-02-28T23:59:59.999+00:00", "2024-02-29T00:00:00+00:00", "2024-03-01T00:00:00+00:00"):
        proxy.add(datetime.fromisoformat(at))
    source = opened(since=date(2024, 2, 28), until=date(2024, 3, 1), page_size=1000)
    found = read(source)
    assert found["request_id"].to_list() == ["request-0", "request-1", "request-2"]
    months = [version.billing_period for version in source.versions()]
    assert months == [date(2024, 2, 1), date(2024, 3, 1)]


def test_a_proxy_that_throttles_and_stumbles_is_asked_again(proxy: Proxy, opened: Callable[..., Source]) -> None:
    proxy.add(YESTERDAY)
    proxy.faults = [Response("slow down", status=429, headers={"Retry-After": "0"}), Response("oops", status=503)]
    assert read(opened()).height == 1


def test_a_pull_that_was_cut_ends_like_one_that_was_not(proxy: Proxy, opened: Callable[..., Source]) -> None:
    for minute in range(5):
        proxy.add(YESTERDAY + timedelta(minutes=minute))
    whole = read(opened("whole"))
    proxy.cut_at = len(proxy.asked) + 2
    with pytest.raises(BadInput):
        opened("cut").versions()
    proxy.cut_at = 0
    assert read(opened("cut")).equals(whole)
    assert [query["page"] for query in proxy.asked].count("1") == 2  # the pages that had landed are not asked for again


def test_changed_logs_are_another_version_and_the_same_ones_are_not(
    proxy: Proxy, opened: Callable[..., Source]
) -> None:
    proxy.add(YESTERDAY)
    first, second = ([version.fingerprint for version in opened().versions()] for _ in range(2))
    proxy.add(YESTERDAY + timedelta(minutes=1))
    assert first == second != [version.fingerprint for version in opened().versions()]


def test_a_key_without_the_right_role_is_told_which_one(proxy: Proxy, opened: Callable[..., Source]) -> None:
    del proxy
    with pytest.raises(BadInput, match="Use a key whose user has the role proxy_admin or proxy_admin_viewer") as raised:
        opened(api_key="sk-canary-wrong-0123456789").versions()
    assert "canary" not in f"{raised.value} {raised.value.__cause__}"


@pytest.fixture(autouse=True)
def nothing_leaks(tmp_path: Path) -> Iterator[None]:
    yield
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [content for content in kept if KEY.encode() in content]
