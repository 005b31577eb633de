"""What an API can do to a reader over HTTP, and what of its months is read, kept and frozen; shown on OpenAI's."""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stamina
from pydantic import ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Response

from connectors.openai import OpenAi
from connectors.source import SourceVersion
from models.errors import BadInput
from models.facts import Fact
from tests.connectors.fake_provider import KEY, FakeProvider, Said, problem, read, serving

COSTS = "/organization/costs"
FEBRUARY, LEAP_DAY = date(2024, 2, 1), date(2024, 2, 29)
SETTLED = date(2024, 4, 3)  # 34 days after the last of February
ENDPOINTS = 11


def cost(value: object, day: date, **fields: Any) -> Said:
    amount = {"value": value, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": f"line of {day}", **fields}


def by_day(path: str, day: date) -> list[Said]:
    return [cost(day.day, day), cost(0.25, day)] if path == COSTS else []


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(by_day)


@pytest.fixture
def openai(httpserver: HTTPServer, provider: FakeProvider, tmp_path: Path) -> Callable[..., OpenAi]:
    def make(*, landing: str = "landing", **options: Any) -> OpenAi:
        address = serving(httpserver, provider)
        chosen = {"api_key": KEY, "base_url": address, "since": FEBRUARY, "until": LEAP_DAY, **options}
        return OpenAi("openai", OpenAi.Options(**chosen), tmp_path / landing, lambda _: None)

    return make


@pytest.fixture
def at_once() -> Iterator[None]:
    """Try again as often as ever, but wait for nothing."""
    with stamina.set_testing(True, attempts=6):
        yield


def lines(source: OpenAi, version: SourceVersion) -> int:
    return read(source, version)[1].lines


def everything_under(folder: Path) -> dict[str, str]:
    """Give every file and what is in it, moments of reading left out."""
    paths = sorted(path for path in folder.rglob("*.json") if path.name not in {"current.json", "pull.json"})
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_retry_after_is_waited_for(openai: Callable[..., OpenAi], provider: FakeProvider) -> None:
    provider.faults = [problem(429, "slow down", **{"Retry-After": "1"})]
    started = time.monotonic()
    source = openai()
    (version,) = source.versions()
    assert time.monotonic() - started >= 1
    assert lines(source, version) == 58


@pytest.mark.usefixtures("at_once")
def test_server_errors_are_tried_again(openai: Callable[..., OpenAi], provider: FakeProvider) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    provider.faults = [problem(500, ""), problem(529, ""), problem(429, ""), problem(503, "", **{"Retry-After": soon})]
    source = openai()
    (version,) = source.versions()
    assert lines(source, version) == 58


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("status", "message"), [(500, r"keeps failing \(HTTP 500\)"), (429, r"throttles \(HTTP 429\)")]
)
def test_an_api_that_never_recovers_is_given_up(
    openai: Callable[..., OpenAi], provider: FakeProvider, status: int, message: str
) -> None:
    provider.faults = [problem(status, "") for _ in range(50)]
    with pytest.raises(BadInput, match=message):
        openai().versions()
    assert len(provider.asked) == 6


def test_who_asks_for_an_hour_of_patience_is_asked_again_by_the_next_run(
    openai: Callable[..., OpenAi], provider: FakeProvider
) -> None:
    provider.faults = [problem(429, "", **{"Retry-After": "3600"})]
    with pytest.raises(BadInput, match="Run again after 3600 s; what has landed is kept"):
        openai().versions()
    assert len(provider.asked) == 1


@pytest.mark.usefixtures("at_once")
def test_an_answer_that_takes_too_long_is_asked_for_again(
    openai: Callable[..., OpenAi], provider: FakeProvider
) -> None:
    slow = [0.6]
    provider.on_request = lambda _: time.sleep(slow.pop() if slow else 0)
    source = openai(timeout_seconds=0.4)
    (version,) = source.versions()
    assert lines(source, version) == 58
    assert provider.paths()[:2] == [COSTS, COSTS]


@pytest.mark.usefixtures("at_once")
def test_an_api_that_is_not_there_is_named(openai: Callable[..., OpenAi]) -> None:
    with pytest.raises(BadInput, match=r"http://127\.0\.0\.1:9/organization/costs: the API cannot be reached"):
        openai(base_url="http://127.0.0.1:9").versions()


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_without_admin_rights_is_told_what_is_needed(
    openai: Callable[..., OpenAi], provider: FakeProvider, status: int
) -> None:
    provider.faults = [problem(status, "missing scopes: api.usage.read")]
    with pytest.raises(BadInput, match=rf"permission denied \(HTTP {status}\)\. Use an admin key .*api\.usage\.read"):
        openai().versions()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Response("<html>Sign in</html>", 200), "not JSON"),
        (Response('{"data": {}}', 200), "no list `data`"),
        (Response("", 302, {"Location": "https://elsewhere.example"}), "no redirect is followed"),
        (Response('{"error": "teapot"}', 418), "refuses .HTTP 418: teapot"),
        (problem(404, "unknown"), r"no such endpoint \(HTTP 404\)"),
    ],
)
def test_what_is_no_page_is_an_error_and_does_not_land(
    openai: Callable[..., OpenAi], provider: FakeProvider, tmp_path: Path, answer: Response, message: str
) -> None:
    provider.faults = [answer]
    with pytest.raises(BadInput, match=message):
        openai().versions()
    assert everything_under(tmp_path) == {}


@pytest.mark.parametrize("following", ["page_7", None])
def test_pages_that_run_in_circles_are_an_error(
    openai: Callable[..., OpenAi], provider: FakeProvider, following: str | None
) -> None:
    more = json.dumps({"data": [], "has_more": True, "next_page": following})
    provider.faults = [Response(more, 200) for _ in range(9)]
    with pytest.raises(BadInput, match="comes none, or one already read"):
        openai().versions()
    assert len(provider.asked) <= 2


def test_more_pages_than_allowed_are_an_error(openai: Callable[..., OpenAi], provider: FakeProvider) -> None:
    provider.page_size = 1
    with pytest.raises(BadInput, match=r"more than 5 pages for 2024-02\. Raise `max_pages`"):
        openai(max_pages=5).versions()


def test_the_key_stands_nowhere(
    openai: Callable[..., OpenAi], provider: FakeProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("hpack").setLevel(logging.DEBUG)
    said: list[str] = []
    # An API that repeats the key: in an error, in a result, and in a refusal that quotes a part of it.
    provider.results = lambda path, day: [cost(1, day, project_id=f"p {KEY}")] if path == COSTS else []
    provider.faults = [problem(400, f"{KEY} may not group by api_key_id")]
    source = openai(project_api_keys={"p": KEY})
    (version,) = source.versions()
    frames, _ = read(source, version)
    said += [frame.write_json() for frame in frames.values()]
    for status in (400, 401, 418):
        provider.faults = [problem(status, f"what is {KEY}") for _ in range(9)]
        with pytest.raises(BadInput) as refused:
            openai(refresh_minutes=0).versions()
        said += traceback.format_exception(refused.value)
    with pytest.raises(ValidationError) as wrong:
        openai(api_key=f"{KEY}\nX-Evil: 1")
    with pytest.raises(ValidationError) as address:
        openai(base_url=f"https://user:{KEY}@host/v1")
    said += [str(wrong.value), str(address.value), repr(source), repr(vars(source)), repr(source.endpoints())]
    said += [record.getMessage() for record in caplog.records]
    said += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("***" in text for text in said)
    assert not [text for text in said if KEY in text or KEY[:14] in text]


def test_a_month_read_a_minute_ago_is_not_read_again(openai: Callable[..., OpenAi], provider: FakeProvider) -> None:
    (first,) = openai().versions()
    asked = len(provider.asked)
    (second,) = openai().versions()
    assert (len(provider.asked), second) == (asked, first)
    openai(refresh_minutes=0).versions()
    assert len(provider.asked) == 2 * asked


def test_an_unchanged_month_is_the_same_version_whatever_its_order_and_page_breaks(
    openai: Callable[..., OpenAi], provider: FakeProvider, tmp_path: Path
) -> None:
    (first,) = openai().versions()
    before = everything_under(tmp_path)
    provider.page_size = 6
    provider.results = lambda path, day: by_day(path, day)[::-1]
    source = openai(refresh_minutes=0)
    (second,) = source.versions()
    assert second == first
    assert everything_under(tmp_path) == before
    assert lines(source, second) == 58


def test_a_restated_month_replaces_the_one_before(
    openai: Callable[..., OpenAi], provider: FakeProvider, tmp_path: Path
) -> None:
    (first,) = openai().versions()
    provider.results = lambda path, day: by_day(path, day)[:1]
    source = openai(refresh_minutes=0)
    (second,) = source.versions()
    assert second.fingerprint != first.fingerprint
    assert lines(source, second) == 29
    assert len(everything_under(tmp_path)) == ENDPOINTS
    with pytest.raises(BadInput, match="read again meanwhile"):
        source.fetch(first)


def test_a_landed_page_that_was_damaged_is_named(openai: Callable[..., OpenAi], tmp_path: Path) -> None:
    source = openai()
    (version,) = source.versions()
    (page,) = tmp_path.rglob("costs-00001.json")
    page.write_bytes(page.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"costs-00001\.json: the landed page is missing or damaged"):
        source.fetch(version)


def test_the_window_is_35_days_from_the_first_of_their_month(openai: Callable[..., OpenAi]) -> None:
    source = openai(since=None, until=date(2024, 3, 31))
    february, march = source.versions()
    assert (february.billing_period, march.billing_period) == (FEBRUARY, date(2024, 3, 1))
    assert (lines(source, february), lines(source, march)) == (58, 62)


@pytest.mark.pipeline
def test_a_month_is_read_until_it_has_settled_and_then_no_more(
    openai: Callable[..., OpenAi], provider: FakeProvider
) -> None:
    def asked_of_february(until: date, **options: Any) -> int:
        provider.asked.clear()
        self = openai(until=until, refresh_minutes=0, **options)
        february.append(self.versions()[0])
        return sum(query.get("start_time") == ["1706745600"] for _, query in provider.asked)

    february: list[SourceVersion] = []
    assert asked_of_february(LEAP_DAY) == ENDPOINTS
    assert asked_of_february(SETTLED - timedelta(days=1)) == ENDPOINTS
    assert asked_of_february(SETTLED) == ENDPOINTS
    assert asked_of_february(date(2024, 5, 1)) == 0
    assert [version.is_final for version in february] == [False, False, True, True]
    # Only becoming final is a reason to load it again.
    assert february[0].fingerprint == february[1].fingerprint != february[2].fingerprint == february[3].fingerprint


@pytest.mark.pipeline
def test_months_missed_by_a_pause_are_read_once_it_ends(openai: Callable[..., OpenAi]) -> None:
    openai(since=None, until=date(2024, 2, 12)).versions()
    source = openai(since=None, until=date(2024, 6, 20))
    versions = {f"{version.billing_period:%Y-%m}": version for version in source.versions()}
    assert list(versions) == ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06"]
    assert lines(source, versions["2024-02"]) == 58
    assert [version.is_final for version in versions.values()] == [True] * 4 + [False] * 2


def test_today_is_not_complete_and_not_read(openai: Callable[..., OpenAi], provider: FakeProvider) -> None:
    today = datetime.now(UTC).date()
    openai(since=today - timedelta(days=2), until=today + timedelta(days=9)).versions()
    ends = {datetime.fromtimestamp(int(query["end_time"][0]), UTC).date() for _, query in provider.asked}
    assert max(ends) == today


def test_a_month_that_begins_today_is_not_there_yet(openai: Callable[..., OpenAi]) -> None:
    today = datetime.now(UTC).date()
    assert openai(since=today, until=today).versions() == []


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_days_are_utc_wherever_the_machine_is_and_summer_time_begins(
    openai: Callable[..., OpenAi], monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    source = openai(since=date(2024, 3, 1), until=date(2024, 3, 31))
    (version,) = source.versions()
    charges = read(source, version)[0][Fact.CHARGES]
    monkeypatch.undo()
    time.tzset()
    assert charges["charge_period_start"].n_unique() == 31
    assert (charges["charge_period_end"] - charges["charge_period_start"]).unique().to_list() == [timedelta(days=1)]


def test_since_cuts_the_first_month(openai: Callable[..., OpenAi]) -> None:
    source = openai(since=date(2024, 2, 28))
    (version,) = source.versions()
    charges = read(source, version)[0][Fact.CHARGES]
    assert charges["charge_period_start"].dt.day().unique().sort().to_list() == [28, 29]


@pytest.mark.usefixtures("at_once")
def test_pages_landed_before_a_failure_are_not_fetched_again(
    openai: Callable[..., OpenAi], provider: FakeProvider
) -> None:
    provider.page_size = 10
    provider.faults = [None, None, *(problem(500, "") for _ in range(6))]
    with pytest.raises(BadInput, match="keeps failing"):
        openai().versions()
    provider.asked.clear()
    source = openai()
    (version,) = source.versions()
    assert [query.get("page") for path, query in provider.asked if path == COSTS] == [["page_20"]]
    assert lines(source, version) == 58


@pytest.mark.usefixtures("at_once")
def test_a_cursor_that_has_expired_starts_its_endpoint_again(
    openai: Callable[..., OpenAi], provider: FakeProvider
) -> None:
    provider.page_size = 10
    provider.faults = [None, None, *(problem(500, "") for _ in range(6)), problem(400, "page has expired")]
    with pytest.raises(BadInput, match="keeps failing"):
        openai().versions()
    provider.asked.clear()
    source = openai()
    (version,) = source.versions()
    costs = [query.get("page", [""])[0] for path, query in provider.asked if path == COSTS]
    assert costs == ["page_20", "", "page_10", "page_20"]
    assert lines(source, version) == 58


READ_ALL = """
import sys
from datetime import date
from pathlib import Path
from connectors.openai import OpenAi
address, key, landing = sys.argv[1:]
options = OpenAi.Options(api_key=key, base_url=address, since=date(2024, 2, 1), until=date(2024, 2, 29))
OpenAi("openai", options, Path(landing), lambda _: None).versions()
"""


@pytest.mark.pipeline
@pytest.mark.parametrize("killed_at", [1, 4, 9, 25])
def test_killed_half_way_the_next_run_ends_equal_to_an_undisturbed_one(
    openai: Callable[..., OpenAi], httpserver: HTTPServer, provider: FakeProvider, tmp_path: Path, killed_at: int
) -> None:
    provider.page_size = 8
    (undisturbed,) = openai(landing="undisturbed").versions()
    provider.asked.clear()
    reached, killed = threading.Event(), threading.Event()

    def stop(_: str) -> None:
        if len(provider.asked) == killed_at - 1:
            reached.set()
            killed.wait(30)

    provider.on_request = stop
    address = serving(httpserver, provider)
    landing = tmp_path / "landing"
    process = subprocess.Popen(
        [sys.executable, "-c", READ_ALL, address, KEY, str(landing)], cwd=Path(__file__).parents[2]
    )
    try:
        assert reached.wait(30)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        killed.set()
        process.wait(30)
    provider.on_request = lambda _: None
    while len(provider.asked) < killed_at:
        time.sleep(0.01)
    assert not list(landing.glob("*/*/current.json"))
    provider.asked.clear()
    source = openai()
    (version,) = source.versions()
    assert version == undisturbed
    assert everything_under(landing) == everything_under(tmp_path / "undisturbed")
    # Four pages of eight days an endpoint; what had landed was not asked for again.
    assert len(provider.asked) == 4 * ENDPOINTS - (killed_at - 1)
    assert lines(source, version) == 58
