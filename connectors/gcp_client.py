"""Names, clients and errors of BigQuery: credentials stay in google-auth's own chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import grpc
import polars as pl
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from connectors.gcp_names import TableName
from models.errors import BadInput

# Seconds that one call, and one query or stream, may take.
CALL: Final = 60.0
JOB: Final = 1800.0
PLAIN: Final = "http://"
SLOW_DOWN: Final = {"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded"}
TOO_MUCH: Final = "bytesBilledLimitExceeded"


class Connection:
    """The two clients, made when first used.

    Args:
        table: the one table that is read.
        project: who pays for queries and reading.
        api_endpoint: another BigQuery; over plain HTTP (an emulator) nobody signs in.
        storage_endpoint: another Storage Read API; `http://host:port` is not encrypted.
    """

    def __init__(self, table: TableName, project: str, api_endpoint: str | None, storage_endpoint: str | None) -> None:
        self.table = table
        self.project = project
        self._api = api_endpoint
        self._storage = storage_endpoint

    @cached_property
    def client(self) -> bigquery.Client:
        """The client that asks."""
        anonymous = AnonymousCredentials() if _is_plain(self._api) else None  # type: ignore[no-untyped-call]
        return bigquery.Client(
            project=self.project, credentials=anonymous, client_options=ClientOptions(api_endpoint=self._api)
        )

    @cached_property
    def storage(self) -> Any:
        """The client that streams."""
        reader: Any = BigQueryReadClient
        if self._storage is not None and _is_plain(self._storage):
            channel = grpc.insecure_channel(self._storage.removeprefix(PLAIN))
            return reader(transport=BigQueryReadGrpcTransport(channel=channel))
        return reader(client_options=ClientOptions(api_endpoint=self._storage))


def _is_plain(endpoint: str | None) -> bool:
    return (endpoint or "").startswith(PLAIN)


def dtype_of(field: Any) -> pl.DataType:
    """Give the shape of a BigQuery column; what cells hold is not told apart."""
    dtype: pl.DataType = pl.String()
    if field.fields:
        dtype = pl.Struct({inner.name: dtype_of(inner) for inner in field.fields})
    return pl.List(dtype) if field.mode == "REPEATED" else dtype


@contextmanager
def explained(table: TableName, permissions: str) -> Iterator[None]:
    """Turn what Google's clients raise into errors that name the table and say what to do."""
    name = str(table)
    try:
        yield
    except exceptions.GoogleAPICallError as error:
        raise BadInput(name, *_explained(error, permissions)) from error
    except exceptions.RetryError as error:
        raise BadInput(name, f"BigQuery did not answer ({_first_line(error.cause)})", "Run again later") from error
    except GoogleAuthError as error:
        fix = "Sign in: gcloud auth application-default login, or give the machine a service account"
        raise BadInput(name, f"there are no usable credentials ({_first_line(error)})", fix) from error
    except (ConnectionError, TimeoutError) as error:
        raise BadInput(name, f"BigQuery cannot be reached ({_first_line(error)})", "Run again later") from error


def _explained(error: exceptions.GoogleAPICallError, permissions: str) -> tuple[str, str]:
    reasons = {str(one.get("reason")) for one in error.errors if isinstance(one, dict)}
    said = _first_line(error)
    match error:
        case _ if reasons & SLOW_DOWN or isinstance(error, exceptions.TooManyRequests):
            problem, fix = "a quota is exceeded", "Run again later, or ask for a higher quota"
        case _ if TOO_MUCH in reasons:
            problem, fix = "the query would read more than `maximum_bytes_billed`", "Set it higher"
        case exceptions.Forbidden() | exceptions.Unauthorized():
            problem, fix = "permission denied", f"Allow {permissions} to the credentials in use"
        case exceptions.NotFound() if "location" in said:
            problem, fix = "it is not where the query ran", "Check project and dataset"
        case exceptions.NotFound():
            problem, fix = "there is no such table", "Check `table`, and that the export is switched on"
        case exceptions.ServerError():
            problem, fix = "the query or stream broke off", "Run again: whole partitions are kept"
        case _:
            problem, fix = "BigQuery refuses", "Check `table` and `partition_expression`"
    return f"{problem} ({said})", fix


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
