/*
What an accelerator-hour effectively costs, by how it was bought: on_demand (capacity reservations too), spot, committed
(Savings Plans, reservations, committed use, with the unused part of their fees), capacity_block, or adjustment (refunds
and discounts that stand apart). Credits and tax do not enter. One row per usage period, provider, accelerator and
purchase option.
*/
with

costs as (
    select
        accelerator_costs.*,
        bought.purchase_option
    from intermediate.int_accelerator_costs as accelerator_costs
    inner join intermediate.int_purchase_options as bought using (source, billing_period, key_id)
),

sums as (
    select
        usage_period,
        provider_name,
        accelerator,
        purchase_option,
        sum(gpu_hours)::decimal(38, 12) as gpu_hours,
        sum(effective_cost)::decimal(38, 12) as effective_cost
    from costs
    group by all
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    accelerator, -- Accelerator of the machine.
    purchase_option, -- on_demand, spot, committed, capacity_block or adjustment.
    gpu_hours, -- Accelerator-hours.
    effective_cost, -- Amortized cost after negotiated discounts, of the whole machine.
    -- A price to look at, never to add: divided as double, rounded to 12 decimals.
    (effective_cost::double / nullif(gpu_hours, 0)::double)::decimal(38, 12)
        as cost_per_gpu_hour -- effective_cost ÷ gpu_hours; null where the option counts no hours of its own.
from sums
