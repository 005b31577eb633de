/*
marts.costs_by_team holds all the money of the daily rows and no other, per billing period.
*/
with

mart as (
    select
        billing_period,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost
    from marts.costs_by_team
    where cost_basis = 'billed'
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
)

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
