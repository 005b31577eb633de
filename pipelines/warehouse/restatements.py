"""Closed months as they are now against what was reported, from pinned versions of the ledger.

Three views of a month, each attributed and divided in the same way: what was reported (lines and tags of then), the
bill of now under the tags of then, and what stands now. The first step is the provider's, the second is ours.
Rows are divided as bills alone divide them: usage that arrives later moves money between workloads without anybody
having changed a bill or a tag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from models.money import MONEY
from pipelines.ledger.tables import ATTRIBUTIONS
from pipelines.warehouse.database import replace_table
from pipelines.warehouse.facts import aggregate
from pipelines.warehouse.keys import relevant_of
from pipelines.warehouse.month import frames_of
from pipelines.warehouse.reporting import Reporting
from pipelines.warehouse.tables import TABLES

if TYPE_CHECKING:
    import duckdb

    from pipelines.ledger.delta import Partition
    from pipelines.ledger.tables import Ledger
    from pipelines.settings import Settings
    from pipelines.warehouse.keys import Tagging

_KEY: Final = ("workload", "key_id")
_NAMES: Final = ("provider_name", "sub_account_id", "service_name", "usage_type")
_VIEWS: Final = ("reported", "restated", "current")


def refresh_restatements(
    connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings, tagging: Tagging
) -> None:
    """Compare every month that was ever closed with its last closing; a month compared before is not read again."""
    closed = ledger.acts().filter(~pl.col("is_reopening"))
    latest = closed.unique(["source", "billing_period"], keep="last", maintain_order=True)
    known: dict[tuple[Any, Any], str] = {
        (source, period): compared
        for source, period, compared in connection.sql(
            "select source, billing_period, compared from computed.closed_months"
        ).fetchall()
    }
    kept = connection.sql("from computed.restatements").pl()
    charges, attributions = ledger.charges.partitions(), ledger.attributions.partitions()
    months, changes = [], []
    for pin in latest.iter_rows(named=True):
        month = pin["source"], pin["billing_period"]
        then = (
            ledger.charges.partitions(pin["charges_version"])[month],
            ledger.attributions.partitions(pin["attributions_version"])[month],
        )
        if month not in charges or month not in attributions:
            continue
        now = charges[month], attributions[month]
        compared = " ".join(each.load_id for each in (*then, *now))
        months.append((*month, pin["pinned_at"].replace(tzinfo=None), compared))
        if known.get(month) == compared:
            changes.append(kept.filter(source=month[0], billing_period=month[1]))
        elif [each.load_id for each in then] != [each.load_id for each in now]:
            found = _Comparison(ledger, settings, tagging).of(then, now)
            changes.append(
                found.with_columns(
                    source=pl.lit(month[0]),
                    billing_period=pl.lit(month[1]),
                    closed_at=pl.lit(pin["pinned_at"].replace(tzinfo=None)),
                ).select(kept.columns)
            )
    replace_table(connection, "computed.restatements", pl.concat([kept.clear(), *changes], how="vertical_relaxed"))
    schema = dict(zip(TABLES["computed.closed_months"][1], (pl.String, pl.Date, pl.Datetime, pl.String), strict=True))
    replace_table(connection, "computed.closed_months", pl.DataFrame(months, schema=schema, orient="row"))


class _Comparison:
    """What it takes to see a month as it was and as it is."""

    def __init__(self, ledger: Ledger, settings: Settings, tagging: Tagging) -> None:
        self._ledger = ledger
        self._tagging = tagging
        self._reporting = Reporting(settings.currency, settings.exchange_rates)

    def of(self, then: tuple[Partition, Partition], now: tuple[Partition, Partition]) -> pl.DataFrame:
        """Give the keys that changed; lines and attributions of then and of now."""
        views = [self._view(then[0], then[1]), self._view(now[0], then[1]), self._view(now[0], now[1])]
        costs = pl.concat([frame.with_columns(view=pl.lit(name)) for name, frame in zip(_VIEWS, views, strict=True)])
        sums = [
            pl.col("effective_cost").filter(pl.col("view") == view).sum().cast(MONEY).alias(view) for view in _VIEWS
        ]
        names = [pl.col(name).drop_nulls().last() for name in _NAMES]
        by_key = costs.group_by(*_KEY, maintain_order=True).agg(*sums, *names)
        return by_key.filter(
            (pl.col("reported") != pl.col("restated")) | (pl.col("restated") != pl.col("current"))
        ).select(
            *_KEY,
            *_NAMES,
            reported_cost="reported",
            provider_change_cost=(pl.col("restated") - pl.col("reported")).cast(MONEY),
            retag_change_cost=(pl.col("current") - pl.col("restated")).cast(MONEY),
            current_cost="current",
        )

    def _view(self, lines: Partition, tags: Partition) -> pl.DataFrame:
        """Give effective_cost per workload and key of some lines under some tags, divided as reports divide it."""
        stored = self._ledger.attributions.scan(tags.files).select(*ATTRIBUTIONS).collect()

        def look_up(keys: pl.DataFrame) -> pl.DataFrame:
            known = stored.join(keys.select("key_id"), on="key_id", how="semi")
            # What the bill had not when the tags were made has no tag of then: today's rules say what it is.
            new = keys.join(known.select("key_id"), on="key_id", how="anti")
            return pl.concat([known, self._tagging.attribute(new, lines.source)]) if new.height else known

        facts = aggregate(self._ledger.charges, lines, relevant_of(stored), look_up, self._reporting)
        frames = frames_of(facts)
        daily = frames["ledger.charges_daily"].select("daily_id", "key_id", "effective_cost")
        keys = frames["computed.attributions"].select("key_id", "workload", *_NAMES)
        parts = frames["computed.allocations"].select("daily_id", "workload", "effective_cost")
        whole = daily.join(parts, on="daily_id", how="anti").join(keys, on="key_id")
        divided = parts.join(daily.select("daily_id", "key_id"), on="daily_id").join(keys.drop("workload"), on="key_id")
        columns = [*_KEY, *_NAMES, "effective_cost"]
        return (
            pl.concat([whole.select(columns), divided.select(columns)])
            .group_by(*_KEY, *_NAMES, maintain_order=True)
            .agg(pl.col("effective_cost").sum())
        )
