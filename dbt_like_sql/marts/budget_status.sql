/*
Budgets against what was spent and what is foreseen. Spending is effective_cost by month of use without credits and tax.
status: breached (already over), projected_breach (the forecast goes over), within, undetermined (an open month with too
few days before it to foresee the rest). One row per budget and month of use.
*/
with

months as (
    select distinct
        daily.usage_period,
        until_date.reported_until_date,
        last_day(daily.usage_period) <= until_date.reported_until_date as is_complete
    from intermediate.int_costs_by_day as daily
    cross join intermediate.int_reported_until as until_date
),

running as (
    select
        budget_name,
        usage_period,
        usage_date,
        effective_cost,
        sum(effective_cost) over (partition by budget_name, usage_period order by usage_date) as cost_so_far
    from intermediate.int_budget_days
),

spent as (
    select
        running.budget_name,
        running.usage_period,
        sum(running.effective_cost) as effective_cost,
        min(running.usage_date) filter (where running.cost_so_far > budgets.budget_cost) as breach_date
    from running
    inner join reference.budgets using (budget_name)
    group by all
),

foreseen as (
    select
        budgets.budget_name,
        date_trunc('month', forecasts.usage_date)::date as usage_period,
        max_by(forecasts.month_cost, forecasts.usage_date) as month_cost,
        max_by(forecasts.month_low_cost, forecasts.usage_date) as month_low_cost,
        max_by(forecasts.month_high_cost, forecasts.usage_date) as month_high_cost,
        min(forecasts.usage_date) filter (where forecasts.month_cost > budgets.budget_cost) as breach_date
    from computed.cost_forecasts as forecasts
    inner join reference.budgets on forecasts.series_name = budgets.budget_name
    where forecasts.series_kind = 'budget'
    group by all
),

joined as (
    select
        budgets.*,
        months.usage_period,
        months.reported_until_date,
        months.is_complete,
        coalesce(spent.effective_cost, 0) as cost_to_date,
        spent.breach_date as breached_on,
        -- Money reported after the last whole day is spent, too. `greatest` passes over null, hence `is_foreseen`.
        if(months.is_complete, cost_to_date, greatest(foreseen.month_cost, cost_to_date)) as projected,
        if(months.is_complete, cost_to_date, greatest(foreseen.month_low_cost, cost_to_date)) as projected_low,
        if(months.is_complete, cost_to_date, greatest(foreseen.month_high_cost, cost_to_date)) as projected_high,
        months.is_complete or foreseen.budget_name is not null as is_foreseen,
        if(months.is_complete, null, foreseen.breach_date) as breach_foreseen_on
    from reference.budgets
    cross join months
    left join spent using (budget_name, usage_period)
    left join foreseen using (budget_name, usage_period)
)

select
    budget_name, -- Budget.
    usage_period, -- First day of the month of use.
    workload, -- Only this workload; null for any that is AI.
    team, -- Only this team; null for any.
    llm_model, -- Only this language model; null for any.
    budget_cost, -- What the month may cost.
    cost_to_date::decimal(38, 12) as month_to_date_cost, -- What it has cost so far.
    reported_until_date, -- Last whole day reported.
    is_complete, -- Every day of the month is reported.
    if(is_foreseen, projected, null)::decimal(38, 12)
        as projected_cost, -- What the whole month will cost; null where too few days say.
    if(is_foreseen, projected_low, null)::decimal(38, 12) as projected_low_cost, -- Lower end of its 80 % interval.
    if(is_foreseen, projected_high, null)::decimal(38, 12) as projected_high_cost, -- Upper end of it.
    cost_to_date::double / budget_cost::double as used_share, -- month_to_date_cost ÷ budget_cost; a ratio.
    coalesce(breached_on, breach_foreseen_on) as breach_date, -- First day the budget is, or will be, exceeded.
    case
        when breached_on is not null and cost_to_date > budget_cost then 'breached'
        when not is_foreseen then 'undetermined'
        when projected > budget_cost then 'projected_breach'
        else 'within'
    end as status -- breached, projected_breach, within or undetermined.
from joined
