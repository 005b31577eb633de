/*
The tokens of each language model at the list price of each configured alternative, without the steps of long requests.
Cost now is the bill's, of the lines that count tokens; the alternative is an estimate, divided as double.
One row per usage period, provider, model, hosting, workload, cost basis and alternative.
*/
with

models as (
    select
        usage_period,
        provider_name,
        llm_model,
        hosting,
        workload,
        cost_basis,
        coalesce(uncached_input_tokens, 0) as uncached_input_tokens,
        coalesce(cache_read_tokens, 0) as cache_read_tokens,
        coalesce(cache_write_tokens, 0) as cache_write_tokens,
        coalesce(output_tokens, 0) as output_tokens,
        cost_per_million_tokens::double as cost_per_million_tokens
    from marts.llm_model_costs
    where
        hosting != 'self_hosted'
        and workload in ('inference', 'development')
        and cost_per_million_tokens > 0
        and output_tokens > 0
),

rates as (
    select max(amount)::double as rate
    from reference.claim_settings
    where name = 'dollar_rate'
)

select
    models.usage_period, -- First day of the month of use.
    models.provider_name, -- Who provides the service now.
    models.llm_model, -- Language model used.
    models.hosting, -- api or managed.
    models.workload, -- What it was for.
    models.cost_basis, -- billed, or estimated where no bill covers it.
    alternatives.provider_name as alternative_provider, -- Whose model instead.
    alternatives.llm_model as alternative_model, -- Language model instead.
    alternatives.replaces != '' and starts_with(models.llm_model, alternatives.replaces)
        as is_routed, -- A router would send it tokens of the model used.
    (
        models.cost_per_million_tokens / 1e6
        * (models.uncached_input_tokens + models.cache_read_tokens + models.cache_write_tokens + models.output_tokens)
    )::decimal(38, 12) as actual_cost, -- What the tokens cost now.
    ((
        models.uncached_input_tokens * prices.uncached_input_price::double
        + models.cache_read_tokens * coalesce(prices.cache_read_price, prices.uncached_input_price)::double
        + models.cache_write_tokens * coalesce(prices.cache_write_price, prices.uncached_input_price)::double
        + models.output_tokens * prices.output_price::double
    ) / 1e6 * rates.rate)::decimal(38, 12) as alternative_cost, -- The same tokens there; null without a price.
    prices.listed_by, -- Whose price list.
    prices.priced_on, -- Day of the price.
    prices.price_source -- The library and its version, or the team's override.
from models
cross join reference.alternatives as alternatives
cross join rates
left join reference.list_prices as prices
    on prices.priced_on = last_day(models.usage_period)
        and alternatives.provider_name = prices.provider_name
        and alternatives.llm_model = prices.llm_model
        and prices.input_tokens = 1000
