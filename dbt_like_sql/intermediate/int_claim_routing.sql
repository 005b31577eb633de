/*
Tokens of each language model at the price of the smaller model that a router would send them to. One row per usage
period, provider, model, hosting, workload and cost basis.
*/
select
    usage_period as period, -- First day of the month of use.
    provider_name, -- Who provides the service now.
    llm_model, -- Language model used.
    hosting, -- api or managed.
    workload, -- What it was for.
    cost_basis, -- billed, or estimated where no bill covers it.
    max(actual_cost)::decimal(38, 12) as actual_cost, -- What the tokens cost now.
    min(alternative_cost) filter (where is_routed)::decimal(38, 12)
        as alternative_cost, -- At the cheapest smaller model; null where none is configured or priced.
    (select max(amount) from reference.claim_settings where name = 'routed_share')
        as routed_share -- Share of the tokens that would be routed; a setting.
from intermediate.int_claim_alternatives
where actual_cost > 0
group by all
