/*
Do the amounts of a bill agree with one another as its provider's own rules say? What does not hold was loaded all the
same: rounding and errors of the provider refuse nothing. Amounts are in the bill's own currency. One row per source,
billing period, identity and subject; an identity over a whole term stands at the last month that is loaded.
*/
with

identities as (
    select * from ledger.load_identities
),

terms as (
    select
        source,
        name,
        subject,
        starts,
        ends,
        max(billing_period) as billing_period,
        sum(left_side)::decimal(38, 12) as left_side,
        sum(right_side)::decimal(38, 12) as right_side,
        sum(tolerance)::decimal(38, 12) as tolerance,
        sum(line_count)::bigint as line_count,
        count(*) as months_loaded,
        -- A term that ends at midnight ends the day before.
        datediff('month', starts, if(day(ends) = 1, ends - interval 1 day, ends)::date) + 1 as months_of_term
    from identities
    where starts is not null
    group by all
),

stacked as (
    select
        source,
        billing_period,
        name,
        subject,
        left_side,
        right_side,
        tolerance,
        line_count,
        holds,
        skipped,
        note
    from identities
    where starts is null
    union all by name
    select
        source,
        billing_period,
        name,
        subject,
        left_side,
        right_side,
        tolerance,
        line_count,
        if(months_loaded >= months_of_term, abs(left_side - right_side) <= tolerance, null) as holds,
        if(
            months_loaded >= months_of_term,
            '',
            months_loaded || ' of the ' || months_of_term || ' months of the term are loaded'
        ) as skipped,
        starts || ' to ' || ends as note
    from terms
)

select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    name, -- What must be equal.
    subject, -- The commitment it is about; empty for the whole bill.
    left_side, -- One side; null where it was skipped.
    right_side, -- The other side.
    (left_side - right_side)::decimal(38, 12) as difference, -- left_side − right_side.
    tolerance, -- How far rounding may part the two; of each line where the note says line by line.
    line_count, -- Bill lines compared.
    holds, -- True or false; null where it was skipped or the term is not loaded whole.
    skipped, -- Why it was not asked; empty where it was.
    note -- What else there is to say.
from stacked
