/*
What each language model costs, as far as the bill names models and counts their tokens. Bills count tokens in fractions
of thousands or millions, so token columns are rounded to whole tokens once, here; those of a divided row stay with its
first part.
One row per usage period, provider, model, hosting and workload.
*/
with

charges as (
    select
        *,
        case
            when accelerator is not null then 'self_hosted'
            when invoice_issuer_name in ('OpenAI', 'Anthropic', 'OpenRouter') then 'api'
            else 'managed' -- Bedrock, Vertex AI, Marketplace editions: a cloud bills another company's model
        end as hosting,
        consumed_quantity * tokens_per_unit as tokens
    from intermediate.int_charges_allocated
    where llm_model is not null
),

totals as (
    select
        usage_period,
        provider_name,
        llm_model,
        hosting,
        workload,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        sum(effective_cost) filter (where token_bucket is not null)::decimal(38, 12) as token_cost,
        round(sum(tokens) filter (where token_bucket = 'uncached_input'))::bigint as uncached_input_tokens,
        round(sum(tokens) filter (where token_bucket = 'cache_read'))::bigint as cache_read_tokens,
        round(sum(tokens) filter (where token_bucket like 'cache_write%'))::bigint as cache_write_tokens,
        round(sum(tokens) filter (where token_bucket = 'output'))::bigint as output_tokens,
        sum(tokens) filter (where token_bucket is not null) as tokens
    from charges
    group by all
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    llm_model, -- Language model the bill names.
    hosting, -- api (its maker's own), managed (a cloud sells it) or self_hosted (on accelerators one pays for).
    workload, -- What the money was for.
    effective_cost, -- Amortized cost after negotiated discounts, of tokens and of everything else the model cost.
    null::bigint as requests, -- Requests answered; null from a bill alone.
    uncached_input_tokens, -- Input tokens at full price; null where the bill counts none.
    cache_read_tokens, -- Input tokens read from a prompt cache; null where the bill counts none.
    cache_write_tokens, -- Input tokens written to a prompt cache; null where the bill counts none.
    output_tokens, -- Output tokens; null where the bill counts none.
    -- A ratio to look at, never to add: divided as double, rounded to 12 decimals.
    (token_cost::double * 1e6 / nullif(tokens, 0))::decimal(38, 12)
        as cost_per_million_tokens, -- Cost of the lines that count tokens ÷ their tokens; null where none do.
    null::decimal(38, 12) as cost_per_request, -- Null from a bill alone.
    'billed' as cost_basis -- billed: from a bill.
from totals
