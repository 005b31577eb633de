/*
The six effects sum to each item's change, and the items to the change of all charges between two months of use.
*/
with

mart as (
    select
        usage_period,
        sum(change_cost) as change_cost,
        sum(current_cost) as current_cost,
        sum(price_cost + volume_cost + mix_cost + new_cost + gone_cost + unexplained_cost) as explained_cost,
        count(*) filter (
            where change_cost != price_cost + volume_cost + mix_cost + new_cost + gone_cost + unexplained_cost
        ) as wrong_items
    from marts.cost_variance
    group by all
),

months as (
    select
        usage_period,
        sum(effective_cost) as effective_cost
    from intermediate.int_costs_by_key
    group by all
)

select
    mart.usage_period,
    mart.change_cost,
    mart.explained_cost,
    months.effective_cost - befores.effective_cost as charged_change,
    mart.wrong_items
from mart
left join months using (usage_period)
left join months as befores on mart.usage_period - interval 1 month = befores.usage_period
where
    mart.wrong_items > 0
    or mart.change_cost is distinct from mart.explained_cost
    or mart.change_cost is distinct from months.effective_cost - befores.effective_cost
