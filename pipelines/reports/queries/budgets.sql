/*
Budgets against what this month has cost so far and what it is foreseen to cost, with the 80 % interval of that.
*/
select
    budget_name,
    workload,
    team,
    llm_model,
    budget_cost,
    month_to_date_cost,
    used_share,
    projected_cost,
    projected_low_cost,
    projected_high_cost,
    breach_date,
    status
from marts.budget_status
where usage_period = date '2026-09-01'
order by used_share desc, budget_name asc
