/*
Cost by team, as tags, labels and accounts name it; shared cost is not spread over teams.
One row per billing period, usage period, team and workload.
*/
with

charges as (
    select * from intermediate.int_charges_allocated
)

select
    billing_period, -- First day of the invoice month.
    usage_period, -- First day of the month of use.
    team, -- Resolved by dimensions.team; null where nothing names one.
    workload, -- What the money was for.
    sum(billed_cost)::decimal(38, 12) as billed_cost, -- What the provider asks for (unblended), reporting currency.
    sum(effective_cost)::decimal(38, 12) as effective_cost, -- Amortized cost after negotiated discounts.
    sum(net_cost)::decimal(38, 12) as net_cost -- effective_cost after promotional credits.
from charges
group by all
