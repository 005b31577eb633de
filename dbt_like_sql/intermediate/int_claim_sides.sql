/*
AI money that a critic may count differently, summed once per month of use, span of months, kind of money and treatment
of idle machines. Money that did nothing stays with its owner, is left out (separate), or is spread over what the same
kind of accelerator did (pro_rata), where it did anything. Where training is spread, a month's training counts in equal
parts in that month and those after it, over `claims.model_life_months`; months before the bills begin count nothing.
Parts that are divided are estimates, rounded to 12 decimals.
One row per period, span, money, idle treatment, class and answer.
*/
with

costs as (
    select
        usage_period,
        workload,
        cost_class,
        is_known,
        is_api,
        is_idle,
        coalesce(accelerator, if(is_api, 'api', 'other')) as pool,
        unnest(['billed', 'effective', 'net']) as money,
        unnest([billed_cost, effective_cost, net_cost]) as amount
    from intermediate.int_claim_costs
),

life as (
    select coalesce(max(amount), 12)::integer as months
    from reference.claim_settings
    where name = 'model_life_months'
),

first_training as (
    select min(usage_period) as first_period
    from costs
    where workload in ('training', 'fine_tuning') and money = 'effective' and amount > 0
),

months as (
    select
        claim_months.period,
        first_training.first_period
    from intermediate.int_claim_months as claim_months
    cross join first_training
),

spans as (
    select unnest(['1_month', '3_months', '12_months', 'since_first_training', 'training_spread']) as span
),

spanned as (
    select
        months.period,
        spans.span,
        costs.money,
        costs.workload,
        costs.cost_class,
        costs.is_known,
        costs.is_api,
        costs.is_idle,
        costs.pool,
        life.months as life_months,
        sum(costs.amount) as amount
    from months
    cross join spans
    cross join life
    inner join costs
        on months.period >= costs.usage_period
            and costs.usage_period >= case
                when spans.span = '1_month' then months.period
                when spans.span = '3_months' then months.period - interval 2 month
                when spans.span = '12_months' then months.period - interval 11 month
                when spans.span = 'since_first_training' then months.first_period
                when spans.span = 'training_spread' and costs.workload in ('training', 'fine_tuning')
                    then months.period - to_months(life.months - 1)
                when spans.span = 'training_spread' then months.period
            end
    group by all
),

divided as (
    select
        * exclude (life_months) replace (
            if(
                span = 'training_spread' and workload in ('training', 'fine_tuning'),
                amount::double / life_months,
                amount
            )::decimal(38, 12) as amount
        )
    from spanned
),

pools as (
    select
        *,
        coalesce(sum(amount) filter (where is_idle) over one_pool, 0)::double as idle_amount,
        coalesce(sum(amount) filter (where not is_idle) over one_pool, 0)::double as used_amount
    from divided
    window one_pool as (partition by period, span, money, pool)
),

treated as (
    select
        * exclude (amount),
        'with_owner' as idle_treatment,
        amount
    from pools
    union all
    select
        * exclude (amount),
        'separate' as idle_treatment,
        amount
    from pools
    where not is_idle
    union all
    select
        * exclude (amount),
        'pro_rata' as idle_treatment,
        if(
            used_amount > 0 and idle_amount > 0,
            amount::double * (1 + idle_amount / used_amount),
            amount
        )::decimal(38, 12) as amount
    from pools
    where not is_idle or used_amount <= 0 or idle_amount <= 0
)

select
    period, -- First day of the month of use.
    span, -- 1_month, 3_months, 12_months, since_first_training or training_spread; all end with the month.
    money, -- billed, effective or net.
    idle_treatment, -- with_owner, separate or pro_rata.
    workload, -- What the money was for.
    cost_class, -- The workload, or batch_transform or warm_pool.
    is_known, -- Not merely inferred.
    is_api, -- Tokens and models bought from an API.
    sum(amount)::decimal(38, 12) as amount -- Money, reporting currency.
from treated
group by all
