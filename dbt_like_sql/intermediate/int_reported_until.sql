/*
The last day that every bill still coming in has reached. The last day of an open bill may be half a day, so it does not
count unless it ends its month. A bill a week behind the others has ended. A bill whose months have one day each counts
by the month: a month is reported when it is final, and asked for only where no bill counts by the day.
One row per warehouse.
*/
with

months as (
    select
        source,
        attributions.usage_period,
        max(daily.usage_date) as last_date,
        count(distinct daily.usage_date) as day_count
    from ledger.charges_daily as daily
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    where attributions.charge_category = 'Usage'
    group by all
),

lasts as (
    select
        source,
        max(last_date) as last_date,
        max(day_count) = 1 as is_monthly
    from months
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
        lasts.is_monthly,
        case
            when lasts.is_monthly and finals.is_final then last_day(lasts.last_date)
            when lasts.is_monthly then lasts.last_date - 1
            when finals.is_final or lasts.last_date = last_day(lasts.last_date) then lasts.last_date
            else lasts.last_date - 1
        end as last_whole_date
    from lasts
    left join finals
        on lasts.source = finals.source
            and date_trunc('month', lasts.last_date) = finals.billing_period
),

asked as (
    select
        last_date,
        last_whole_date
    from whole
    qualify is_monthly = bool_and(is_monthly) over ()
),

newest as (
    select
        last_whole_date,
        last_date >= max(last_date) over () - 7 as is_coming_in
    from asked
)

select min(last_whole_date)::date as reported_until_date -- Last whole day, UTC.
from newest
where is_coming_in
having count(*) > 0
