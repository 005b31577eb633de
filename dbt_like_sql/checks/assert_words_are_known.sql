/*
Workload, evidence and idle reason are words of models/workloads.py, wherever money or a rule carries them.
*/
with

words as (
    select
        'intermediate.int_costs_by_key' as found_in,
        workload,
        evidence,
        idle_reason
    from intermediate.int_costs_by_key
    union
    select
        'intermediate.int_accelerator_costs' as found_in,
        workload,
        evidence,
        idle_reason
    from intermediate.int_accelerator_costs
)

select
    found_in,
    workload,
    evidence,
    idle_reason
from words
where
    workload is null
    or workload not in (
        'training', 'fine_tuning', 'inference', 'storage', 'development', 'unattributed', 'shared', 'not_ai'
    )
    or evidence is null
    or evidence not in ('declared', 'billed', 'measured', 'inferred', 'none')
    or idle_reason not in (
        'unused_reservation', 'unused_commitment', 'unallocated', 'warm_pool', 'unused_throughput', 'idle',
        'underutilized', 'unmeasured'
    )
