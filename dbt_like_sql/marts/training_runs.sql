/*
What each training and fine-tuning run cost, as far as bills name them, and what its checkpoints cost to keep. run_kind:
job (the bill names a training or tuning job), machine (a machine that trained; several jobs may share it), unnamed
(the bill names nothing), checkpoints (storage whose name says so). A resource that rests for more than two days begins
another attempt: a job name seen again is a repeat or a retry. Bills do not say how a run ended; job records do.
One row per source, workload, resource and attempt; without a resource, per source, workload, service and model.
*/
with

charges as (
    select * from intermediate.int_training_charges
),

attempts as (
    select distinct
        source,
        workload,
        resource_id,
        usage_date,
        attempt_number
    from charges
    where resource_id is not null
),

hours as (
    select
        source,
        workload,
        resource_id,
        usage_date,
        sum(gpu_hours) as gpu_hours
    from intermediate.int_accelerator_costs
    where workload in ('training', 'fine_tuning') and resource_id is not null
    group by all
),

used as (
    select
        attempts.source,
        attempts.workload,
        attempts.resource_id,
        attempts.attempt_number,
        sum(hours.gpu_hours)::decimal(38, 12) as gpu_hours
    from attempts
    inner join hours using (source, workload, resource_id, usage_date)
    group by all
),

runs as (
    select
        charges.source,
        charges.provider_name,
        charges.workload,
        charges.resource_id,
        charges.attempt_number,
        if(charges.resource_id is null, charges.service_name, null) as service_name,
        if(charges.resource_id is null, charges.llm_model, null) as unnamed_model,
        max(charges.resource_name) as resource_name,
        if(count(distinct charges.evidence) = 1, max(charges.evidence), null) as evidence,
        if(count(distinct charges.team) = 1, max(charges.team), null) as team,
        if(count(distinct charges.llm_model) = 1, max(charges.llm_model), null) as llm_model,
        if(count(distinct charges.accelerator) = 1, max(charges.accelerator), null) as accelerator,
        min(charges.usage_date) as started_on,
        max(charges.usage_date) as ended_on,
        count(distinct charges.usage_date)::integer as day_count,
        sum(charges.effective_cost)::decimal(38, 12) as effective_cost,
        sum(charges.effective_cost) filter (where charges.outcome in ('failed', 'preempted'))::decimal(38, 12)
            as lost_cost,
        if(count(distinct charges.outcome) > 1, 'mixed', max(charges.outcome)) as outcome
    from charges
    group by all
)

select
    runs.source, -- Name of the source in the configuration.
    runs.provider_name, -- Who provides the service.
    runs.workload, -- training, fine_tuning, or storage for checkpoints.
    case
        when runs.workload = 'storage' then 'checkpoints'
        when runs.resource_id is null then 'unnamed'
        when regexp_matches(lower(runs.resource_id), 'job|tuning|pipeline|customization') then 'job'
        else 'machine'
    end as run_kind, -- job, machine, unnamed or checkpoints.
    runs.resource_id as run_id, -- Resource of the bill; null where it names none.
    if(runs.resource_id is null, runs.service_name, runs.resource_name)
        as run_name, -- Name a person chose; of unnamed runs, the service.
    runs.attempt_number, -- 1, 2, … for the same resource after more than two days of rest; null for unnamed runs.
    runs.attempt_number > 1 as is_repeat, -- The same name ran before.
    runs.evidence, -- How we know its workload; null where its lines differ.
    runs.team, -- Resolved by dimensions.team; null where none or several.
    runs.llm_model, -- Language model trained or tuned, where the bill names one.
    runs.accelerator, -- Accelerator of the machine; null where none or several.
    runs.started_on, -- First day billed.
    runs.ended_on, -- Last day billed.
    runs.day_count, -- Days billed.
    used.gpu_hours, -- Accelerator-hours; null where the bill counts none.
    runs.effective_cost, -- Amortized cost after negotiated discounts.
    runs.lost_cost, -- What of it went to jobs that failed or were preempted; null where no record says so.
    runs.outcome -- completed, failed, preempted, cancelled, running or mixed, by job records; null where none says.
from runs
left join used using (source, workload, resource_id, attempt_number)
