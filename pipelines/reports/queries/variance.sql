/*
Why AI cost changed since last month, part by part: other prices, more or less of everything, other proportions, what is
new and what is gone. The parts sum to the change.
*/
with

parts as (
    select *
    from marts.cost_variance
    where usage_period = date '2026-09-01' and workload not in ('shared', 'not_ai')
)

select
    workload,
    sum(previous_cost)::decimal(38, 12) as last_month_cost,
    sum(price_cost)::decimal(38, 12) as price_cost,
    sum(volume_cost)::decimal(38, 12) as volume_cost,
    sum(mix_cost)::decimal(38, 12) as mix_cost,
    sum(new_cost)::decimal(38, 12) as new_cost,
    sum(gone_cost)::decimal(38, 12) as gone_cost,
    sum(unexplained_cost)::decimal(38, 12) as unexplained_cost,
    sum(current_cost)::decimal(38, 12) as this_month_cost
from parts
group by all
order by abs(sum(change_cost)) desc, workload asc
