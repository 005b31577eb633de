"""AWS bills: legacy Cost and Usage Reports and CUR 2.0 Data Exports, from S3 or a folder, as charges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from connectors import aws_charges, aws_totals, tabular
from connectors.aws_amortization import is_net
from connectors.aws_columns import AwsColumns
from connectors.delivered import DeliveredFiles, DeliveryOptions
from connectors.source import Landed, Totals
from models.facts import Fact


class AwsCur(DeliveredFiles):
    """Read AWS bills."""

    Options = DeliveryOptions
    # 2: columns that are blank in a whole row group no longer make an open month final.
    READER = 2

    def periods_in(self, path: Path, name: str) -> Collection[date]:
        """Read the month of a file that no manifest lists."""
        return [aws_totals.first_period(path, AwsColumns(tabular.native_schema(path, name), name))]

    def totals(self, landed: Landed) -> Totals:
        """Check every cell `read` needs and sum the native cost columns."""
        return aws_totals.totals(landed.version.billing_period, _bills(landed))

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame of charges per native file."""
        bills = list(_bills(landed))
        net = any(is_net(path, bill) for path, bill in bills)
        return {Fact.CHARGES: [aws_charges.charges(bill.stream(path), bill, net=net) for path, bill in bills]}


def _bills(landed: Landed) -> Iterator[tuple[Path, AwsColumns]]:
    """Look at each file only when it is asked for: sums of the first need not wait for the others."""
    for file, path in zip(landed.version.files, landed.paths, strict=True):
        schema = tabular.native_schema(path, file.name)
        yield path, AwsColumns(schema, file.name, tabular.contents(path, file.name))
