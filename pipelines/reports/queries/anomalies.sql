/*
The days of this month that cost most beyond what their weekday let expect, and the key that explains most of each.
*/
select
    usage_date,
    series_kind,
    series_name,
    actual_cost,
    expected_cost,
    unexpected_cost,
    driver_service_name,
    driver_usage_type,
    driver_key_id
from marts.cost_anomalies
where usage_period = date '2026-09-01'
order by abs(unexpected_cost) desc, usage_date asc, series_kind asc, series_name asc
limit 10
