/*
This month's cost by workload, and how each amount is known: a tag or rule of your own (declared), the bill's own SKU
(billed), jobs, tokens or metrics (measured), names (inferred).
*/
select
    workload,
    sum(effective_cost)::decimal(38, 12) as effective_cost,
    sum(effective_cost) filter (evidence = 'declared')::decimal(38, 12) as declared_cost,
    sum(effective_cost) filter (evidence = 'billed')::decimal(38, 12) as billed_by_sku_cost,
    sum(effective_cost) filter (evidence = 'measured')::decimal(38, 12) as measured_cost,
    sum(effective_cost) filter (evidence = 'inferred')::decimal(38, 12) as inferred_cost,
    sum(billed_cost)::decimal(38, 12) as billed_cost,
    sum(net_cost)::decimal(38, 12) as net_cost,
    sum(charge_count)::bigint as charge_count
from marts.costs_by_workload
where usage_period = date '2026-09-01'
group by workload
order by workload in ('shared', 'not_ai'), effective_cost desc
