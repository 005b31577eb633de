"""Bring the tables of accelerators up to date: metrics and job records joined to the machine-hours of the bills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from models.accelerators import catalogue
from models.facts import Fact, Schema
from models.machines import OWNER
from pipelines.ledger.delta import Partition
from pipelines.warehouse.database import replace_table
from pipelines.warehouse.facts import digest
from pipelines.warehouse.gpu_tables import GPU_TABLES

if TYPE_CHECKING:
    import duckdb

    from pipelines.ledger.tables import Ledger
    from pipelines.settings import Settings

_KIND: Final = "gpu"
_HOURS: Final = """
select
    gpu_hours.source as charge_source, gpu_hours.billing_period, gpu_hours.key_id,
    gpu_hours.usage_hour as hour, gpu_hours.usage_hour::date as usage_date,
    gpu_hours.resource_id, gpu_hours.region_id, gpu_hours.commitment_discount_id,
    gpu_hours.gpu_hours, gpu_hours.effective_cost, gpu_hours.list_cost,
    keys.idle_reason, keys.accelerator_count, keys.sub_account_id, keys.resource_name
from ledger.gpu_hours
inner join computed.attributions as keys using (source, billing_period, key_id)
where gpu_hours.resource_id is not null
"""
_OWNED: Final = f"""
with rows as (
    select
        daily.source as charge_source, daily.billing_period, daily.daily_id, daily.key_id, daily.usage_date,
        daily.resource_id, daily.region_id, daily.commitment_discount_id,
        coalesce(parts.part, 1) as own_part, keys.usage_period,
        {", ".join(f"if(parts.part is null, keys.{name}, parts.{name}) as {name}" for name in OWNER)},
        if(parts.part is null, daily.billed_cost, parts.billed_cost) as billed_cost,
        if(parts.part is null, daily.effective_cost, parts.effective_cost) as effective_cost,
        if(parts.part is null, daily.net_cost, parts.net_cost) as net_cost,
        if(parts.part is null, daily.list_cost, parts.list_cost) as list_cost
    from ledger.charges_daily as daily
    inner join computed.attributions as keys using (source, billing_period, key_id)
    left join computed.allocations as parts using (source, billing_period, daily_id)
)

select * from rows
where (charge_source, billing_period, daily_id) in (
    select (charge_source, billing_period, daily_id) from rows where accelerator is not null
)
order by charge_source, billing_period, daily_id, own_part
"""


def refresh_gpu(connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings) -> bool:
    """Make the tables of accelerators agree with metrics, job records and bills; tell whether that took anything."""
    shapes = catalogue(settings.accelerators)
    facts = {fact: _partitions(ledger, fact) for fact in (Fact.GPU_UTILIZATION, Fact.GPU_JOBS)}
    made_from = digest(
        [
            sorted(partition.load_id for partitions in facts.values() for partition in partitions),
            settings.idle.model_dump_json(),
            shapes.write_csv(),
            sorted(connection.sql("select charges_id, attributions_id from computed.builds").fetchall()),
        ]
    )
    known = connection.sql(f"select digest from computed.usage_builds where kind = '{_KIND}'").fetchall()
    if known == [(made_from,)]:
        return False
    replace_table(connection, "reference.accelerators", shapes)
    limits = settings.idle.model_dump(include=set(GPU_TABLES["reference.idle"][1]))
    replace_table(connection, "reference.idle", pl.DataFrame([limits]))
    _replace_facts(connection, ledger, settings, facts)
    connection.execute(f"delete from computed.usage_builds where kind = '{_KIND}'")
    connection.execute("insert into computed.usage_builds values (?, ?)", [_KIND, made_from])
    return True


def _partitions(ledger: Ledger, fact: Fact) -> list[Partition]:
    table = ledger.fact(fact)
    return list(table.partitions().values()) if table.exists() else []


def _replace_facts(
    connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings, facts: dict[Fact, list[Partition]]
) -> None:
    from pipelines.warehouse.gpu_frames import Evidence, gpu_tables

    hours = connection.sql(_HOURS).pl()
    split = _split_nodes(ledger, hours)
    if not any(facts.values()) and split.is_empty():
        for name in ("ledger.gpu_utilization_hourly", "ledger.gpu_jobs", "computed.gpu_allocations"):
            connection.execute(f"delete from {name}")
        return
    evidence = Evidence(
        _scan(ledger, Fact.GPU_UTILIZATION, facts), _scan(ledger, Fact.GPU_JOBS, facts).collect(), split
    )
    made = gpu_tables(evidence, hours, connection.sql(_OWNED).pl(), settings.idle)
    replace_table(connection, "ledger.gpu_utilization_hourly", made.utilization)
    replace_table(connection, "ledger.gpu_jobs", made.jobs)
    replace_table(connection, "computed.gpu_allocations", made.allocations)


def _scan(ledger: Ledger, fact: Fact, facts: dict[Fact, list[Partition]]) -> pl.LazyFrame:
    table = ledger.fact(fact)
    files = [path for partition in facts[fact] for path in partition.files]
    if not files:
        return pl.LazyFrame(schema={"source": pl.String, "billing_period": pl.Date, **table.columns})
    return table.scan(files)


def _split_nodes(ledger: Ledger, hours: pl.DataFrame) -> pl.DataFrame:
    """Sum the rows that divide a node among its pods, for nodes with accelerators."""
    parts = []
    for (source, _), partition in sorted(ledger.charges.partitions().items()):
        nodes = hours.filter(pl.col("charge_source") == source)["resource_id"].unique()
        if nodes.is_empty():
            continue
        lines = ledger.charges.scan(partition.files).filter(pl.col("split_parent_resource_id").is_not_null())
        parts.append(
            lines.select(
                charge_source=pl.lit(source),
                resource_id="split_parent_resource_id",
                hour=pl.col("charge_period_start").dt.replace_time_zone(None).dt.truncate("1h"),
                used_cost=pl.col("split_cost").to_physical().cast(pl.Int128),
                unused_cost=pl.col("split_unused_cost").fill_null(0).to_physical().cast(pl.Int128),
            )
            .filter(pl.col("resource_id").is_in(nodes.implode()))
            .group_by("charge_source", "resource_id", "hour")
            .agg(pl.col("used_cost").sum(), pl.col("unused_cost").sum())
            .collect(engine="streaming")
        )
    schema: Schema = {
        "charge_source": pl.String,
        "resource_id": pl.String,
        "hour": pl.Datetime("us"),
        "used_cost": pl.Int128,
        "unused_cost": pl.Int128,
    }
    if not parts:
        return pl.DataFrame(schema=schema)
    return pl.concat(parts).group_by("charge_source", "resource_id", "hour").agg(pl.all().sum())
