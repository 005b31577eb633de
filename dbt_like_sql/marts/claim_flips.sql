/*
Which rule decides the headline: money merely inferred or unattributed, by the rule that says so (a key of its own where
none does), and what the point and the verdict would be if all of it were known to be inference, or training. A rule
flips the claim where the verdict or the side of the range that the point lies on depends on it.
One row per claim, month of use, rule, workload and, for unattributed money, key.
*/
with

undecided as (
    select
        usage_period as period,
        workload,
        attribution_rule_id,
        if(workload = 'unattributed', key_id, null) as key_id,
        max(provider_name) as provider_name,
        max(service_name) as service_name,
        max(coalesce(usage_type, service_name)) as usage_type,
        sum(effective_cost) as effective_cost
    from intermediate.int_costs_by_key
    where
        coalesce(charge_category, '') not in ('Credit', 'Tax')
        and (
            workload = 'unattributed'
            or workload in ('inference', 'training', 'fine_tuning') and evidence = 'inferred'
        )
    group by all
    having sum(effective_cost) > 0
),

totals as (
    select
        usage_period as period,
        coalesce(sum(effective_cost) filter (where workload = 'inference'), 0) as inference,
        coalesce(sum(effective_cost) filter (where workload = 'inference' and is_known), 0) as inference_known,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning')), 0) as training,
        coalesce(sum(effective_cost) filter (where workload in ('training', 'fine_tuning') and is_known), 0)
            as training_known,
        coalesce(sum(effective_cost) filter (where workload = 'unattributed'), 0) as unattributed
    from intermediate.int_claim_costs
    group by all
),

-- What it adds to each side if known: as inference, as training; and what it takes from where it stands now.
moved as (
    select
        undecided.*,
        totals.inference + totals.training + totals.unattributed as total,
        totals.inference - if(undecided.workload = 'inference', undecided.effective_cost, 0) as inference,
        totals.training
        - if(undecided.workload in ('training', 'fine_tuning'), undecided.effective_cost, 0) as training,
        totals.inference_known,
        totals.training_known
    from undecided
    inner join totals using (period)
),

measures as (
    select
        *,
        (inference_known + effective_cost)::double / nullif(total, 0) as inference_low,
        (inference + effective_cost)::double / nullif(inference + training + effective_cost, 0) as inference_point,
        (total - training_known)::double / nullif(total, 0) as inference_high,
        inference_known::double / nullif(total, 0) as training_low,
        inference::double / nullif(inference + training + effective_cost, 0) as training_point,
        (total - training_known - effective_cost)::double / nullif(total, 0) as training_high
    from moved
),

judged as (
    select
        checks.claim_id,
        checks.verdict,
        checks.claimed_low,
        checks.claimed_high,
        measures.*,
        case
            when checks.verdict in ('withheld', 'no_data') then checks.verdict
            when
                measures.inference_low >= checks.claimed_low and measures.inference_high <= checks.claimed_high
                then 'holds'
            when
                measures.inference_high < checks.claimed_low or measures.inference_low > checks.claimed_high
                then 'fails'
            else 'undetermined'
        end as verdict_if_inference,
        case
            when checks.verdict in ('withheld', 'no_data') then checks.verdict
            when
                measures.training_low >= checks.claimed_low and measures.training_high <= checks.claimed_high
                then 'holds'
            when
                measures.training_high < checks.claimed_low or measures.training_low > checks.claimed_high
                then 'fails'
            else 'undetermined'
        end as verdict_if_training
    from marts.claim_checks as checks
    inner join reference.claims as claims
        on checks.claim_id = claims.claim_id
            and claims.metric = 'inference_share_of_ai'
    inner join measures
        on checks.period = measures.period
)

select
    claim_id, -- Claim.
    period, -- First day of the month of use.
    attribution_rule_id, -- Rule that decided; last rules of ours for what no other knew.
    workload, -- What the money counts as now.
    key_id, -- Key of unattributed money: `apportion explain` shows it; null for a rule that infers.
    provider_name, -- Who provides the service.
    service_name, -- Product name; one of them where a rule reaches several.
    usage_type, -- Native usage type; one of them where a rule reaches several.
    effective_cost::decimal(38, 12) as effective_cost, -- Money that would be known.
    verdict, -- The claim's verdict now.
    inference_point::decimal(38, 12) as measured_if_inference, -- The point if all of it is inference.
    verdict_if_inference, -- The verdict then.
    training_point::decimal(38, 12) as measured_if_training, -- The point if all of it is training.
    verdict_if_training, -- The verdict then.
    verdict_if_inference != verdict_if_training
    or (inference_point between claimed_low and coalesce(claimed_high, inference_point))
    != (training_point between claimed_low and coalesce(claimed_high, training_point))
        as is_flipping -- The verdict, or whether the point lies in the range, depends on it alone.
from judged
