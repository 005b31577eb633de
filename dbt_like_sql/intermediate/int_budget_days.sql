/*
What counts against each budget. A budget without a workload counts AI money only.
One row per budget and day.
*/
with

costs as (
    select * from intermediate.int_costs_by_day
)

select
    budgets.budget_name, -- Budget.
    costs.usage_period, -- First day of the month of use.
    costs.usage_date, -- Day of use, UTC.
    sum(costs.effective_cost)::decimal(38, 12) as effective_cost -- Amortized cost after negotiated discounts.
from reference.budgets
inner join costs
    on (budgets.workload = costs.workload or (budgets.workload is null and costs.is_ai))
        and (budgets.team is null or budgets.team = costs.team)
        and (budgets.llm_model is null or budgets.llm_model = costs.llm_model)
group by all
