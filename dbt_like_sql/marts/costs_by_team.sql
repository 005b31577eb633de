/*
Cost by team, as tags, labels and accounts name it, and beside it what each team is shown once money that belongs to
nobody (tax, support, credits, idle and unallocated AI) is shared by the configured method (`sharing`). Both sum to the
bill: what teams are shown more, the rows without a team are shown less. computed.shared_costs says what came from which
pool. One row per billing period, usage period, team, workload and cost basis.
*/
with

charges as (
    select * from intermediate.int_costs_by_key
    union all by name
    select * from intermediate.int_estimated_charges
),

stacked as (
    select
        billing_period,
        usage_period,
        team,
        workload,
        cost_basis,
        billed_cost,
        effective_cost,
        net_cost,
        0 as shared_billed_cost,
        0 as shared_effective_cost,
        0 as shared_net_cost
    from charges
    union all by name
    select
        billing_period,
        usage_period,
        team,
        workload,
        'billed' as cost_basis,
        0 as billed_cost,
        0 as effective_cost,
        0 as net_cost,
        billed_cost as shared_billed_cost,
        effective_cost as shared_effective_cost,
        net_cost as shared_net_cost
    from computed.shared_costs
)

select
    billing_period, -- First day of the invoice month.
    usage_period, -- First day of the month of use.
    team, -- Resolved by dimensions.team; null where nothing names one.
    workload, -- What the money was for.
    cost_basis, -- billed, or estimated: API usage that no bill covers yet, at the rate card's price.
    sum(billed_cost)::decimal(38, 12) as billed_cost, -- What the provider asks for (unblended), reporting currency.
    sum(effective_cost)::decimal(38, 12) as effective_cost, -- Amortized cost after negotiated discounts.
    sum(net_cost)::decimal(38, 12) as net_cost, -- effective_cost after promotional credits.
    sum(billed_cost + shared_billed_cost)::decimal(38, 12) as showback_billed_cost, -- billed_cost with shared money.
    sum(effective_cost + shared_effective_cost)::decimal(38, 12)
        as showback_effective_cost, -- effective_cost with shared money.
    sum(net_cost + shared_net_cost)::decimal(38, 12) as showback_net_cost -- net_cost with shared money.
from stacked
group by all
