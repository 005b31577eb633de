/*
AI money as finance books it: cogs (cost of revenue: what the configuration under `cogs` says, by default inference),
research_and_development (all other AI with a known purpose), unattributed, shared (tax, support, credits) and not_ai.
Sums to the bill. One row per billing period, usage period, class, workload and environment.
*/
with

charges as (
    select
        charges.*,
        exists(
            select 1
            from reference.cogs_conditions as conditions
            where
                (conditions.workload is null or conditions.workload = charges.workload)
                and (conditions.environment is null or conditions.environment = charges.environment)
                and (conditions.team is null or conditions.team = charges.team)
                and (conditions.project is null or conditions.project = charges.project)
        ) as is_cogs
    from intermediate.int_costs_by_key as charges
)

select
    billing_period, -- First day of the invoice month.
    usage_period, -- First day of the month of use.
    case
        when workload in ('shared', 'not_ai') then workload
        when is_cogs then 'cogs'
        when workload = 'unattributed' then 'unattributed'
        else 'research_and_development'
    end as cost_class, -- cogs, research_and_development, unattributed, shared or not_ai.
    workload, -- What the money was for.
    environment, -- Resolved by dimensions.environment.
    sum(billed_cost)::decimal(38, 12) as billed_cost, -- What the provider asks for (unblended).
    sum(effective_cost)::decimal(38, 12) as effective_cost, -- Amortized cost after negotiated discounts.
    sum(net_cost)::decimal(38, 12) as net_cost -- effective_cost after promotional credits.
from charges
group by all
