/*
How long configured credits, prepayments and spend commitments last at the pace of the last 30 days; and, without a
grant, credits that bills show and nobody configured: what is left of those is not known. One row per grant, and one per
source with credits that belong to none.
*/
with

lines as (
    select * from intermediate.int_credit_charges
),

reported as (
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
        sum(lines.used_cost)::decimal(38, 12) as used_cost,
        coalesce(
            sum(lines.used_cost) filter (where lines.usage_date > reported.reported_until_date - 30), 0
        )::decimal(38, 12) as last_30_days_cost
    from lines
    inner join reported using (source)
    group by all
),

-- Configured grants whether used or not, and used credits whether configured or not.
burned as (
    select
        source,
        grant_name,
        allowed.kind,
        allowed.granted_cost,
        allowed.starts_on,
        allowed.expires_on,
        coalesce(used.used_cost, 0) as used_cost,
        coalesce(used.last_30_days_cost, 0) as last_30_days_cost,
        (allowed.granted_cost - coalesce(used.used_cost, 0))::decimal(38, 12) as left_cost
    from reference.credit_grants as allowed
    -- A name that is null matches none: credits nobody configured stay apart.
    full join used using (source, grant_name)
)

select
    burned.source, -- Source whose bill uses it up.
    burned.grant_name, -- Name in the configuration; null for credits nobody configured.
    coalesce(burned.kind, 'promotional') as kind, -- promotional, prepaid or commitment.
    burned.granted_cost, -- Granted, paid or promised; null where nobody said.
    burned.starts_on, -- First day it counts.
    burned.expires_on, -- Last day it counts.
    reported.reported_until_date, -- Last day reported.
    burned.used_cost::decimal(38, 12) as used_cost, -- Used up so far.
    burned.left_cost, -- Not used up; negative where more was used than granted, null where nobody said.
    burned.last_30_days_cost::decimal(38, 12) as last_30_days_cost, -- Used up in the last 30 days reported: the pace.
    if(
        burned.left_cost > 0 and burned.last_30_days_cost > 0,
        reported.reported_until_date
        + least(ceil(burned.left_cost::double * 30 / burned.last_30_days_cost::double), 36500)::integer,
        null
    ) as used_up_on, -- Day nothing is left at that pace; null where there is no pace or nothing left.
    case
        when burned.left_cost is null then 'undetermined'
        when burned.left_cost <= 0 then 'used_up'
        when reported.reported_until_date > burned.expires_on then 'expired'
        when used_up_on is null or used_up_on > burned.expires_on then 'expires_unused'
        else 'used_in_time'
    end as status -- used_in_time, expires_unused, expired, used_up or undetermined.
from burned
left join reported using (source)
