"""Bring one month of one source up to date: attributions in the ledger, daily rows, GPU-hours and allocations here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from models.allocation import NEEDED, allocate
from models.attribution import COLUMNS as TAGGED
from models.facts import COST_COLUMNS
from models.machines import is_flex_start, is_part, reunite
from pipelines.ledger.tables import Ledger, new_load_id
from pipelines.warehouse.database import Build, builds, replace_month
from pipelines.warehouse.facts import MonthFacts, aggregate, is_detailed
from pipelines.warehouse.keys import Tagging, keys_of, relevant_of
from pipelines.warehouse.reporting import Reporting

if TYPE_CHECKING:
    from datetime import date

    import duckdb

    from pipelines.ledger.delta import Partition


@dataclass(frozen=True)
class Reason:
    """Who changes attributions and why; goes into the ledger's history."""

    by: str = "pipeline"
    why: str = "new bill or changed rules of an open month"


class KeysChangedError(Exception):
    """The lines have keys that no stored attribution is about."""


@dataclass(frozen=True)
class AttributionsId:
    """Identity of a month's attributions, as it stands in their file names."""

    charges_id: str
    tagging: str
    nonce: str = field(default_factory=new_load_id)

    def __str__(self) -> str:
        """Write it as a load id."""
        return f"{self.charges_id}_{self.tagging}_{self.nonce}"

    @classmethod
    def parse(cls, load_id: str) -> AttributionsId:
        """Read it back; an empty id belongs to nothing."""
        return cls(*(load_id.split("_") if load_id else ("", "", "")))


@dataclass(frozen=True)
class MonthBuilder:
    """What it takes to bring months up to date."""

    ledger: Ledger
    connection: duckdb.DuckDBPyConnection
    tagging: Tagging
    reporting: Reporting

    def refresh(self, partition: Partition, *, retag: bool, reason: Reason) -> int:
        """Make attributions and warehouse agree with a month's lines; give the number of keys whose tag changed.

        With `retag` the month gets the current rules; without, keys keep the attribution stored for these lines. While
        the stored keys serve (same lines, same relevant tags, no key newly needs its resources), only attributions
        and allocations are written: the cost of tagging does not grow with the bill.
        """
        month = partition.source, partition.billing_period
        stored_id, stored = self.ledger.current_attributions(*month)
        same_lines = AttributionsId.parse(stored_id).charges_id == partition.load_id
        if same_lines and not retag:
            try:
                self._replace(partition, stored_id, self._aggregated(partition, stored))
            except KeysChangedError:
                # Newer code sees more in a line than the stored keys say: no stored attribution fits any more.
                return self.refresh(partition, retag=True, reason=Reason(why="newer code tells keys apart differently"))
            return 0
        facts = self._retagged(partition, stored_id, stored) if same_lines else self._tagged(partition)
        changed = _changed(stored, facts.attributions)
        new_id = str(AttributionsId(partition.load_id, self.tagging.digest))
        self.ledger.attributions.commit(
            self.ledger.attributions.write(*month, new_id, [facts.attributions.lazy()]),
            mode="overwrite",
            partition=month,
            facts={
                "source": month[0],
                "period": month[1].isoformat(),
                "by": reason.by,
                "why": reason.why,
                "at": datetime.now(UTC).isoformat(),
                "rules_digest": self.tagging.digest,
                "keys_changed": str(changed),
            },
        )
        self._replace(partition, new_id, facts)
        return changed

    def _replace(self, partition: Partition, attributions_id: str, facts: MonthFacts) -> None:
        month = partition.source, partition.billing_period
        build = Build(partition.load_id, attributions_id, facts.spelt)
        replace_month(self.connection, month, frames_of(facts), build)

    def _tagged(self, partition: Partition) -> MonthFacts:
        """Tag and aggregate a month from its lines."""
        return aggregate(
            self.ledger.charges,
            partition,
            self.tagging.relevant,
            lambda keys: self.tagging.attribute(keys, partition.source),
            self.reporting,
        )

    def _retagged(self, partition: Partition, stored_id: str, stored: pl.DataFrame) -> MonthFacts:
        """Tag the stored keys again, without reading the lines where that is enough."""
        if relevant_of(stored) != self.tagging.relevant:
            return self._tagged(partition)
        attributions = self.tagging.attribute(keys_of(stored), partition.source)
        month = partition.source, partition.billing_period
        built = builds(self.connection).get(month)
        in_warehouse = built and (built.charges_id, built.attributions_id) == (partition.load_id, stored_id)
        if built and in_warehouse and _detailed(attributions) == _detailed(stored):
            daily = _stored(self.connection, "charges_daily", month)
            # There may be millions of hours, and only machines that are billed in parts are divided by them.
            hours = _stored(self.connection, "gpu_hours", month) if _has_parts(attributions) else pl.DataFrame()
            return MonthFacts(attributions, daily, hours, built.spelt, is_stored=True)
        try:
            return self._aggregated(partition, attributions)
        except KeysChangedError:
            return self._tagged(partition)

    def _aggregated(self, partition: Partition, attributions: pl.DataFrame) -> MonthFacts:
        """Aggregate a month by attributions that exist already."""

        def look_up(keys: pl.DataFrame) -> pl.DataFrame:
            known = attributions.join(keys.select("key_id"), on="key_id", how="semi")
            if known.height != keys.height:
                raise KeysChangedError
            return known

        return aggregate(self.ledger.charges, partition, relevant_of(attributions), look_up, self.reporting)


def _detailed(attributions: pl.DataFrame) -> set[tuple[str, str | None, object]]:
    """Tell the keys whose resources and GPU-hours the warehouse must hold, with what the hours depend on."""
    return set(attributions.filter(is_detailed()).select("key_id", "accelerator", "accelerator_count").iter_rows())


def _changed(before: pl.DataFrame, after: pl.DataFrame) -> int:
    columns = ["key_id", *(name for name in TAGGED if name != "dimensions")]
    return after.select(columns).join(before.select(columns), on=columns, how="anti", nulls_equal=True).height


def _stored(connection: duckdb.DuckDBPyConnection, table: str, month: tuple[str, date]) -> pl.DataFrame:
    found: pl.DataFrame = connection.sql(
        f"select * exclude (source, billing_period) from ledger.{table} where source = ? and billing_period = ?",
        params=list(month),
    ).pl()
    return found


def _has_parts(attributions: pl.DataFrame) -> bool:
    """Tell whether a machine is billed in parts; most bills, AWS's among them, have none."""
    return bool(attributions.select((is_part() | is_flex_start()).any()).item())


def frames_of(facts: MonthFacts) -> dict[str, pl.DataFrame]:
    """Give the rows of each table of a month that the warehouse lacks, rows with several owners divided."""
    beside = ["key_id", "usage_date", "region_id", "resource_id", "commitment_discount_id", *COST_COLUMNS]
    attributed = facts.daily.select("daily_id", *beside).join(
        facts.attributions.select("key_id", *NEEDED), on="key_id", how="inner"
    )
    machines = None
    if _has_parts(facts.attributions):
        hours = facts.gpu_hours.with_columns(pl.col(pl.Categorical).cast(pl.String))
        machines = reunite(attributed, hours.join(facts.attributions.select("key_id", *NEEDED), on="key_id"))
    frames = {
        "computed.attributions": facts.attributions,
        "computed.allocations": allocate(attributed, machines),
    }
    if facts.is_stored:
        return frames
    return frames | {"ledger.charges_daily": facts.daily, "ledger.gpu_hours": facts.gpu_hours}
