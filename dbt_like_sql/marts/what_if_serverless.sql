/*
How busy machines that serve must be before they are cheaper than serverless GPUs, which cost a multiple of the hourly
rate (`plan.serverless_multiple`) but nothing while idle. Operations (`claims.operations_cost`) are divided over
accelerators by their cost. Never part of charges. One row per usage period, provider and accelerator that serves.
*/
with

settings as (
    select
        max(amount) filter (where name = 'serverless_multiple')::double as multiple,
        max(amount) filter (where name = 'operations_cost')::double as operations
    from reference.claim_settings
),

costs as (
    select
        usage_period,
        provider_name,
        accelerator,
        sum(gpu_hours)::decimal(38, 12) as gpu_hours,
        sum(effective_cost)::decimal(38, 12) as effective_cost
    from intermediate.int_accelerator_costs
    where workload = 'inference'
    group by all
    having sum(effective_cost) > 0 and sum(gpu_hours) > 0
),

shared as (
    select
        costs.*,
        settings.multiple,
        (
            settings.operations * costs.effective_cost::double
            / sum(costs.effective_cost) over (partition by costs.usage_period)::double
        )::decimal(38, 12) as operations_cost
    from costs
    cross join settings
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the machines.
    accelerator, -- Accelerator.
    gpu_hours, -- Accelerator-hours that served.
    effective_cost as actual_cost, -- What they cost.
    operations_cost, -- Its part of operating machines of one's own.
    (effective_cost::double * multiple)::decimal(38, 12)
        as alternative_cost, -- Serverless, had every one of these hours been busy.
    -- Ratios to look at.
    1 / multiple as break_even_busy_share, -- Below this busy share of the hours, serverless is cheaper; machines alone.
    (effective_cost + operations_cost)::double / (effective_cost::double * multiple)
        as break_even_busy_share_with_operations, -- The same with operations; above 1 serverless is always cheaper.
    'plan.serverless_multiple ' || multiple || ' of your own hour, nothing while idle; no cold starts; the same '
    || 'throughput per hour' as assumptions -- What was assumed.
from shared
