/*
What claims about spend look at: cost of use without credits and tax, API usage that no bill covers yet at its estimated
price among it. A class is what a critic could put on the other side: batch_transform and warm_pool stand apart from the
inference or training they are. One row per usage period, workload, class, accelerator and each of the answers below.
*/
with

production as (
    select value
    from reference.claim_settings
    where name = 'production_environments'
),

stacked as (
    select
        usage_period,
        workload,
        evidence,
        idle_reason,
        accelerator,
        llm_model,
        token_bucket,
        coalesce(usage_type, '') || ' ' || coalesce(operation, '') as sku,
        environment,
        cost_basis,
        row_count,
        billed_cost,
        effective_cost,
        net_cost
    from intermediate.int_costs_by_key
    where coalesce(charge_category, '') not in ('Credit', 'Tax')
    union all by name
    select
        usage_period,
        workload,
        evidence,
        llm_model,
        '' as sku,
        cost_basis,
        1 as row_count,
        billed_cost,
        effective_cost,
        net_cost
    from intermediate.int_estimated_charges
)

select
    usage_period, -- First day of the month of use.
    workload, -- What the money was for.
    case
        when workload in ('training', 'fine_tuning', 'inference') and idle_reason = 'warm_pool' then 'warm_pool'
        when workload = 'inference' and regexp_matches(sku, '(?i)(transform|[-_ ]batch([^a-z]|$))')
            then 'batch_transform'
        else workload
    end as cost_class, -- The workload, or batch_transform (batches of tokens, too) or warm_pool.
    evidence in ('declared', 'billed', 'measured') as is_known, -- Not merely inferred.
    accelerator, -- Accelerator of the machine; null for others.
    accelerator is null and workload in ('inference', 'development', 'unattributed')
    and (token_bucket is not null or llm_model is not null) as is_api, -- Tokens and models bought from an API.
    coalesce(idle_reason, 'unmeasured') != 'unmeasured' as is_idle, -- Bill or metrics say that it did nothing.
    case
        when environment is null then 'unknown'
        when lower(environment) in (select production.value from production) then 'production'
        else 'other'
    end as production, -- production, other or unknown, as dimensions.environment and claims say.
    cost_basis, -- billed, or estimated where no bill covers it.
    sum(row_count)::bigint as row_count, -- Daily rows, parts of rows and rows of usage.
    sum(billed_cost)::decimal(38, 12) as billed_cost, -- What the provider asks for; 0 where estimated.
    sum(effective_cost)::decimal(38, 12) as effective_cost, -- Amortized cost after negotiated discounts.
    sum(net_cost)::decimal(38, 12) as net_cost -- effective_cost after promotional credits.
from stacked
where workload not in ('not_ai', 'shared')
group by all
