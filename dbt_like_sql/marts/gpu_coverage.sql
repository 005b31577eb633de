/*
How much of the money of accelerators anybody measured, why not the rest, and what to switch on; and metrics and job
records of machines that no bill has, or that another source describes better.
One row per usage period, subject (billed, metric, job), source, status and, for metrics and jobs, named resource.
*/
with

-- Machines no line of which has two hours in a row: all lines of a day have to be looked at together for these alone.
broken as (
    select
        source,
        billing_period,
        resource_id
    from ledger.gpu_days
    where resource_id is not null
    group by all
    having bool_and(billed_hours & (billed_hours << 1) = 0)
),

days as (
    select
        gpu_days.source,
        gpu_days.billing_period,
        gpu_days.resource_id,
        gpu_days.usage_date,
        bit_or(gpu_days.billed_hours) as billed_hours
    from ledger.gpu_days
    semi join broken using (source, billing_period, resource_id)
    group by all
),

-- Machines without two hours in a row on any day: only theirs are looked at one by one.
sparse as (
    select
        source,
        billing_period,
        resource_id
    from days
    group by all
    having bool_and(billed_hours & (billed_hours << 1) = 0)
),

gaps as (
    select
        gpu_hours.source,
        gpu_hours.billing_period,
        gpu_hours.resource_id,
        sum(gpu_hours.gpu_hours) / max(attributions.accelerator_count) as machine_hours,
        date_diff(
            'hour',
            lag(gpu_hours.usage_hour) over (
                partition by gpu_hours.source, gpu_hours.billing_period, gpu_hours.resource_id
                order by gpu_hours.usage_hour
            ),
            gpu_hours.usage_hour
        ) as gap
    from ledger.gpu_hours
    semi join sparse using (source, billing_period, resource_id)
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    where gpu_hours.gpu_hours is not null
    group by gpu_hours.source, gpu_hours.billing_period, gpu_hours.resource_id, gpu_hours.usage_hour
),

coarse as (
    select
        source,
        billing_period,
        resource_id
    from gaps
    group by all
    having max(machine_hours) > 1.01 and coalesce(min(gap), 999) > 1
),

-- Capacity Blocks whose instances the bill names.
blocks as (
    select distinct
        source,
        capacity_reservation_id as resource_id
    from ledger.gpu_hours
    where capacity_reservation_id != resource_id
),

billed as (
    select
        spent.usage_period,
        'billed' as subject,
        spent.source,
        null::varchar as named_resource,
        case
            when spent.idle_reason is null or spent.idle_reason in ('idle', 'underutilized') then 'measured'
            when spent.idle_reason = 'unallocated' then 'held_by_nobody'
            when spent.idle_reason != 'unmeasured' then 'said_by_the_bill'
            when spent.resource_id is null then 'no_resource_id'
            when attributions.usage_type like '%CapacityBlockFee:%' and blocks.resource_id is null
                then 'no_instances_of_block'
            when coarse.resource_id is not null then 'no_hourly_lines'
            else 'no_metric'
        end as status,
        spent.gpu_hours,
        spent.effective_cost
    from intermediate.int_accelerator_costs as spent
    left join computed.attributions as attributions using (source, billing_period, key_id)
    left join coarse using (source, billing_period, resource_id)
    left join blocks using (source, resource_id)
),

metrics as (
    select
        date_trunc('month', usage_hour)::date as usage_period,
        'metric' as subject,
        source,
        if(counts_as = 'unmatched', coalesce(named_id, named), null) as named_resource,
        if(counts_as = 'unmatched', match, counts_as) as status,
        measured_hours::decimal(38, 12) as gpu_hours
    from ledger.gpu_utilization_hourly
),

jobs as (
    select
        billing_period as usage_period,
        'job' as subject,
        source,
        if(match = 'matched', null, coalesce(named_id, named)) as named_resource,
        match as status,
        (date_diff('second', started_at, ended_at) / 3600.0 * accelerator_count)::decimal(38, 12) as gpu_hours
    from ledger.gpu_jobs
),

sums as (
    select
        usage_period,
        subject,
        source,
        named_resource,
        status,
        sum(gpu_hours)::decimal(38, 12) as gpu_hours,
        sum(effective_cost) as effective_cost
    from (
        select * from billed
        union all by name
        select * from metrics
        union all by name
        select * from jobs
    ) as stacked
    group by all
)

select
    usage_period, -- First day of the month of use.
    subject, -- billed money, or a metric's or job record's hours.
    source, -- Name of the source in the configuration.
    named_resource, -- What no bill has, as the metric or record names it; null elsewhere.
    -- billed: measured, held_by_nobody, said_by_the_bill, no_metric, no_resource_id, no_hourly_lines,
    -- no_instances_of_block;
    -- metric: counted, superseded, not_billed, on_no_bill, ambiguous; job: matched, on_no_bill, ambiguous.
    status, -- How far it is known, or what became of it.
    gpu_hours, -- Accelerator-hours; null for jobs that still run.
    effective_cost::decimal(38, 12) as effective_cost, -- Amortized cost; null for metrics and records.
    (effective_cost::double / nullif(sum(effective_cost) over (partition by usage_period, subject, source), 0)::double)
    ::decimal(38, 12) as share_of_cost, -- Of the source's accelerator cost of the month.
    case status
        when 'no_metric' then 'add GPU metrics of these machines to sources, or correct their names'
        when 'no_resource_id' then 'have the bill exported with resource ids'
        when 'no_hourly_lines' then 'have the bill exported with hourly lines'
        when 'no_instances_of_block'
            then 'have the bill exported with capacity reservation data, so that it names the instances in the block'
        when 'on_no_bill' then 'add the bill of this machine, or correct its name'
        when 'ambiguous' then 'let the metric say its account or the id of the machine'
    end as what_to_do -- What would make more of it known; null where nothing is missing.
from sums
