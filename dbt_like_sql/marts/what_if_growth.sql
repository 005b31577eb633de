/*
What inference would cost if requests grow as `plan.request_growth` says and everything else stays as in the last whole
month: prices, models, tokens a request, and how full machines are. Never part of charges; no rows without a plan.
One row per what is bought (tokens, or machines with an accelerator) and month projected.
*/
with

settings as (
    select
        max(amount) filter (where name = 'request_growth')::double as growth,
        max(amount) filter (where name = 'months')::bigint as months
    from reference.claim_settings
),

last_month as (
    select max(months.period) as period
    from intermediate.int_claim_months as months
    inner join intermediate.int_reported_until as reported
        on months.last_date <= reported.reported_until_date
),

costs as (
    select
        last_month.period,
        spend.is_api,
        spend.accelerator,
        sum(spend.effective_cost)::decimal(38, 12) as effective_cost
    from intermediate.int_claim_costs as spend
    inner join last_month
        on spend.usage_period = last_month.period
    where spend.workload = 'inference'
    group by all
    having sum(spend.effective_cost) > 0
)

select
    costs.period as based_on_period, -- First day of the last whole month, which is projected.
    (costs.period + to_months(projected.month_number::integer))::date as period, -- First day of the month projected.
    if(costs.is_api, 'tokens', coalesce(costs.accelerator, 'other')) as bought, -- tokens, an accelerator, or other.
    costs.effective_cost as actual_cost, -- What inference cost in that last whole month.
    (costs.effective_cost::double * pow(1 + settings.growth, projected.month_number))::decimal(38, 12)
        as projected_cost, -- The same, grown.
    'plan.request_growth ' || settings.growth || ' a month; all else stays as in '
    || strftime(costs.period, '%Y-%m') || if(costs.is_api, '', '; machines grow with requests')
        as assumptions -- What was assumed.
from costs
cross join settings
cross join unnest(generate_series(1, coalesce(settings.months, 0))) as projected (month_number)
where settings.growth is not null
