/*
Throughput of language models that is paid by the hour, used or not (Bedrock model units, Vertex AI scale units,
reserved tokens per minute). A day on which token records of the provider exist and none of the model's is unused; a
day with tokens stays unmeasured, because nobody says how much of the throughput they took, and so does a fee for
weeks or more. One row per part of a daily row.
*/
with

-- Keys first: a bill has a thousand times as many daily rows.
keys as (
    select
        source,
        billing_period,
        key_id
    from computed.attributions
    where
        charge_category = 'Usage'
        and regexp_matches(usage_type, '(?i)provisioned ?throughput|_(?:input|output)tpm|\bGSUs?\b')
),

charges as (
    select charges.*
    from intermediate.int_charges_allocated as charges
    semi join keys using (source, billing_period, key_id)
    where charges.accelerator is null
),

tokens as (
    select
        provider_name,
        usage_date,
        llm_model,
        sum(
            coalesce(uncached_input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(output_tokens, 0)
            + coalesce(quantity, 0)
        ) as used
    from ledger.token_usage_daily
    group by all
),

recorded as (
    select distinct
        provider_name,
        usage_date
    from tokens
)

select
    charges.source, -- Name of the source in the configuration.
    charges.billing_period, -- First day of the invoice month.
    charges.daily_id, -- Row of ledger.charges_daily.
    charges.part, -- Part of it.
    charges.usage_period, -- First day of the month of use.
    charges.usage_date, -- Day of use, UTC.
    charges.provider_name, -- Who provides the service.
    charges.llm_model, -- Language model.
    charges.workload, -- What the money was for.
    charges.team, -- Resolved by dimensions.team.
    case
        when charges.idle_reason is not null then charges.idle_reason
        when charges.llm_model is null or regexp_matches(charges.usage_type, '(?i)\b\d+ (?:week|month|year)')
            then 'unmeasured'
        when recorded.usage_date is not null and coalesce(tokens.used, 0) = 0 then 'unused_throughput'
        else 'unmeasured'
    end as idle_reason, -- unused_throughput, unmeasured, or what the bill itself says.
    charges.effective_cost -- Amortized cost after negotiated discounts.
from charges
left join recorded
    on charges.provider_name = recorded.provider_name and charges.usage_date = recorded.usage_date
left join tokens
    on charges.provider_name = tokens.provider_name
        and charges.usage_date = tokens.usage_date
        and charges.llm_model = tokens.llm_model
