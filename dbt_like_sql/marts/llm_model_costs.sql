/*
What each language model costs: by API, as a cloud's managed model, or on one's own machines. Tokens are the bill's own
count where it counts them (bills count in fractions of thousands or millions, so they are rounded to whole tokens once,
here), else those of the usage that divides it; requests are always usage's. What has no bill is estimated at the rate
card's price; what has no price either is listed with its tokens and no cost, and so are the tokens of a fleet whose
machines no bill names (their cost stands under whatever model the bill itself gives, if any).
One row per usage period, provider, model, hosting, workload and cost basis.
*/
with

money as (
    select
        usage_period,
        provider_name,
        llm_model,
        hosting,
        workload,
        cost_basis,
        effective_cost,
        if(is_for_tokens or hosting = 'self_hosted', effective_cost, null) as token_cost,
        if(is_divided or cost_basis = 'estimated' or hosting = 'self_hosted', effective_cost, null) as request_cost,
        if(token_bucket = 'uncached_input', billed_tokens, null) as uncached_input_tokens,
        if(token_bucket = 'cache_read', billed_tokens, null) as cache_read_tokens,
        if(starts_with(token_bucket, 'cache_write'), billed_tokens, null) as cache_write_tokens,
        if(token_bucket = 'output', billed_tokens, null) as output_tokens,
        if(is_divided, billed_tokens, null) as divided_tokens
    from intermediate.int_model_charges
    where llm_model is not null
),

usage as (
    select
        usage_period,
        provider_name,
        llm_model,
        hosting,
        workload,
        cost_basis,
        requests,
        requests is not null as counts_requests,
        if(bill_counts, null, uncached_input_tokens) as uncached_input_tokens,
        if(bill_counts, null, cache_read_tokens) as cache_read_tokens,
        if(bill_counts, null, cache_write_tokens) as cache_write_tokens,
        if(bill_counts, null, output_tokens) as output_tokens,
        if(
            bill_counts, uncached_input_tokens + cache_read_tokens + cache_write_tokens + output_tokens, null
        ) as seen_tokens
    from intermediate.int_model_usage
),

stacked as (
    select * from money
    union all by name
    select * from usage
),

totals as (
    select
        usage_period,
        provider_name,
        llm_model,
        hosting,
        workload,
        cost_basis,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        sum(token_cost)::decimal(38, 12) as token_cost,
        sum(request_cost)::decimal(38, 12) as request_cost,
        sum(requests)::bigint as requests,
        coalesce(bool_and(counts_requests), false) as counts_requests,
        round(sum(uncached_input_tokens))::bigint as uncached_input_tokens,
        round(sum(cache_read_tokens))::bigint as cache_read_tokens,
        round(sum(cache_write_tokens))::bigint as cache_write_tokens,
        round(sum(output_tokens))::bigint as output_tokens,
        sum(divided_tokens)::double as divided_tokens,
        sum(seen_tokens)::double as seen_tokens
    from stacked
    group by all
),

counted as (
    select
        *,
        coalesce(uncached_input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)
        + coalesce(output_tokens, 0) as tokens,
        -- Where logs hold only a part of the tokens on the bill, they hold only a part of its requests.
        counts_requests and coalesce(seen_tokens / nullif(divided_tokens, 0), 1) between 0.98 and 1.02 as has_all
    from totals
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service; of a fleet, whose machines they are.
    llm_model, -- Language model that the bill, the usage or a fleet's metrics name.
    hosting, -- api (its maker's own), managed (a cloud sells it) or self_hosted (on accelerators one pays for).
    workload, -- What the money was for.
    effective_cost, -- Cost of tokens and of everything else the model cost; null where nobody can tell, never 0.
    requests, -- Requests of the usage that divides the bill, is estimated or met machines; null from a bill alone.
    uncached_input_tokens, -- Input tokens at full price; null where nobody counts them.
    cache_read_tokens, -- Input tokens read from a prompt cache; null where nobody counts them.
    cache_write_tokens, -- Input tokens written to a prompt cache; null where nobody counts them.
    output_tokens, -- Output tokens, reasoning included; null where nobody counts them.
    -- Ratios to look at, never to add: divided as double, rounded to 12 decimals.
    (token_cost::double * 1e6 / nullif(tokens, 0))::decimal(38, 12)
        as cost_per_million_tokens, -- Cost of what is for tokens ÷ all tokens; null where nobody counts them.
    if(has_all, request_cost::double / nullif(requests, 0), null)::decimal(38, 12)
        as cost_per_request, -- Cost of what requests divide ÷ requests; null where logs lack 2 % of the bill's tokens.
    cost_basis -- billed; estimated: no bill; unpriced: no bill, no price; undetermined: no machines found for a fleet.
from counted
