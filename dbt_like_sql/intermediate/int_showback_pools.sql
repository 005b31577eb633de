/*
Costs by team, and what of the money without a team is shared: tax, support, credit, other (fees, refunds and discounts
that no usage beside them could take), idle (capacity the bill says did nothing) and unallocated (AI money nobody names
a team for). One row per source, billing period, usage period, team, workload and pool.
*/
select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    usage_period, -- First day of the month of use.
    team, -- Resolved by dimensions.team; null where nothing names one.
    workload, -- What the money was for.
    sharing_pool as pool, -- Which shared money; null for money that is a team's own, or no AI.
    sum(billed_cost)::decimal(38, 12) as billed_cost, -- What the provider asks for (unblended).
    sum(effective_cost)::decimal(38, 12) as effective_cost, -- Amortized cost after negotiated discounts.
    sum(net_cost)::decimal(38, 12) as net_cost -- effective_cost after promotional credits.
from intermediate.int_costs_by_key
group by all
