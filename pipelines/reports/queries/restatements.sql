/*
What changed in closed months since they were reported: by the provider's bill, and by our own re-tagging.
*/
select
    billing_period,
    source,
    workload,
    sum(reported_cost)::decimal(38, 12) as reported_cost,
    sum(provider_change_cost)::decimal(38, 12) as provider_change_cost,
    sum(retag_change_cost)::decimal(38, 12) as retag_change_cost,
    sum(current_cost)::decimal(38, 12) as current_cost
from marts.restatements
where billing_period <= date '2026-09-01'
group by all
order by billing_period desc, source asc, workload asc
