/*
Used and unused parts of commitments sum to what commitments cost, per month of use.
*/
with

mart as (
    select
        usage_period,
        sum(used_cost + unused_cost) as effective_cost
    from marts.commitment_utilization
    group by all
),

charges as (
    select
        usage_period,
        sum(effective_cost) as effective_cost
    from intermediate.int_costs_by_key
    where commitment_discount_id is not null
    group by all
)

select
    usage_period,
    mart.effective_cost,
    charges.effective_cost as charged_cost
from mart
full join charges using (usage_period)
where mart.effective_cost is distinct from charges.effective_cost
