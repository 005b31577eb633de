/*
What usage costs by day, without credits and tax: what budgets, forecasts and anomalies look at. API usage that no bill
covers yet counts at its estimated price.
One row per day, provider, workload, team and language model.
*/
with

everything as (
    select * from intermediate.int_charges_allocated
    union all by name
    select * from intermediate.int_estimated_charges
),

charges as (
    select * from everything
    where coalesce(charge_category, '') not in ('Credit', 'Tax')
)

select
    usage_period, -- First day of the month of use.
    usage_date, -- Day of use, UTC.
    provider_name, -- Who provides the service.
    workload, -- What the money was for.
    coalesce(workload not in ('not_ai', 'shared'), false) as is_ai, -- AI money, also where its purpose is unknown.
    team, -- Resolved by dimensions.team.
    llm_model, -- Language model.
    sum(effective_cost)::decimal(38, 12) as effective_cost -- Amortized cost after negotiated discounts.
from charges
group by all
