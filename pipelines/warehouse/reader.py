"""What people's commands read: the published report, reopened per question, and single lines from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeAlias

import duckdb
import polars as pl

from models.errors import ApportionError
from models.facts import KEY_COLUMNS
from pipelines.ledger.tables import Ledger
from pipelines.warehouse.database import Build, builds
from pipelines.warehouse.keys import key_ids, tag_columns
from pipelines.warehouse.publish import LINK

_COSTS = ("billed_cost", "effective_cost")


# A question reads the report and nothing else of this machine. Given on connecting, because connections of one process
# share their settings and a locked one cannot be set again.
_LOCKED: Final = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
}


Connection: TypeAlias = duckdb.DuckDBPyConnection
QueryError: Final = duckdb.Error
"""What a question that the report cannot answer raises; rooms that do not know DuckDB catch it by this name."""


class NotFound(ApportionError):  # noqa: N818 - reads as the answer it is
    """What was asked for is not there; says what is."""


def publication(home: Path) -> str:
    """Name the published report; the name changes with every publication. Empty where nothing is published."""
    link = home / LINK
    return link.resolve().name if link.exists() else ""


@contextmanager
def report(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published report, read-only; a report published meanwhile is seen by the next opening."""
    link = home / LINK
    if not link.exists():
        raise NotFound(f"{link}: nothing is published yet. Run `apportion run` first.")
    # The link is resolved here: a connection stays on the file it opened.
    connection = duckdb.connect(str(link.resolve()), read_only=True, config=dict(_LOCKED))
    try:
        yield connection
    finally:
        connection.close()


def ask(home: Path, sql: str, parameters: dict[str, object] | None = None) -> pl.DataFrame:
    """Answer one SQL question from the published report."""
    with report(home) as connection:
        found = connection.sql(sql, params=parameters or {})
        if found is None:
            raise ApportionError("A question is one SELECT, and that is none. Nothing was changed.")
        answer: pl.DataFrame = found.pl()
    return answer


@dataclass(frozen=True)
class Line:
    """One line of a bill, the key it belongs to and what that key was taken for."""

    charge: dict[str, Any]
    key: dict[str, Any]
    attribution: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a line stands: `source/2026-07/path/of/file#row`."""

    source: str
    billing_period: date
    file: str
    row: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read a place as people write it."""
        try:
            source, period, rest = text.split("/", 2)
            file, row = rest.rsplit("#", 1)
            return cls(source, date.fromisoformat(f"{period}-01"), file, int(row))
        except ValueError:
            raise NotFound(f"{text!r} is no place of a line; write it as source/2026-07/path/of/file#row.") from None

    @property
    def month(self) -> tuple[str, date]:
        """Source and billing period."""
        return self.source, self.billing_period


def line(home: Path, ledger: Ledger, place: Place) -> Line:
    """Find one line by its place: the row of a file of a bill, as the published report stands on it."""
    with report(home) as connection:
        version = connection.sql("select charges_version from reference.publication").fetchall()[0][0]
        build = builds(connection).get(place.month)
        partition = ledger.charges.partitions(version).get(place.month)
        if build is None or partition is None:
            raise NotFound(f"{place.source} has no {place.billing_period:%Y-%m} in the published report.")
        charges = (
            ledger.charges.scan(partition.files)
            .filter(pl.col("source_file") == place.file, pl.col("source_row") == place.row)
            .collect(engine="streaming")
        )
        if not charges.height:
            raise NotFound(f"{place.source} {place.billing_period:%Y-%m} has no row {place.row} of {place.file}.")
        key, key_id = _key(charges, build)
        attribution = connection.sql(
            "from computed.attributions where source = $source and billing_period = $period and key_id = $key",
            params={"source": place.source, "period": place.billing_period, "key": key_id},
        ).pl()
    return Line(charges.row(0, named=True), key, attribution.row(0, named=True) if attribution.height else {})


def _key(charges: pl.DataFrame, build: Build) -> tuple[dict[str, Any], str]:
    keys = charges.with_columns(tag_columns(build.spelt)).select(*KEY_COLUMNS, *sorted(build.spelt))
    return keys.row(0, named=True), key_ids(keys)[0]
