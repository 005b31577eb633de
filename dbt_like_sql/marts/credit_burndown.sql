/*
How long configured credits, prepayments and spend commitments last at the pace of the last 30 days; and, without a
grant, credits that bills show and nobody configured: what is left of those is not known. One row per grant, and one per
source with credits that belong to none.
*/
with

lines as (
    select
        charges.source,
        charges.usage_date,
        keys.charge_category,
        keys.charge_description,
        charges.billed_cost,
        grants.grant_name
    from ledger.charges_daily as charges
    inner join computed.attributions as keys using (source, billing_period, key_id)
    left join reference.credit_grants as grants
        on charges.source = grants.source
            and charges.usage_date between grants.starts_on and grants.expires_on
            and if(
                grants.kind = 'promotional',
                keys.charge_category = 'Credit'
                and (
                    grants.description is null
                    or contains(lower(coalesce(keys.charge_description, '')), lower(grants.description))
                ),
                coalesce(keys.charge_category, '') not in ('Credit', 'Tax')
            )
),

until as (
    select
        source,
        max(usage_date) as reported_until_date
    from ledger.charges_daily
    group by all
),

used as (
    select
        lines.source,
        lines.grant_name,
        sum(if(lines.charge_category = 'Credit', -lines.billed_cost, lines.billed_cost))::decimal(38, 12) as used_cost,
        coalesce(
            sum(if(lines.charge_category = 'Credit', -lines.billed_cost, lines.billed_cost))
                filter (where lines.usage_date > until.reported_until_date - 30),
            0
        )::decimal(38, 12) as last_30_days_cost
    from lines
    inner join until using (source)
    where lines.grant_name is not null or lines.charge_category = 'Credit'
    group by all
),

-- Configured grants whether used or not, and used credits whether configured or not.
burned as (
    select
        coalesce(grants.source, used.source) as source,
        grants.grant_name,
        grants.kind,
        grants.granted_cost,
        grants.starts_on,
        grants.expires_on,
        coalesce(used.used_cost, 0) as used_cost,
        coalesce(used.last_30_days_cost, 0) as last_30_days_cost,
        (grants.granted_cost - coalesce(used.used_cost, 0))::decimal(38, 12) as left_cost
    from reference.credit_grants as grants
    full join used
        on grants.grant_name = used.grant_name
)

select
    burned.source, -- Source whose bill uses it up.
    burned.grant_name, -- Name in the configuration; null for credits nobody configured.
    coalesce(burned.kind, 'promotional') as kind, -- promotional, prepaid or commitment.
    burned.granted_cost, -- Granted, paid or promised; null where nobody said.
    burned.starts_on, -- First day it counts.
    burned.expires_on, -- Last day it counts.
    until.reported_until_date, -- Last day reported.
    burned.used_cost::decimal(38, 12) as used_cost, -- Used up so far.
    burned.left_cost, -- Not used up; negative where more was used than granted, null where nobody said.
    burned.last_30_days_cost::decimal(38, 12) as last_30_days_cost, -- Used up in the last 30 days reported: the pace.
    if(
        burned.left_cost > 0 and burned.last_30_days_cost > 0,
        until.reported_until_date
        + least(ceil(burned.left_cost::double * 30 / burned.last_30_days_cost::double), 36500)::integer,
        null
    ) as used_up_on, -- Day nothing is left at that pace; null where there is no pace or nothing left.
    case
        when burned.left_cost is null then 'undetermined'
        when burned.left_cost <= 0 then 'used_up'
        when until.reported_until_date > burned.expires_on then 'expired'
        when used_up_on is null or used_up_on > burned.expires_on then 'expires_unused'
        else 'used_in_time'
    end as status -- used_in_time, expires_unused, expired, used_up or undetermined.
from burned
left join until using (source)
