/*
AI cost this month against last month, by workload, team and language model: the largest changes first.
*/
with

costs as (
    select
        'workload' as dimension,
        workload as item,
        usage_period,
        effective_cost
    from marts.costs_by_workload
    where workload not in ('shared', 'not_ai')
    union all
    select
        'team' as dimension,
        coalesce(team, 'no team named') as item,
        usage_period,
        effective_cost
    from marts.costs_by_team
    where workload not in ('shared', 'not_ai')
    union all
    select
        'model' as dimension,
        llm_model as item,
        usage_period,
        effective_cost
    from marts.llm_model_costs
),

months as (
    select
        dimension,
        item,
        coalesce(sum(effective_cost) filter (usage_period = date '2026-09-01' - interval 1 month), 0)
        ::decimal(38, 12) as last_month_cost,
        coalesce(sum(effective_cost) filter (usage_period = date '2026-09-01'), 0)::decimal(38, 12) as this_month_cost
    from costs
    -- Without a month before there is nothing to compare.
    where (
        select count(*)
        from marts.costs_by_workload as earlier
        where earlier.usage_period = date '2026-09-01' - interval 1 month
    ) > 0
    group by all
)

select
    dimension,
    item,
    last_month_cost,
    this_month_cost,
    (this_month_cost - last_month_cost)::decimal(38, 12) as change_cost,
    ((this_month_cost - last_month_cost)::double / nullif(last_month_cost, 0))::decimal(38, 12) as change_share
from months
where last_month_cost != 0 or this_month_cost != 0
order by dimension = 'workload' desc, dimension asc, abs(change_cost) desc, item asc
