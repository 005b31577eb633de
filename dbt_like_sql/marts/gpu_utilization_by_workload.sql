/*
How busy accelerators were for what they were for, as far as metrics say: the check of "training runs near 100 %,
inference at 10 to 30 %". Idle hours count as 0 busy, so idling below the limit makes the fraction a little low.
One row per usage period, provider, accelerator and workload.
*/
with

hours as (
    select
        usage_period,
        provider_name,
        accelerator,
        workload,
        coalesce(sum(gpu_hours) filter (where idle_reason is null), 0) as busy_hours,
        coalesce(sum(gpu_hours) filter (where idle_reason = 'underutilized'), 0) as underutilized_hours,
        coalesce(sum(gpu_hours) filter (where idle_reason = 'idle'), 0) as idle_hours,
        coalesce(sum(gpu_hours) filter (where idle_reason = 'unallocated'), 0) as unallocated_hours,
        coalesce(sum(gpu_hours) filter (where idle_reason = 'unmeasured'), 0) as unmeasured_hours,
        coalesce(sum(gpu_hours) filter (where outcome in ('failed', 'preempted')), 0) as lost_hours,
        sum(gpu_hours) as gpu_hours,
        sum(effective_cost) as effective_cost
    from intermediate.int_accelerator_costs
    group by all
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    accelerator, -- Accelerator of the machines.
    workload, -- What they were for.
    gpu_hours::decimal(38, 12) as gpu_hours, -- Accelerator-hours billed.
    (busy_hours + underutilized_hours + idle_hours)::decimal(38, 12) as measured_hours, -- Those that metrics speak of.
    busy_hours::decimal(38, 12) as busy_hours, -- Measured hours × busy fraction.
    underutilized_hours::decimal(38, 12) as underutilized_hours, -- Measured hours in use × (1 − busy fraction).
    idle_hours::decimal(38, 12) as idle_hours, -- Measured hours below the limit of idle.
    unallocated_hours::decimal(38, 12) as unallocated_hours, -- Hours that no job asked for.
    unmeasured_hours::decimal(38, 12) as unmeasured_hours, -- Hours that nobody measured.
    lost_hours::decimal(38, 12) as lost_hours, -- Hours held by jobs that failed or were preempted.
    (busy_hours::double / nullif(busy_hours + underutilized_hours + idle_hours, 0)::double)::decimal(38, 12)
        as busy_fraction, -- busy_hours ÷ measured_hours; null where nobody measured.
    effective_cost::decimal(38, 12) as effective_cost -- Amortized cost after negotiated discounts.
from hours
