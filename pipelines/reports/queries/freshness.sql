/*
How far each source reaches: its months, its last day of use in this invoice month, and when that was loaded.
*/
with days as (
    select
        source,
        billing_period,
        max(usage_date) as last_day
    from ledger.charges_daily
    where billing_period = date '2026-09-01'
    group by all
)

select
    loads.source,
    min(loads.billing_period) as first_month,
    max(loads.billing_period) as last_month,
    max(days.last_day) as last_day_of_use,
    max(loads.loaded_at) filter (loads.billing_period = date '2026-09-01') as loaded_at
from marts.reconciliation as loads
left join days using (source, billing_period)
where loads.billing_period <= date '2026-09-01'
group by loads.source
order by loads.source
