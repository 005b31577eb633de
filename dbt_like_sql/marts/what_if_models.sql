/*
What the tokens of each language model would have cost on another model, or as a batch. Never part of charges:
estimates, divided as double. One row per usage period, provider, model, hosting, workload, cost basis and alternative.
*/
with

settings as (
    select max(amount) filter (where name = 'batch_discount') as batch_discount
    from reference.claim_settings
),

models as (
    select
        * exclude (alternative_cost),
        alternative_provider || ' ' || alternative_model as alternative,
        alternative_cost,
        case
            when alternative_cost is null then 'undetermined: no list price of it on the day, or no rate for dollars'
            else 'the same tokens and prompt cache; list price of ' || listed_by || ' on ' || priced_on || ', '
                || price_source || '; answers may differ'
        end as assumptions
    from intermediate.int_claim_alternatives
),

batches as (
    select
        models.usage_period,
        models.provider_name,
        models.llm_model,
        models.hosting,
        models.workload,
        models.cost_basis,
        'batch' as alternative,
        max(models.actual_cost) as actual_cost,
        (max(models.actual_cost)::double * (1 - max(settings.batch_discount)::double))::decimal(38, 12)
            as alternative_cost,
        'the same model and tokens, all of them a day late; plan.batch_discount '
        || max(settings.batch_discount)::double || '; what runs in batches already counts again' as assumptions
    from models
    cross join settings
    group by all
),

stacked as (
    select * from models
    union all by name
    select * from batches
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service now.
    llm_model, -- Language model used.
    hosting, -- api or managed.
    workload, -- What it was for.
    cost_basis, -- billed, or estimated where no bill covers it.
    alternative, -- batch, or provider and model instead.
    actual_cost, -- What the tokens cost now.
    alternative_cost, -- The same tokens there; null without a price.
    (actual_cost - alternative_cost)::decimal(38, 12) as saved_cost, -- Negative where it would cost more.
    1 - alternative_cost::double / nullif(actual_cost, 0)::double as saved_share, -- A ratio.
    assumptions -- What was assumed.
from stacked
