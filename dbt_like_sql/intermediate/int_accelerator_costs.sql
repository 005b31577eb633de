/*
Money and hours of machines with accelerators, whole: computed.allocations gives cores, memory and disks that a bill
counts apart the accelerator of their machine. Money comes from the allocated daily rows and hours from
ledger.gpu_days; the two are stacked and summed, never joined, so
neither is counted twice. Where metrics or job records divide a row, computed.gpu_allocations has its hours too; else
they stay with their key's own workload, also where the money of the day is divided. One row per source, billing
period, key, day, resource, region, workload, evidence, model, idle reason, team and outcome.
*/
with

charges as (
    select * from intermediate.int_charges_allocated
    where accelerator is not null
),

-- Rows whose hours computed.gpu_allocations has: several daily rows of a day may share them, the first has them.
divided as (
    select distinct
        daily.source,
        daily.billing_period,
        daily.key_id,
        daily.usage_date,
        daily.resource_id,
        daily.region_id,
        daily.commitment_discount_id
    from computed.gpu_allocations as parts
    inner join ledger.charges_daily as daily using (source, billing_period, daily_id)
    where parts.gpu_hours is not null
),

hours as (
    select
        machine_days.source,
        machine_days.billing_period,
        machine_days.key_id,
        attributions.usage_period,
        machine_days.usage_date,
        attributions.provider_name,
        machine_days.resource_id,
        machine_days.region_id,
        attributions.accelerator,
        attributions.workload,
        attributions.evidence,
        attributions.llm_model,
        coalesce(attributions.idle_reason, 'unmeasured') as idle_reason,
        attributions.team,
        machine_days.gpu_hours
    from ledger.gpu_days as machine_days
    left join computed.attributions using (source, billing_period, key_id)
    where
        not exists (
            select 1
            from divided
            where
                divided.source = machine_days.source
                and divided.billing_period = machine_days.billing_period
                and divided.key_id = machine_days.key_id
                and divided.usage_date = machine_days.usage_date
                and divided.resource_id is not distinct from machine_days.resource_id
                and divided.region_id is not distinct from machine_days.region_id
                and divided.commitment_discount_id is not distinct from machine_days.commitment_discount_id
        )
),

divided_hours as (
    select
        parts.source,
        parts.billing_period,
        daily.key_id,
        attributions.usage_period,
        daily.usage_date,
        attributions.provider_name,
        daily.resource_id,
        daily.region_id,
        parts.accelerator,
        parts.workload,
        parts.evidence,
        parts.llm_model,
        if(parts.is_busy, null, coalesce(parts.idle_reason, 'unmeasured')) as idle_reason,
        parts.team,
        parts.outcome,
        parts.gpu_hours
    from computed.gpu_allocations as parts
    inner join ledger.charges_daily as daily using (source, billing_period, daily_id)
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    where parts.gpu_hours is not null
),

stacked as (
    select * from hours
    union all by name
    select * from divided_hours
    union all by name
    select
        source,
        billing_period,
        key_id,
        usage_period,
        usage_date,
        provider_name,
        resource_id,
        region_id,
        accelerator,
        workload,
        evidence,
        llm_model,
        if(is_busy, null, coalesce(idle_reason, 'unmeasured')) as idle_reason,
        team,
        outcome,
        billed_cost,
        effective_cost,
        net_cost
    from charges
)

select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    key_id, -- Key in computed.attributions.
    usage_period, -- First day of the month of use.
    usage_date, -- Day of use, UTC.
    provider_name, -- Who provides the service.
    resource_id, -- Machine, endpoint or job; null where the bill has no resource ids.
    region_id, -- Region code.
    accelerator, -- Accelerator of the machine.
    workload, -- What the money was for.
    evidence, -- How we know.
    llm_model, -- Language model.
    idle_reason, -- Why it did nothing; unmeasured where nobody looked, null only where measured busy.
    team, -- Of the jobs that held it, else resolved by dimensions.team.
    outcome, -- How the jobs that held it ended; null where no record says.
    coalesce(sum(gpu_hours), 0)::decimal(38, 12) as gpu_hours, -- Machine-hours × accelerators per machine.
    coalesce(sum(billed_cost), 0)::decimal(38, 12) as billed_cost, -- What the provider asks for.
    coalesce(sum(effective_cost), 0)::decimal(38, 12) as effective_cost, -- Amortized cost after negotiated discounts.
    coalesce(sum(net_cost), 0)::decimal(38, 12) as net_cost -- effective_cost after promotional credits.
from stacked
group by all
