/*
Money and hours of machines with accelerators, whole: computed.allocations gives cores, memory and disks that a bill
counts apart the accelerator of their machine. Money comes from the allocated daily rows and hours from
ledger.gpu_hours, whose own costs repeat that money and are not read; the two are stacked and summed, never joined, so
neither is counted twice. Hours stay with their key's own workload, also where the money of the day is divided.
One row per source, billing period, key, day, resource, workload, evidence, idle reason and team.
*/
with

charges as (
    select * from intermediate.int_charges_allocated
    where accelerator is not null
),

hours as (
    select
        gpu_hours.source,
        gpu_hours.billing_period,
        gpu_hours.key_id,
        attributions.usage_period,
        gpu_hours.usage_hour::date as usage_date,
        attributions.provider_name,
        gpu_hours.resource_id,
        attributions.accelerator,
        attributions.workload,
        attributions.evidence,
        attributions.idle_reason,
        attributions.team,
        gpu_hours.gpu_hours
    from ledger.gpu_hours
    left join computed.attributions using (source, billing_period, key_id)
    -- Cores, memory and disks have no hours of their own: hours are the accelerators'.
    where gpu_hours.gpu_hours is not null
),

stacked as (
    select * from hours
    union all by name
    select
        source,
        billing_period,
        key_id,
        usage_period,
        usage_date,
        provider_name,
        resource_id,
        accelerator,
        workload,
        evidence,
        idle_reason,
        team,
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
    accelerator, -- Accelerator of the machine.
    workload, -- What the money was for.
    evidence, -- How we know.
    coalesce(idle_reason, 'unmeasured') as idle_reason, -- Why it did nothing; unmeasured where nobody looked.
    team, -- Resolved by dimensions.team.
    coalesce(sum(gpu_hours), 0)::decimal(38, 12) as gpu_hours, -- Machine-hours × accelerators per machine.
    coalesce(sum(billed_cost), 0)::decimal(38, 12) as billed_cost, -- What the provider asks for.
    coalesce(sum(effective_cost), 0)::decimal(38, 12) as effective_cost, -- Amortized cost after negotiated discounts.
    coalesce(sum(net_cost), 0)::decimal(38, 12) as net_cost -- effective_cost after promotional credits.
from stacked
group by all
