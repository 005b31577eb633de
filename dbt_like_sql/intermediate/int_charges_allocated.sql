/*
What every daily row of a bill was for: the row with its key's attribution or, where computed.gpu_allocations,
computed.allocations or computed.token_allocations divides it, its parts instead (the first holds the parts of the
second, divided further, so it stands in their place). Every report reads this relation, so a dollar counts once.
One row per daily row, or per part of a divided one.
*/
with

daily as (
    select * from ledger.charges_daily
),

attributions as (
    select * from computed.attributions
),

token_parts as (
    select
        parts.source,
        parts.billing_period,
        parts.daily_id,
        parts.part,
        coalesce(parts.workload, tagged.workload) as workload,
        if(parts.workload is null, tagged.evidence, 'measured') as evidence,
        coalesce(parts.llm_model, tagged.llm_model) as llm_model,
        tagged.accelerator,
        tagged.idle_reason,
        coalesce(parts.team, tagged.team) as team,
        tagged.environment,
        coalesce(tagged.project, parts.project_id, parts.workspace_id) as project,
        tagged.customer,
        parts.method,
        parts.billed_cost,
        parts.effective_cost,
        parts.net_cost,
        parts.list_cost,
        parts.api_key_id,
        parts.feature,
        parts.endpoint,
        parts.tokens
    from computed.token_allocations as parts
    inner join ledger.charges_daily using (source, billing_period, daily_id)
    inner join computed.attributions as tagged using (source, billing_period, key_id)
),

gpu_parts as (
    select * replace (nullif(idle_reason, 'unmeasured') as idle_reason)
    from computed.gpu_allocations
),

parts as (
    select allocations.*
    from computed.allocations as allocations
    anti join computed.gpu_allocations using (source, billing_period, daily_id)
    union all by name
    select * from token_parts
    union all by name
    select * exclude (gpu_hours) from gpu_parts
)

select
    daily.source, -- Name of the source in the configuration.
    daily.billing_period, -- First day of the invoice month.
    daily.daily_id, -- Number of the daily row within source and billing_period.
    coalesce(parts.part, 1) as part, -- Part of a divided row; 1 where it is whole.
    daily.key_id, -- Key in computed.attributions.
    attributions.usage_period, -- First day of the month of use.
    daily.usage_date, -- Day of use, UTC.
    attributions.provider_name, -- Who provides the service.
    attributions.invoice_issuer_name, -- Who sends the invoice.
    attributions.billing_account_id, -- Payer.
    attributions.sub_account_id, -- Account, project or subscription.
    attributions.charge_category, -- FOCUS: Usage, Purchase, Tax, Credit or Adjustment.
    attributions.line_item_type, -- Native kind of line.
    attributions.service_name, -- Product name for people.
    attributions.service_code, -- Product code for rules.
    attributions.usage_type, -- Native usage type or SKU text.
    attributions.operation, -- Native operation.
    attributions.instance_type, -- Machine shape.
    attributions.resource_name, -- Name a person chose where the id carries one.
    daily.region_id, -- Region code.
    daily.resource_id, -- Resource, only for keys that are AI or have an accelerator.
    daily.commitment_discount_id, -- Savings Plan or reservation.
    attributions.attribution_rule_id, -- Rule that decided for the key.
    if(parts.part is null, attributions.workload, parts.workload) as workload, -- What the money was for.
    if(parts.part is null, attributions.evidence, parts.evidence) as evidence, -- How we know.
    if(parts.part is null, attributions.llm_model, parts.llm_model) as llm_model, -- Language model.
    attributions.token_bucket, -- Bucket of tokens the SKU counts; null where it counts none.
    attributions.tokens_per_unit, -- Tokens in one unit of consumed_quantity.
    if(parts.part is null, attributions.accelerator, parts.accelerator) as accelerator, -- Accelerator of the machine.
    if(parts.part is null, attributions.idle_reason, parts.idle_reason) as idle_reason, -- Null: busy, or nobody says.
    coalesce(parts.is_busy, false) as is_busy, -- Metrics found the accelerators busy.
    parts.namespace, -- Namespace or partition of the jobs that held the accelerators, where records say it.
    parts.outcome, -- How those jobs ended: completed, failed, preempted, cancelled or running.
    if(parts.part is null, attributions.team, parts.team) as team, -- Resolved by dimensions.team.
    if(parts.part is null, attributions.environment, parts.environment) as environment, -- By dimensions.environment.
    if(parts.part is null, attributions.project, parts.project) as project, -- Resolved by dimensions.project.
    if(parts.part is null, attributions.customer, parts.customer) as customer, -- Resolved by dimensions.customer.
    case
        when if(parts.part is null, attributions.team, parts.team) is not null then null
        when attributions.charge_category = 'Tax' then 'tax'
        when attributions.charge_category = 'Credit' then 'credit'
        when if(parts.part is null, attributions.workload, parts.workload) = 'shared'
            then if(regexp_matches(lower(attributions.service_name), '\bsupport\b'), 'support', 'other')
        when if(parts.part is null, attributions.workload, parts.workload) = 'not_ai' then null
        when if(parts.part is null, attributions.idle_reason, parts.idle_reason) != 'unmeasured' then 'idle'
        else 'unallocated'
    end as sharing_pool, -- Which money without a team it is, see int_showback_pools; null: a team's own, or no AI.
    coalesce(parts.method, 'direct') as method, -- How the row was divided; direct where it is whole.
    if(coalesce(parts.part, 1) = 1, daily.consumed_quantity, null) as consumed_quantity, -- On part 1 only: sums hold.
    if(parts.part is null, daily.billed_cost, parts.billed_cost) as billed_cost, -- What the provider asks for.
    if(parts.part is null, daily.effective_cost, parts.effective_cost) as effective_cost, -- Amortized, after discounts.
    if(parts.part is null, daily.net_cost, parts.net_cost) as net_cost, -- effective_cost after promotional credits.
    if(parts.part is null, daily.list_cost, parts.list_cost) as list_cost, -- At public price; null where not said.
    if(coalesce(parts.part, 1) = 1, daily.charge_count, 0) as charge_count, -- Bill lines, on part 1 only, so sums hold.
    parts.api_key_id, -- Key id or alias, where usage of API tokens divides the row.
    parts.feature, -- Feature tag, likewise.
    parts.endpoint, -- Endpoint or deployment, likewise.
    parts.tokens, -- Tokens that the part's share is of, likewise; lines of one cell repeat them, so never add them.
    'billed' as cost_basis -- From a bill.
from daily
-- Left: a key that lost its attribution must show up in the checks, not vanish with its money.
left join attributions
    on daily.source = attributions.source
        and daily.billing_period = attributions.billing_period
        and daily.key_id = attributions.key_id
left join parts
    on daily.source = parts.source
        and daily.billing_period = parts.billing_period
        and daily.daily_id = parts.daily_id
