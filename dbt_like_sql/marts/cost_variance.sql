/*
Why a month of use cost more or less than the calendar month before: other prices, more or less of everything, other
proportions, what is new and what is gone. The parts sum to the change to the last digit; see models/variance.py. An
open month is compared as far as it is reported. Amounts are effective_cost.
One row per usage period, provider, workload, service, usage type and unit.
*/
select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    workload, -- What the money was for.
    service_name, -- Product name.
    usage_type, -- Native usage type or SKU text.
    pricing_unit, -- Unit of the quantity.
    previous_cost, -- The month before.
    current_cost, -- The month.
    (current_cost - previous_cost)::decimal(38, 12) as change_cost, -- The change; the next six sum to it.
    price_cost, -- Other prices for the same quantity.
    volume_cost, -- More or less of everything of the same service and unit, in last month's proportions.
    mix_cost, -- Other proportions within the same service and unit.
    new_cost, -- Not there the month before.
    gone_cost, -- No longer there.
    unexplained_cost -- A change without quantities to explain it: fees, credits, divided rows.
from computed.cost_variance
