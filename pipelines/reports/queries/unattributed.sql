/*
The keys whose purpose nobody can tell that cost most this month, each with the rule one would write.
*/
with

keys as (
    select
        key_id,
        any_value(provider_name) as provider_name,
        any_value(sub_account_id) as sub_account_id,
        any_value(service_name) as service_name,
        any_value(usage_type) as usage_type,
        any_value(resource_name) as resource_name,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        sum(charge_count)::bigint as charge_count,
        any_value(suggested_rule) as suggested_rule
    from marts.unattributed_charges
    where usage_period = date '2026-09-01'
    group by all
)

select
    key_id,
    provider_name,
    sub_account_id,
    service_name,
    usage_type,
    resource_name,
    effective_cost,
    (effective_cost::double / nullif(sum(effective_cost) over (), 0))::decimal(38, 12) as share_of_unattributed,
    charge_count,
    suggested_rule
from keys
order by effective_cost desc, key_id asc
limit 5
