/*
Every billed row about tokens is either divided by usage, Σ parts = row, or stands whole among what usage cannot
explain; marts.token_reconciliation holds all of it, per day of use.
*/
with

parts as (
    select
        source,
        billing_period,
        daily_id,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost
    from computed.token_allocations
    group by all
    union all
    select
        source,
        billing_period,
        daily_id,
        billed_cost,
        effective_cost,
        net_cost
    from computed.unexplained_charges
),

whole as (
    select
        daily.usage_date,
        sum(parts.effective_cost) as effective_cost,
        bool_or(
            parts.billed_cost <> daily.billed_cost
            or parts.effective_cost <> daily.effective_cost
            or parts.net_cost <> daily.net_cost
        ) as is_off,
        count(*) <> count(distinct row(daily.source, daily.billing_period, daily.daily_id)) as is_twice
    from parts
    inner join ledger.charges_daily as daily using (source, billing_period, daily_id)
    group by all
),

mart as (
    select
        usage_date,
        sum(effective_cost) as effective_cost
    from marts.token_reconciliation
    group by all
)

select
    usage_date,
    whole.is_off,
    whole.is_twice,
    mart.effective_cost - whole.effective_cost as difference
from whole
full join mart using (usage_date)
where
    whole.is_off
    or whole.is_twice
    or coalesce(mart.effective_cost, 0) <> coalesce(whole.effective_cost, 0)
