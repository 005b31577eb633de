"""Ask BigQuery about one table: every question first as a dry run, and none that reads more than allowed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from google.api_core.retry import Retry
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from connectors.gcp_client import CALL, JOB, Connection, dtype_of, explained
from connectors.gcp_exports import Export, export_of
from models.errors import BadInput, Refused

PERMISSIONS: Final = "bigquery.jobs.create, bigquery.tables.get, bigquery.tables.getData, bigquery.readsessions.create"
logger = logging.getLogger(__name__)


class Queries:
    """Look at the table and query it.

    Args:
        connection: which table, and as whom.
        maximum_bytes_billed: no query may read more.
    """

    def __init__(self, connection: Connection, maximum_bytes_billed: int) -> None:
        self.connection = connection
        self.name = connection.table
        self._most = maximum_bytes_billed

    @cached_property
    def table(self) -> Any:
        """What BigQuery says of the table.

        Raises:
            BadInput: it cannot be seen.
        """
        with explained(self.name, PERMISSIONS):
            return self.connection.client.get_table(str(self.name), retry=_patient(), timeout=CALL)

    @cached_property
    def export(self) -> Export:
        """Which export the table holds.

        Raises:
            BadInput: it lacks a column.
        """
        return export_of({field.name: dtype_of(field) for field in self.table.schema}, str(self.name))

    @cached_property
    def columns(self) -> list[str]:
        """The columns to read, of those there are."""
        there = {field.name for field in self.table.schema}
        return [name for name in (*self.export.wanted, self.export.export_time) if name in there]

    def dry_run(self, sql: str, parameters: Sequence[Any]) -> None:
        """Ask how much a query would read, and refuse it where that is too much."""
        config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, query_parameters=list(parameters))
        size = self._start(sql, config).total_bytes_processed
        if size is None:
            raise BadInput(str(self.name), "BigQuery does not say how much a query would read", "Run again later")
        logger.info("%s: this reads %s bytes of at most %s", self.name, f"{size:,}", f"{self._most:,}")
        if size > self._most:
            raise Refused(
                f"{self.name}: this would read {size:,} bytes, more than `maximum_bytes_billed` ({self._most:,}). "
                "Nothing was read. Set it higher, or `partition_expression` to what the table is partitioned by."
            )

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """Run a query of few rows."""
        job = self._run(sql, parameters)
        with explained(self.name, PERMISSIONS):
            return list(job.result(timeout=JOB, retry=_patient()))

    def destination(self, sql: str, parameters: Sequence[Any]) -> Any:
        """Run a query of many rows and say where its result stands; BigQuery drops it after a day."""
        job = self._run(sql, parameters)
        with explained(self.name, PERMISSIONS):
            job.result(timeout=JOB, retry=_patient(), max_results=1)
        return job.destination

    def _run(self, sql: str, parameters: Sequence[Any]) -> Any:
        self.dry_run(sql, parameters)
        config = bigquery.QueryJobConfig(query_parameters=list(parameters), maximum_bytes_billed=self._most)
        return self._start(sql, config)

    def _start(self, sql: str, config: bigquery.QueryJobConfig) -> Any:
        location = self.table.location
        with explained(self.name, PERMISSIONS):
            return self.connection.client.query(
                sql, job_config=config, location=location, retry=_patient(), job_retry=None, timeout=CALL
            )


def _patient() -> Retry:
    """Retry what may pass, for a minute: the client's own patience is ten a call."""
    return DEFAULT_RETRY.with_timeout(CALL)
