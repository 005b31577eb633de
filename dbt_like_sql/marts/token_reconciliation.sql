/*
What the bill asks for tokens beside what usage of the same day costs at the rate card's price, on the days that a bill
covers: how far they agree, the size of what either side lacks, and the likely cause. Lines about models that count no
tokens (throughput bought by the hour, images) are among what usage cannot explain.
One row per day of use, provider and model.
*/
with

shares as (
    select
        source,
        billing_period,
        daily_id,
        llm_model,
        sum(effective_cost) as effective_cost
    from computed.token_allocations
    group by all
),

lines as (
    select
        daily.usage_date,
        known.provider_name,
        coalesce(shares.llm_model, known.llm_model) as llm_model,
        shares.effective_cost as divided_cost,
        -- A line that names no model is divided over several: its own count stands with the first.
        if(
            row_number() over (
                partition by shares.source, shares.billing_period, shares.daily_id order by shares.llm_model
            ) = 1,
            daily.consumed_quantity * known.tokens_per_unit,
            null
        ) as billed_tokens
    from shares
    inner join ledger.charges_daily as daily
        on shares.source = daily.source
            and shares.billing_period = daily.billing_period
            and shares.daily_id = daily.daily_id
    inner join computed.attributions as known
        on daily.source = known.source and daily.billing_period = known.billing_period and daily.key_id = known.key_id
),

unexplained as (
    select
        whole.usage_date,
        known.provider_name,
        known.llm_model,
        whole.effective_cost as unexplained_cost,
        whole.reason,
        daily.consumed_quantity * known.tokens_per_unit as billed_tokens
    from computed.unexplained_charges as whole
    inner join ledger.charges_daily as daily
        on whole.source = daily.source
            and whole.billing_period = daily.billing_period
            and whole.daily_id = daily.daily_id
    inner join computed.attributions as known
        on daily.source = known.source and daily.billing_period = known.billing_period and daily.key_id = known.key_id
),

usage as (
    select
        daily.usage_date,
        coalesce(known.provider_name, daily.provider_name) as provider_name,
        coalesce(daily.llm_model, known.llm_model) as llm_model,
        used.priced_cost,
        if(used.bill_match = 'divided', used.priced_cost, null) as divided_priced_cost,
        if(used.bill_match = 'unbilled', used.priced_cost, null) as unbilled_cost,
        if(used.unit is null and used.token_bucket <> 'request', used.amount, null) as used_tokens,
        if(used.priced_cost is null and used.unit is null, used.amount, null) as unpriced_tokens
    from computed.billed_usage as used
    inner join ledger.token_usage_daily as daily on used.usage_id = daily.usage_id
    left join ledger.charges_daily as charged
        on used.source = charged.source
            and used.billing_period = charged.billing_period
            and used.daily_id = charged.daily_id
    left join computed.attributions as known
        on charged.source = known.source
            and charged.billing_period = known.billing_period
            and charged.key_id = known.key_id
),

stacked as (
    select * from lines
    union all by name
    select * from unexplained
    union all by name
    select * from usage
),

totals as (
    select
        usage_date,
        provider_name,
        llm_model,
        (coalesce(sum(divided_cost), 0) + coalesce(sum(unexplained_cost), 0))::decimal(38, 12) as billed,
        coalesce(sum(divided_cost), 0)::decimal(38, 12) as divided_cost,
        coalesce(sum(unexplained_cost), 0)::decimal(38, 12) as unexplained_cost,
        sum(priced_cost)::decimal(38, 12) as priced_cost,
        coalesce(sum(unbilled_cost), 0)::decimal(38, 12) as unbilled_cost,
        coalesce(sum(unpriced_tokens), 0)::bigint as unpriced_tokens,
        round(sum(billed_tokens))::bigint as billed_tokens,
        sum(used_tokens)::bigint as used_tokens,
        max_by(reason, abs(unexplained_cost)) as unexplained_reason
    from stacked
    group by all
),

judged as (
    select
        *,
        billed::double / nullif(priced_cost, 0)::double as ratio,
        used_tokens::double / nullif(billed_tokens, 0)::double as seen_share
    from totals
)

select
    usage_date, -- Day of use, UTC.
    provider_name, -- Who provides the service.
    llm_model, -- Language model; null where neither side names one.
    billed as effective_cost, -- What the bill's lines about the model cost after negotiated discounts.
    divided_cost, -- The part that usage divides.
    unexplained_cost, -- The part that usage cannot explain.
    unexplained_reason, -- Why not, of the largest such line; null where all is explained.
    priced_cost, -- What usage costs at the rate card's price; null where there is none or it has no price.
    unbilled_cost, -- The part of priced_cost that no line of the bill is about.
    unpriced_tokens, -- Tokens of usage that have no price.
    billed_tokens, -- Tokens the bill counts; null where it counts none.
    used_tokens, -- Tokens in usage; null where there is no usage.
    (billed - priced_cost)::decimal(38, 12) as difference, -- Billed less priced; null where nothing is priced.
    ratio, -- Billed ÷ priced, a double to look at; null where nothing is priced.
    case
        when used_tokens is null and priced_cost is null then 'no usage beside the bill: missing logs'
        when billed = 0 then 'usage that the bill does not show'
        when unpriced_tokens > 0 then 'usage without a price'
        when seen_share < 0.98 then 'missing logs'
        when seen_share > 1.02 then 'usage that the bill does not show'
        when ratio between 0.995 and 1.005 then 'they agree'
        when ratio between 0.48 and 0.52 then 'wrong tier: billed as batch or flex'
        when ratio between 1.9 and 2.1 then 'wrong tier: billed as standard, logged as batch or flex'
        when ratio < 0.995 then 'negotiated discount'
        when seen_share is null then 'missing logs, or a dearer tier'
        else 'wrong tier: billed at a dearer one'
    end as likely_cause -- What most likely parts them, judged by tokens first and then by the ratio.
from judged
