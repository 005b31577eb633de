/*
Money of training and fine-tuning runs and of checkpoints, and which attempt of its resource it belongs to: a resource
that rests for more than two days begins another. One row per daily row of a bill, or part of one.
*/
with

charges as (
    select *
    from intermediate.int_charges_allocated
    where
        workload in ('training', 'fine_tuning')
        or (
            workload = 'storage'
            and regexp_matches(lower(coalesce(resource_name, resource_id, '')), 'checkpoint|ckpt')
        )
),

days as (
    select distinct
        source,
        workload,
        resource_id,
        usage_date
    from charges
    where resource_id is not null
),

-- Resources that never rested for more than two days have one attempt: nearly all, and no day of theirs need be sorted.
rested as (
    select
        source,
        workload,
        resource_id
    from days
    group by all
    having max(usage_date) - min(usage_date) > count(*) + 1
),

begun as (
    select
        days.*,
        coalesce(
            days.usage_date - lag(days.usage_date) over (
                partition by days.source, days.workload, days.resource_id order by days.usage_date
            ) > 3,
            true
        ) as is_begin
    from days
    semi join rested using (source, workload, resource_id)
    where days.workload != 'storage'
),

attempts as (
    select
        * exclude (is_begin),
        sum(is_begin::integer) over (partition by source, workload, resource_id order by usage_date)::integer
            as attempt_number
    from begun
)

select
    charges.source, -- Name of the source in the configuration.
    charges.billing_period, -- First day of the invoice month.
    charges.daily_id, -- Row of ledger.charges_daily.
    charges.part, -- Part of it.
    charges.key_id, -- Key in computed.attributions.
    charges.method, -- How the row was divided; direct where it is whole.
    charges.usage_date, -- Day of use, UTC.
    charges.provider_name, -- Who provides the service.
    charges.service_name, -- Product name.
    charges.workload, -- training, fine_tuning, or storage for checkpoints.
    charges.evidence, -- How we know.
    charges.resource_id, -- Resource of the bill; null where it names none.
    charges.resource_name, -- Name a person chose where the id carries one.
    if(charges.resource_id is null, null, coalesce(attempts.attempt_number, 1))
        as attempt_number, -- 1, 2, … for the same resource; null where the bill names none.
    charges.team, -- Resolved by dimensions.team.
    charges.llm_model, -- Language model.
    charges.accelerator, -- Accelerator of the machine.
    charges.outcome, -- How the jobs that held it ended; null where no record says.
    charges.effective_cost -- Amortized cost after negotiated discounts.
from charges
left join attempts using (source, workload, resource_id, usage_date)
