/*
marts.costs_by_workload holds all the money and all the lines of the daily rows and no others, per billing period.
*/
with

mart as (
    select
        billing_period,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost,
        sum(list_cost) as list_cost,
        sum(charge_count) as charge_count
    from marts.costs_by_workload
    where cost_basis = 'billed'
    group by all
),

daily as (
    select
        billing_period,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost,
        sum(list_cost) as list_cost,
        sum(charge_count) as charge_count
    from ledger.charges_daily
    group by all
)

select
    billing_period,
    mart.billed_cost - daily.billed_cost as billed_difference,
    mart.effective_cost - daily.effective_cost as effective_difference,
    mart.net_cost - daily.net_cost as net_difference,
    mart.list_cost - daily.list_cost as list_difference,
    mart.charge_count - daily.charge_count as lines_difference
from mart
full join daily using (billing_period)
where
    mart.billed_cost is distinct from daily.billed_cost
    or mart.effective_cost is distinct from daily.effective_cost
    or mart.net_cost is distinct from daily.net_cost
    or mart.list_cost is distinct from daily.list_cost
    or mart.charge_count is distinct from daily.charge_count
