/*
Months of use that claims are answered for, and whether every bill that feeds them is reconciled: estimates are no bills
and withhold nothing. One row per month of use.
*/
with

billed as (
    select distinct
        source,
        billing_period,
        usage_period
    from intermediate.int_costs_by_key
),

months as (
    select
        billed.usage_period as period,
        coalesce(reconciliation.is_reconciled, false) as is_reconciled
    from billed
    left join marts.reconciliation using (source, billing_period)
    union all
    select
        date_trunc('month', usage_date)::date as period,
        true as is_reconciled
    from ledger.token_usage_daily
)

select
    period, -- First day of the month of use.
    last_day(period) as last_date, -- Last day of it: list prices are those of that day.
    bool_and(is_reconciled) as is_reconciled -- Every bill that feeds it agrees with what was read and invoiced.
from months
where period is not null
group by all
