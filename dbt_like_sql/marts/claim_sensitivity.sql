/*
The headline under every definition a critic could pick: which money, what idle machines count as, with or without
storage and tokens bought from an API, on which side fine-tuning, development, batch work and warm pools stand, and over
which months. The interval and the verdict are made as in marts.claim_checks; storage and development left in count in
T. One row per claim, month of use and definition.
*/
with

sides as (
    select * from intermediate.int_claim_sides
),

options as (
    select
        storages.storage,
        apis.api,
        fine_tunings.fine_tuning,
        developments.development,
        batch_transforms.batch_transform,
        warm_pools.warm_pool
    from unnest(['left_out', 'in_total']) as storages (storage)
    cross join unnest(['with', 'left_out']) as apis (api)
    cross join unnest(['training', 'inference']) as fine_tunings (fine_tuning)
    cross join unnest(['left_out', 'training', 'inference']) as developments (development)
    cross join unnest(['inference', 'training']) as batch_transforms (batch_transform)
    cross join unnest(['owner', 'inference']) as warm_pools (warm_pool)
),

-- A class and an option meet once: which side the class stands on under each option that may move it.
placed as (
    select
        sides.period,
        sides.span,
        sides.money,
        sides.idle_treatment,
        options.*,
        case
            when sides.is_api and options.api = 'left_out' then 'left_out'
            when sides.cost_class = 'storage' then if(options.storage = 'in_total', 'neither', 'left_out')
            when sides.cost_class = 'fine_tuning' then options.fine_tuning
            when sides.cost_class = 'development' then options.development
            when sides.cost_class = 'batch_transform' then options.batch_transform
            when sides.cost_class = 'warm_pool' and options.warm_pool = 'inference' then 'inference'
            when sides.cost_class = 'warm_pool' and sides.workload = 'fine_tuning' then options.fine_tuning
            when sides.cost_class = 'warm_pool' then sides.workload
            else sides.cost_class
        end as side,
        sides.is_known,
        sides.amount
    from sides
    cross join options
),

sums as (
    select
        * exclude (side, is_known, amount),
        coalesce(sum(amount) filter (where side = 'inference'), 0) as inference,
        coalesce(sum(amount) filter (where side = 'inference' and is_known), 0) as inference_known,
        coalesce(sum(amount) filter (where side = 'training'), 0) as training,
        coalesce(sum(amount) filter (where side = 'training' and is_known), 0) as training_known,
        coalesce(sum(amount) filter (where side = 'unattributed'), 0) as unattributed,
        coalesce(sum(amount) filter (where side = 'neither'), 0) as neither
    from placed
    group by all
),

bounded as (
    select
        * replace (
            greatest(inference, 0) as inference,
            least(greatest(inference_known, 0), greatest(inference, 0)) as inference_known,
            greatest(training, 0) as training,
            least(greatest(training_known, 0), greatest(training, 0)) as training_known,
            greatest(unattributed, 0) as unattributed,
            greatest(neither, 0) as neither
        )
    from sums
),

totals as (
    select
        *,
        inference + training + neither as labelled,
        inference + training + neither + unattributed as total
    from bounded
),

measures as (
    select
        *,
        (inference_known::double / nullif(total, 0))::decimal(38, 12) as measured_low,
        (inference::double / nullif(labelled, 0))::decimal(38, 12) as measured,
        greatest((total - training_known - neither)::double / nullif(total, 0), inference::double / nullif(labelled, 0))
        ::decimal(38, 12) as measured_high,
        list_filter(
            [
                if(money != 'effective', 'money', null),
                if(idle_treatment != 'with_owner', 'idle', null),
                if(storage != 'left_out', 'storage', null),
                if(api != 'with', 'api', null),
                if(fine_tuning != 'training', 'fine_tuning', null),
                if(development != 'left_out', 'development', null),
                if(batch_transform != 'inference', 'batch_transform', null),
                if(warm_pool != 'owner', 'warm_pool', null),
                if(span != '1_month', 'span', null)
            ],
            lambda each: each is not null
        ) as changed
    from totals
),

judged as (
    select
        claims.claim_id,
        claims.claimed_low,
        claims.claimed_high,
        measures.*,
        case
            when measures.measured_low is null then 'no_data'
            when not months.is_reconciled then 'withheld'
            when
                measures.measured_low >= claims.claimed_low
                and (claims.claimed_high is null or measures.measured_high <= claims.claimed_high) then 'holds'
            when
                measures.measured_high < claims.claimed_low or measures.measured_low > claims.claimed_high
                then 'fails'
            else 'undetermined'
        end as verdict,
        coalesce(
            measures.measured >= claims.claimed_low
            and (claims.claimed_high is null or measures.measured <= claims.claimed_high),
            false
        ) as is_point_within
    from measures
    inner join intermediate.int_claim_months as months using (period)
    inner join reference.claims as claims
        on claims.metric = 'inference_share_of_ai'
)

select
    claim_id, -- Claim.
    period, -- First day of the month of use.
    money, -- billed, effective or net: which money counts.
    idle_treatment, -- with_owner, separate (left out) or pro_rata (spread over what the same accelerator did).
    storage, -- left_out, or in_total: AI storage counts in T, on neither side.
    api, -- with, or left_out: tokens and models bought from an API do not count.
    fine_tuning, -- Side it stands on: training or inference.
    development, -- left_out, training or inference.
    batch_transform, -- Side of batch work, batches of tokens among it: inference or training.
    warm_pool, -- Machines kept warm: owner (what they wait for) or inference.
    span, -- 1_month, 3_months, 12_months, since_first_training or training_spread; all end with the month.
    measured_low, -- Lower end of the answer.
    measured, -- The answer if unattributed money is spread like the rest.
    measured_high, -- Upper end of the answer.
    claimed_low, -- Lower end of the claimed range.
    claimed_high, -- Upper end of the claimed range.
    verdict, -- holds, fails, undetermined, withheld or no_data.
    is_point_within, -- The point lies in the claimed range, whatever the interval does.
    len(changed) = 0 as is_headline, -- The definition of marts.claim_checks.
    if(len(changed) = 1, changed[1], null) as only_change, -- The one thing that differs from it, else null.
    len(changed)::integer as change_count, -- Things that differ from it.
    verdict != coalesce(max(verdict) filter (where len(changed) = 0) over one_answer, 'no_data')
        as is_verdict_flipped, -- Another verdict than the headline's, which is no_data where the month has no AI money.
    is_point_within != coalesce(bool_or(is_point_within) filter (where len(changed) = 0) over one_answer, false)
        as is_point_flipped, -- The point crosses an end of the range that it did not cross in the headline.
    count(*) filter (where verdict = 'holds') over one_answer as holds_count, -- Definitions under which it holds.
    count(*) filter (where verdict = 'fails') over one_answer as fails_count, -- Definitions under which it fails.
    count(*) filter (where is_point_within) over one_answer as point_within_count, -- Those whose point lies within.
    count(*) over one_answer as definition_count -- Definitions asked.
from judged
window
    one_answer as (partition by claim_id, period)
