/*
What to stop: machines, endpoints and reservations with accelerators that cost money and did nothing, by the bill's own
word, by job records or by metrics. Underutilized machines are in right_sizing. One row per usage period, source and
resource.
*/
with

-- Nothing else is looked at day by day.
idle as (
    select distinct
        source,
        resource_id
    from intermediate.int_accelerator_costs
    where resource_id is not null and idle_reason in ('idle', 'unallocated', 'unused_reservation', 'warm_pool')
),

costs as (
    select accelerator_costs.*
    from intermediate.int_accelerator_costs as accelerator_costs
    semi join idle using (source, resource_id)
),

days as (
    select
        usage_period,
        source,
        provider_name,
        resource_id,
        usage_date,
        accelerator,
        sum(gpu_hours) as gpu_hours,
        sum(effective_cost) as effective_cost,
        coalesce(sum(effective_cost) filter (
            where idle_reason in ('idle', 'unallocated', 'unused_reservation', 'warm_pool')
        ), 0) as idle_cost,
        coalesce(sum(effective_cost) filter (
            where idle_reason is null or idle_reason = 'underutilized'
        ), 0) as used_cost
    from costs
    group by all
),

owners as (
    select
        usage_period,
        source,
        resource_id,
        arg_max(team, effective_cost) as team,
        arg_max(workload, effective_cost) as workload,
        arg_max(region_id, effective_cost) as region_id
    from costs
    group by all
),

reasons as (
    select
        usage_period,
        source,
        resource_id,
        arg_max(idle_reason, idle_cost) as idle_reason
    from (
        select
            usage_period,
            source,
            resource_id,
            idle_reason,
            sum(effective_cost) as idle_cost
        from costs
        where idle_reason in ('idle', 'unallocated', 'unused_reservation', 'warm_pool')
        group by all
    ) as summed
    group by all
),

used as (
    select
        source,
        resource_id,
        max(usage_date) filter (where used_cost > 0) as last_used,
        max(usage_date) as last_day,
        min(usage_date) filter (where idle_cost > 0) as first_idle
    from days
    group by all
),

resources as (
    select
        usage_period,
        source,
        provider_name,
        resource_id,
        any_value(accelerator) as accelerator,
        sum(gpu_hours) as gpu_hours,
        sum(effective_cost) as effective_cost,
        sum(idle_cost) as idle_cost,
        max(usage_date) as last_seen
    from days
    group by usage_period, source, provider_name, resource_id
)

select
    resources.usage_period, -- First day of the month of use.
    resources.source, -- Name of the bill's source in the configuration.
    resources.provider_name, -- Who provides it.
    resources.resource_id, -- Machine, endpoint or reservation.
    owners.region_id, -- Region code.
    resources.accelerator, -- Its accelerator.
    owners.team, -- Who owns most of its money; null where nobody says.
    owners.workload, -- What most of its money was for.
    reasons.idle_reason, -- Why most of it did nothing.
    case reasons.idle_reason
        when 'unused_reservation' then 'release the reservation, or run something in it'
        when 'warm_pool' then 'shorten how long the pool is kept'
        when 'unallocated' then 'let the cluster scale the node down, or pack jobs'
        else 'stop it, or stop it while nobody uses it'
    end as what_to_do, -- What would stop the cost.
    case
        when used.last_used is null then used.first_idle
        when used.last_used < used.last_day then used.last_used + 1
    end::date as idle_since, -- Since when nothing used it at all; null where it was still used on its last day.
    resources.last_seen, -- Last day on a bill.
    case reasons.idle_reason
        when 'unallocated' then 'job records or the bill''s division of the node'
        when 'idle' then 'metrics'
        else 'the bill'
    end as evidence, -- Who says so.
    resources.gpu_hours::decimal(38, 12) as gpu_hours, -- Accelerator-hours billed in the month.
    resources.idle_cost::decimal(38, 12) as idle_cost, -- What of its cost did nothing: dollars a month.
    resources.effective_cost::decimal(38, 12) as effective_cost -- Its cost of the month.
from resources
inner join reasons using (usage_period, source, resource_id)
inner join owners using (usage_period, source, resource_id)
inner join used using (source, resource_id)
where resources.idle_cost > 0
