/*
From what accelerator capacity cost to what of it was busy. Each dollar is in one step, tried in this order: what the
bill itself says did nothing (unused_commitment, unused_reservation, warm_pool), unallocated (no job asked for it),
unused_throughput, then by metrics idle, underutilized and busy; unmeasured is what nobody measured. The steps of a
month sum to its capacity cost. busy is measured, not what is left over. Provisioned throughput counts no
accelerator-hours. One row per usage period, provider, kind of capacity and step.
*/
with

capacity as (
    select
        usage_period,
        provider_name,
        'machines' as capacity,
        coalesce(idle_reason, 'busy') as step,
        gpu_hours,
        effective_cost
    from intermediate.int_accelerator_costs
    union all by name
    select
        usage_period,
        provider_name,
        'provisioned_throughput' as capacity,
        idle_reason as step,
        effective_cost
    from intermediate.int_provisioned_throughput
),

steps as (
    select
        usage_period,
        provider_name,
        capacity,
        step,
        coalesce(sum(gpu_hours), 0)::decimal(38, 12) as gpu_hours,
        sum(effective_cost)::decimal(38, 12) as effective_cost
    from capacity
    group by all
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    capacity, -- machines with accelerators, or provisioned_throughput.
    list_position(
        [
            'unused_commitment', 'unused_reservation', 'unallocated', 'warm_pool', 'unused_throughput', 'idle',
            'underutilized', 'unmeasured', 'busy'
        ],
        step
    ) as step_number, -- Place of the step in the waterfall, 1 first.
    step, -- Why it did nothing, unmeasured, or busy.
    gpu_hours, -- Accelerator-hours; 0 for fees and throughput.
    effective_cost, -- Amortized cost after negotiated discounts.
    -- A share to look at, never to add: divided as double, rounded to 12 decimals.
    (effective_cost::double / nullif(sum(effective_cost) over (partition by usage_period, provider_name), 0)::double)
    ::decimal(38, 12) as share_of_capacity -- effective_cost ÷ the provider's capacity cost of the month.
from steps
