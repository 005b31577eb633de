/*
Usage of tokens that counts, with what it met: a bill that it divides, none (its cost is estimated, or it has no price),
or the machines of a fleet. Usage that a bill covers and no line is about is no part of any line's cost: it stands in
marts.token_reconciliation.
One row per row of daily usage.
*/
with

met as (
    select
        usage_id,
        min_by(source, (daily_id, token_bucket)) as bill_source,
        min_by(billing_period, (daily_id, token_bucket)) as billing_period,
        min(daily_id) as daily_id,
        coalesce(sum(amount) filter (token_bucket = 'uncached_input'), 0)::bigint as uncached_input_tokens,
        coalesce(sum(amount) filter (token_bucket = 'cache_read'), 0)::bigint as cache_read_tokens,
        coalesce(sum(amount) filter (token_bucket = 'cache_write'), 0)::bigint as cache_write_tokens,
        coalesce(sum(amount) filter (token_bucket = 'output'), 0)::bigint as output_tokens
    from computed.billed_usage
    where bill_match = 'divided'
    group by usage_id
),

partly as (
    select distinct usage_id
    from computed.billed_usage
    where bill_match <> 'divided'
),

billed as (
    select
        daily.usage_id,
        charges.usage_period,
        charges.provider_name,
        coalesce(daily.llm_model, charges.llm_model) as llm_model,
        if(charges.invoice_issuer_name in ('OpenAI', 'Anthropic', 'OpenRouter'), 'api', 'managed') as hosting,
        coalesce(daily.workload, charges.workload) as workload,
        coalesce(daily.team, charges.team) as team,
        charges.tokens_per_unit is not null as bill_counts,
        if(partly.usage_id is null, daily.requests, null) as requests,
        partly.usage_id is null as is_whole,
        met.uncached_input_tokens,
        met.cache_read_tokens,
        met.cache_write_tokens,
        met.output_tokens,
        'billed' as cost_basis
    from met
    inner join ledger.token_usage_daily as daily on met.usage_id = daily.usage_id
    inner join ledger.charges_daily as charged
        on met.bill_source = charged.source
            and met.billing_period = charged.billing_period
            and met.daily_id = charged.daily_id
    inner join computed.attributions as charges
        on charged.source = charges.source
            and charged.billing_period = charges.billing_period
            and charged.key_id = charges.key_id
    left join partly on daily.usage_id = partly.usage_id
),

unbilled as (
    select
        usage_id,
        date_trunc('month', usage_date)::date as usage_period,
        provider_name,
        llm_model,
        if(provider_name in ('OpenAI', 'Anthropic', 'OpenRouter'), 'api', 'managed') as hosting,
        coalesce(workload, 'inference') as workload,
        team,
        requests,
        uncached_input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens + cache_write_1h_tokens as cache_write_tokens,
        output_tokens,
        if(price_status = 'priced', 'estimated', 'unpriced') as cost_basis
    from ledger.token_usage_daily
    where counts_as = 'estimated' and price_status in ('priced', 'unpriced')
),

machines as (
    select
        usage_period,
        fleet,
        min(llm_model) as llm_model,
        min(provider_name) as provider_name,
        if(count(distinct team) = 1, min(team), null) as team
    from intermediate.int_model_charges
    where fleet is not null
    group by all
),

served as (
    select
        answered.usage_id,
        answered.usage_period,
        coalesce(machines.provider_name, 'Self-hosted') as provider_name,
        answered.llm_model,
        'self_hosted' as hosting,
        'inference' as workload,
        coalesce(answered.team, machines.team) as team,
        answered.fleet,
        answered.requests,
        answered.uncached_input_tokens,
        answered.cache_read_tokens,
        answered.cache_write_tokens,
        answered.output_tokens,
        if(machines.llm_model is null, 'undetermined', 'billed') as cost_basis
    from intermediate.int_serving_usage as answered
    left join machines on answered.usage_period = machines.usage_period and answered.fleet = machines.fleet
),

stacked as (
    select * from billed
    union all by name
    select * from unbilled
    union all by name
    select * from served
)

select
    stacked.usage_id, -- Row of ledger.token_usage_daily.
    stacked.usage_period, -- First day of the month of use.
    daily.usage_date, -- Day of use, UTC.
    stacked.provider_name, -- Who bills it: of a fleet, whose machines they are.
    stacked.llm_model, -- Language model.
    stacked.hosting, -- api, managed or self_hosted.
    stacked.fleet, -- Fleet of one's own machines.
    stacked.workload, -- What the money was for.
    stacked.team, -- Team as the log says, else the line's.
    daily.feature, -- Feature tag where the log has one.
    daily.is_batch, -- Ran as a batch.
    coalesce(stacked.bill_counts, false) as bill_counts, -- The bill counts these tokens itself.
    coalesce(stacked.is_whole, true) as is_whole, -- All its tokens were met: the bill has a line for each kind.
    stacked.requests, -- Requests; null where not counted, or where the bill has only some of their tokens.
    stacked.uncached_input_tokens, -- Input tokens at full price.
    stacked.cache_read_tokens, -- Input tokens read from a prompt cache.
    stacked.cache_write_tokens, -- Input tokens written to a prompt cache.
    stacked.output_tokens, -- Output tokens, reasoning included.
    daily.caching_saved, -- Cost without a prompt cache less cost with it, at the rate card's prices.
    daily.batching_would_save, -- Cost now less cost as a batch, likewise; null where that has no price.
    -- undetermined: no machines found for a fleet, or it serves several models
    stacked.cost_basis -- billed, estimated, unpriced (no bill and no price) or undetermined.
from stacked
inner join ledger.token_usage_daily as daily on stacked.usage_id = daily.usage_id
where daily.unit is null
