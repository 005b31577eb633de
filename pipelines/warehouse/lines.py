"""From a daily row, or a key's day on one machine, to its lines: the rows of files of a bill."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from models.capacity_blocks import USAGE_TYPE, by_hour
from models.facts import KEY_COLUMNS
from models.machines import is_part
from models.money import known_sum
from pipelines.ledger.tables import Ledger
from pipelines.warehouse.database import builds
from pipelines.warehouse.facts import BESIDE, is_detailed
from pipelines.warehouse.keys import tag_columns
from pipelines.warehouse.reader import NotFound, report

PLACE: Final = ("source", "billing_period", "source_file", "source_row")
_SUMMED: Final = ("billed_cost", "effective_cost", "net_cost", "list_cost", "consumed_quantity")


@dataclass(frozen=True)
class Row:
    """A daily row by its number; without one, a key's day on one machine."""

    source: str
    billing_period: date
    key_id: str
    daily_id: int | None
    usage_date: date | None
    resource_id: str | None
    region_id: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Row:
        """Pick these out of a row that holds more."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Lines:
    """The lines of a row, `PLACE` and amounts in the bill's own currency, and the key they belong to."""

    lines: pl.DataFrame
    key: dict[str, Any]
    currency: str


def lines_of(home: Path, ledger: Ledger, row: Row) -> Lines:
    """Find the lines that a row was summed from; a row without lines of its own (shared out money) gives none."""
    with report(home) as connection:
        version = connection.sql("select charges_version from reference.publication").fetchall()[0][0]
        month = {"source": row.source, "period": row.billing_period}
        key = {**month, "key": row.key_id}
        same = "source = $source and billing_period = $period"
        attribution = connection.sql(f"from computed.attributions where {same} and key_id = $key", params=key).pl()
        hours = connection.sql(
            f"select resource_id, usage_hour from ledger.gpu_hours where {same} and key_id = $key", params=key
        ).pl()
        daily = connection.sql(
            f"from ledger.charges_daily where {same} and daily_id = $row", params=month | {"row": row.daily_id}
        ).pl()
        built = builds(connection)[row.source, row.billing_period]
    found = of_key(
        ledger.charges.scan(ledger.charges.partitions(version)[row.source, row.billing_period].files),
        attribution.row(0, named=True),
        built.spelt,
    )
    if daily.height:
        named = daily.row(0, named=True)
        found = found.filter(pl.col("charge_period_start").dt.date() == named["usage_date"])
        found = found.filter(pl.col(name).eq_missing(pl.lit(named[name])) for name in BESIDE)
        found = _on_its_machine(found, attribution, hours, named["resource_id"])
    else:
        here = [pl.col(name).eq_missing(pl.lit(getattr(row, name))) for name in ("resource_id", "region_id")]
        found = found.filter(pl.col("charge_period_start").dt.date() == row.usage_date, *here)
    # The hours of a Capacity Block's fee are one line of the bill.
    lines = found.group_by(*PLACE, "billing_currency").agg(known_sum(name) for name in _SUMMED)
    frame = lines.sort(PLACE).collect(engine="streaming")
    currencies = frame["billing_currency"].unique().drop_nulls().to_list()
    return Lines(frame, attribution.row(0, named=True), currencies[0] if len(currencies) == 1 else "")


def lines_of_key(
    home: Path, ledger: Ledger, *, key_id: str, limit: int, day: date | None = None
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Give a key's attribution, and its largest lines with the file and row they stand in; of one day of use or all."""
    with report(home) as connection:
        version = connection.sql("select charges_version from reference.publication").fetchall()[0][0]
        found = connection.sql("from computed.attributions where key_id = $key", params={"key": key_id}).pl()
        built = builds(connection)
    if not found.height:
        raise NotFound(f"There is no key {key_id}. `apportion unattributed` lists keys.")
    frames = []
    for attribution in found.iter_rows(named=True):
        month = attribution["source"], attribution["billing_period"]
        lines = ledger.charges.scan(ledger.charges.partitions(version)[month].files)
        lines = of_key(lines, attribution, built[month].spelt)
        if day:
            lines = lines.filter(pl.col("charge_period_start").dt.date() == day)
        lines = lines.select(*PLACE, "resource_id", "billed_cost", "effective_cost")
        if USAGE_TYPE in (attribution["usage_type"] or ""):
            # The hours of a Capacity Block's fee are one line of the bill.
            lines = lines.group_by(*PLACE, "resource_id").agg(pl.col("billed_cost", "effective_cost").sum())
        frames.append(lines)
    largest = pl.concat(frames).sort("effective_cost", descending=True).head(limit).collect(engine="streaming")
    return found.row(0, named=True), largest


def of_key(lines: pl.LazyFrame, attribution: Mapping[str, Any], spelt: Mapping[str, Sequence[str]]) -> pl.LazyFrame:
    """Keep the lines of one key; those that divide a node's cost among its pods repeat others and are none."""
    tags = json.loads(attribution["tags"])
    lines = lines.filter(pl.col("split_parent_resource_id").is_null())
    if USAGE_TYPE in (attribution["usage_type"] or ""):
        lines = by_hour(lines)
    same = [pl.col(name).eq_missing(pl.lit(attribution[name])) for name in KEY_COLUMNS]
    same += [pl.col(name).eq_missing(pl.lit(tags.get(name), pl.String)) for name in spelt]
    return lines.with_columns(tag_columns(spelt)).filter(*same)


def _on_its_machine(
    lines: pl.LazyFrame, attribution: pl.DataFrame, hours: pl.DataFrame, resource_id: str | None
) -> pl.LazyFrame:
    """Keep the lines whose resource a daily row keeps: see `facts`, which decides where it matters."""
    detailed, part = attribution.select(is_detailed().alias("detailed"), is_part().alias("part")).row(0)
    if detailed:
        return lines.filter(pl.col("resource_id").eq_missing(pl.lit(resource_id, pl.String)))
    if not part:
        return lines
    hour = pl.col("charge_period_start").dt.truncate("1h").dt.replace_time_zone(None)
    lines = lines.with_columns(usage_hour=hour)
    on = ["resource_id", "usage_hour"]
    if resource_id is None:
        return lines.join(hours.lazy(), on=on, how="anti")
    return lines.filter(pl.col("resource_id") == resource_id).join(hours.lazy(), on=on, how="semi")
