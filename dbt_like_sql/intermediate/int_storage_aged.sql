/*
AI storage and how long its bucket, volume or file system has been seen on bills. One row per daily row of a bill, or
part of one.
*/
with

storage as (
    select * from intermediate.int_charges_allocated
    where workload = 'storage'
),

begins as (
    select
        source,
        min(usage_period) as first_period
    from intermediate.int_costs_by_key
    group by all
),

firsts as (
    select
        source,
        resource_id,
        min(usage_period) as first_period
    from storage
    where resource_id is not null
    group by all
),

aged as (
    select
        storage.*,
        datediff('month', firsts.first_period, storage.usage_period)::integer as age_months,
        firsts.first_period = begins.first_period as is_at_least
    from storage
    left join firsts using (source, resource_id)
    left join begins using (source)
)

select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    daily_id, -- Row of ledger.charges_daily.
    part, -- Part of it.
    key_id, -- Key in computed.attributions.
    method, -- How the row was divided; direct where it is whole.
    usage_period, -- First day of the month of use.
    usage_date, -- Day of use, UTC.
    provider_name, -- Who provides the service.
    service_name, -- Product name.
    usage_type, -- Native usage type: it names the storage class.
    resource_id, -- Bucket, volume or file system; null where the bill names none.
    age_months, -- Months since first seen; 0 in its first month, null where the bill names no resource.
    is_at_least, -- It was there when the bills begin: it may be older.
    effective_cost -- Amortized cost after negotiated discounts.
from aged
