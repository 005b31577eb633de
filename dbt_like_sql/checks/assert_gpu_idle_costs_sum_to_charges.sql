/*
marts.gpu_idle_costs holds all the money of charges with an accelerator and all accelerator-hours, once, per month of
use.
*/
with

mart as (
    select
        usage_period,
        sum(effective_cost) as effective_cost,
        sum(gpu_hours) as gpu_hours
    from marts.gpu_idle_costs
    group by all
),

charges as (
    select
        usage_period,
        sum(effective_cost) as effective_cost
    from intermediate.int_costs_by_key
    where accelerator is not null
    group by all
),

hours as (
    select
        attributions.usage_period,
        sum(gpu_days.gpu_hours) as gpu_hours
    from ledger.gpu_days
    left join computed.attributions as attributions using (source, billing_period, key_id)
    group by all
)

select
    usage_period,
    mart.effective_cost,
    charges.effective_cost as charged_cost,
    mart.gpu_hours,
    hours.gpu_hours as charged_hours
from mart
full join charges using (usage_period)
full join hours using (usage_period)
where
    coalesce(mart.effective_cost, 0) != coalesce(charges.effective_cost, 0)
    or coalesce(mart.gpu_hours, 0) != coalesce(hours.gpu_hours, 0)
