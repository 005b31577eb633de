/*
Answers to claims about requests, tokens and their list prices. One row per metric and month of use with an answer.
*/
with

models as (
    select * from marts.llm_model_costs
),

ranked as (
    select
        usage_period as period,
        cost_per_request::double as price,
        requests,
        effective_cost,
        sum(requests) over (
            partition by usage_period order by cost_per_request, llm_model, provider_name, hosting, workload, cost_basis
        )::double / sum(requests) over (partition by usage_period)::double as request_share
    from models
    where requests > 0 and cost_per_request > 0
),

-- Of ten requests, the cheapest and the dearest are left out: one trial of a dear model says nothing about requests.
counted as (
    select
        'request_price' as metric,
        period,
        min(price) filter (where request_share >= 0.1) as measured_low,
        min(price) filter (where request_share >= 0.5) as measured,
        min(price) filter (where request_share >= 0.9) as measured_high,
        sum(effective_cost) as measured_cost,
        sum(requests)::bigint as sample_size
    from ranked
    group by all
),

uncounted as (
    select
        usage_period as period,
        sum(effective_cost) as undecided_cost
    from models
    where workload = 'inference' and cost_per_request is null
    group by all
),

requests as (
    select
        counted.*,
        greatest(coalesce(uncounted.undecided_cost, 0), 0) as undecided_cost,
        null as note,
        true as is_of_bills
    from counted
    left join uncounted using (period)
),

answered as (
    select
        date_trunc('month', usage_date)::date as period,
        sum(requests) as requests,
        sum(requests) filter (where price_status = 'not_bought') as answered,
        sum(cache_read_tokens)::double / nullif(
            sum(uncached_input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens), 0
        )::double as read_share
    from ledger.token_usage_daily
    where reported_by = 'gateway'
    group by all
),

-- A gateway that never answered from a cache of its own has none: that says nothing about caching.
cached as (
    select
        'response_cache_hits' as metric,
        period,
        answered::double / requests::double as measured_low,
        answered::double / requests::double as measured,
        answered::double / requests::double as measured_high,
        requests::bigint as sample_size,
        'Prompt caches are something else: ' || round(100 * coalesce(read_share, 0), 1)
        || ' % of input tokens were read from one' as note,
        false as is_of_bills
    from answered
    where answered > 0
),

routed as (
    select
        period,
        sum(actual_cost) as measured_cost,
        coalesce(sum(actual_cost) filter (where alternative_cost is not null), 0)::double as priced,
        coalesce(sum(greatest(actual_cost - alternative_cost, 0)), 0)::double as saved,
        coalesce(max(greatest(actual_cost - alternative_cost, 0)::double / actual_cost::double), 0) as best,
        sum(actual_cost) filter (where alternative_cost is null) as undecided_cost,
        max(routed_share)::double as routed_share,
        count(*)::bigint as sample_size
    from intermediate.int_claim_routing
    group by all
),

routing as (
    select
        'routing_savings' as metric,
        period,
        routed_share * saved / measured_cost::double as measured_low,
        routed_share * saved / priced as measured,
        routed_share * (saved + best * coalesce(undecided_cost, 0)::double) / measured_cost::double as measured_high,
        measured_cost,
        coalesce(undecided_cost, 0) as undecided_cost,
        sample_size,
        round(100 * routed_share)::integer || ' % of tokens routed, at list prices; cost now is the bill''s' as note,
        true as is_of_bills
    from routed
    where priced > 0
),

hosted as (
    select
        'self_hosted_million_tokens' as metric,
        usage_period as period,
        min(cost_per_million_tokens)::double as measured_low,
        -- As decimals: a sum of doubles depends on the order of its rows.
        sum((cost_per_million_tokens::double * effective_cost::double)::decimal(38, 6))::double
        / sum(effective_cost)::double as measured,
        max(cost_per_million_tokens)::double as measured_high,
        sum(effective_cost) as measured_cost,
        count(*)::bigint as sample_size,
        string_agg(distinct llm_model, ', ' order by llm_model) as note,
        true as is_of_bills
    from models
    where
        hosting = 'self_hosted'
        and regexp_matches(lower(llm_model), '(^|[^0-9])70b([^a-z0-9]|$)')
        and cost_per_million_tokens > 0
        and effective_cost > 0
    group by all
),

fleets as (
    select
        usage_period as period,
        fleet,
        llm_model,
        max(self_hosted_cost) as self_hosted_cost,
        min(api_list_cost)::double as least_cost,
        sum(api_list_cost)::double / count(*) as average_cost,
        max(api_list_cost)::double as most_cost,
        string_agg(distinct api_provider, ', ' order by api_provider) as providers
    from marts.self_hosting_break_even
    where self_hosted_cost > 0 and api_list_cost > 0
    group by all
),

operations as (
    select
        0::decimal(38, 12) as amount,
        'self_hosted_to_api' as metric
    union all
    select
        max(amount) as amount,
        'self_hosted_to_api_with_operations' as metric
    from reference.claim_settings
    where name = 'operations_cost'
),

compared as (
    select
        operations.metric,
        fleets.period,
        (sum(fleets.self_hosted_cost) + max(operations.amount))::double / sum(fleets.most_cost) as measured_low,
        (sum(fleets.self_hosted_cost) + max(operations.amount))::double / sum(fleets.average_cost) as measured,
        (sum(fleets.self_hosted_cost) + max(operations.amount))::double / sum(fleets.least_cost) as measured_high,
        sum(fleets.self_hosted_cost) as measured_cost,
        count(*)::bigint as sample_size,
        'APIs that list the models: ' || string_agg(distinct fleets.providers, '; ' order by fleets.providers) as note,
        true as is_of_bills
    from fleets
    cross join operations
    group by all
),

-- Both prices of gpt-4o, on each month's last day.
prices as (
    select
        priced_on,
        price_source,
        unnest(['gpt_4o_input_price', 'gpt_4o_output_price']) as metric,
        unnest([uncached_input_price, output_price]) as price
    from reference.list_prices
    where provider_name = 'OpenAI' and llm_model = 'gpt-4o' and input_tokens = 1000
),

listed as (
    select
        metric,
        date_trunc('month', priced_on)::date as period,
        price::double as measured_low,
        price::double as measured,
        price::double as measured_high,
        1::bigint as sample_size,
        'List price on ' || priced_on || ', ' || price_source as note,
        false as is_of_bills
    from prices
),

steps as (
    select
        short.priced_on,
        short.llm_model,
        max(lengthy.uncached_input_price::double / short.uncached_input_price::double) as multiple
    from reference.list_prices as short
    inner join reference.list_prices as lengthy using (priced_on, provider_name, llm_model)
    where
        short.input_tokens = 1000
        and lengthy.input_tokens = 500000
        and short.is_used
        and short.uncached_input_price > 0
    group by all
),

long_context as (
    select
        'long_context_price' as metric,
        date_trunc('month', priced_on)::date as period,
        min(multiple) as measured_low,
        avg(multiple::decimal(38, 12)) as measured,
        max(multiple) as measured_high,
        count(*)::bigint as sample_size,
        'List prices on ' || max(priced_on) || '; with a step: '
        || coalesce(string_agg(llm_model, ', ' order by llm_model) filter (where multiple > 1), 'none') as note,
        false as is_of_bills
    from steps
    group by all
),

hours as (
    select
        date_trunc('month', usage_hour)::date as period,
        usage_hour,
        requests
    from computed.hourly_requests
),

averages as (
    select
        *,
        avg(requests) over (partition by period) as average
    from hours
),

band as (
    select
        'hourly_request_band' as metric,
        period,
        quantile_cont(abs(requests - average) / average, 0.1) as measured_low,
        quantile_cont(abs(requests - average) / average, 0.5) as measured,
        quantile_cont(abs(requests - average) / average, 0.9) as measured_high,
        count(*)::bigint as sample_size,
        'Hours; ' || round(avg(average))::bigint || ' requests in the average one' as note,
        false as is_of_bills
    from averages
    where average > 0
    group by all
),

measures as (
    select * from requests
    union all by name
    select * from cached
    union all by name
    select * from routing
    union all by name
    select * from hosted
    union all by name
    select * from compared
    union all by name
    select * from listed
    union all by name
    select * from long_context
    union all by name
    select * from band
)

select
    metric, -- What is measured.
    period, -- First day of the month of use.
    measured_low::decimal(38, 12) as measured_low, -- Lower end of the answer.
    -- An average of equal prices may differ from them in the last digit of a double.
    least(greatest(measured_low, measured), measured_high)::decimal(38, 12) as measured, -- The answer.
    measured_high::decimal(38, 12) as measured_high, -- Upper end of the answer.
    measured_cost::decimal(38, 12) as measured_cost, -- The money looked at; null for list prices and counts.
    undecided_cost::decimal(38, 12) as undecided_cost, -- Money that could move the answer; null where none can.
    null::decimal(38, 12) as attributed_share, -- No split is asked here.
    sample_size, -- Requests, models, fleets, prices or hours.
    note, -- What else to know.
    is_of_bills -- Stands on bills, so it waits for them to be reconciled.
from measures
where measured_low is not null
