/*
Cost by what it was for. One row per billing period, usage period, provider, workload, evidence and cost basis.
*/
with

charges as (
    select * from intermediate.int_costs_by_key
    union all by name
    select * from intermediate.int_estimated_charges
)

select
    billing_period, -- First day of the invoice month.
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    workload, -- training, fine_tuning, inference, storage, development, unattributed, shared or not_ai.
    evidence, -- How we know: declared, billed, measured, inferred or none.
    cost_basis, -- billed, or estimated: API usage that no bill covers yet, at the rate card's price.
    sum(billed_cost)::decimal(38, 12) as billed_cost, -- What the provider asks for (unblended), reporting currency.
    sum(effective_cost)::decimal(38, 12) as effective_cost, -- Amortized cost after negotiated discounts.
    sum(net_cost)::decimal(38, 12) as net_cost, -- effective_cost after promotional credits.
    sum(list_cost)::decimal(38, 12) as list_cost, -- Cost at public price of the lines whose bill says it, else null.
    sum(charge_count)::bigint as charge_count -- Bill lines; a divided line counts with its first part.
from charges
group by all
