/*
What the accelerators bought on demand would have cost reserved, or on spot: at the team's own rate for the same
accelerator where the bills of the month show one, else at the discount that `plan` names. Never part of charges.
One row per usage period, provider, accelerator and purchase option instead.
*/
with

settings as (
    select
        max(amount) filter (where name = 'commitment_discount')::double as commitment_discount,
        max(amount) filter (where name = 'spot_discount')::double as spot_discount
    from reference.claim_settings
),

rates as (
    select * from marts.gpu_hour_rates
),

options as (
    select unnest(['committed', 'spot']) as alternative
),

compared as (
    select
        bought.usage_period,
        bought.provider_name,
        bought.accelerator,
        options.alternative,
        bought.gpu_hours,
        bought.effective_cost as actual_cost,
        own.cost_per_gpu_hour as own_rate,
        if(options.alternative = 'spot', settings.spot_discount, settings.commitment_discount) as discount
    from rates as bought
    cross join options
    cross join settings
    left join rates as own
        on bought.usage_period = own.usage_period
            and bought.provider_name = own.provider_name
            and bought.accelerator = own.accelerator
            and options.alternative = own.purchase_option
            and own.cost_per_gpu_hour > 0
    where bought.purchase_option = 'on_demand' and bought.gpu_hours > 0
),

priced as (
    select
        *,
        coalesce(gpu_hours::double * own_rate::double, actual_cost::double * (1 - discount))::decimal(38, 12)
            as alternative_cost
    from compared
)

select
    usage_period, -- First day of the month of use.
    provider_name, -- Who provides the machines.
    accelerator, -- Accelerator.
    alternative, -- committed or spot.
    gpu_hours, -- Accelerator-hours on demand.
    actual_cost, -- What they cost.
    alternative_cost, -- The same hours otherwise; null where neither bills nor `plan` say a rate.
    (actual_cost - alternative_cost)::decimal(38, 12) as saved_cost, -- Negative where it would cost more.
    1 - alternative_cost::double / nullif(actual_cost, 0)::double as saved_share, -- A ratio.
    case
        when own_rate is not null
            then 'your own ' || alternative || ' rate of the month, ' || round(own_rate, 4)
                || ' an accelerator-hour, for all on-demand hours'
        when discount is not null
            then 'plan.' || if(alternative = 'spot', 'spot_discount', 'commitment_discount') || ' ' || discount
        else 'undetermined: no ' || alternative || ' hours on the bills of the month; set plan.'
            || if(alternative = 'spot', 'spot_discount', 'commitment_discount')
    end || if(
        alternative = 'spot',
        '; capacity is there, work that is interrupted costs nothing',
        '; every hour is bought again each month of the term'
    ) as assumptions -- What was assumed.
from priced
