/*
The daily rows of each source and billing period hold every line and every cent that its load kept, in the bill's own
currency; daily rows without a load, or a load without its daily rows, are wrong too.
*/
with

daily as (
    select
        source,
        billing_period,
        sum(native_billed_cost) as native_billed_cost,
        sum(charge_count) as charge_count
    from ledger.charges_daily
    group by all
)

select
    source,
    billing_period,
    loads.lines_loaded,
    daily.charge_count,
    loads.billed_cost_loaded,
    daily.native_billed_cost
from ledger.loads as loads
full join daily using (source, billing_period)
where
    loads.source is null
    or coalesce(daily.charge_count, 0) is distinct from loads.lines_loaded
    or coalesce(daily.native_billed_cost, 0) is distinct from loads.billed_cost_loaded
