/*
The days of ledger.gpu_days hold all accelerator-hours of ledger.gpu_hours and no others, per billing period.
*/
with

hours as (
    select
        source,
        billing_period,
        sum(gpu_hours) as gpu_hours
    from ledger.gpu_hours
    group by all
),

days as (
    select
        source,
        billing_period,
        sum(gpu_hours) as gpu_hours
    from ledger.gpu_days
    group by all
)

select
    source,
    billing_period,
    days.gpu_hours,
    hours.gpu_hours as hours_of_lines
from hours
full join days using (source, billing_period)
where days.gpu_hours is distinct from hours.gpu_hours
