/*
This month's accelerator cost by what it did: idle for a reason somebody states, unmeasured where nobody looked, busy
only where measured.
*/
with

costs as (
    select
        coalesce(idle_reason, 'busy') as idle_reason,
        sum(gpu_hours)::decimal(38, 12) as gpu_hours,
        sum(effective_cost)::decimal(38, 12) as effective_cost
    from marts.gpu_idle_costs
    where usage_period = date '2026-09-01' and workload != 'shared'
    group by all
)

select
    idle_reason,
    gpu_hours,
    effective_cost,
    (effective_cost::double / nullif(sum(effective_cost) over (), 0))::decimal(38, 12) as share_of_accelerators
from costs
order by
    case idle_reason when 'busy' then 2 when 'unmeasured' then 1 else 0 end,
    effective_cost desc
