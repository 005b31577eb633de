/*
AI storage by how long its bucket, volume or file system has been seen on bills. Bills do not tell how old an object is:
this is the age of the container, and only at least that where it was there when the bills begin.
One row per usage period, provider, service, usage type, age and whether the age is only a least one.
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
    from intermediate.int_charges_allocated
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
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    service_name, -- Product name.
    usage_type, -- Native usage type: it names the storage class.
    age_months, -- Months since first seen; 0 in its first month, null where the bill names no resource.
    is_at_least, -- It was there when the bills begin: it may be older.
    count(distinct resource_id)::bigint as resource_count, -- Buckets, volumes, file systems.
    sum(effective_cost)::decimal(38, 12) as effective_cost -- Amortized cost after negotiated discounts.
from aged
group by all
