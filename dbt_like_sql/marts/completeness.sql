/*
Is every bill there that should be? Expected is what is configured under `expected`, and what one of the three months
before had; what is new is listed too. Days are counted for sources and payers whose bills count by the day, from their
first day to the last day reported. One row per billing period, kind and entity.
*/
with

charged as (
    select
        charges.source,
        charges.billing_period,
        attributions.billing_account_id,
        attributions.sub_account_id,
        attributions.provider_name,
        charges.usage_date,
        attributions.usage_period,
        sum(charges.effective_cost) as effective_cost
    from ledger.charges_daily as charges
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    group by all
),

present as (
    select
        'source' as kind,
        source as entity,
        billing_period,
        usage_date,
        usage_period,
        effective_cost
    from charged
    union all
    select
        'payer' as kind,
        billing_account_id as entity,
        billing_period,
        usage_date,
        usage_period,
        effective_cost
    from charged
    union all
    select
        'account' as kind,
        sub_account_id as entity,
        billing_period,
        usage_date,
        usage_period,
        effective_cost
    from charged
    union all
    select
        'provider' as kind,
        provider_name as entity,
        billing_period,
        usage_date,
        usage_period,
        effective_cost
    from charged
),

counted as (
    select
        kind,
        entity,
        billing_period,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        count(distinct usage_date) filter (where usage_period = billing_period)::integer as day_count
    from present
    where entity is not null
    group by all
),

found as (
    select
        *,
        kind in ('source', 'payer') and max(day_count) over (partition by kind, entity) > 1 as is_by_day
    from counted
),

months as (
    select distinct billing_period from ledger.charges_daily
),

expected as (
    select
        months.billing_period,
        expected.kind,
        expected.entity,
        'configured' as expected_because
    from months
    cross join reference.expected
    union
    select
        months.billing_period,
        found.kind,
        found.entity,
        'seen_before' as expected_because
    from months
    inner join found
        on months.billing_period > found.billing_period
            and months.billing_period - interval 3 month <= found.billing_period
),

reasons as (
    select
        billing_period,
        kind,
        entity,
        min(expected_because) as expected_because
    from expected
    group by all
),

starts as (
    select
        kind,
        entity,
        min(usage_date) as first_date
    from present
    where entity is not null
    group by all
)

select
    billing_period, -- First day of the invoice month.
    kind, -- source, payer, account or provider.
    entity, -- Its entity or number.
    reasons.expected_because, -- configured or seen_before; null for what is new.
    found.entity is not null as is_present, -- The month's bills have it.
    coalesce(found.effective_cost, 0)::decimal(38, 12) as effective_cost, -- What it cost.
    if(
        found.is_by_day,
        greatest(
            datediff(
                'day',
                greatest(billing_period, starts.first_date),
                least(last_day(billing_period), reported.reported_until_date)
            ) + 1 - found.day_count,
            0
        ),
        null
    )::integer as missing_day_count -- Days without any line; null where days are not counted or all is missing.
from reasons
full join found using (billing_period, kind, entity)
left join starts using (kind, entity)
cross join intermediate.int_reported_until as reported
