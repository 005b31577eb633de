/*
AI money whose purpose the bill does not tell, with the rule one would write to say it.
One row per source, billing period and distinct key.
*/
with

keys as (
    select
        source,
        billing_period,
        usage_period,
        key_id,
        provider_name,
        sub_account_id,
        service_name,
        service_code,
        usage_type,
        operation,
        instance_type,
        resource_name,
        sum(billed_cost)::decimal(38, 12) as billed_cost,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        sum(charge_count)::bigint as charge_count
    from intermediate.int_costs_by_key
    where workload = 'unattributed'
    group by all
),

clauses as (
    select
        *,
        -- JSON text is YAML text, so quotes and colons in a bill cannot break the snippet.
        list_filter(
            [
                { 'name': 'service_code', 'text': to_json(service_code) },
                { 'name': 'usage_type', 'text': to_json(usage_type) },
                { 'name': 'operation', 'text': to_json(operation) },
                { 'name': 'sub_account_id', 'text': to_json(sub_account_id) },
                { 'name': 'resource_name', 'text': to_json(resource_name) }
            ],
            lambda clause: clause.text is not null
        ) as selected
    from keys
)

select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    usage_period, -- First day of the month of use.
    key_id, -- Key in computed.attributions.
    provider_name, -- Who provides the service.
    sub_account_id, -- Account, project or subscription.
    service_name, -- Product name for people.
    usage_type, -- Native usage type or SKU text.
    instance_type, -- Machine shape.
    resource_name, -- Name a person chose where the id carries one.
    billed_cost, -- What the provider asks for (unblended), reporting currency.
    effective_cost, -- Amortized cost after negotiated discounts; what an answer would settle.
    charge_count, -- Bill lines.
    concat_ws(
        chr(10),
        '- id: ' || trim(
            regexp_replace(
                lower(concat_ws('-', service_code, usage_type, left(key_id, 8))), '[^a-z0-9]+', '-', 'g'
            ),
            '-'
        ),
        '  workload: <choose one of training, fine_tuning, inference, storage, development, not_ai>',
        '  evidence: declared',
        '  reason: <say how you know>',
        '  when:',
        '    all:',
        array_to_string(
            list_transform(
                selected, lambda clause: '      - ' || clause.name || ': { equals: ' || clause.text || ' }'
            ),
            chr(10)
        ),
        '  effective_from: ' || usage_period,
        '  examples:',
        '    - { '
        || array_to_string(list_transform(selected, lambda clause: clause.name || ': ' || clause.text), ', ')
        || ' }'
    ) as suggested_rule -- YAML to paste into a team rule file, once the workload is chosen.
from clauses
