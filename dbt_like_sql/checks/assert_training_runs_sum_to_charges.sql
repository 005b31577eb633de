/*
marts.training_runs holds all the money of training and fine-tuning, once, per workload.
*/
with

mart as (
    select
        workload,
        sum(effective_cost) as effective_cost
    from marts.training_runs
    where run_kind != 'checkpoints'
    group by all
),

charges as (
    select
        workload,
        sum(effective_cost) as effective_cost
    from intermediate.int_costs_by_key
    where workload in ('training', 'fine_tuning')
    group by all
)

select
    workload,
    mart.effective_cost,
    charges.effective_cost as charged_cost
from mart
full join charges using (workload)
where mart.effective_cost is distinct from charges.effective_cost
