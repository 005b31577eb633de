/*
marts.llm_model_costs and marts.unit_costs hold all money of lines that name a language model (of a machine: that it, or
the fleet it serves, names), each once, and all estimated money, per month of use and cost basis.
*/
with

whole as (
    select
        charges.usage_period,
        'billed' as cost_basis,
        sum(charges.effective_cost) as effective_cost
    from intermediate.int_charges_allocated as charges
    where
        charges.llm_model is not null
        or (charges.source, charges.billing_period, charges.key_id, coalesce(charges.resource_id, '')) in (
            select (fleets.source, fleets.billing_period, fleets.key_id, coalesce(fleets.resource_id, ''))
            from intermediate.int_serving_machines as fleets
            where fleets.llm_model is not null
        )
        and charges.accelerator is not null
        and charges.workload = 'inference'
    group by all
    union all
    select
        usage_period,
        cost_basis,
        sum(effective_cost) as effective_cost
    from intermediate.int_estimated_charges
    where llm_model is not null
    group by all
),

mart as (
    select
        usage_period,
        cost_basis,
        sum(effective_cost) as effective_cost
    from marts.llm_model_costs
    where cost_basis in ('billed', 'estimated')
    group by all
),

units as (
    select
        usage_period,
        cost_basis,
        sum(effective_cost) as effective_cost
    from marts.unit_costs
    where cost_basis in ('billed', 'estimated')
    group by all
)

select
    usage_period,
    cost_basis,
    mart.effective_cost - whole.effective_cost as difference,
    units.effective_cost - whole.effective_cost as unit_difference
from whole
full join mart using (usage_period, cost_basis)
full join units using (usage_period, cost_basis)
where
    coalesce(mart.effective_cost, 0) <> coalesce(whole.effective_cost, 0)
    or coalesce(units.effective_cost, 0) <> coalesce(whole.effective_cost, 0)
