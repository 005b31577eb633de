"""Google Cloud bills as charges: the detailed, standard or FOCUS export in BigQuery, or the first two in files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Self

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from connectors import focus, gcp_aggregate, gcp_charges, gcp_text, gcp_totals, tabular
from connectors.gcp_columns import GcpColumns
from connectors.gcp_files import ExportedFiles
from connectors.gcp_names import TableName, valid_partition
from connectors.landing import jailed, open_location
from connectors.source import Landed, SourceVersion, Totals
from models.errors import BadInput
from models.facts import Fact

if TYPE_CHECKING:
    from connectors.gcp_bigquery import BigQueryTable

HUNDRED_GIB: Final = 100 << 30
logger = logging.getLogger(__name__)


def _table(text: str) -> str:
    return str(TableName.of(text))


class GcpOptions(BaseModel):
    """Say where the export is: a table, or files of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Annotated[str, AfterValidator(_table)] | None = None
    """`project.dataset.table` of the detailed (or standard, or FOCUS) export, or a view of it."""
    location: str | None = None
    """Folder, file or `s3://bucket/prefix` that holds the table exported to Parquet, JSONL or CSV."""
    partition_expression: Annotated[str, AfterValidator(valid_partition)] = "DATE(_PARTITIONTIME)"
    """What the table is partitioned by, as a date; for a view or a copy perhaps DATE(export_time)."""
    push_down: bool = False
    """Add lines up in BigQuery, by day of use or by hour where accelerators may be; only the sums come here."""
    maximum_bytes_billed: Annotated[int, Field(gt=0)] = HUNDRED_GIB
    """No query may read more bytes."""
    quota_project: str | None = None
    """Project that pays for queries; the table's own when left out."""
    api_endpoint: str | None = None
    """Another BigQuery API; Google's when left out. Over http:// nobody signs in."""
    storage_endpoint: str | None = None
    """Another Storage Read API."""
    endpoint_url: str | None = None
    """Another S3 endpoint for `location`."""
    region: str | None = None
    """Region of the S3 bucket."""
    profile: str | None = None
    """Profile of the AWS configuration files."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.table is None) == (self.location is None):
            raise ValueError("name either a `table` or a `location`")
        if self.push_down and self.table is None:
            raise ValueError("`push_down` needs a `table`: only BigQuery can add its lines up")
        return self


class GcpBilling:
    """Read Google Cloud bills."""

    Options: type[BaseModel] = GcpOptions
    READER: ClassVar[int] = 1
    """Raise it when `read` comes to say more of the same rows: months that have not changed are then loaded anew."""

    def __init__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> None:
        self.name = name
        self._options = GcpOptions.model_validate(options)
        self._landing = jailed(landing, name)
        self._on_bytes = on_bytes
        self._has_said = False

    @cached_property
    def _origin(self) -> BigQueryTable | ExportedFiles:
        options = self._options
        if options.table is None:
            s3 = options.model_dump(include={"endpoint_url", "region", "profile"})
            return ExportedFiles(open_location(options.location or "", **s3), self._landing, self._on_bytes)
        # Google's clients take a second to import, and a configuration is read by every command.
        from connectors.gcp_bigquery import BigQueryTable
        from connectors.gcp_client import Connection
        from connectors.gcp_queries import Queries

        table = TableName.of(options.table)
        project = options.quota_project or table.project
        connection = Connection(table, project, options.api_endpoint, options.storage_endpoint)
        queries = Queries(connection, options.maximum_bytes_billed)
        if options.push_down:
            from connectors.gcp_push_down import AggregatedTable

            return AggregatedTable(queries, options.partition_expression, self._landing, self._on_bytes)
        return BigQueryTable(queries, options.partition_expression, self._landing, self._on_bytes)

    def versions(self) -> Sequence[SourceVersion]:
        """List every invoice month, oldest first."""
        found = [version.read_by(self.READER) for version in self._origin.versions()]
        if self._options.push_down:
            # Rows that stand for several lines are another content of the same months.
            found = [replace(one, fingerprint=f"{one.fingerprint}-added-up-{gcp_aggregate.QUERY}") for one in found]
        return found

    def fetch(self, version: SourceVersion) -> Landed:
        """Land the files or partitions that hold the month's rows; those here already are not fetched again."""
        return self._origin.fetch(version)

    def totals(self, landed: Landed) -> Totals:
        """Check every cell `read` needs and sum cost and credits; what is text is summed from the text itself."""
        month, is_final = _month(landed), bool(landed.version.is_final)
        if self._is_focus(landed):
            return replace(focus.totals(landed, listed=False), is_final=is_final)
        found = gcp_totals.totals(month, self._bills(landed), is_final=is_final)
        if self._options.push_down:
            return self._totals_of_lines(landed)
        native = list(zip(landed.version.files, landed.paths, strict=True))
        if all(tabular.is_parquet(path) for _, path in native):
            return found
        sums = gcp_totals.Sums()
        for (file, path), bill in zip(native, self._bills(landed), strict=True):
            typed = tabular.is_parquet(path)
            sums.add(vars(gcp_totals.sums(month, *bill) if typed else gcp_text.sums(path, file.name, month)))
        return gcp_totals.as_totals(sums, is_final=is_final)

    def _totals_of_lines(self, landed: Landed) -> Totals:
        """Sum what BigQuery said of all lines at once, which knows nothing of the rows it made of them."""
        from connectors.gcp_push_down import native_sums

        month, is_final = _month(landed), bool(landed.version.is_final)
        gcp_totals.totals(month, self._bills(landed), is_final=is_final)  # reads every cell
        sums = gcp_totals.Sums()
        for path in landed.paths:
            sums.add(vars(native_sums(path, month)))
        return gcp_totals.as_totals(sums, is_final=is_final)

    def lines(self, file: str, row: int) -> pl.DataFrame:
        """Fetch the lines that a row stands for whose lines BigQuery added up, as charges."""
        from connectors.gcp_push_down import AggregatedTable

        if not isinstance(self._origin, AggregatedTable):
            raise BadInput(file, "its lines stay in BigQuery", f"Set `push_down` of source {self.name!r} again")
        return self._origin.lines(file, row)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame of charges per file."""
        if self._is_focus(landed):
            return {Fact.CHARGES: focus.charges(landed)}
        bills = self._bills(landed)
        if bills and not all(bill.has("resource") for _, bill in bills) and not self._has_said:
            self._has_said = True
            logger.warning(
                "%s: this is the standard export, which names no resources; the detailed one does", self.name
            )
        month = _month(landed)
        return {Fact.CHARGES: [gcp_charges.charges(tabular.scan(path), bill, month) for path, bill in bills]}

    def _is_focus(self, landed: Landed) -> bool:
        """Tell partitions of the FOCUS table; a table is of one kind."""
        if self._options.table is None:
            return False
        path, file = landed.paths[0], landed.version.files[0]
        return GcpColumns(tabular.native_schema(path, file.name), file.name).is_focus

    def _bills(self, landed: Landed) -> list[tuple[Path, GcpColumns]]:
        bills = []
        for file, native in zip(landed.version.files, landed.paths, strict=True):
            path = self._origin.parquet(file, native) if isinstance(self._origin, ExportedFiles) else native
            bills.append((path, GcpColumns(tabular.native_schema(path, file.name), file.name)))
        return bills


def _month(landed: Landed) -> str:
    return f"{landed.version.billing_period:%Y%m}"
