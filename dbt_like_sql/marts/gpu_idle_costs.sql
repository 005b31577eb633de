/*
What accelerators cost and why some of them did nothing. From a bill alone a row is either idle for a reason the bill
states (an unused reservation, say) or unmeasured: missing telemetry is neither idle nor busy.
One row per usage period, provider, accelerator, workload and idle reason.
*/
with

accelerator_costs as (
    select * from intermediate.int_accelerator_costs
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the service.
    accelerator, -- Accelerator of the machine.
    workload, -- What the money was for; idle training capacity is still training.
    idle_reason, -- Why it did nothing; unmeasured where nobody looked, null only where measured busy.
    sum(gpu_hours)::decimal(38, 12) as gpu_hours, -- Machine-hours × accelerators per machine.
    sum(effective_cost)::decimal(38, 12) as effective_cost -- Amortized cost after negotiated discounts.
from accelerator_costs
group by all
