/*
marts.cogs_and_rnd_costs holds all the money and no other, per billing period.
*/
with

mart as (
    select
        billing_period,
        sum(effective_cost) as effective_cost
    from marts.cogs_and_rnd_costs
    group by all
),

charges as (
    select
        billing_period,
        sum(effective_cost) as effective_cost
    from intermediate.int_costs_by_key
    where true
    group by all
)

select
    billing_period,
    mart.effective_cost,
    charges.effective_cost as charged_cost
from mart
full join charges using (billing_period)
where mart.effective_cost is distinct from charges.effective_cost
