/*
What months cost and will cost: the open month and the next, by series, with an 80 % interval and how well the method
did on past months held out. An estimate, not money: see models/forecast.py for the method. The interval of next month
includes what is uncertain about the rest of this one. One row per series and month of use foreseen.
*/
with

tested as (
    select
        series_kind,
        series_name,
        count(*)::integer as held_out_months,
        sum(abs(forecast_cost - actual_cost))::double / nullif(sum(abs(actual_cost)), 0) as forecast_error_share,
        sum(abs(naive_cost - actual_cost))::double / nullif(sum(abs(actual_cost)), 0) as naive_error_share,
        count(*) filter (where actual_cost between low_cost and high_cost)::integer as held_out_months_in_interval
    from computed.backtests
    group by all
),

foreseen as (
    select
        series_kind,
        series_name,
        date_trunc('month', usage_date)::date as usage_period,
        min(usage_date) as first_foreseen_date,
        sum(forecast_cost) as remaining_cost,
        max_by(month_cost, usage_date) as month_cost,
        max_by(month_low_cost, usage_date) as month_low_cost,
        max_by(month_high_cost, usage_date) as month_high_cost
    from computed.cost_forecasts
    group by all
)

select
    series.series_kind, -- all_ai, workload, team, llm_model or budget.
    series.series_name, -- Which workload, team, model or budget.
    foreseen.usage_period, -- First day of the month of use; null where too few days say anything.
    foreseen.first_foreseen_date, -- First day that is foreseen and not reported.
    (foreseen.month_cost - foreseen.remaining_cost)::decimal(38, 12) as reported_cost, -- Days of the month reported.
    foreseen.month_cost::decimal(38, 12) as forecast_cost, -- The whole month: days reported and days foreseen.
    foreseen.month_low_cost::decimal(38, 12) as forecast_low_cost, -- Lower end of the 80 % interval.
    foreseen.month_high_cost::decimal(38, 12) as forecast_high_cost, -- Upper end of it.
    series.day_count, -- Days the forecast could look at; it looks at the last 56.
    coalesce(tested.held_out_months, 0) as held_out_months, -- Past months foreseen from the days before them.
    tested.held_out_months_in_interval, -- How many of them lay in their interval.
    tested.forecast_error_share, -- Σ |foreseen − actual| ÷ Σ actual over them; null where none could be held out.
    tested.naive_error_share, -- The same for repeating the last week: the error to beat.
    tested.forecast_error_share <= tested.naive_error_share as is_better_than_naive -- Null where none was held out.
from computed.cost_series as series
left join foreseen using (series_kind, series_name)
left join tested using (series_kind, series_name)
