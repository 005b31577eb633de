"""AWS bills: legacy Cost and Usage Reports and CUR 2.0 Data Exports, from S3 or a folder, as charges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import polars as pl
from pydantic import BaseModel, ConfigDict

from connectors import aws_charges, aws_totals, tabular
from connectors.aws_amortization import is_net
from connectors.aws_columns import AwsColumns
from connectors.aws_exports import Delivery, deliveries
from connectors.landing import Location, location
from connectors.source import Landed, SourceVersion, Totals
from models.facts import Fact


class AwsCurOptions(BaseModel):
    """Say where the bills are and which export to read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: str
    """`s3://bucket/prefix`, a folder or a single file."""
    export: str | None = None
    """Name of the export or report, needed where the location holds several."""
    endpoint_url: str | None = None
    """Another S3 endpoint, for example a VPC endpoint; AWS's own when left out."""
    region: str | None = None
    """Region of the bucket; boto3's own chain decides when left out."""
    profile: str | None = None
    """Profile of the AWS configuration files; boto3's own chain decides when left out."""


class AwsCur:
    """Read AWS bills."""

    Options = AwsCurOptions

    def __init__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> None:
        self.name = name
        self._options = cast("AwsCurOptions", options)
        self._landing = landing / name
        self._on_bytes = on_bytes
        self._known: dict[str, Delivery] = {}

    @property
    def _location(self) -> Location:
        options = self._options
        return location(
            options.location, endpoint_url=options.endpoint_url, region=options.region, profile=options.profile
        )

    def versions(self) -> Sequence[SourceVersion]:
        """List the current delivery of every month, oldest first; only manifests are read."""
        found = deliveries(self._location, self._options.export)
        self._known = {delivery.version.fingerprint: delivery for delivery in found}
        return [delivery.version for delivery in found]

    def fetch(self, version: SourceVersion) -> Landed:
        """Land the version's files; files of a folder are used where they are."""
        where = self._location
        folder = self._landing / f"{version.billing_period:%Y-%m}" / version.fingerprint[:16]
        delivery = self._known[version.fingerprint]
        paths = [where.land(entry, folder, self._on_bytes) for entry in delivery.entries]
        return Landed(version, paths)

    def totals(self, landed: Landed) -> Totals:
        """Check every cell `read` needs and sum the native cost columns."""
        return aws_totals.totals(landed.version.billing_period, _bills(landed))

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame of charges per native file."""
        bills = _bills(landed)
        net = any(is_net(path, bill) for path, bill in bills)
        return {Fact.CHARGES: [aws_charges.charges(tabular.scan(path), bill, net=net) for path, bill in bills]}


def _bills(landed: Landed) -> list[tuple[Path, AwsColumns]]:
    bills = []
    for file, path in zip(landed.version.files, landed.paths, strict=True):
        schema = tabular.native_schema(path, file.name)
        bills.append((path, AwsColumns(schema, file.name, tabular.filled_columns(path, file.name))))
    return bills
