"""From a month's lines to its keys, daily rows and GPU-hours: the only passes over every line after the load.

Polars streams them, on disk and on object storage alike. The first pass finds the distinct keys, the others find each
line's key again by a few columns and sum by its number: grouping by fifty text columns and the day at once takes twice
the memory. The resource stays only for keys that are AI or have an accelerator: with it everywhere ten million lines
make millions of daily rows, without it thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from models.capacity_blocks import USAGE_TYPE, by_hour
from models.facts import COST_COLUMNS, KEY_COLUMNS
from models.machines import is_flex_start, is_management_fee, is_part
from models.money import MONEY, known_sum
from models.workloads import Workload
from pipelines.ledger.delta import Partition, Table
from pipelines.warehouse.keys import key_ids, spellings, tag_columns
from pipelines.warehouse.reporting import Reporting, converted

# A daily row is one day, one combination of these and its key and, where it matters, its resource.
BESIDE: Final = (
    "billing_currency",
    "invoice_id",
    "region_id",
    "commitment_discount_id",
    "capacity_reservation_id",
)


@dataclass(frozen=True)
class MonthFacts:
    """One month of one source, aggregated.

    Attributes:
        attributions: columns of `ATTRIBUTIONS`.
        daily: columns of `ledger.charges_daily`, partition columns left out.
        gpu_hours: columns of `ledger.gpu_hours`, partition columns left out.
        spelt: how the bill spells each relevant tag, for whoever joins lines to attributions.
        is_stored: the warehouse has these daily rows and GPU-hours already.
    """

    attributions: pl.DataFrame
    daily: pl.DataFrame
    gpu_hours: pl.DataFrame
    spelt: Mapping[str, Sequence[str]]
    is_stored: bool = False


def aggregate(
    charges: Table,
    partition: Partition,
    relevant: Sequence[str],
    attribute_keys: Callable[[pl.DataFrame], pl.DataFrame],
    reporting: Reporting,
) -> MonthFacts:
    """Tag a month and aggregate its lines by day and hour, in the reporting currency.

    Args:
        charges: the ledger's table.
        partition: the month.
        relevant: tag and cost category columns that a key has.
        attribute_keys: gives the attributions of a frame of keys.
        reporting: the reporting currency.

    Raises:
        Refused: the bill is in a currency that has no exchange rate.
    """
    ask = partial(charges.distinct, partition.files)
    spelt = spellings(lambda query: ask(lambda lines: query(_own(lines))), relevant)
    # Fifty tags are looked for and a bill has a few: what it never says tells no two lines apart.
    said = {name: raw for name, raw in spelt.items() if raw}
    key = [*KEY_COLUMNS, *said]

    def whole(lines: pl.LazyFrame) -> pl.LazyFrame:
        return _dated(_own(lines).with_columns(is_line=pl.lit(value=True)), said)

    def by_the_hour(lines: pl.LazyFrame) -> pl.LazyFrame:
        return _dated(by_hour(_own(lines)), said)

    dated = whole
    groups = ask(lambda lines: dated(lines).select(*key, *BESIDE).unique())
    # Few months have a Capacity Block. Only they pay for what its hours change: a fee may lie in several months.
    if groups["usage_type"].str.contains(USAGE_TYPE, literal=True).any():
        dated = by_the_hour
        groups = ask(lambda lines: dated(lines).select(*key, *BESIDE).unique())
    keys = groups.select(key).unique().sort(key, nulls_last=True)
    keys = keys.with_columns(key_id=pl.Series(key_ids(keys), dtype=pl.String))
    never = [pl.lit(None, pl.String).alias(name) for name in relevant if name not in said]
    attributions = attribute_keys(keys.with_columns(never))
    keys = keys.with_row_index("key")
    detail = attributions.select(
        "key_id",
        "accelerator",
        "accelerator_count",
        is_counted=pl.col("pricing_unit").str.to_lowercase().is_in(MACHINE_HOURS),
        is_detailed=is_detailed(),
        is_part=is_part(),
        is_hourly=pl.col("accelerator").is_not_null() | is_flex_start() | is_management_fee(),
    )
    groups = (
        groups.join(keys, on=key, nulls_equal=True)
        .join(detail, on="key_id")
        .sort("key_id", *BESIDE, nulls_last=True)
        .with_row_index("group")
        # Hours are not told apart by the invoice they stand on.
        .with_columns(hour_group=pl.struct("key", *_BESIDE_HOUR).rank("dense"))
    )
    named = groups.select("group", "key_id", *BESIDE)
    # Every line is of one of these groups, so a line finds its own by the few columns that tell all of them apart; and
    # by a digest of those, wherever that does too: several texts take longer to compare than one number.
    telling = told_apart_by = _telling(groups, [*key, *BESIDE])
    groups = groups.with_columns(_digested(telling))
    if groups[_DIGEST].is_unique().all():
        told_apart_by = [_DIGEST]
    numbered = groups.select(*told_apart_by, "group", "hour_group", "is_detailed", "is_part", "is_hourly")
    # Which hours machines had accelerators in is found by the usage types that name accelerators, not by all columns of
    # a key, which would take as long as the aggregation. Most bills count no machine in parts.
    machines = None
    if groups["is_part"].any():
        accelerated = pl.col("accelerator").is_not_null() & pl.col("accelerator_count").is_not_null()
        types = groups.filter(accelerated)["usage_type"].unique()
        machines = ask(lambda lines: _machine_hours(dated(lines), types).unique())

    def grouped(lines: pl.LazyFrame) -> pl.LazyFrame:
        found = dated(lines).with_columns(_digested(telling))
        return _with_machines(found.join(numbered.lazy(), on=told_apart_by, nulls_equal=True), machines)

    def few(lines: pl.LazyFrame) -> pl.LazyFrame:
        """Keep the lines that can count by the hour: one in ten, told by their usage type alone."""
        types = groups.filter(pl.lit(machines is not None) | pl.col("is_hourly"))["usage_type"].unique()
        return lines.filter(pl.col("usage_type").is_in(types.implode(), nulls_equal=True))

    by_day = ["group", "usage_date", "resource_id"]
    daily = charges.summed(partition.files, lambda lines: _sum(grouped(lines), by_day), by_day)
    # Groups are numbered in the order of what they stand for, so a number sorts as all of its columns would.
    daily = daily.sort(by_day, nulls_last=True).join(named, on="group", maintain_order="left").drop("group")
    month = f"{partition.source} {partition.billing_period:%Y-%m}"
    rate_of = reporting.rate_of(daily["billing_currency"].unique().drop_nulls(), month, partition.billing_period)
    daily = daily.with_row_index("daily_id", offset=1).with_columns(
        pl.col("daily_id").cast(pl.Int64), native_billed_cost="billed_cost"
    )
    hours = charges.summed(partition.files, lambda lines: _hourly(grouped(few(lines))), _BY_HOUR)
    # Millions of hours hold a number of four bytes for each name, and no join copies the rest of them.
    names = pl.col("key_id", *_BESIDE_HOUR).cast(pl.Categorical)
    of_hours = groups.unique("hour_group").sort("hour_group").select(names, "accelerator_count", "is_counted")
    hours = _gpu_hours(hours.hstack(of_hours[hours["hour_group"] - 1]))
    return MonthFacts(
        attributions, converted(daily, rate_of), converted(hours, rate_of).drop("billing_currency"), spelt
    )


_DIGEST: Final = "group_digest"


def _telling(groups: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Choose columns that tell all groups apart, those with most values first; the others need not be read again."""
    values = {name: groups[name].n_unique() for name in columns}
    chosen: list[str] = []
    apart = 0
    for name in sorted(columns, key=values.__getitem__, reverse=True):
        more = groups.select(pl.struct(*chosen, name).n_unique()).item()
        if more > apart:
            chosen, apart = [*chosen, name], more
        if apart == groups.height:
            break
    return chosen or [columns[0]]


def _digested(columns: Sequence[str]) -> pl.Expr:
    return pl.struct(columns).hash().alias(_DIGEST)


def _own(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Leave out the lines that repeat the cost of others."""
    return lines.filter(pl.col("split_parent_resource_id").is_null())


def _dated(lines: pl.LazyFrame, spelt: Mapping[str, Sequence[str]]) -> pl.LazyFrame:
    return lines.with_columns(
        *tag_columns(spelt),
        usage_date=pl.col("charge_period_start").dt.date(),
        usage_hour=pl.col("charge_period_start").dt.truncate("1h").dt.replace_time_zone(None),
    )


def _machine_hours(lines: pl.LazyFrame, usage_types: pl.Series) -> pl.LazyFrame:
    named = pl.col("usage_type").is_in(usage_types.to_list()) & pl.col("resource_id").is_not_null()
    return lines.filter(named).select("resource_id", "usage_hour", in_machine=pl.lit(value=True))


def _with_machines(numbered: pl.LazyFrame, machines: pl.DataFrame | None) -> pl.LazyFrame:
    """Keep the resource where it matters, and mark the lines that `ledger.gpu_hours` holds.

    Cores, memory and disks matter in the hours in which their machine had accelerators.
    """
    if machines is None:
        return numbered.with_columns(resource_id=pl.when("is_detailed").then("resource_id"))
    in_machine = pl.col("is_part") & pl.col("in_machine").fill_null(value=False)
    part = in_machine | (pl.col("is_part") & pl.col("is_detailed") & pl.lit(machines.height > 0))
    return numbered.join(machines.lazy(), on=["resource_id", "usage_hour"], how="left").with_columns(
        resource_id=pl.when(pl.col("is_detailed") | in_machine).then("resource_id"),
        is_hourly=pl.col("is_hourly") | part,
    )


def is_detailed() -> pl.Expr:
    """Tell the keys whose daily rows carry the resource: AI money, and accelerators whatever they do."""
    return ~pl.col("workload").is_in([Workload.NOT_AI, Workload.SHARED]) | pl.col("accelerator").is_not_null()


def _sum(lines: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    # Where no line of a group states a cost, the sum is unknown, not zero.
    sums = [known_sum(name) for name in ("consumed_quantity", "list_cost")]
    certain = [pl.col(name).sum() for name in COST_COLUMNS if name != "list_cost"]
    counted = pl.when("is_line").then(pl.col("line_count").fill_null(1)).otherwise(0)
    return lines.group_by(by).agg(*sums, *certain, charge_count=counted.sum())


def _hourly(grouped: pl.LazyFrame) -> pl.LazyFrame:
    return (
        grouped.filter("is_hourly")
        .group_by(_BY_HOUR)
        .agg(
            pl.col("consumed_quantity").sum(),
            known_sum("list_cost"),
            *[pl.col(name).sum() for name in COST_COLUMNS if name != "list_cost"],
        )
    )


def _gpu_hours(hourly: pl.DataFrame) -> pl.DataFrame:
    """Give accelerator-hours: machine-hours of the whole hour times accelerators, rounded once."""
    counted = pl.when("is_counted").then("consumed_quantity").otherwise(0)
    return hourly.select(
        "key_id",
        "usage_hour",
        "resource_id",
        *_BESIDE_HOUR,
        *COST_COLUMNS,
        gpu_hours=(counted * pl.col("accelerator_count")).cast(MONEY),
    )


# What tells the rows of `ledger.gpu_hours` apart while they are summed; a group stands for a key and what is beside it.
_BY_HOUR: Final = ("hour_group", "usage_hour", "resource_id")
_BESIDE_HOUR: Final = tuple(name for name in BESIDE if name != "invoice_id")
# How bills write the unit of a machine-hour.
MACHINE_HOURS: Final = ("hrs", "hours", "hour", "hr", "h", "instance-hours", "instance hours")
