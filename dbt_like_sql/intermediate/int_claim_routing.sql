/*
Tokens of each language model at the price of the smaller model that a router would send them to. One row per usage
period, provider, model, hosting, workload and cost basis.
*/
with

settings as (
    select max(amount) as routed_share
    from reference.claim_settings
    where name = 'routed_share'
)

select
    alternatives.usage_period as period, -- First day of the month of use.
    alternatives.provider_name, -- Who provides the service now.
    alternatives.llm_model, -- Language model used.
    alternatives.hosting, -- api or managed.
    alternatives.workload, -- What it was for.
    alternatives.cost_basis, -- billed, or estimated where no bill covers it.
    max(alternatives.actual_cost)::decimal(38, 12) as actual_cost, -- What the tokens cost now.
    min(alternatives.alternative_cost) filter (where alternatives.is_routed)::decimal(38, 12)
        as alternative_cost, -- At the cheapest smaller model; null where none is configured or priced.
    max(settings.routed_share) as routed_share -- Share of the tokens that would be routed; a setting.
from intermediate.int_claim_alternatives as alternatives
cross join settings
where alternatives.actual_cost > 0
group by all
