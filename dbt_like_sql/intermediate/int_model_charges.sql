/*
Money of language models: bill lines that name one, or that usage of tokens or of one's own fleets gives one; and what
usage that no bill covers is estimated to cost. One row per daily row of a bill, or part of one, and per estimated row.
*/
with

billed as (
    select
        charges.*,
        fleets.fleet,
        coalesce(fleets.llm_model, charges.llm_model) as served_model,
        case
            when charges.accelerator is not null then 'self_hosted'
            when charges.invoice_issuer_name in ('OpenAI', 'Anthropic', 'OpenRouter') then 'api'
            else 'managed' -- Bedrock, Vertex AI, Marketplace editions: a cloud bills another company's model
        end as hosting
    from intermediate.int_charges_allocated as charges
    left join intermediate.int_serving_machines as fleets
        on charges.source = fleets.source
            and charges.billing_period = fleets.billing_period
            and charges.key_id = fleets.key_id
            and charges.resource_id is not distinct from fleets.resource_id
            and charges.accelerator is not null
            and charges.workload = 'inference'
),

estimated as (
    select
        charges.*,
        daily.unit is null as is_for_tokens
    from intermediate.int_estimated_charges as charges
    inner join ledger.token_usage_daily as daily using (usage_id)
),

stacked as (
    select
        * replace (served_model as llm_model),
        method = 'priced_usage_of_the_cell' as is_divided,
        token_bucket is not null or tokens_per_unit is not null or coalesce(tokens, 0) > 0 as is_for_tokens,
        consumed_quantity * tokens_per_unit as billed_tokens
    from billed
    where served_model is not null or fleet is not null
    union all by name
    select
        *,
        if(provider_name in ('OpenAI', 'Anthropic', 'OpenRouter'), 'api', 'managed') as hosting,
        false as is_divided
    from estimated
)

select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    daily_id, -- Row of ledger.charges_daily; null where there is no bill.
    part, -- Part of it.
    key_id, -- Key in computed.attributions.
    usage_id, -- Row of ledger.token_usage_daily, where its usage is estimated.
    method, -- How the row was divided; direct where it is whole.
    usage_period, -- First day of the month of use.
    usage_date, -- Day of use, UTC.
    provider_name, -- Who provides the service.
    llm_model, -- Language model; null where a fleet serves several.
    hosting, -- api (its maker's own), managed (a cloud sells it) or self_hosted (on accelerators one pays for).
    fleet, -- Fleet that serves it, where usage of tokens names the machines' fleet.
    workload, -- What the money was for.
    team, -- Resolved by dimensions.team, else as the log says.
    feature, -- Feature tag where a log has one.
    token_bucket, -- Bucket of tokens the line is about; null where it says none.
    is_divided, -- Divided by usage of tokens.
    is_for_tokens, -- The money bought tokens, not hours of throughput or images.
    billed_tokens, -- Tokens the bill counts, on the first part of a line; null where it counts none.
    billed_cost, -- What the provider asks for.
    effective_cost, -- Amortized cost after negotiated discounts, or the rate card's price where there is no bill.
    cost_basis -- billed or estimated.
from stacked
