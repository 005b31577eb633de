from __future__ import annotations

import errno
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from models.errors import ApportionError, BadInput
from pipelines.orchestration.faults import is_transient, wait_before


def bad_input(cause: BaseException | None) -> ApportionError:
    error = BadInput("s3://bills/a.parquet", "cannot be read", "Run again")
    error.__cause__ = cause
    return error


def client_error(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetObject")


def http_error(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://api")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(status))


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        OSError(errno.ENETUNREACH, "network"),
        httpx.ReadTimeout("slow"),
        EndpointConnectionError(endpoint_url="http://s3"),
        client_error("SlowDown", 503),
        client_error("ThrottlingException", 400),
        http_error(429),
        http_error(502),
    ],
    ids=repr,
)
def test_what_passes_by_itself_is_tried_again(error: BaseException) -> None:
    assert is_transient(error)
    assert is_transient(bad_input(error))


@pytest.mark.parametrize(
    "error",
    [
        bad_input(None),
        ValueError("no number"),
        FileNotFoundError(errno.ENOENT, "gone"),
        OSError(errno.ENOSPC, "disk full"),
        PermissionError(errno.EACCES, "denied"),
        client_error("AccessDenied", 403),
        client_error("NoSuchKey", 404),
        client_error("ExpiredToken", 400),
        http_error(401),
    ],
    ids=repr,
)
def test_what_somebody_must_correct_fails_at_once(error: BaseException) -> None:
    assert not is_transient(error)
    assert not is_transient(bad_input(error))


def test_a_cause_that_is_hidden_from_people_still_counts() -> None:
    def hidden() -> None:
        try:
            raise httpx.ConnectError("refused")
        except httpx.HTTPError:
            raise BadInput("https://api", "cannot be reached", "Run again later") from None

    with pytest.raises(BadInput) as caught:
        hidden()
    assert is_transient(caught.value)


def test_each_repetition_waits_twice_as_long() -> None:
    assert [wait_before(attempt) for attempt in (1, 2, 3)] == [20, 40, 80]
