/*
AI storage by how long its bucket, volume or file system has been seen on bills. Bills do not tell how old an object is:
this is the age of the container, and only at least that where it was there when the bills begin.
One row per usage period, provider, service, usage type, age and whether the age is only a least one.
*/
select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    service_name, -- Product name.
    usage_type, -- Native usage type: it names the storage class.
    age_months, -- Months since first seen; 0 in its first month, null where the bill names no resource.
    is_at_least, -- It was there when the bills begin: it may be older.
    count(distinct resource_id)::bigint as resource_count, -- Buckets, volumes, file systems.
    sum(effective_cost)::decimal(38, 12) as effective_cost -- Amortized cost after negotiated discounts.
from intermediate.int_storage_aged
group by all
