/*
How much of the money of accelerators anybody measured, why not the rest, and what to switch on; and metrics and job
records of machines that no bill has, or that another source describes better.
One row per usage period, subject (billed, metric, job), source, status and, for metrics and jobs, named resource.
*/
with

gaps as (
    select
        gpu_hours.source,
        gpu_hours.billing_period,
        gpu_hours.resource_id,
        gpu_hours.usage_hour,
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
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    where gpu_hours.gpu_hours is not null and gpu_hours.resource_id is not null
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

billed as (
    select
        costs.usage_period,
        'billed' as subject,
        costs.source,
        null::varchar as resource,
        case
            when costs.idle_reason is null or costs.idle_reason in ('idle', 'underutilized') then 'measured'
            when costs.idle_reason = 'unallocated' then 'held_by_nobody'
            when costs.idle_reason != 'unmeasured' then 'said_by_the_bill'
            when costs.resource_id is null then 'no_resource_id'
            when coarse.resource_id is not null then 'no_hourly_lines'
            else 'no_metric'
        end as status,
        costs.gpu_hours::double as gpu_hours,
        costs.effective_cost
    from intermediate.int_accelerator_costs as costs
    left join coarse using (source, billing_period, resource_id)
),

metrics as (
    select
        date_trunc('month', usage_hour)::date as usage_period,
        'metric' as subject,
        source,
        if(counts_as = 'unmatched', coalesce(named_id, named), null) as resource,
        if(counts_as = 'unmatched', match, counts_as) as status,
        measured_hours as gpu_hours
    from ledger.gpu_utilization_hourly
),

jobs as (
    select
        billing_period as usage_period,
        'job' as subject,
        source,
        if(match = 'matched', null, coalesce(named_id, named)) as resource,
        match as status,
        date_diff('second', started_at, ended_at) / 3600.0 * accelerator_count as gpu_hours
    from ledger.gpu_jobs
),

sums as (
    select
        usage_period,
        subject,
        source,
        resource,
        status,
        sum(gpu_hours) as gpu_hours,
        sum(effective_cost) as effective_cost
    from (
        select * from billed
        union all by name
        select * from metrics
        union all by name
        select * from jobs
    )
    group by all
)

select
    usage_period, -- First day of the month of use.
    subject, -- billed money, or a metric's or job record's hours.
    source, -- Name of the source in the configuration.
    resource, -- What no bill has, as the metric or record names it; null elsewhere.
    -- billed: measured, held_by_nobody, said_by_the_bill, no_metric, no_resource_id, no_hourly_lines;
    -- metric: counted, superseded, not_billed, on_no_bill, ambiguous; job: matched, on_no_bill, ambiguous.
    status, -- How far it is known, or what became of it.
    gpu_hours, -- Accelerator-hours; null for jobs that still run.
    effective_cost::decimal(38, 12) as effective_cost, -- Amortized cost; null for metrics and records: they add no money.
    (effective_cost::double / nullif(sum(effective_cost) over (partition by usage_period, subject, source), 0)::double)
    ::decimal(38, 12) as share_of_cost, -- Of the source's accelerator cost of the month.
    case status
        when 'no_metric' then 'add GPU metrics of these machines to sources, or correct their names'
        when 'no_resource_id' then 'have the bill exported with resource ids'
        when 'no_hourly_lines' then 'have the bill exported with hourly lines'
        when 'on_no_bill' then 'add the bill of this machine, or correct its name'
        when 'ambiguous' then 'let the metric say its account or the id of the machine'
    end as what_to_do -- What would make more of it known; null where nothing is missing.
from sums
