/*
How much of each commitment (Savings Plan, reservation, committed use) was used. One row per source, billing period,
usage period and commitment.
*/
with

charges as (
    select
        *,
        coalesce(idle_reason, '') in ('unused_commitment', 'unused_reservation') as is_unused
    from intermediate.int_costs_by_key
    where commitment_discount_id is not null
),

sums as (
    select
        source,
        billing_period,
        usage_period,
        provider_name,
        commitment_discount_id,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        coalesce(sum(effective_cost) filter (where not is_unused), 0)::decimal(38, 12) as used_cost,
        coalesce(sum(effective_cost) filter (where is_unused), 0)::decimal(38, 12) as unused_cost,
        coalesce(sum(effective_cost) filter (where workload not in ('not_ai', 'shared')), 0)::decimal(38, 12)
            as ai_cost,
        sum(list_cost) filter (where charge_category = 'Usage' and not is_unused)::decimal(38, 12) as list_cost
    from charges
    group by all
)

select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    commitment_discount_id, -- Savings Plan, reservation or committed use.
    effective_cost, -- What the commitment cost, used or not; used_cost + unused_cost.
    used_cost, -- The part that covered usage.
    unused_cost, -- The part that covered nothing.
    ai_cost, -- The part that AI used, or leaves unused in proportion to what it uses.
    list_cost, -- What the covered usage would have cost at public prices; null where the bill does not say.
    (list_cost - effective_cost)::decimal(38, 12) as saved_cost, -- list_cost − effective_cost; null: undetermined.
    used_cost::double / nullif(effective_cost, 0)::double as utilization_share -- used_cost ÷ effective_cost; a ratio.
from sums
