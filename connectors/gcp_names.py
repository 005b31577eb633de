"""Names of BigQuery that come from a configuration, checked before any SQL is made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

TABLE: Final = re.compile(r"((?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{2,61}[a-z0-9])\.(\w{1,1024})\.([\w-]{1,1024})", re.ASCII)
PARTITION: Final = re.compile(r"[A-Za-z_]\w*|DATE\([A-Za-z_]\w*(?:, ?'[A-Za-z_/+-]+')?\)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class TableName:
    """A table's three names, checked."""

    project: str
    dataset: str
    table: str

    @classmethod
    def of(cls, text: str) -> TableName:
        """Read `project.dataset.table`.

        Raises:
            ValueError: it is no such name.
        """
        if not (match := TABLE.fullmatch(text)):
            raise ValueError("must be project.dataset.table, without quotes")
        return cls(*match.groups())

    def __str__(self) -> str:
        """Write it as people do."""
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def quoted(self) -> str:
        """Write it for SQL."""
        return f"`{self.project}`.`{self.dataset}`.`{self.table}`"

    @property
    def path(self) -> str:
        """Write it for the Storage Read API."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}"


def valid_partition(expression: str) -> str:
    """Check that an expression is a column or DATE of one, and nothing else.

    Raises:
        ValueError: it is not.
    """
    if not PARTITION.fullmatch(expression):
        raise ValueError("must be a column of dates, or DATE(column), for example DATE(export_time)")
    return expression
