/*
marts.storage_by_age holds all the money of AI storage and no other, per month of use.
*/
with

mart as (
    select
        usage_period,
        sum(effective_cost) as effective_cost
    from marts.storage_by_age
    group by all
),

charges as (
    select
        usage_period,
        sum(effective_cost) as effective_cost
    from intermediate.int_costs_by_key
    where workload = 'storage'
    group by all
)

select
    usage_period,
    mart.effective_cost,
    charges.effective_cost as charged_cost
from mart
full join charges using (usage_period)
where mart.effective_cost is distinct from charges.effective_cost
