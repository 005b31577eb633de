/*
Machines that served a fleet's models: accelerators of keys that are inference and whose name, endpoint or Kubernetes
namespace, as the bill writes it, is the fleet's. An endpoint's name decides before a namespace; a namespace decides
only where one fleet answered from it. What fits none stays out: its tokens have no cost, and its cost no tokens.
One row per source, billing period, key and resource.
*/
with

charges as (
    select distinct
        source,
        billing_period,
        key_id,
        usage_period,
        resource_id,
        resource_name
    from intermediate.int_charges_allocated
    where accelerator is not null and workload = 'inference'
),

tags as (
    select
        source,
        billing_period,
        key_id,
        json_extract_string(tags, '$."tag:endpoint"') as endpoint,
        coalesce(
            json_extract_string(tags, '$."tag:kubernetes_namespace"'),
            json_extract_string(tags, '$."tag:k8s_namespace"'),
            json_extract_string(tags, '$."tag:aws_eks_namespace"'),
            json_extract_string(tags, '$."tag:namespace"')
        ) as namespace
    from computed.attributions
    where accelerator is not null
),

named as (
    select
        charges.*,
        1 as preference,
        lower(unnest([charges.resource_name, regexp_extract(charges.resource_id, '[^/]+$'), tags.endpoint])) as spelling
    from charges
    left join tags using (source, billing_period, key_id)
    union all
    select
        charges.*,
        2 as preference,
        lower(tags.namespace) as spelling
    from charges
    inner join tags using (source, billing_period, key_id)
),

fleets as (
    select
        usage_period,
        fleet,
        min(llm_model) as llm_model,
        count(distinct llm_model) as models
    from intermediate.int_serving_usage
    where fleet is not null
    group by all
),

names as (
    select distinct
        usage_period,
        fleet,
        1 as preference,
        fleet as spelling
    from intermediate.int_serving_usage
    where fleet is not null
    union all
    select
        usage_period,
        min(fleet) as fleet,
        2 as preference,
        fleet_namespace as spelling
    from intermediate.int_serving_usage
    where fleet_namespace is not null and fleet is not null
    group by usage_period, fleet_namespace
    having count(distinct fleet) = 1
)

select
    named.source, -- Name of the source in the configuration.
    named.billing_period, -- First day of the invoice month.
    named.key_id, -- Key in computed.attributions.
    named.resource_id, -- Machine, endpoint or job; null where the bill has no resource ids.
    named.usage_period, -- First day of the month of use.
    min_by(names.fleet, (named.preference, names.fleet)) as fleet, -- Fleet, as usage names it.
    -- Null where the fleet serves several models: its cost cannot be told apart by adding.
    min_by(if(fleets.models = 1, fleets.llm_model, null), (named.preference, names.fleet))
        as llm_model -- The only model it serves.
from named
inner join names using (usage_period, preference, spelling)
inner join fleets using (usage_period, fleet)
group by all
