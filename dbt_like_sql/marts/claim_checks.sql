/*
Is what everybody repeats true for us? The answer is an interval: its lower end counts only inference that is declared,
billed or measured, its upper end everything that could still turn out to be inference. One row per claim and month of
use.

inference_share_of_ai is taken over T = training + fine_tuning + inference + unattributed, effective_cost by month of
use; credits and tax never enter.

    measured_low  = inference that is declared, billed or measured ÷ T
    measured      = all inference ÷ (T − unattributed)
    measured_high = (inference + training and fine_tuning merely inferred + unattributed) ÷ T

Verdicts, the first that applies: no_data (nothing in T, or a metric not computed here), withheld (a bill that feeds the
month is not reconciled, see marts.reconciliation), holds (the whole interval lies in the claimed range), fails (none of
it does), undetermined (undecided_cost is what would settle it).
*/
with

charges as (
    select
        *,
        evidence in ('declared', 'billed', 'measured') as is_known
    from intermediate.int_charges_allocated
),

months as (
    select
        charges.usage_period as period,
        bool_and(coalesce(reconciliation.is_reconciled, false)) as is_reconciled
    from charges
    left join marts.reconciliation using (source, billing_period)
    group by all
),

sums as (
    select
        usage_period as period,
        coalesce(sum(effective_cost) filter (where workload = 'inference'), 0) as inference,
        coalesce(sum(effective_cost) filter (where workload = 'inference' and is_known), 0) as inference_known,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning')), 0) as training,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning') and is_known), 0)
            as training_known,
        coalesce(sum(effective_cost) filter (where workload = 'unattributed'), 0) as unattributed
    from charges
    where charge_category not in ('Credit', 'Tax')
    group by all
),

-- Refunds of another month's use can push a sum below zero or its known part beyond the whole. A share of negative
-- money means nothing and the interval would lose its point, so what is negative counts 0 and a part at most its whole.
bounded as (
    select
        period,
        greatest(inference, 0) as inference,
        least(greatest(inference_known, 0), greatest(inference, 0)) as inference_known,
        greatest(training, 0) as training,
        least(greatest(training_known, 0), greatest(training, 0)) as training_known,
        greatest(unattributed, 0) as unattributed
    from sums
),

costs as (
    select
        period,
        inference,
        inference_known,
        training_known,
        unattributed,
        inference + training as labelled,
        inference + training + unattributed as total,
        inference - inference_known + training - training_known as inferred
    from bounded
),

-- Ratios are divided as double and rounded to 12 decimals. For the lower end that keeps the order; the upper end could
-- fall a last digit below the point, hence `greatest`.
measures as (
    select
        'inference_share_of_ai' as metric,
        period,
        (inference_known::double / nullif(total, 0))::decimal(38, 12) as measured_low,
        (inference::double / nullif(labelled, 0))::decimal(38, 12) as measured,
        greatest((total - training_known)::double / nullif(total, 0), inference::double / nullif(labelled, 0))
        ::decimal(38, 12) as measured_high,
        total::decimal(38, 12) as measured_cost,
        (inferred + unattributed)::decimal(38, 12) as undecided_cost,
        (labelled::double / nullif(total, 0))::decimal(38, 12) as attributed_share
    from costs
)

select
    claims.claim_id, -- Claim.
    claims.statement, -- The sentence.
    claims.said_by, -- Who says so.
    months.period, -- First day of the month of use.
    measures.measured_low, -- Lower end of the answer.
    measures.measured, -- The answer if unattributed money is spread like the rest; null where all is unattributed.
    measures.measured_high, -- Upper end of the answer.
    claims.claimed_low, -- Lower end of the claimed range.
    claims.claimed_high, -- Upper end of the claimed range.
    case
        when measures.measured_low is null then 'no_data'
        when not months.is_reconciled then 'withheld'
        when measures.measured_low >= claims.claimed_low and measures.measured_high <= claims.claimed_high then 'holds'
        when measures.measured_high < claims.claimed_low or measures.measured_low > claims.claimed_high then 'fails'
        else 'undetermined'
    end as verdict, -- holds, fails, undetermined, withheld or no_data.
    measures.undecided_cost, -- Money unattributed or merely inferred: what would settle an undetermined verdict.
    measures.measured_cost, -- The money measured, T.
    measures.attributed_share, -- Share of it that has a workload: the coverage to print beside the verdict.
    claims.reading -- How to read the verdict.
from reference.claims
cross join months
left join measures
    on claims.metric = measures.metric
        and months.period = measures.period
