"""Range queries of Prometheus' HTTP API, which Thanos, Mimir, VictoriaMetrics and Google's service speak too."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import stamina

from connectors import strict_json
from connectors.samples import SECOND, Series
from models.errors import BadInput

# Prometheus gives no more points a series in one answer.
POINTS: Final = 11_000
ATTEMPTS: Final = 5
SKEW: Final = 300
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED: Final = frozenset({401, 403})
_LONG: Final = 200
logger = logging.getLogger(__name__)


class PrometheusApi:
    """Ask one server.

    Args:
        url: where it is; what stands before `/api/v1`.
        headers: sent with every request, secrets included; they are in no error.
        timeout: seconds a request may take.
        turn: holds a request back until it may go.
        on_bytes: is told of bytes received.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        turn: Callable[[], AbstractContextManager[None]],
        on_bytes: Callable[[int], None],
    ) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(headers=dict(headers), timeout=timeout, follow_redirects=False)
        self._turn = turn
        self._on_bytes = on_bytes
        self._has_said: set[str] = set()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def series(self, query: str, start: datetime, end: datetime, step: int) -> list[Series]:
        """Evaluate a query at every step from `start` to `end`, both included, in as many requests as it takes.

        Raises:
            BadInput: the server refuses, cannot be reached, or answers something else.
        """
        found: dict[str, Series] = {}
        for first, last in _chunks(int(start.timestamp()), int(end.timestamp()), step):
            for series in self._ask(query, first, last, step):
                before = found.setdefault(series.text, Series(series.labels, step, [], []))
                found[series.text] = Series(
                    before.labels, step, [*before.at, *series.at], [*before.value, *series.value]
                )
        return list(found.values())

    def _ask(self, query: str, first: int, last: int, step: int) -> Iterator[Series]:
        # Thanos answers with what it has unless told that a part is no answer; others do not know the word.
        form = {"query": query, "start": first, "end": last, "step": step, "partial_response": "false"}
        answer = self._checked(query, self._post(query, form))
        for one in answer:
            values = one["values"]
            yield Series(
                one["metric"],
                step,
                [round(float(at) * SECOND) for at, _ in values],
                [float(value) for _, value in values],
            )

    def _post(self, query: str, form: Mapping[str, Any]) -> httpx.Response:
        try:
            for attempt in stamina.retry_context(on=_is_transient, attempts=ATTEMPTS, timeout=120, wait_max=20):
                with attempt, self._turn():
                    answer = self._client.post(f"{self._url}/api/v1/query_range", data=form)
                    self._on_bytes(len(answer.content))
                    if answer.status_code in _TRANSIENT:
                        answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            answer = error.response
        except httpx.HTTPError as error:
            problem = f"Prometheus cannot be asked ({str(error) or type(error).__name__})"
            raise BadInput(self._name, problem, "Check `url`, or run again later") from None
        if answer.is_success:
            self._compare_clocks(answer)
            return answer
        raise self._refusal(query, answer)

    def _checked(self, query: str, answer: httpx.Response) -> list[Any]:
        try:
            said = strict_json.loads(answer.content)
            found = list(said["data"]["result"])
            is_range = said["status"] == "success" and said["data"]["resultType"] == "matrix"
            pairs = [(float(at), float(value)) for one in found for at, value in one["values"]]
            is_whole = (
                is_range and all(math.isfinite(at) for at, _ in pairs) and all(_is_text(one["metric"]) for one in found)
            )
        except (ValueError, KeyError, TypeError, OverflowError):
            is_whole = False
        if not is_whole:
            problem = f"the answer to {_short(query)} is none of Prometheus' ({_short(answer.text)})"
            raise BadInput(self._name, problem, "Check that `url` is what stands before /api/v1")
        for warning in said.get("warnings", []):
            if warning not in self._has_said:
                self._has_said.add(warning)
                logger.warning("%s: %s", self._name, _short(warning))
        return found

    def _refusal(self, query: str, answer: httpx.Response) -> BadInput:
        try:
            said = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            said = answer.reason_phrase
        problem, fix = f"Prometheus answers {answer.status_code} to {_short(query)} ({_short(said)})", "Run again later"
        if answer.status_code in _REFUSED:
            fix = "Set `token` or `headers`; reading needs the right to query and nothing else"
        elif answer.status_code not in _TRANSIENT:
            fix = "Check `url` and `match`"
        return BadInput(self._name, problem, fix)

    def _compare_clocks(self, answer: httpx.Response) -> None:
        if "date" not in answer.headers or "clock" in self._has_said:
            return
        try:
            server = parsedate_to_datetime(answer.headers["date"])
        except ValueError:
            return
        apart = (server - datetime.now(UTC)).total_seconds()
        if abs(apart) > SKEW:
            self._has_said.add("clock")
            logger.warning("%s: its clock is %d s ahead of this machine's: hours may be wrong", self._name, apart)

    @property
    def _name(self) -> str:
        place = urlsplit(self._url)
        return f"{place.scheme}://{place.hostname}{f':{place.port}' if place.port else ''}{place.path}"


def _is_text(labels: Any) -> bool:
    return isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())


def _chunks(start: int, end: int, step: int) -> Iterator[tuple[int, int]]:
    while start <= end:
        last = min(end, start + (POINTS - 1) * step)
        yield start, last
        start = last + step


def _is_transient(error: Exception) -> bool | float:
    """Tell what may pass by itself, and how long the server asks to wait."""
    if isinstance(error, httpx.HTTPStatusError):
        wait = error.response.headers.get("retry-after", "")
        return min(float(wait), 60.0) if wait.isdecimal() else True
    return isinstance(error, httpx.TransportError)


def _short(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= _LONG else f"{plain[:_LONG]}…"
