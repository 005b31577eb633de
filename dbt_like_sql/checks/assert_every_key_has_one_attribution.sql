/*
Every key of a daily row or an accelerator-hour has exactly one attribution: none would hide its money, two would double
it.
*/
with

keys as (
    select
        source,
        billing_period,
        key_id
    from ledger.charges_daily
    union
    select
        source,
        billing_period,
        key_id
    from ledger.gpu_days
)

select
    source,
    billing_period,
    key_id,
    count(attributions.source) as attributions
from keys
left join computed.attributions as attributions using (source, billing_period, key_id)
group by all
having count(attributions.source) != 1
