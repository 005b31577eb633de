/*
Parts of the daily rows that have several owners: of computed.gpu_allocations, which hold the parts of
computed.allocations divided further and so stand in their place, computed.allocations and computed.token_allocations.
The parts of a row sum to it. What they have from their row stands here, so that no reader looks for it again.
One row per part of a divided daily row.
*/
with

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

owners as (
    select allocations.*
    from computed.allocations as allocations
    anti join computed.gpu_allocations using (source, billing_period, daily_id)
    union all by name
    select * from token_parts
    union all by name
    select * exclude (gpu_hours) from gpu_parts
)

select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    daily_id, -- Daily row that is divided.
    owners.part, -- Number of the part, from 1.
    daily.key_id, -- Key in computed.attributions.
    daily.usage_date, -- Day of use, UTC.
    daily.region_id, -- Region code.
    daily.resource_id, -- Resource.
    daily.commitment_discount_id, -- Savings Plan or reservation.
    owners.workload, -- What the money was for.
    owners.evidence, -- How we know.
    owners.llm_model, -- Language model.
    owners.accelerator, -- Accelerator of the machine.
    owners.idle_reason, -- Null: busy, or nobody says.
    coalesce(owners.is_busy, false) as is_busy, -- Metrics found the accelerators busy.
    owners.namespace, -- Namespace or partition of the jobs that held the accelerators, where records say it.
    owners.outcome, -- How those jobs ended: completed, failed, preempted, cancelled or running.
    owners.team, -- Whose it is.
    owners.environment, -- Resolved by dimensions.environment.
    owners.project, -- Resolved by dimensions.project, or as usage of API tokens says.
    owners.customer, -- Resolved by dimensions.customer.
    owners.method, -- How the row was divided.
    if(owners.part = 1, daily.consumed_quantity, null) as consumed_quantity, -- On part 1 only, so sums hold.
    owners.billed_cost, -- What the provider asks for.
    owners.effective_cost, -- Amortized, after discounts.
    owners.net_cost, -- effective_cost after promotional credits.
    owners.list_cost, -- At public price; null where not said.
    if(owners.part = 1, daily.charge_count, 0) as charge_count, -- Bill lines, on part 1 only, so sums hold.
    owners.api_key_id, -- Key id or alias, where usage of API tokens divides the row.
    owners.feature, -- Feature tag, likewise.
    owners.endpoint, -- Endpoint or deployment, likewise.
    owners.tokens -- Tokens that the part's share is of, likewise; lines of one cell repeat them, so never add them.
from owners
inner join ledger.charges_daily as daily using (source, billing_period, daily_id)
