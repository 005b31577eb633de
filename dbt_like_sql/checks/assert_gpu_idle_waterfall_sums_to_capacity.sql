/*
The steps of a month's waterfall sum to what its accelerator capacity cost.
*/
with

steps as (
    select
        usage_period,
        sum(effective_cost) as effective_cost
    from marts.gpu_idle_waterfall
    group by all
),

capacity as (
    select
        usage_period,
        sum(effective_cost) as effective_cost
    from (
        select
            usage_period,
            effective_cost
        from intermediate.int_costs_by_key
        where accelerator is not null
        union all
        select
            usage_period,
            effective_cost
        from intermediate.int_provisioned_throughput
    ) as both_kinds
    group by all
)

select
    usage_period,
    steps.effective_cost,
    capacity.effective_cost as capacity_cost
from steps
full join capacity using (usage_period)
where steps.effective_cost is distinct from capacity.effective_cost
