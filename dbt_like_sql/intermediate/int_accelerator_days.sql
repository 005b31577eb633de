/*
Hours of accelerators by day. Cores, memory and disks have no hours of their own: hours are the accelerators'. One row
per source, billing period, key, day, resource, region and commitment.
*/
select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    key_id, -- Key in computed.attributions.
    usage_hour::date as usage_date, -- Day of use, UTC.
    resource_id, -- Machine, endpoint or job; null where the bill has no resource ids.
    region_id, -- Region code.
    commitment_discount_id, -- Savings Plan or reservation.
    bit_or(1 << hour(usage_hour))::integer as billed_hours, -- Hours with a line: bit 0 is the first of the day.
    sum(gpu_hours)::decimal(38, 12) as gpu_hours -- Machine-hours × accelerators per machine.
from ledger.gpu_hours
where gpu_hours is not null
group by all
