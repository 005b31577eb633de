/*
What spot and preemptible capacity saved against public on-demand prices. billed_cost is taken, before negotiated
discounts, which on-demand capacity would have had as well. One row per usage period, provider, workload, accelerator
and machine shape.
*/
with

charges as (
    select
        *,
        list_cost is null or list_cost = 0 and billed_cost != 0 as is_unpriced
    from intermediate.int_charges_allocated
    where pricing_category = 'Dynamic' and charge_category = 'Usage'
),

sums as (
    select
        usage_period,
        provider_name,
        workload,
        accelerator,
        instance_type,
        sum(effective_cost)::decimal(38, 12) as effective_cost,
        sum(billed_cost)::decimal(38, 12) as billed_cost,
        if(bool_or(is_unpriced), null, sum(list_cost))::decimal(38, 12) as list_cost
    from charges
    group by all
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    workload, -- What the money was for.
    accelerator, -- Accelerator of the machine; null for others.
    instance_type, -- Machine shape; null where the bill does not say.
    effective_cost, -- Amortized cost after negotiated discounts.
    billed_cost, -- What the provider asks for.
    list_cost, -- At public on-demand price; null where the bill does not say for every line.
    (list_cost - billed_cost)::decimal(38, 12) as saved_cost, -- list_cost − billed_cost; null: undetermined.
    1 - billed_cost::double / nullif(list_cost, 0)::double as saved_share, -- saved_cost ÷ list_cost; a ratio.
    if(list_cost is null, 'undetermined', 'measured') as status -- measured, or undetermined without public prices.
from sums
