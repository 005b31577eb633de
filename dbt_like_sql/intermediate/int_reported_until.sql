/*
The last day that every bill still coming in has reached. The last day of an open bill may be half a day, so it does not
count unless it ends its month; a bill a week behind the others has ended. One row per warehouse.
*/
with

lasts as (
    select
        source,
        max(usage_date) as last_date
    from intermediate.int_charges_allocated
    where charge_category = 'Usage'
    group by all
),

finals as (
    select
        source,
        billing_period,
        bool_or(is_final) as is_final
    from ledger.loads
    group by all
),

whole as (
    select
        lasts.source,
        lasts.last_date,
        if(
            coalesce(finals.is_final, false) or lasts.last_date = last_day(lasts.last_date),
            lasts.last_date,
            lasts.last_date - 1
        ) as last_whole_date
    from lasts
    left join finals
        on lasts.source = finals.source
            and date_trunc('month', lasts.last_date) = finals.billing_period
)

select min(last_whole_date)::date as reported_until_date -- Last whole day, UTC.
from whole
where last_date >= (select max(lasts.last_date) from lasts) - 7
having count(*) > 0
