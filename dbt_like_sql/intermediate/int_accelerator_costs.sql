/*
Money and hours of machines with accelerators, whole: computed.allocations gives cores, memory and disks that a bill
counts apart the accelerator of their machine. Money comes from the allocated daily rows and hours from ledger.gpu_days;
the two are stacked and summed, never joined, so neither is counted twice. Where metrics or job records divide a row,
computed.gpu_allocations has its hours too; else they stay with their key's own workload, also where the money of the
day is divided. One row per source, billing period, key, day, resource, region, workload, evidence, model, idle reason,
team and outcome.
*/
with

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

owners as (
    select
        source,
        billing_period,
        key_id,
        usage_period,
        provider_name,
        accelerator,
        workload,
        evidence,
        llm_model,
        coalesce(idle_reason, 'unmeasured') as idle_reason,
        team,
        null::varchar as outcome
    from computed.attributions
),

parts as (
    select
        parts.source,
        parts.billing_period,
        parts.key_id,
        parts.usage_date,
        parts.resource_id,
        parts.region_id,
        parts.accelerator,
        parts.workload,
        parts.evidence,
        parts.llm_model,
        if(parts.is_busy, null, coalesce(parts.idle_reason, 'unmeasured')) as idle_reason,
        parts.team,
        parts.outcome,
        null::decimal(38, 12) as gpu_hours,
        parts.effective_cost
    from intermediate.int_charge_parts as parts
    where parts.accelerator is not null
    union all by name
    select
        parts.source,
        parts.billing_period,
        daily.key_id,
        daily.usage_date,
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
    where parts.gpu_hours is not null
),

owned as (
    select
        parts.*,
        owners.key_id is not null as is_own
    from parts
    left join owners
        on parts.source = owners.source
            and parts.billing_period = owners.billing_period
            and parts.key_id = owners.key_id
            and parts.accelerator is not distinct from owners.accelerator
            and parts.workload is not distinct from owners.workload
            and parts.evidence is not distinct from owners.evidence
            and parts.llm_model is not distinct from owners.llm_model
            and parts.idle_reason is not distinct from owners.idle_reason
            and parts.team is not distinct from owners.team
            and parts.outcome is not distinct from owners.outcome
),

-- What belongs to its key's own owner is summed by key: by all that tells owners apart it takes twice as long.
own as (
    select
        source,
        billing_period,
        key_id,
        usage_date,
        resource_id,
        region_id,
        effective_cost
    from intermediate.int_charges_allocated
    where accelerator is not null and method = 'direct'
    union all by name
    select
        machine_days.source,
        machine_days.billing_period,
        machine_days.key_id,
        machine_days.usage_date,
        machine_days.resource_id,
        machine_days.region_id,
        machine_days.gpu_hours
    from ledger.gpu_days as machine_days
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
    union all by name
    select
        source,
        billing_period,
        key_id,
        usage_date,
        resource_id,
        region_id,
        gpu_hours,
        effective_cost
    from owned
    where is_own
),

own_sums as (
    select
        source,
        billing_period,
        key_id,
        usage_date,
        resource_id,
        region_id,
        sum(gpu_hours) as gpu_hours,
        sum(effective_cost) as effective_cost
    from own
    group by all
),

other_sums as (
    select
        * exclude (gpu_hours, effective_cost, is_own),
        sum(gpu_hours) as gpu_hours,
        sum(effective_cost) as effective_cost
    from owned
    where not is_own
    group by all
),

sums as (
    select
        own_sums.*,
        owners.* exclude (source, billing_period, key_id) -- noqa: RF02
    from own_sums
    left join owners using (source, billing_period, key_id)
    union all by name
    select
        other_sums.*,
        owners.usage_period,
        owners.provider_name
    from other_sums
    left join owners using (source, billing_period, key_id)
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
    coalesce(gpu_hours, 0)::decimal(38, 12) as gpu_hours, -- Machine-hours × accelerators per machine.
    coalesce(effective_cost, 0)::decimal(38, 12) as effective_cost -- Amortized cost after negotiated discounts.
from sums
