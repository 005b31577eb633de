/*
marts.gpu_hour_rates holds the money of machines with accelerators and their hours, credits and tax apart.
*/
with

mart as (
    select
        usage_period,
        sum(effective_cost) as effective_cost,
        sum(gpu_hours) as gpu_hours
    from marts.gpu_hour_rates
    group by all
),

charges as (
    select
        usage_period,
        sum(effective_cost) as effective_cost
    from intermediate.int_costs_by_key
    where accelerator is not null and coalesce(charge_category, '') not in ('Credit', 'Tax')
    group by all
),

hours as (
    select
        accelerator_costs.usage_period,
        sum(accelerator_costs.gpu_hours) as gpu_hours
    from intermediate.int_accelerator_costs as accelerator_costs
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    where coalesce(attributions.charge_category, '') not in ('Credit', 'Tax')
    group by all
)

select
    usage_period,
    mart.effective_cost,
    charges.effective_cost as charged_cost,
    mart.gpu_hours,
    hours.gpu_hours as counted_hours
from mart
full join charges using (usage_period)
left join hours using (usage_period)
where
    coalesce(mart.effective_cost, 0) != coalesce(charges.effective_cost, 0)
    or coalesce(mart.gpu_hours, 0) != coalesce(hours.gpu_hours, 0)
