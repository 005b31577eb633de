/*
What this month, while it is open, and the next will cost, with an 80 % interval, and how far off the method was on past
months held out. An estimate, not money.
*/
select
    series_kind,
    series_name,
    usage_period,
    reported_cost,
    forecast_cost,
    forecast_low_cost,
    forecast_high_cost,
    forecast_error_share,
    naive_error_share,
    held_out_months
from marts.cost_forecast
where
    series_kind in ('all_ai', 'workload')
    and usage_period >= date '2026-09-01'
    and usage_period <= date '2026-09-01' + interval 1 month
order by series_kind asc, usage_period asc, forecast_cost desc
