/*
What teams are shown sums to the bill per billing period, and each pool gives exactly what teams get of it.
*/
with

mart as (
    select
        billing_period,
        sum(showback_billed_cost) as billed_cost,
        sum(showback_effective_cost) as effective_cost,
        sum(showback_net_cost) as net_cost
    from marts.costs_by_team
    group by all
),

daily as (
    select
        billing_period,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost
    from ledger.charges_daily
    group by all
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
    select
        billing_period,
        mart.billed_cost - daily.billed_cost as billed_difference,
        mart.effective_cost - daily.effective_cost as effective_difference,
        mart.net_cost - daily.net_cost as net_difference
    from mart
    full join daily using (billing_period)
    where
        mart.billed_cost is distinct from daily.billed_cost
        or mart.effective_cost is distinct from daily.effective_cost
        or mart.net_cost is distinct from daily.net_cost
    union all
    select * from pools
)

select
    billing_period,
    billed_difference,
    effective_difference,
    net_difference
from wrong
