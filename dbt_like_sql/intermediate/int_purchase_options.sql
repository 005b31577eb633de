/*
How machines with accelerators were bought: on_demand (capacity reservations too), spot, committed (Savings Plans,
reservations, committed use, with the unused part of their fees), capacity_block, or adjustment (refunds and discounts
that stand apart). Credits and tax buy nothing. One row per source, billing period and key.
*/
select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    key_id, -- Key in computed.attributions.
    case
        when pricing_category = 'Dynamic' then 'spot'
        when usage_type like '%CapacityBlock%' then 'capacity_block'
        when pricing_category = 'Committed' then 'committed'
        when commitment_discount_status is not null then 'committed'
        when regexp_matches(line_item_type, '^(SavingsPlan|RIFee|DiscountedUsage)') then 'committed'
        when charge_category = 'Adjustment' then 'adjustment'
        else 'on_demand'
    end as purchase_option -- on_demand, spot, committed, capacity_block or adjustment.
from computed.attributions
where coalesce(charge_category, '') not in ('Credit', 'Tax')
