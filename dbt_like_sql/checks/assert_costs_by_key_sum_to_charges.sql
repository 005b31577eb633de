/*
What keys cost in a month, divided among their owners, is all the money and all the lines of their daily rows.
*/
with

sums as (
    select
        source,
        billing_period,
        key_id,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost,
        sum(list_cost) as list_cost,
        sum(charge_count) as charge_count
    from intermediate.int_costs_by_key
    group by all
),

daily as (
    select
        source,
        billing_period,
        key_id,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost,
        sum(list_cost) as list_cost,
        sum(charge_count) as charge_count
    from ledger.charges_daily
    group by all
)

select
    source,
    billing_period,
    key_id,
    sums.billed_cost - daily.billed_cost as billed_difference,
    sums.effective_cost - daily.effective_cost as effective_difference,
    sums.net_cost - daily.net_cost as net_difference,
    sums.list_cost - daily.list_cost as list_difference,
    sums.charge_count - daily.charge_count as lines_difference
from sums
full join daily using (source, billing_period, key_id)
where
    sums.billed_cost is distinct from daily.billed_cost
    or sums.effective_cost is distinct from daily.effective_cost
    or sums.net_cost is distinct from daily.net_cost
    or sums.list_cost is distinct from daily.list_cost
    or sums.charge_count is distinct from daily.charge_count
