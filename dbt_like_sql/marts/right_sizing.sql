/*
Machines whose load fits fewer accelerators: a server of four whose busiest hour keeps one busy. The load is what
counted metrics say: the busiest hour's sum of busy fractions and of memory in use, with the headroom of the
configuration left free. Machines measured for less than a day are left out. Savings take cost as proportional to
accelerators. One row per usage period, source and machine.
*/
with

machines as (
    select
        gpu_days.source,
        gpu_days.resource_id,
        attributions.usage_period,
        any_value(attributions.provider_name) as provider_name,
        any_value(attributions.instance_type) as instance_type,
        any_value(attributions.accelerator) as accelerator,
        max(gpu_days.largest_hour) as largest_hour,
        max(attributions.accelerator_count) as listed_count
    from ledger.gpu_days
    inner join computed.attributions as attributions using (source, billing_period, key_id)
    where gpu_days.resource_id is not null
    group by all
),

hours as (
    select
        charge_source as source, -- noqa: RF04
        resource_id,
        date_trunc('month', usage_hour)::date as usage_period,
        usage_hour,
        sum(measured_hours) as measured_hours,
        sum(busy_hours) as busy_hours,
        sum(memory_hours) as memory_hours
    from ledger.gpu_utilization_hourly
    where counts_as = 'counted'
    group by all
),

loads as (
    select
        source,
        resource_id,
        usage_period,
        count(*) as hours_measured,
        max(busy_hours) as busiest,
        max(memory_hours) as fullest,
        -- Doubles in any order differ in their last digits.
        round(sum(busy_hours) / nullif(sum(measured_hours), 0), 9) as busy_fraction
    from hours
    group by all
),

costs as (
    select
        source,
        resource_id,
        usage_period,
        arg_max(team, effective_cost) as team,
        sum(effective_cost) as effective_cost
    from intermediate.int_accelerator_costs
    group by all
),

needs as (
    select
        machines.*,
        loads.hours_measured,
        loads.busiest,
        loads.fullest,
        loads.busy_fraction,
        costs.team,
        costs.effective_cost,
        greatest(coalesce(shapes.count, machines.listed_count), machines.largest_hour) as accelerators,
        greatest(
            ceil(loads.busiest / (1 - idle.headroom)), ceil(coalesce(loads.fullest, 0) / (1 - idle.headroom)), 1
        )::bigint as needed
    from loads
    inner join machines using (source, resource_id, usage_period)
    inner join costs using (source, resource_id, usage_period)
    left join reference.accelerators as shapes on machines.instance_type = shapes.instance_type
    cross join reference.idle as idle
    where loads.hours_measured >= 24
),

smaller as (
    select
        needs.source,
        needs.resource_id,
        needs.usage_period,
        arg_min(shapes.instance_type, (shapes.count, shapes.instance_type)) as proposed_instance_type
    from needs
    inner join reference.accelerators as shapes
        on needs.accelerator = shapes.accelerator
            and regexp_extract(needs.instance_type, '^([^.]+?)(?:\.|-\d)', 1)
            = regexp_extract(shapes.instance_type, '^([^.]+?)(?:\.|-\d)', 1)
            and needs.needed <= shapes.count
            and needs.accelerators > shapes.count
    group by all
)

select
    needs.usage_period, -- First day of the month of use.
    needs.source, -- Name of the bill's source in the configuration.
    needs.provider_name, -- Who provides it.
    needs.resource_id, -- Machine or endpoint.
    needs.team, -- Who owns most of its money; null where nobody says.
    needs.instance_type, -- Its shape.
    needs.accelerator, -- Its accelerator.
    needs.accelerators::decimal(38, 12) as accelerators, -- How many it has.
    needs.busiest as busiest_hour, -- Most accelerators busy at once, as an hour's mean.
    needs.fullest as fullest_hour, -- Most memory in use, in accelerators' worth; null where not measured.
    needs.busy_fraction, -- Mean busy fraction of the hours measured.
    needs.hours_measured, -- Hours with a metric.
    needs.needed as accelerators_needed, -- For the busiest hour, headroom left free.
    smaller.proposed_instance_type, -- Smallest shape of the family that has them; null where there is none.
    needs.effective_cost::decimal(38, 12) as effective_cost, -- Cost of the month.
    -- An estimate to look at, never to add to bills: divided as double.
    (needs.effective_cost::double * (1 - needs.needed / needs.accelerators::double))::decimal(38, 12)
        as saved_cost -- What the unneeded accelerators cost of it.
from needs
left join smaller using (source, resource_id, usage_period)
where needs.needed < needs.accelerators
