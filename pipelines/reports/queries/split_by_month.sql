/*
Effective cost by month of use and workload, this month and the eleven before it. Shares are of AI cost, which leaves
out `shared` (tax, support, credits) and `not_ai`.
*/
with

costs as (
    select
        usage_period,
        workload,
        sum(effective_cost)::decimal(38, 12) as effective_cost
    from marts.costs_by_workload
    where usage_period <= date '2026-09-01' and usage_period > date '2026-09-01' - interval 12 month
    group by all
)

select
    usage_period,
    workload,
    effective_cost,
    case when workload not in ('shared', 'not_ai') then
            (effective_cost::double / nullif(
                sum(effective_cost) filter (workload not in ('shared', 'not_ai')) over (partition by usage_period), 0
            ))::decimal(38, 12)
    end as share_of_ai
from costs
order by usage_period asc, effective_cost desc
