/*
This month's AI cost by team and workload, the largest team first; cost that belongs to everybody (`shared`) is not
spread over teams.
*/
with

costs as (
    select
        team,
        workload,
        sum(effective_cost)::decimal(38, 12) as effective_cost
    from marts.costs_by_team
    where usage_period = date '2026-09-01' and workload not in ('shared', 'not_ai')
    group by all
)

select
    team,
    workload,
    effective_cost,
    sum(effective_cost) over (partition by team)::decimal(38, 12) as team_cost
from costs
order by team_cost desc, team asc, effective_cost desc, workload asc
