/*
Answers to claims about machines, storage and runs, from bill lines. A price is a ratio, divided as double. One row per
metric and month of use with an answer.
*/
with

charges as (
    select
        source,
        billing_period,
        key_id,
        usage_period as period,
        usage_type,
        workload,
        resource_name,
        resource_id,
        consumed_quantity,
        billed_cost,
        effective_cost,
        list_cost,
        method,
        lower(pricing_unit) as pricing_unit,
        pricing_category
    from intermediate.int_charges_allocated
    where
        charge_category = 'Usage'
        and (pricing_category = 'Dynamic' or workload = 'storage' or contains(usage_type, ':p5.48xlarge'))
),

-- The bill prints a list cost on every line, spot and covered ones too; SageMaker's own price is another.
p5 as (
    select
        'p5_list_price' as metric,
        period,
        min(list_cost::double / consumed_quantity::double) as measured_low,
        sum(list_cost)::double / sum(consumed_quantity)::double as measured,
        max(list_cost::double / consumed_quantity::double) as measured_high,
        sum(list_cost) as measured_cost,
        null::decimal(38, 12) as undecided_cost,
        count(*)::bigint as sample_size,
        'The bill''s public on-demand price of ' || count(distinct usage_type) || ' usage types.' as note
    from charges
    where
        regexp_matches(usage_type, '(^|-)(BoxUsage|UnusedBox|SpotUsage):p5\.48xlarge$')
        and pricing_unit in ('hrs', 'hours')
        and method = 'direct'
        and list_cost > 0
        and consumed_quantity > 0
    group by all
),

spot as (
    select
        period,
        coalesce(sum(list_cost) filter (where list_cost > 0), 0)::double as list_cost,
        -- Refunds beyond what the hours cost save all of it, and no more.
        greatest(coalesce(sum(billed_cost) filter (where list_cost > 0), 0), 0)::double as charged_cost,
        greatest(coalesce(sum(billed_cost) filter (where coalesce(list_cost, 0) <= 0), 0), 0) as unpriced,
        greatest(sum(billed_cost), 0) as measured_cost,
        count(*)::bigint as sample_size
    from charges
    where pricing_category = 'Dynamic' and workload not in ('not_ai', 'shared', 'storage')
    group by all
),

spot_savings as (
    select
        'spot_savings' as metric,
        period,
        greatest(least((list_cost - charged_cost) / (list_cost + unpriced::double), 1 - charged_cost / list_cost), 0)
            as measured_low,
        greatest(1 - charged_cost / list_cost, 0) as measured,
        if(unpriced > 0, 1, greatest(1 - charged_cost / list_cost, 0)) as measured_high,
        measured_cost,
        unpriced as undecided_cost,
        sample_size,
        null as note
    from spot
    where list_cost > 0
),

-- Reserved, on demand or in a capacity block: a service cannot stand on spot.
a100 as (
    select
        'a100_pair_month' as metric,
        usage_period as period,
        1460 * min(cost_per_gpu_hour)::double as measured_low,
        1460 * sum(effective_cost)::double / sum(gpu_hours)::double as measured,
        1460 * max(cost_per_gpu_hour)::double as measured_high,
        sum(effective_cost) as measured_cost,
        null::decimal(38, 12) as undecided_cost,
        count(*)::bigint as sample_size,
        round(sum(gpu_hours))::bigint || ' accelerator-hours of '
        || string_agg(provider_name || ' ' || replace(purchase_option, '_', ' '), ', ' order by cost_per_gpu_hour)
            as note
    from marts.gpu_hour_rates
    where
        accelerator = 'A100'
        and purchase_option in ('on_demand', 'committed', 'capacity_block')
        and gpu_hours > 0
        and cost_per_gpu_hour > 0
    group by all
),

classes as (
    select
        charges.period,
        charges.usage_type,
        sum(charges.effective_cost) as effective_cost,
        sum(charges.consumed_quantity) as quantity
    from charges
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    where
        charges.workload = 'storage'
        and regexp_matches(
            lower(
                concat_ws(
                    ' ',
                    charges.resource_name,
                    charges.resource_id,
                    json_extract_string(attributions.tags, '$."tag:purpose"')
                )
            ),
            'checkpoint|ckpt'
        )
        and regexp_matches(charges.pricing_unit, '^(gb|gib|gibibyte|gigabyte)[- ]?(mo|month)')
        and charges.method = 'direct'
    group by all
    having sum(charges.consumed_quantity) > 0 and sum(charges.effective_cost) > 0
),

-- 52 weekly checkpoints of 140 GB, all kept for 12 months: 87,360 GB-months.
checkpoints as (
    select
        'checkpoint_year' as metric,
        period,
        87360 * min(effective_cost::double / quantity::double) as measured_low,
        87360 * sum(effective_cost)::double / sum(quantity)::double as measured,
        87360 * max(effective_cost::double / quantity::double) as measured_high,
        sum(effective_cost) as measured_cost,
        null::decimal(38, 12) as undecided_cost,
        count(*)::bigint as sample_size,
        '87,360 GB-months: 52 checkpoints of 140 GB, kept for 12 months; your classes: '
        || string_agg(usage_type, ', ' order by effective_cost::double / quantity::double) as note
    from classes
    group by all
),

runs as (
    select
        date_trunc('month', started_on)::date as period,
        -- Bills write training and fine-tuning jobs alike: one that nobody declares to be training may be either.
        case
            when workload = 'fine_tuning' and run_kind = 'job' then 'told'
            when workload = 'fine_tuning' then 'of_no_job'
            else 'untold'
        end as kind,
        effective_cost
    from marts.training_runs
    where
        effective_cost > 0
        and (
            workload = 'fine_tuning'
            or workload = 'training' and run_kind = 'job' and evidence is distinct from 'declared'
        )
),

told as (
    select
        period,
        quantile_cont(effective_cost::double, 0.1) as low,
        quantile_cont(effective_cost::double, 0.5) as middle,
        quantile_cont(effective_cost::double, 0.9) as high
    from runs
    where kind = 'told'
    group by all
),

-- Jobs that may be fine-tuning as well widen the ends: the cheap ones the lower, the dear ones the upper.
fine_tuning as (
    select
        'fine_tuning_run' as metric,
        runs.period,
        quantile_cont(runs.effective_cost::double, 0.1) filter (
            where runs.kind = 'told' or runs.kind = 'untold' and runs.effective_cost < told.low
        ) as measured_low,
        any_value(told.middle) as measured,
        quantile_cont(runs.effective_cost::double, 0.9) filter (
            where runs.kind = 'told' or runs.kind = 'untold' and runs.effective_cost > told.high
        ) as measured_high,
        sum(runs.effective_cost) filter (where runs.kind = 'told') as measured_cost,
        coalesce(sum(runs.effective_cost) filter (where runs.kind != 'told'), 0) as undecided_cost,
        count(*) filter (where runs.kind = 'told')::bigint as sample_size,
        'Jobs that may be training or fine-tuning: ' || count(*) filter (where runs.kind = 'untold') as note
    from runs
    inner join told using (period)
    group by all
),

-- All hours paid for: what nobody measured is neither busy nor idle, and an hour that the bill or job records call idle
-- is not busy. Refunds may take back more hours than a month has.
held as (
    select
        usage_period as period,
        if(workload = 'inference', 'inference_gpu_utilization', 'training_gpu_utilization') as metric,
        coalesce(sum(gpu_hours) filter (where idle_reason is null), 0)::double as busy,
        coalesce(sum(gpu_hours) filter (where idle_reason in ('idle', 'underutilized')), 0)::double as slack,
        coalesce(sum(gpu_hours) filter (where idle_reason not in ('idle', 'underutilized', 'unmeasured')), 0)::double
            as unused,
        greatest(coalesce(sum(gpu_hours) filter (where idle_reason = 'unmeasured'), 0), 0)::double as unmeasured,
        sum(effective_cost) as measured_cost,
        greatest(coalesce(sum(effective_cost) filter (where idle_reason = 'unmeasured'), 0), 0) as undecided_cost,
        count(*) filter (where idle_reason is distinct from 'unmeasured' and gpu_hours > 0)::bigint as sample_size
    from intermediate.int_accelerator_costs
    where workload in ('inference', 'training', 'fine_tuning')
    group by all
),

known as (
    select
        *,
        busy + slack + greatest(unused, 0) as hours
    from held
    where busy >= 0 and slack >= 0 and busy + slack > 0
),

utilization as (
    select
        metric,
        period,
        busy / (hours + unmeasured) as measured_low,
        busy / hours as measured,
        (busy + unmeasured) / (hours + unmeasured) as measured_high,
        measured_cost,
        undecided_cost,
        sample_size,
        round(busy + slack)::bigint || ' of ' || round(hours + unmeasured)::bigint || ' accelerator-hours are measured'
            as note
    from known
),

serverless as (
    select
        accelerators.usage_period as period,
        accelerators.accelerator,
        coalesce(lower(attributions.service_name) like '%serverless%', false) as is_serverless,
        sum(accelerators.effective_cost)::double / nullif(sum(accelerators.gpu_hours), 0)::double as hour_cost,
        sum(accelerators.effective_cost) as effective_cost
    from intermediate.int_accelerator_costs as accelerators
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    group by all
),

multiples as (
    select
        'serverless_multiple' as metric,
        bought.period,
        min(bought.hour_cost / own.hour_cost) as measured_low,
        avg((bought.hour_cost / own.hour_cost)::decimal(38, 12)) as measured,
        max(bought.hour_cost / own.hour_cost) as measured_high,
        sum(bought.effective_cost) as measured_cost,
        null::decimal(38, 12) as undecided_cost,
        count(*)::bigint as sample_size,
        null as note
    from serverless as bought
    inner join serverless as own
        on bought.period = own.period and bought.accelerator = own.accelerator and not own.is_serverless
    where bought.is_serverless and bought.hour_cost > 0 and own.hour_cost > 0
    group by all
),

measures as (
    select * from p5
    union all by name
    select * from spot_savings
    union all by name
    select * from a100
    union all by name
    select * from checkpoints
    union all by name
    select * from fine_tuning
    union all by name
    select * from utilization
    union all by name
    select * from multiples
)

select
    metric, -- What is measured.
    period, -- First day of the month of use.
    measured_low::decimal(38, 12) as measured_low, -- Lower end of the answer.
    -- An average of equal prices may differ from them in the last digit of a double.
    least(greatest(measured_low, measured), measured_high)::decimal(38, 12) as measured, -- The answer.
    measured_high::decimal(38, 12) as measured_high, -- Upper end of the answer.
    measured_cost::decimal(38, 12) as measured_cost, -- The money looked at.
    undecided_cost::decimal(38, 12) as undecided_cost, -- Money that could move the answer; null where none can.
    null::decimal(38, 12) as attributed_share, -- No split is asked here.
    sample_size, -- Daily rows, prices, storage classes or runs.
    note, -- What else to know.
    true as is_of_bills -- Stands on bills, so it waits for them to be reconciled.
from measures
where measured_low is not null
