/*
What a unit of each language model costs whom: a request, and a million tokens of each bucket, by team and feature; how
much of the input came from prompt caches and what that saved, how much ran in batches and what batching the rest would
save. Money is the bill's, divided by usage where usage divides it; tokens and requests are usage's, else the bill's own
count. Savings are at the rate card's prices. Where logs hold less than 98 % or more than 102 % of the tokens that the
bill counts for a provider and model in the month, prices per unit are null: money of all would meet tokens of some.
One row per usage period, provider, model, hosting, team, feature and cost basis.
*/
with

money as (
    select
        usage_period,
        provider_name,
        llm_model,
        hosting,
        team,
        feature,
        cost_basis,
        effective_cost,
        if(is_divided or hosting = 'self_hosted', effective_cost, null) as request_cost,
        if(is_for_tokens or hosting = 'self_hosted', effective_cost, null) as token_cost,
        if(token_bucket = 'uncached_input', effective_cost, null) as uncached_input_cost,
        if(token_bucket = 'cache_read', effective_cost, null) as cache_read_cost,
        if(starts_with(token_bucket, 'cache_write'), effective_cost, null) as cache_write_cost,
        if(token_bucket = 'output', effective_cost, null) as output_cost,
        if(is_divided, null, if(token_bucket = 'uncached_input', billed_tokens, null)) as uncached_input_tokens,
        if(is_divided, null, if(token_bucket = 'cache_read', billed_tokens, null)) as cache_read_tokens,
        if(is_divided, null, if(starts_with(token_bucket, 'cache_write'), billed_tokens, null)) as cache_write_tokens,
        if(is_divided, null, if(token_bucket = 'output', billed_tokens, null)) as output_tokens
    from intermediate.int_model_charges
    where cost_basis = 'billed' and llm_model is not null
),

usage as (
    select
        used.usage_period,
        used.provider_name,
        used.llm_model,
        used.hosting,
        used.team,
        used.feature,
        used.cost_basis,
        used.requests,
        used.requests is not null as counts_requests,
        used.uncached_input_tokens,
        used.cache_read_tokens,
        used.cache_write_tokens,
        used.output_tokens,
        used.uncached_input_tokens + used.cache_read_tokens + used.cache_write_tokens + used.output_tokens
            as used_tokens,
        if(used.is_batch, used_tokens, 0) as batch_tokens,
        used.caching_saved,
        used.batching_would_save,
        if(used.cost_basis = 'estimated', daily.priced_cost, null) as effective_cost,
        if(used.cost_basis = 'estimated', daily.priced_cost, null) as request_cost,
        if(used.cost_basis = 'estimated', daily.priced_cost, null) as token_cost,
        if(used.cost_basis = 'estimated', daily.uncached_input_cost, null) as uncached_input_cost,
        if(used.cost_basis = 'estimated', daily.cache_read_cost, null) as cache_read_cost,
        if(used.cost_basis = 'estimated', daily.cache_write_cost, null) as cache_write_cost,
        if(used.cost_basis = 'estimated', daily.output_cost, null) as output_cost
    from intermediate.int_model_usage as used
    inner join ledger.token_usage_daily as daily on used.usage_id = daily.usage_id
),

seen as (
    select
        usage_period,
        provider_name,
        llm_model,
        hosting,
        sum(tokens)::double / nullif(sum(billed_tokens), 0)::double as seen_share
    from (
        select
            usage_period,
            provider_name,
            llm_model,
            hosting,
            billed_tokens,
            null as tokens
        from intermediate.int_model_charges
        where is_divided
        union all
        select
            usage_period,
            provider_name,
            llm_model,
            hosting,
            null as billed_tokens,
            uncached_input_tokens + cache_read_tokens + cache_write_tokens + output_tokens as tokens
        from intermediate.int_model_usage
        where bill_counts
    ) as both_sides
    group by all
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
        team,
        feature,
        cost_basis,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        sum(request_cost)::double as request_cost,
        sum(token_cost)::double as token_cost,
        sum(requests)::bigint as requests,
        coalesce(bool_and(counts_requests), false) as counts_requests,
        sum(uncached_input_cost)::decimal(38, 12) as uncached_input_cost,
        sum(cache_read_cost)::decimal(38, 12) as cache_read_cost,
        sum(cache_write_cost)::decimal(38, 12) as cache_write_cost,
        sum(output_cost)::decimal(38, 12) as output_cost,
        round(sum(uncached_input_tokens))::bigint as uncached_input_tokens,
        round(sum(cache_read_tokens))::bigint as cache_read_tokens,
        round(sum(cache_write_tokens))::bigint as cache_write_tokens,
        round(sum(output_tokens))::bigint as output_tokens,
        sum(used_tokens)::double as used_tokens,
        sum(batch_tokens)::double as batch_tokens,
        sum(caching_saved)::decimal(38, 12) as caching_saved,
        sum(batching_would_save)::decimal(38, 12) as batching_would_save
    from stacked
    group by all
),

counted as (
    select
        totals.*,
        seen.seen_share,
        coalesce(seen.seen_share, 1) between 0.98 and 1.02 as has_all,
        coalesce(totals.uncached_input_tokens, 0) + coalesce(totals.cache_read_tokens, 0)
        + coalesce(totals.cache_write_tokens, 0) as input_tokens
    from totals
    left join seen
        on totals.usage_period = seen.usage_period
            and totals.provider_name = seen.provider_name
            and totals.llm_model = seen.llm_model
            and totals.hosting = seen.hosting
            and totals.cost_basis = 'billed'
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service; of a fleet, whose machines they are.
    llm_model, -- Language model.
    hosting, -- api, managed or self_hosted.
    team, -- Team as the bill's tags or the log say; null where neither does.
    feature, -- Feature tag where a log has one.
    effective_cost, -- Cost of the team's and feature's share, reporting currency; null where nobody can tell.
    requests, -- Requests; null where no usage counts them.
    uncached_input_tokens, -- Input tokens at full price.
    cache_read_tokens, -- Input tokens read from a prompt cache.
    cache_write_tokens, -- Input tokens written to a prompt cache.
    output_tokens, -- Output tokens, reasoning included.
    uncached_input_cost, -- Cost of the lines about it; null where no line is about this bucket alone.
    cache_read_cost, -- Likewise.
    cache_write_cost, -- Likewise.
    output_cost, -- Likewise.
    -- Ratios to look at, never to add: divided as double.
    if(has_all and counts_requests, request_cost / nullif(requests, 0), null)
        as cost_per_request, -- Cost of what requests divide ÷ requests.
    if(has_all, token_cost * 1e6 / nullif(input_tokens + coalesce(output_tokens, 0), 0), null)
        as cost_per_million_tokens, -- Cost of what is for tokens ÷ all tokens.
    if(has_all, uncached_input_cost::double * 1e6 / nullif(uncached_input_tokens, 0), null)
        as cost_per_million_uncached_input_tokens, -- Cost ÷ tokens of the bucket.
    if(has_all, cache_read_cost::double * 1e6 / nullif(cache_read_tokens, 0), null)
        as cost_per_million_cache_read_tokens, -- Likewise.
    if(has_all, cache_write_cost::double * 1e6 / nullif(cache_write_tokens, 0), null)
        as cost_per_million_cache_write_tokens, -- Likewise.
    if(has_all, output_cost::double * 1e6 / nullif(output_tokens, 0), null)
        as cost_per_million_output_tokens, -- Likewise.
    coalesce(cache_read_tokens, 0)::double / nullif(input_tokens, 0)
        as cache_hit_share, -- Input tokens read from a prompt cache ÷ all input tokens.
    caching_saved, -- At the rate card's prices; negative where writing cost more than reading saved; null if unpriced.
    batch_tokens / nullif(used_tokens, 0) as batch_share, -- Tokens that ran in batches ÷ tokens; null without usage.
    batching_would_save, -- Cost now less cost as a batch of what has a price for that; null where nothing has.
    seen_share, -- Tokens in usage ÷ tokens the bill counts on the lines it divides; null where the bill counts none.
    cost_basis -- billed, estimated, unpriced or undetermined, as in llm_model_costs.
from counted
