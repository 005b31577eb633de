/*
What every daily row of a bill was for: the row with its key's attribution or, where it has several owners, its parts of
int_charge_parts instead. Every report reads this relation, or int_costs_by_key, which sums it, so a dollar counts once.
A view: written down, it would be most of the warehouse, and its text columns are a key's own.
One row per daily row, or per part of a divided one.
*/
with

undivided as (
    select daily.*
    from ledger.charges_daily as daily
    anti join intermediate.int_charge_parts using (source, billing_period, daily_id)
),

-- What a part has from its key: all but its owner.
tagged as (
    select * exclude (workload, evidence, llm_model, accelerator, idle_reason, team, environment, project, customer)
    from computed.attributions
),

-- Left joins: a key that lost its attribution must show up in the checks, not vanish with its money.
charges as (
    select
        undivided.*,
        attributions.* exclude (source, billing_period, key_id), -- noqa: RF02
        1 as part,
        false as is_busy,
        'direct' as method
    from undivided
    left join computed.attributions as attributions using (source, billing_period, key_id)
    union all by name
    select
        parts.*,
        tagged.* exclude (source, billing_period, key_id) -- noqa: RF02
    from intermediate.int_charge_parts as parts
    left join tagged using (source, billing_period, key_id)
)

select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    daily_id, -- Number of the daily row within source and billing_period.
    part, -- Part of a divided row; 1 where it is whole.
    key_id, -- Key in computed.attributions.
    usage_period, -- First day of the month of use.
    usage_date, -- Day of use, UTC.
    provider_name, -- Who provides the service.
    invoice_issuer_name, -- Who sends the invoice.
    billing_account_id, -- Payer.
    sub_account_id, -- Account, project or subscription.
    charge_category, -- FOCUS: Usage, Purchase, Tax, Credit or Adjustment.
    line_item_type, -- Native kind of line.
    service_name, -- Product name for people.
    service_code, -- Product code for rules.
    usage_type, -- Native usage type or SKU text.
    operation, -- Native operation.
    instance_type, -- Machine shape.
    resource_name, -- Name a person chose where the id carries one.
    pricing_category, -- FOCUS: Standard, Dynamic, Committed or Other.
    pricing_unit, -- Unit of consumed_quantity as the bill writes it.
    region_id, -- Region code.
    resource_id, -- Resource, only for keys that are AI or have an accelerator.
    commitment_discount_id, -- Savings Plan or reservation.
    attribution_rule_id, -- Rule that decided for the key.
    workload, -- What the money was for.
    evidence, -- How we know.
    llm_model, -- Language model.
    token_bucket, -- Bucket of tokens the SKU counts; null where it counts none.
    tokens_per_unit, -- Tokens in one unit of consumed_quantity.
    accelerator, -- Accelerator of the machine.
    idle_reason, -- Null: busy, or nobody says.
    is_busy, -- Metrics found the accelerators busy.
    namespace, -- Namespace or partition of the jobs that held the accelerators, where records say it.
    outcome, -- How those jobs ended: completed, failed, preempted, cancelled or running.
    team, -- Resolved by dimensions.team.
    environment, -- Resolved by dimensions.environment.
    project, -- Resolved by dimensions.project.
    customer, -- Resolved by dimensions.customer.
    case
        when team is not null then null
        when charge_category = 'Tax' then 'tax'
        when charge_category = 'Credit' then 'credit'
        when workload = 'shared' then if(regexp_matches(lower(service_name), '\bsupport\b'), 'support', 'other')
        when workload = 'not_ai' then null
        when idle_reason != 'unmeasured' then 'idle'
        else 'unallocated'
    end as sharing_pool, -- Which money without a team it is, see int_showback_pools; null: a team's own, or no AI.
    method, -- How the row was divided; direct where it is whole.
    consumed_quantity, -- On part 1 only, so sums hold.
    billed_cost, -- What the provider asks for.
    effective_cost, -- Amortized, after discounts.
    net_cost, -- effective_cost after promotional credits.
    list_cost, -- At public price; null where not said.
    charge_count, -- Bill lines, on part 1 only, so sums hold.
    api_key_id, -- Key id or alias, where usage of API tokens divides the row.
    feature, -- Feature tag, likewise.
    endpoint, -- Endpoint or deployment, likewise.
    tokens, -- Tokens that the part's share is of, likewise; lines of one cell repeat them, so never add them.
    'billed' as cost_basis -- From a bill.
from charges
