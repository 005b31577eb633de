/*
Odd days: far more or less than their weekday lets expect, and the key that explains most of it. See models/anomalies.py
for the method. Series: all AI money, each workload, team and language model. One row per series and day.
*/
select
    series_kind, -- all_ai, workload, team or llm_model.
    series_name, -- Which workload, team or model.
    usage_date, -- Day of use, UTC.
    date_trunc('month', usage_date)::date as usage_period, -- First day of the month of use.
    if(actual_cost > expected_cost, 'high', 'low') as direction, -- high or low.
    actual_cost, -- What the day cost.
    expected_cost, -- What its weekday let expect; an estimate.
    (actual_cost - expected_cost)::decimal(38, 12) as unexpected_cost, -- The difference.
    score, -- Robust standard deviations between the two, on the logarithm.
    driver_key_id, -- Key that changed most: `apportion explain` walks from it to lines of the bill.
    driver_service_name, -- Product of that key.
    driver_usage_type, -- Native usage type of that key.
    driver_account_id, -- Account, project or subscription of that key.
    driver_cost, -- What that key cost on the day.
    driver_expected_cost -- Its median on the four same weekdays before.
from computed.cost_anomalies
