"""Bring the tables of accelerators up to date: metrics and job records joined to the machine-hours of the bills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from models.accelerators import catalogue
from models.capacity_blocks import USAGE_TYPE
from models.facts import Fact
from models.machines import OWNER
from pipelines.ledger.delta import Partition
from pipelines.warehouse.database import is_made_from, replace_table, set_made_from
from pipelines.warehouse.gpu_tables import GPU_TABLES
from pipelines.warehouse.keys import digest

if TYPE_CHECKING:
    import duckdb

    from pipelines.ledger.tables import Ledger
    from pipelines.settings import Settings
    from pipelines.warehouse.keys import Tagging

_KIND: Final = "gpu"
# Millions of hours are joined by numbers, not by names.
_NUMBERS: Final = (
    """
    create or replace temp table gpu_keys as
    select row_number() over (order by source, billing_period, key_id) as key, * from computed.attributions
    """,
    """
    create or replace temp table gpu_machines as
    select row_number() over (order by source, resource_id) as machine, source, resource_id
    from (select distinct source, resource_id from ledger.gpu_hours where resource_id is not null)
    """,
    """
    create or replace temp table gpu_places as
    select row_number() over (order by region_id, commitment_discount_id) as place, region_id, commitment_discount_id
    from (select distinct region_id, commitment_discount_id from ledger.gpu_hours)
    """,
)
_ROW: Final = """
    inner join gpu_keys as keys using (source, billing_period, key_id)
    {join} join gpu_machines as machines using (source, resource_id)
    {join} join gpu_places as places
        on hours.region_id is not distinct from places.region_id
            and hours.commitment_discount_id is not distinct from places.commitment_discount_id
"""
_MACHINES: Final = """
select distinct machine, source as charge_source, resource_id, keys.resource_name, keys.sub_account_id
from ledger.gpu_hours as hours
inner join gpu_keys as keys using (source, billing_period, key_id)
inner join gpu_machines as machines using (source, resource_id)
order by all
"""
_HOURS: Final = f"""
select
    keys.key, hours.usage_hour::date as usage_date, machines.machine, places.place, hours.usage_hour as hour,
    hours.gpu_hours, hours.effective_cost, hours.list_cost, keys.idle_reason, keys.accelerator_count
from ledger.gpu_hours as hours
{_ROW.format(join="inner")}
"""
_OWNED: Final = f"""
with rows as (
    select
        hours.source as charge_source, hours.billing_period, hours.daily_id, keys.key, hours.usage_date,
        machines.machine, places.place, coalesce(parts.part, 1) as own_part, keys.usage_period,
        {", ".join(f"if(parts.part is null, keys.{name}, parts.{name}) as {name}" for name in OWNER)},
        if(parts.part is null, hours.billed_cost, parts.billed_cost) as billed_cost,
        if(parts.part is null, hours.effective_cost, parts.effective_cost) as effective_cost,
        if(parts.part is null, hours.net_cost, parts.net_cost) as net_cost,
        if(parts.part is null, hours.list_cost, parts.list_cost) as list_cost
    from ledger.charges_daily as hours
    {_ROW.format(join="left")}
    left join computed.allocations as parts
        on hours.source = parts.source and hours.billing_period = parts.billing_period
            and hours.daily_id = parts.daily_id
)

select * from rows
where (charge_source, billing_period, daily_id) in (
    select (charge_source, billing_period, daily_id) from rows where accelerator is not null
)
order by charge_source, billing_period, daily_id, own_part
"""

# What shows how far a bill reaches: other lines of the same day, and no later hour than any line has.
_FEES: Final = f"""
with others as (
    select daily.source, daily.usage_date
    from ledger.charges_daily as daily
    inner join gpu_keys as keys using (source, billing_period, key_id)
    where daily.consumed_quantity is not null and not coalesce(contains(keys.usage_type, '{USAGE_TYPE}'), false)
),

days as (select distinct * from others),

hours as (
    select hours.*, coalesce(contains(keys.usage_type, '{USAGE_TYPE}'), false) as is_fee
    from ledger.gpu_hours as hours
    inner join gpu_keys as keys using (source, billing_period, key_id)
),

until as (
    select source, max(ends_at) as billed_until
    from (
        select source, usage_date::timestamp as ends_at from days
        union all
        select source, usage_hour + interval 1 hour from hours where not is_fee
    )
    group by source
),

told as (
    select distinct source, date_trunc('month', usage_hour)::date as usage_period
    from hours
    where not is_fee and capacity_reservation_id != resource_id
)

select
    machines.machine as block, hours.usage_hour as hour, sum(hours.effective_cost)::decimal(38, 12) as effective_cost,
    bool_or(days.usage_date is not null and hours.usage_hour < until.billed_until) as is_billed,
    bool_or(told.usage_period is not null) as is_told
from hours
inner join gpu_machines as machines using (source, resource_id)
left join days on hours.source = days.source and hours.usage_hour::date = days.usage_date
left join until on hours.source = until.source
left join told on hours.source = told.source and date_trunc('month', hours.usage_hour)::date = told.usage_period
where hours.is_fee
group by all
order by all
"""
_IN_BLOCKS: Final = f"""
select
    blocks.machine as block, machines.machine, hours.usage_hour as hour,
    sum(hours.gpu_hours)::decimal(38, 12) as gpu_hours, keys.idle_reason is not null as is_unused
from ledger.gpu_hours as hours
inner join gpu_keys as keys using (source, billing_period, key_id)
inner join gpu_machines as machines using (source, resource_id)
inner join gpu_machines as blocks
    on hours.source = blocks.source and hours.capacity_reservation_id = blocks.resource_id
where
    hours.gpu_hours is not null
    and blocks.machine in (
        select machine
        from ledger.gpu_hours
        inner join gpu_keys as keys using (source, billing_period, key_id)
        inner join gpu_machines using (source, resource_id)
        where contains(keys.usage_type, '{USAGE_TYPE}')
    )
group by all
order by all
"""


def refresh_gpu(connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings, tagging: Tagging) -> bool:
    """Make the tables of accelerators agree with metrics, job records and bills; tell whether that took anything."""
    shapes = catalogue(settings.accelerators)
    facts = {fact: _partitions(ledger, fact) for fact in (Fact.GPU_UTILIZATION, Fact.GPU_JOBS)}
    content = digest(
        [
            sorted(partition.load_id for partitions in facts.values() for partition in partitions),
            settings.idle.model_dump_json(),
            tagging.digest,
            shapes.write_csv(),
            sorted(connection.sql("select charges_id, attributions_id from computed.builds").fetchall()),
        ]
    )
    if is_made_from(connection, _KIND, content):
        return False
    replace_table(connection, "reference.accelerators", shapes)
    limits = settings.idle.model_dump(include=set(GPU_TABLES["reference.idle"][1]))
    replace_table(connection, "reference.idle", pl.DataFrame([limits]))
    _replace_facts(connection, ledger, settings, tagging, facts)
    set_made_from(connection, _KIND, content)
    return True


def _partitions(ledger: Ledger, fact: Fact) -> list[Partition]:
    table = ledger.fact(fact)
    return list(table.partitions().values()) if table.exists() else []


def _replace_facts(
    connection: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    settings: Settings,
    tagging: Tagging,
    facts: dict[Fact, list[Partition]],
) -> None:
    from pipelines.warehouse.gpu_frames import Bill, Evidence, gpu_tables
    from pipelines.warehouse.gpu_split import split_nodes

    for statement in _NUMBERS:
        connection.execute(statement)
    machines = connection.sql(_MACHINES).pl()
    split = split_nodes(connection, ledger, tagging)
    in_blocks = connection.sql(_IN_BLOCKS).pl()
    fees = connection.sql(_FEES).pl()
    if not any(facts.values()) and split.is_empty() and fees.is_empty():
        for name in ("ledger.gpu_utilization_hourly", "ledger.gpu_jobs", "computed.gpu_allocations"):
            connection.execute(f"delete from {name}")
        return
    samples = ledger.fact(Fact.GPU_UTILIZATION)
    evidence = Evidence(
        [samples.scan(partition.files) for partition in facts[Fact.GPU_UTILIZATION]], _jobs(ledger, facts), split
    )
    bill = Bill(machines, connection.sql(_HOURS).pl(), connection.sql(_OWNED).pl(), fees, in_blocks)
    made = gpu_tables(evidence, bill, settings.idle)
    del bill
    replace_table(connection, "ledger.gpu_utilization_hourly", made.utilization)
    replace_table(connection, "ledger.gpu_jobs", made.jobs)
    replace_table(connection, "computed.gpu_allocations", made.allocations)


def _jobs(ledger: Ledger, facts: dict[Fact, list[Partition]]) -> pl.DataFrame:
    table = ledger.fact(Fact.GPU_JOBS)
    files = [path for partition in facts[Fact.GPU_JOBS] for path in partition.files]
    if not files:
        return pl.DataFrame(schema={"source": pl.String, "billing_period": pl.Date, **table.columns})
    return table.scan(files).collect()
