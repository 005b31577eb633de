/*
The parts that metrics and job records make of a daily row sum to it in all four costs, to the last digit, and no step
of a row has the other sign than the row.
*/
with

parts as (
    select
        source,
        billing_period,
        daily_id,
        min(part) as first_part,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost,
        sum(list_cost) as list_cost
    from computed.gpu_allocations
    group by all
)

select
    source,
    billing_period,
    daily_id,
    parts.first_part,
    parts.billed_cost - daily.billed_cost as billed_difference,
    parts.effective_cost - daily.effective_cost as effective_difference,
    parts.net_cost - daily.net_cost as net_difference,
    parts.list_cost - daily.list_cost as list_difference
from parts
left join ledger.charges_daily as daily using (source, billing_period, daily_id)
where
    daily.source is null
    or parts.first_part != 1
    or parts.billed_cost is distinct from daily.billed_cost
    or parts.effective_cost is distinct from daily.effective_cost
    or parts.net_cost is distinct from daily.net_cost
    or parts.list_cost is distinct from daily.list_cost
