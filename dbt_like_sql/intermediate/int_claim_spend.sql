/*
Answers to claims about what is spent on what. Refunds of another month's use can push a sum below zero or its known
part beyond the whole; a share of negative money means nothing, so what is negative counts 0 and a part at most its
whole. One row per metric and month of use with an answer.
*/
with

costs as (
    select * from intermediate.int_claim_costs
),

scopes as (
    select
        'inference_share_of_ai' as scope,
        *
    from costs
    union all
    select
        'inference_share_of_compute' as scope,
        *
    from costs
    where accelerator is not null
),

sums as (
    select
        scope,
        usage_period as period,
        coalesce(sum(effective_cost) filter (where workload = 'inference'), 0) as inference,
        coalesce(sum(effective_cost) filter (where workload = 'inference' and is_known), 0) as inference_known,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning')), 0) as training,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning') and is_known), 0)
            as training_known,
        coalesce(sum(effective_cost) filter (where workload = 'unattributed'), 0) as unattributed,
        sum(row_count) filter (where workload in ('inference', 'training', 'fine_tuning', 'unattributed'))::bigint
            as sample_size
    from scopes
    group by all
),

bounded as (
    select
        scope,
        period,
        sample_size,
        greatest(inference, 0) as inference,
        least(greatest(inference_known, 0), greatest(inference, 0)) as inference_known,
        greatest(training, 0) as training,
        least(greatest(training_known, 0), greatest(training, 0)) as training_known,
        greatest(unattributed, 0) as unattributed
    from sums
),

totals as (
    select
        *,
        inference + training as labelled,
        inference + training + unattributed as total,
        inference - inference_known + training - training_known + unattributed as undecided
    from bounded
),

-- Ratios are divided as double and rounded to 12 decimals. For the lower end that keeps the order; the upper end could
-- fall a last digit below the point, hence `greatest`.
shares as (
    select
        scope as metric,
        period,
        (inference_known::double / nullif(total, 0))::decimal(38, 12) as measured_low,
        (inference::double / nullif(labelled, 0))::decimal(38, 12) as measured,
        greatest((total - training_known)::double / nullif(total, 0), inference::double / nullif(labelled, 0))
        ::decimal(38, 12) as measured_high,
        total as measured_cost,
        undecided as undecided_cost,
        labelled::double / nullif(total, 0) as attributed_share,
        sample_size
    from totals
),

ratios as (
    select
        'inference_to_training' as metric,
        period,
        (inference_known::double / (total - inference_known))::decimal(38, 12) as measured_low,
        (inference::double / nullif(training, 0))::decimal(38, 12) as measured,
        if(
            training_known > 0,
            greatest((total - training_known)::double / training_known, inference::double / training),
            null
        )::decimal(38, 12) as measured_high,
        total as measured_cost,
        undecided as undecided_cost,
        labelled::double / total as attributed_share,
        sample_size
    from totals
    -- Where all is known inference there is no training to compare with.
    where scope = 'inference_share_of_ai' and total > inference_known
),

served as (
    select
        usage_period as period,
        greatest(coalesce(sum(effective_cost) filter (
            where workload = 'inference' and is_known and production = 'production'
        ), 0), 0) as known,
        greatest(coalesce(sum(effective_cost) filter (
            where workload = 'inference' and production = 'production'
        ), 0), 0) as production,
        greatest(coalesce(sum(effective_cost) filter (where workload = 'inference' and production = 'other'), 0), 0)
            as other,
        greatest(coalesce(sum(effective_cost) filter (where workload = 'inference' and production = 'unknown'), 0), 0)
            as undeclared,
        greatest(coalesce(sum(effective_cost) filter (
            where production != 'other'
            and (workload = 'unattributed' or workload in ('training', 'fine_tuning') and not is_known)
        ), 0), 0) as possible,
        sum(row_count) filter (where workload = 'inference')::bigint as sample_size
    from costs
    group by all
),

production as (
    select
        'production_inference' as metric,
        period,
        least(known, production)::decimal(38, 12) as measured_low,
        -- A sum of doubles knows 15 digits, the ends know all of them.
        if(
            production + other > 0,
            least(greatest(
                (production + undeclared::double * (production::double / (production + other)))::decimal(38, 12),
                least(known, production)
            ), production + undeclared + possible),
            null
        )::decimal(38, 12) as measured,
        (production + undeclared + possible)::decimal(38, 12) as measured_high,
        (production + other + undeclared + possible) as measured_cost,
        (production + undeclared + possible - least(known, production)) as undecided_cost,
        null::double as attributed_share,
        sample_size
    from served
    where production + undeclared + possible > 0
),

trained as (
    select
        usage_period as period,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning') and is_known), 0) > 0
            as is_known,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning')), 0) > 0 as is_training,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning', 'unattributed')), 0) > 0
            as is_possible,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning')), 0) as training,
        coalesce(sum(effective_cost) filter (
            where workload = 'unattributed' or workload in ('training', 'fine_tuning') and not is_known
        ), 0) as undecided
    from costs
    group by all
),

begun as (
    select
        *,
        min(period) filter (where is_training) over () as first_period
    from trained
),

months as (
    select
        'training_months' as metric,
        this.period,
        avg((since.is_known and since.is_training)::integer)::decimal(38, 12) as measured_low,
        avg(since.is_training::integer)::decimal(38, 12) as measured,
        avg((since.is_possible or since.is_training)::integer)::decimal(38, 12) as measured_high,
        greatest(sum(since.training), 0) as measured_cost,
        greatest(sum(since.undecided), 0) as undecided_cost,
        null::double as attributed_share,
        count(*)::bigint as sample_size
    from begun as this
    inner join begun as since
        on this.period >= since.period
            and this.first_period < since.period
    group by this.period
),

measures as (
    select * from shares
    union all by name
    select * from ratios
    union all by name
    select * from production
    union all by name
    select * from months
)

select
    metric, -- What is measured.
    period, -- First day of the month of use.
    measured_low, -- Lower end of the answer.
    measured, -- The answer if what nobody can tell is like the rest.
    measured_high, -- Upper end; null for none.
    measured_cost::decimal(38, 12) as measured_cost, -- The money looked at.
    undecided_cost::decimal(38, 12) as undecided_cost, -- Money unattributed or merely inferred.
    attributed_share::decimal(38, 12) as attributed_share, -- Share of measured_cost that has a workload; a ratio.
    sample_size, -- Daily rows and rows of usage; months for training_months.
    null::varchar as note, -- What else to know.
    true as is_of_bills -- Stands on bills, so it waits for them to be reconciled.
from measures
where measured_low is not null
