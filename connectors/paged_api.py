"""HTTP to a provider's API: one page at a time, patiently, and without ever showing the key.

Throttling (429, with its `Retry-After`), server errors and broken connections are tried again, a bounded number of
times; everything else becomes one error that says what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Final

import httpx
import stamina
from pydantic import SecretStr

from connectors.api_pages import NotServedError, Query, RejectedError
from models.errors import BadInput

ATTEMPTS: Final = 6
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 60.0
# Who asks for more patience than this is asked again by the next run.
LONGEST_RETRY_AFTER: Final = 300.0
HIDDEN: Final = "***"
_SAID: Final = 300


class PagedApi:
    """One API and the key it is asked with.

    Args:
        base_url: address without the endpoints' paths.
        key: goes into `header` and nowhere else.
        header: name and form of the header that carries the key, for example `("Authorization", "Bearer {}")`.
        permission: what to do where the key is refused: which kind of key, which permission.
        timeout: seconds one answer may take.
        headers: sent beside the key.
    """

    def __init__(  # noqa: PLR0913 - what an API is
        self,
        base_url: str,
        key: SecretStr,
        header: tuple[str, str],
        *,
        permission: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.base_url = base_url
        self._key = key
        self._header = header
        self._permission = permission
        self._timeout = timeout
        self._headers = {"Accept": "application/json", **(headers or {})}

    @cached_property
    def _client(self) -> httpx.Client:
        name, form = self._header
        headers = {**self._headers, name: form.format(self._key.get_secret_value())}
        # Following a redirect would hand the key to another address.
        return httpx.Client(headers=headers, timeout=self._timeout, follow_redirects=False)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if "_client" in self.__dict__:
            self._client.close()
            del self.__dict__["_client"]

    def get(self, path: str, query: Query) -> bytes:
        """Ask once, retries included, and give the body as it came, the key blanked should the answer repeat it.

        Raises:
            RejectedError: the API does not understand the question.
            NotServedError: there is no such endpoint.
            BadInput: it cannot be reached, keeps failing, or refuses the key.
        """
        url = self.base_url + path
        try:
            for attempt in stamina.retry_context(
                on=_patience, attempts=ATTEMPTS, timeout=None, wait_initial=FIRST_WAIT, wait_max=LONGEST_WAIT
            ):
                with attempt:
                    answer = self._client.get(url, params=query)
                    _require_ok(answer)
        except httpx.HTTPStatusError as error:
            # `from None`: the answer's text may quote a part of the key, and a traceback would show it.
            raise self._explained(url, error.response) from None
        except httpx.HTTPError as error:
            found = f"the API cannot be reached ({self._hidden(str(error) or type(error).__name__)})"
            raise BadInput(url, found, "Check `base_url` and the network, or run again later") from None
        return answer.content.replace(self._key.get_secret_value().encode(), HIDDEN.encode())

    def _explained(self, url: str, answer: httpx.Response) -> Exception:
        code = f"HTTP {answer.status_code}"
        match answer.status_code:
            case httpx.codes.BAD_REQUEST | httpx.codes.UNPROCESSABLE_ENTITY:
                return RejectedError(f"{code}: {self._hidden(_said(answer))}")
            case httpx.codes.NOT_FOUND:
                return NotServedError(url)
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                # What the API says here may quote a part of the key.
                found, fix = f"permission denied ({code})", self._permission
            case httpx.codes.TOO_MANY_REQUESTS:
                seconds = answer.headers.get("Retry-After")
                found = f"the API throttles ({code})"
                fix = f"Run again{f' after {seconds} s' if seconds else ' later'}; what has landed is kept"
            case _ if answer.is_server_error:
                found, fix = f"the API keeps failing ({code})", "Run again later; what has landed is kept"
            case _ if answer.is_redirect:
                found, fix = f"the API is elsewhere ({code})", "Check `base_url`; no redirect is followed"
            case _:
                found, fix = f"the API refuses ({code}: {self._hidden(_said(answer))})", "Check `base_url`"
        return BadInput(url, found, fix)

    def _hidden(self, text: str) -> str:
        return text.replace(self._key.get_secret_value(), HIDDEN)


def _require_ok(answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.OK:
        raise httpx.HTTPStatusError(f"HTTP {answer.status_code}", request=answer.request, response=answer)


def _patience(error: Exception) -> bool | float:
    """Tell whether to ask again, and after how many seconds where the API says so."""
    if isinstance(error, httpx.TransportError):
        return not isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError)
    if not isinstance(error, httpx.HTTPStatusError):
        return False
    answer = error.response
    if answer.status_code != httpx.codes.TOO_MANY_REQUESTS and not answer.is_server_error:
        return False
    seconds = _retry_after(answer.headers.get("Retry-After", ""))
    return True if seconds is None else seconds if seconds <= LONGEST_RETRY_AFTER else False


def _retry_after(text: str) -> float | None:
    """Read seconds, or an HTTP date."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _said(answer: httpx.Response) -> str:
    """Find what the API says of an error; they nest it differently."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = answer.text
    for name in ("error", "message"):
        body = body.get(name, body) if isinstance(body, dict) else body
    return " ".join(str(body).split())[:_SAID]
