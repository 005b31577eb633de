/*
What would not have been paid, had what stood idle been stopped. Capacity that is paid for whether or not it is used
(reservations, commitments) saves nothing before its term ends. Never part of charges.
One row per usage period, provider, accelerator, workload, team and idle reason.
*/
with

charges as (
    select * from intermediate.int_costs_by_key
    where
        idle_reason in (
            'unused_reservation', 'unused_commitment', 'unallocated', 'warm_pool', 'unused_throughput', 'idle'
        )
        and workload not in ('not_ai', 'shared')
        and charge_category = 'Usage'
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides it.
    accelerator, -- Accelerator of the machine; null for throughput of models.
    workload, -- What it was for.
    team, -- Resolved by dimensions.team.
    idle_reason, -- Why it did nothing.
    sum(effective_cost)::decimal(38, 12) as actual_cost, -- What it cost while it did nothing.
    coalesce(
        sum(effective_cost) filter (where idle_reason not in ('unused_reservation', 'unused_commitment')), 0
    )::decimal(38, 12) as saved_cost, -- What stopping it would have saved.
    case
        when idle_reason = 'unused_reservation' then 'reserved until you or its term end it: stopping saves nothing'
        when idle_reason = 'unused_commitment' then 'promised until its term ends: stopping machines saves nothing'
        when idle_reason = 'unallocated' then 'nodes shrink to what pods and jobs ask for; none is needed as a spare'
        when idle_reason = 'warm_pool' then 'machines start when a job comes, which then waits for them'
        when idle_reason = 'unused_throughput' then 'throughput is given back when nothing calls; a term may forbid it'
        else 'stopped in every hour that metrics found idle; starting again takes no time'
    end as assumptions -- What was assumed.
from charges
group by all
