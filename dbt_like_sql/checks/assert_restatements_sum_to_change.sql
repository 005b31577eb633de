/*
What was reported, what the provider changed and what re-tagging changed sum to what a closed month costs now, per key
and workload; and per month, re-tagging moves money and makes none.
*/
with

rows_wrong as (
    select
        source,
        billing_period,
        sum(reported_cost + provider_change_cost + retag_change_cost - current_cost) as difference
    from marts.restatements
    group by
        source,
        billing_period,
        workload,
        key_id
    having sum(reported_cost + provider_change_cost + retag_change_cost - current_cost) != 0
),

money_made as (
    select
        source,
        billing_period,
        sum(retag_change_cost) as difference
    from marts.restatements
    group by all
    having sum(retag_change_cost) != 0
),

wrong as (
    select * from rows_wrong
    union all
    select * from money_made
)

select
    source,
    billing_period,
    difference
from wrong
