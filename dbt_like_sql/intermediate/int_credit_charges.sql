/*
What uses up configured grants (credits, prepayments, spend commitments), and credits that belong to none.
One row per daily row of a bill and grant.
*/
with

charges as (
    select
        charges.source,
        charges.billing_period,
        charges.daily_id,
        charges.key_id,
        charges.usage_date,
        charges.billed_cost,
        attributions.charge_category,
        attributions.charge_description
    from ledger.charges_daily as charges
    inner join computed.attributions as attributions using (source, billing_period, key_id)
)

select
    charges.source, -- Name of the source in the configuration.
    charges.billing_period, -- First day of the invoice month.
    charges.daily_id, -- Row of ledger.charges_daily.
    charges.key_id, -- Key in computed.attributions.
    charges.usage_date, -- Day of use, UTC.
    allowed.grant_name, -- Name in the configuration; null for credits nobody configured.
    if(charges.charge_category = 'Credit', -charges.billed_cost, charges.billed_cost)::decimal(38, 12)
        as used_cost -- What it uses up: a credit is negative on the bill.
from charges
left join reference.credit_grants as allowed
    on charges.source = allowed.source
        and charges.usage_date between allowed.starts_on and allowed.expires_on
        and if(
            allowed.kind = 'promotional',
            charges.charge_category = 'Credit'
            and (
                allowed.description is null
                or contains(lower(coalesce(charges.charge_description, '')), lower(allowed.description))
            ),
            coalesce(charges.charge_category, '') not in ('Credit', 'Tax')
        )
where allowed.grant_name is not null or charges.charge_category = 'Credit'
