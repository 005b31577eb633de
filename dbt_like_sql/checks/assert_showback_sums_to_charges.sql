/*
What teams are shown sums to what they and nobody cost, per billing period, and each pool gives exactly what teams get
of it. That the costs themselves are the bill is another check's to say.
*/
with

months as (
    select
        billing_period,
        sum(showback_billed_cost - billed_cost) as billed_difference,
        sum(showback_effective_cost - effective_cost) as effective_difference,
        sum(showback_net_cost - net_cost) as net_difference
    from marts.costs_by_team
    group by all
    having
        sum(showback_billed_cost) != sum(billed_cost)
        or sum(showback_effective_cost) != sum(effective_cost)
        or sum(showback_net_cost) != sum(net_cost)
),

pools as (
    select
        billing_period,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost
    from computed.shared_costs
    group by
        source,
        billing_period,
        usage_period,
        workload,
        pool
    having sum(billed_cost) != 0 or sum(effective_cost) != 0 or sum(net_cost) != 0
),

wrong as (
    select * from months
    union all
    select * from pools
)

select
    billing_period,
    billed_difference,
    effective_difference,
    net_difference
from wrong
