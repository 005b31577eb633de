/*
What a key cost in a month, by what it was for: int_charges_allocated without days, resources and regions. Marts by the
month read this; it is a fraction of the daily rows. One row per source, billing period, key, commitment, owner and
method.
*/
with

sums as (
    select
        source,
        billing_period,
        key_id,
        commitment_discount_id,
        workload,
        evidence,
        llm_model,
        accelerator,
        idle_reason,
        team,
        environment,
        project,
        sharing_pool,
        method,
        count(*) as row_count,
        sum(consumed_quantity) as consumed_quantity,
        sum(billed_cost) as billed_cost,
        sum(effective_cost) as effective_cost,
        sum(net_cost) as net_cost,
        sum(list_cost) as list_cost,
        sum(charge_count) as charge_count
    from intermediate.int_charges_allocated
    group by all
)

select
    sums.source, -- Name of the source in the configuration.
    sums.billing_period, -- First day of the invoice month.
    sums.key_id, -- Key in computed.attributions.
    attributions.usage_period, -- First day of the month of use.
    attributions.provider_name, -- Who provides the service.
    attributions.sub_account_id, -- Account, project or subscription.
    attributions.charge_category, -- FOCUS: Usage, Purchase, Tax, Credit or Adjustment.
    attributions.service_name, -- Product name for people.
    attributions.service_code, -- Product code for rules.
    attributions.usage_type, -- Native usage type or SKU text.
    attributions.operation, -- Native operation.
    attributions.instance_type, -- Machine shape.
    attributions.resource_name, -- Name a person chose where the id carries one.
    attributions.pricing_unit, -- Unit of consumed_quantity as the bill writes it.
    attributions.token_bucket, -- Bucket of tokens the SKU counts; null where it counts none.
    attributions.attribution_rule_id, -- Rule that decided for the key.
    sums.commitment_discount_id, -- Savings Plan or reservation.
    sums.workload, -- What the money was for.
    sums.evidence, -- How we know.
    sums.llm_model, -- Language model.
    sums.accelerator, -- Accelerator of the machine.
    sums.idle_reason, -- Null: busy, or nobody says.
    sums.team, -- Resolved by dimensions.team.
    sums.environment, -- Resolved by dimensions.environment.
    sums.project, -- Resolved by dimensions.project.
    sums.sharing_pool, -- Which money without a team it is; null: a team's own, or no AI.
    sums.method, -- How its rows were divided; direct where they are whole.
    sums.row_count, -- Daily rows, and parts of rows.
    sums.consumed_quantity::decimal(38, 12) as consumed_quantity, -- Of whole rows and first parts, so sums hold.
    sums.billed_cost::decimal(38, 12) as billed_cost, -- What the provider asks for.
    sums.effective_cost::decimal(38, 12) as effective_cost, -- Amortized, after discounts.
    sums.net_cost::decimal(38, 12) as net_cost, -- effective_cost after promotional credits.
    sums.list_cost::decimal(38, 12) as list_cost, -- At public price; null where no row says it.
    sums.charge_count::bigint as charge_count, -- Bill lines; a divided line counts with its first part.
    'billed' as cost_basis -- From a bill.
from sums
left join computed.attributions as attributions using (source, billing_period, key_id)
