/*
What serving a model on one's own machines costs beside what providers' APIs would ask for the same tokens at list
price. A fleet's cost is fixed by the hour, so above break_even_tokens a month, at the same mix of tokens, it is the
cheaper.
Only fleets whose machines a bill names and that serve one model have a cost; APIs that list no such model are left out.
At full utilization the same machines would serve the tokens of their busy hours in every hour; that is said only where
metrics or job records speak of at least 98 % of the fleet's cost, and hours below the limit of idle count as 0 busy.
One row per usage period, fleet, model and API provider that lists the model.
*/
with

costs as (
    select
        usage_period,
        fleet,
        llm_model,
        sum(effective_cost) as effective_cost
    from intermediate.int_model_charges
    where fleet is not null and llm_model is not null
    group by all
),

tokens as (
    select
        usage_period,
        fleet,
        llm_model,
        sum(uncached_input_tokens + cache_read_tokens + cache_write_tokens + output_tokens) as tokens
    from intermediate.int_serving_usage
    group by all
),

-- By cost, not by hours: of accelerators of several prices, the dear ones' idling weighs more.
machines as (
    select
        machines.usage_period,
        machines.fleet,
        coalesce(machines.llm_model, accelerators.llm_model) as llm_model,
        coalesce(sum(accelerators.effective_cost) filter (where accelerators.idle_reason is null), 0)::decimal(38, 12)
            as busy_cost,
        coalesce(
            sum(accelerators.effective_cost) filter (where accelerators.idle_reason is distinct from 'unmeasured'), 0
        )::decimal(38, 12) as measured_cost,
        sum(accelerators.effective_cost)::decimal(38, 12) as effective_cost
    from intermediate.int_serving_machines as machines
    inner join intermediate.int_accelerator_costs as accelerators
        on machines.source = accelerators.source
            and machines.billing_period = accelerators.billing_period
            and machines.key_id = accelerators.key_id
            and machines.resource_id is not distinct from accelerators.resource_id
    where accelerators.workload = 'inference'
    group by all
),

busy as (
    select
        usage_period,
        fleet,
        llm_model,
        measured_cost::double / nullif(effective_cost, 0)::double as measured_share,
        busy_cost::double / nullif(measured_cost, 0)::double as busy_fraction
    from machines
),

-- The same records as in int_serving_usage: prices are kept by day, source and kind of record, not by team.
counted as (
    select distinct
        usage_date,
        source,
        reported_by,
        llm_model,
        llm_model_id,
        endpoint,
        namespace
    from ledger.token_usage_daily
    where counts_as = 'self_hosted'
),

prices as (
    select
        date_trunc('month', prices.usage_date)::date as usage_period,
        lower(
            coalesce(
                nullif(regexp_extract(prices.endpoint, '^https?://([^/:.]+)', 1), ''),
                prices.endpoint,
                prices.namespace,
                nullif(regexp_extract(prices.endpoint, '^https?://[^/:.]+\.([^/:.]+)\.svc', 1), '')
            )
        ) as fleet,
        prices.llm_model,
        prices.api_provider,
        max(prices.matched_model) as matched_model,
        sum(prices.list_cost) as list_cost
    from computed.api_prices as prices
    inner join counted
        on prices.usage_date = counted.usage_date
            and prices.source = counted.source
            and prices.reported_by = counted.reported_by
            and prices.llm_model is not distinct from counted.llm_model
            and prices.llm_model_id is not distinct from counted.llm_model_id
            and prices.endpoint is not distinct from counted.endpoint
            and prices.namespace is not distinct from counted.namespace
    group by all
)

select
    prices.usage_period, -- First day of the month of use.
    prices.fleet, -- Fleet that served the model.
    prices.llm_model, -- Language model.
    prices.api_provider, -- Whose API lists the model.
    prices.matched_model, -- What the price list calls it.
    tokens.tokens::bigint as tokens, -- Tokens the fleet served, input and output.
    costs.effective_cost::decimal(38, 12) as self_hosted_cost, -- Cost of the fleet's machines, idle hours included.
    prices.list_cost::decimal(38, 12) as api_list_cost, -- What the API asks for the same tokens.
    (prices.list_cost - costs.effective_cost)::decimal(38, 12)
        as self_hosting_saves, -- API less fleet; negative where the API would be cheaper; null where no cost is known.
    -- Ratios to look at, never to add.
    costs.effective_cost::double * 1e6 / nullif(tokens.tokens, 0)
        as self_hosted_cost_per_million_tokens, -- Cost of the fleet ÷ its tokens, at its actual utilization.
    if(busy.measured_share >= 0.98, costs.effective_cost::double * nullif(busy.busy_fraction, 0), null)
    * 1e6 / nullif(tokens.tokens, 0)
        as self_hosted_cost_per_million_tokens_when_full, -- That × busy_fraction; null below 98 % measured or 0 busy.
    busy.busy_fraction, -- Cost of accelerators measured busy ÷ cost measured at all; null where nobody measured.
    busy.measured_share, -- Part of the fleet's cost that metrics or job records speak of.
    prices.list_cost::double * 1e6 / nullif(tokens.tokens, 0)
        as api_cost_per_million_tokens, -- The API's price for the fleet's mix of tokens.
    costs.effective_cost::double / nullif(prices.list_cost, 0)::double * tokens.tokens
        as break_even_tokens -- Tokens a month at which both cost the same, the fleet's cost and mix unchanged.
from prices
inner join tokens
    on prices.usage_period = tokens.usage_period
        and prices.fleet is not distinct from tokens.fleet
        and prices.llm_model is not distinct from tokens.llm_model
left join costs
    on prices.usage_period = costs.usage_period and prices.fleet = costs.fleet and prices.llm_model = costs.llm_model
left join busy
    on prices.usage_period = busy.usage_period and prices.fleet = busy.fleet and prices.llm_model = busy.llm_model
