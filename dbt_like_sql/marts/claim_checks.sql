/*
Is what everybody repeats true for us? Each answer is an interval, in the unit of its claim; how its ends are made
stands in `definition`. One row per claim and month of use.

inference_share_of_ai is taken over T = training + fine_tuning + inference + unattributed, effective_cost by month of
use; credits and tax never enter, API usage that no bill covers yet does, at its estimated price.

    measured_low  = inference that is declared, billed or measured ÷ T
    measured      = all inference ÷ (T − unattributed)
    measured_high = (inference + training and fine_tuning merely inferred + unattributed) ÷ T

Verdicts, the first that applies: no_data (nothing to measure, or a metric not computed here), withheld (a bill that
feeds the month is not reconciled, see marts.reconciliation), holds (the whole interval lies in the claimed range),
fails (none of it does), undetermined (undecided_cost is what would settle it).
*/
with

measures as (
    select * from intermediate.int_claim_spend
    union all by name
    select * from intermediate.int_claim_machines
    union all by name
    select * from intermediate.int_claim_tokens
),

estimated as (
    select
        usage_period as period,
        sum(effective_cost)::decimal(38, 12) as estimated_cost
    from intermediate.int_claim_costs
    where cost_basis = 'estimated'
    group by all
),

research as (
    select coalesce(bool_or(value = 'true'), false) as is_declared
    from reference.claim_settings
    where name = 'research_declared'
),

judged as (
    select
        claims.*,
        months.period,
        measures.measured_low,
        measures.measured,
        measures.measured_high,
        measures.measured_cost,
        measures.undecided_cost,
        measures.attributed_share,
        measures.sample_size,
        measures.note,
        measures.is_of_bills,
        estimated.estimated_cost,
        case
            when measures.measured_low is null then 'no_data'
            when not months.is_reconciled and measures.is_of_bills then 'withheld'
            when
                measures.measured_low >= claims.claimed_low
                and (claims.claimed_high is null or measures.measured_high <= claims.claimed_high) then 'holds'
            when
                measures.measured_high < claims.claimed_low or measures.measured_low > claims.claimed_high
                then 'fails'
            else 'undetermined'
        end as verdict
    from reference.claims
    cross join intermediate.int_claim_months as months
    left join measures
        on claims.metric = measures.metric
            and months.period = measures.period
    left join estimated
        on months.period = estimated.period
)

select
    claim_id, -- Claim.
    statement, -- The sentence.
    said_by, -- Who says so.
    said_on, -- When; null where it is not known.
    period, -- First day of the month of use.
    unit, -- What the figures are: share, ratio, times or dollars.
    measured_low, -- Lower end of the answer.
    measured, -- The answer if unattributed money is spread like the rest; null where all is unattributed.
    measured_high, -- Upper end of the answer; null for none.
    claimed_low, -- Lower end of the claimed range.
    claimed_high, -- Upper end of the claimed range; null for none.
    verdict, -- holds, fails, undetermined, withheld or no_data.
    undecided_cost, -- Money unattributed or merely inferred: what would settle an undetermined verdict.
    measured_cost, -- The money measured; for shares of AI spend, T.
    estimated_cost, -- API usage of the month that no bill covers yet, at its estimated price; null where there is none.
    attributed_share, -- Share of it that has a workload: the coverage to print beside the verdict.
    sample_size, -- Rows, months, runs, prices or requests the answer stands on, as the definition says.
    case
        when verdict = 'no_data' then answered_by
        when verdict = 'withheld' then 'A bill that agrees with its invoice: see marts.reconciliation.'
        when verdict = 'undetermined' and metric like '%_gpu_utilization'
            then 'Metrics of the accelerators that nobody measured: see marts.gpu_coverage.'
        when verdict = 'undetermined' and undecided_cost > 0
            then 'Evidence for the undecided money: see marts.claim_flips and marts.unattributed_charges.'
        when verdict = 'undetermined' then 'Nothing: your own figures lie on both sides of the claimed range.'
    end as needs, -- Which connector, setting or evidence would answer or settle it; null where it is settled.
    case
        when metric != 'inference_to_training' or claimed_high is not null or verdict in ('no_data', 'withheld')
            then null
        when verdict = 'holds' then 'Optimize inference first.'
        when verdict = 'undetermined' then 'Attribute first: the bills allow both inference first and balance.'
        when measured_high < 1 and (select research.is_declared from research)
            then 'Optimize training first: it costs more than inference, and research is declared.'
        else 'Balance both.'
    end as advice, -- What follows where a claim is a condition for advice.
    note, -- What else to know.
    priced_on, -- For a claim about a list price: a day on which the claimed price was in force.
    scope, -- Which money counts.
    definition, -- How it is measured: lower end, point and upper end.
    reading -- How to read the verdict.
from judged
