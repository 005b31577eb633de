"""Tell a fault that passes by itself from one that somebody must correct, and try only the first again."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

TRIES: Final = 3
"""How often a step is tried again under Dagster. Connectors have tried a request five or six times before that."""
FIRST_WAIT: Final = 20
"""Seconds before the first repetition; each further one waits twice as long."""

# A full disk, a missing file and a missing right do not pass by themselves.
_PASSING: Final = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.EHOSTUNREACH,
    errno.EINTR,
    errno.EIO,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
# Words of boto3, httpx, urllib3 and Google's clients, by name: importing all of them to ask would cost a second.
_BROKEN: Final = {
    "ConnectionClosedError",
    "DeadlineExceeded",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ProtocolError",
    "ReadTimeoutError",
    "RetryError",
    "TimeoutException",
    "TransportError",
}
_THROTTLED: Final = {"RequestLimitExceeded", "RequestTimeout", "SlowDown", "TooManyRequestsException"}


def wait_before(attempt: int) -> int:
    """Give the seconds to wait before a repetition; the first is 1."""
    return FIRST_WAIT << (attempt - 1)


def is_transient(error: BaseException) -> bool:
    """Tell whether a fault may be gone in a minute: a broken connection, a timeout, a server that throttles or fails.

    A connector's `BadInput` counts by what it was raised for, so a damaged file never does.
    """
    return any(_passes(one) for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        # `raise … from None` hides what a person need not read; it is still there.
        error = error.__cause__ or error.__context__


def _passes(error: BaseException) -> bool:
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    if any(kind.__name__ in _BROKEN for kind in type(error).__mro__):
        return True
    said = _answer(error)
    status = said.get("ResponseMetadata", {}).get("HTTPStatusCode") or _status(error)
    code = str(said.get("Error", {}).get("Code", ""))
    return "Throttl" in code or code in _THROTTLED or _is_passing_status(status)


def _answer(error: BaseException) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}


def _status(error: BaseException) -> object:
    """Read the HTTP status off an error of httpx or of Google's clients."""
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None) or getattr(error, "code", None)


def _is_passing_status(status: object) -> bool:
    if not isinstance(status, int):
        return False
    return status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or (
        HTTPStatus.INTERNAL_SERVER_ERROR <= status < 600  # noqa: PLR2004 - the class of server faults
    )
