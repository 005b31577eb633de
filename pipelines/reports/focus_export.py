"""Write a month as FOCUS: `charges_focus.parquet` and `.csv`, from the lines and attributions the report stands on."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from models import focus
from models.errors import BadSettings
from models.facts import KEY_COLUMNS
from pipelines.ledger.tables import ATTRIBUTIONS, Ledger
from pipelines.reports import focus_parts, focus_rows, focus_showback
from pipelines.warehouse.database import Build, builds
from pipelines.warehouse.keys import keys_of, relevant_of, tag_columns
from pipelines.warehouse.reader import NotFound, report

if TYPE_CHECKING:
    from pipelines.ledger.delta import Partition
    from pipelines.settings import Settings

NAME = "charges_focus"


def write_focus(settings: Settings, period: date, folder: Path, version: str = "1.4") -> list[Path]:
    """Write every charge of a billing period and give the files written, Parquet first.

    Amounts are in each bill's own currency. Both files are complete when they get their names.

    Raises:
        BadSettings: FOCUS has no such version.
        NotFound: nothing is published, or nothing of that month.
    """
    if version not in focus.VERSIONS:
        raise BadSettings(f"FOCUS {version!r} is not known. Choose one of {', '.join(focus.VERSIONS)}.")
    rows = focus_rows.rows(charges_of(settings, period), version)
    folder.mkdir(parents=True, exist_ok=True)
    parquet, csv = folder / f"{NAME}.parquet", folder / f"{NAME}.csv"
    part = parquet.with_suffix(".part")
    rows.sink_parquet(part, compression="zstd")
    part.replace(parquet)
    part = csv.with_suffix(".part")
    pl.scan_parquet(parquet, glob=False).sink_csv(part, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    part.replace(csv)
    return [parquet, csv]


def charges_of(settings: Settings, period: date) -> pl.LazyFrame:
    """Give the lines of a billing period as published, of all sources, divided among owners and teams.

    Raises:
        NotFound: nothing is published, or nothing of that month.
    """
    ledger = Ledger.of(settings)
    with report(settings.home) as connection:
        charges_version = connection.sql("select charges_version from reference.publication").fetchall()[0][0]
        built = builds(connection)
        answers = {
            month: [
                connection.sql(question, params={"source": month[0], "period": period}).pl()
                for question in (focus_parts.SHARES, focus_showback.KEYS, focus_showback.TEAMS)
            ]
            for month in built
            if month[1] == period
        }
    partitions = ledger.charges.partitions(charges_version)
    months = sorted(month for month in built if month[1] == period and month in partitions)
    if not months:
        known = ", ".join(sorted({f"{month:%Y-%m}" for _, month in built})) or "none"
        raise NotFound(f"The published report has no {period:%Y-%m}. Months there are: {known}.")
    found = []
    for month in months:
        owners, pools, teams = answers[month]
        lines = _attributed(ledger, partitions[month], built[month]).join(
            pools.lazy(), on="key_id", how="left", maintain_order="left"
        )
        shared = teams if settings.sharing.by_line else teams.clear()
        found.append(focus_showback.divide(focus_parts.divide(lines, owners), shared))
    return pl.concat(found)


def _attributed(ledger: Ledger, partition: Partition, build: Build) -> pl.LazyFrame:
    """Join lines to the attributions of their keys; every key has exactly one."""
    folder = f"source={partition.source}/billing_period={partition.billing_period.isoformat()}"
    file = f"{folder}/{build.attributions_id}-00001.parquet"
    attributions = ledger.attributions.scan([file]).select(*ATTRIBUTIONS).collect()
    relevant = relevant_of(attributions)
    tagged = keys_of(attributions).hstack(attributions.select(focus_rows.needs()))
    spelt = {name: build.spelt.get(name, []) for name in relevant}
    lines = ledger.charges.scan(partition.files).filter(pl.col("split_parent_resource_id").is_null())
    return (
        lines.with_columns(tag_columns(spelt))
        .join(tagged.lazy(), on=[*KEY_COLUMNS, *relevant], how="left", nulls_equal=True, maintain_order="left")
        .drop(relevant)
    )
