/*
Is every bill there that should be? What is configured under `expected`, what the configuration names as a source, and
what one of the three months before had is expected; what is expected and absent says why it is. Days are counted for
sources and payers from their first day to the last day reported. One row per billing period, kind and name.
*/
with

present as (
    select
        charges.billing_period,
        unnest([
            {'kind': 'source', 'name': charges.source},
            {'kind': 'payer', 'name': keys.billing_account_id},
            {'kind': 'account', 'name': keys.sub_account_id},
            {'kind': 'provider', 'name': keys.provider_name}
        ], recursive := true),
        charges.usage_date,
        keys.usage_period,
        charges.effective_cost
    from ledger.charges_daily as charges
    inner join computed.attributions as keys using (source, billing_period, key_id)
),

found as (
    select
        kind,
        name,
        billing_period,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        count(distinct usage_date) filter (where usage_period = billing_period)::integer as day_count
    from present
    where name is not null
    group by all
),

months as (
    select distinct billing_period from ledger.charges_daily
),

expected as (
    select
        months.billing_period,
        expected.kind,
        expected.name,
        'configured' as expected_because
    from months
    cross join reference.expected
    union
    select
        months.billing_period,
        found.kind,
        found.name,
        'seen_before' as expected_because
    from months
    inner join found
        on found.billing_period < months.billing_period
            and found.billing_period >= months.billing_period - interval 3 month
),

reasons as (
    select
        billing_period,
        kind,
        name,
        min(expected_because) as expected_because
    from expected
    group by all
),

starts as (
    select
        kind,
        name,
        min(usage_date) as first_date
    from present
    where name is not null
    group by all
)

select
    billing_period, -- First day of the invoice month.
    kind, -- source, payer, account or provider.
    name, -- Its name or number.
    reasons.expected_because, -- configured or seen_before; null for what is new.
    found.name is not null as is_present, -- The month's bills have it.
    coalesce(found.effective_cost, 0)::decimal(38, 12) as effective_cost, -- What it cost.
    if(
        kind in ('source', 'payer') and found.name is not null,
        greatest(
            datediff(
                'day',
                greatest(billing_period, starts.first_date),
                least(last_day(billing_period), until.reported_until_date)
            ) + 1 - found.day_count,
            0
        ),
        null
    )::integer as missing_day_count -- Days without any line; null where days are not counted or all is missing.
from reasons
full join found using (billing_period, kind, name)
left join starts using (kind, name)
left join intermediate.int_reported_until as until on true
