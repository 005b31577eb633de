/*
What this report is: what made it, how far its data reaches, and what its words mean. What a column means stands beside
the column: `select table_name, column_name, comment from duckdb_columns()`. One row per topic and subject.
*/
with

versions as (
    select
        'version' as topic,
        part as subject,
        version as meaning,
        null::timestamp as loaded_at
    from reference.versions
),

last_days as (
    select
        source,
        billing_period,
        max(usage_date) as last_day
    from ledger.charges_daily
    group by all
),

loads as (
    select
        'charges' as fact,
        loads.source,
        loads.billing_period,
        last_days.last_day,
        loads.is_final,
        loads.loaded_at
    from ledger.loads as loads
    left join last_days using (source, billing_period)
    union all by name
    select
        fact,
        source,
        billing_period,
        null::date as last_day,
        is_final,
        loaded_at
    from ledger.usage_loads
),

freshness as (
    select
        'freshness' as topic,
        source || ', ' || replace(fact, '_', ' ') as subject,
        strftime(min(billing_period), '%Y-%m') || ' to ' || strftime(max(billing_period), '%Y-%m')
        || coalesce(', last day of use ' || max(last_day)::varchar, '')
        || ', ' || count(*) filter (not is_final) || ' of ' || count(*) || ' months still open' as meaning,
        max(loaded_at) as loaded_at
    from loads
    group by source, fact
),

words (subject, meaning) as (
    values
    ('effective cost', 'Amortized cost after negotiated discounts: what a month of use really cost. Before credits.'),
    ('billed cost', 'What the invoice asks for in its month, upfront payments whole.'),
    ('net cost', 'Effective cost after promotional credits.'),
    ('list cost', 'Cost at the public on-demand price; null where the bill does not say.'),
    ('billing period', 'First day of the month of the invoice.'),
    ('usage period', 'First day of the month of use; late usage makes it differ from the billing period.'),
    ('training', 'Workload: models are made.'),
    ('fine_tuning', 'Workload: models that exist are adapted.'),
    ('inference', 'Workload: models answer.'),
    ('storage', 'Workload: what keeps data and models of AI.'),
    ('development', 'Workload: notebooks and what else people try things on.'),
    ('unattributed', 'Workload: AI, and nothing says what for. Never guessed, never 0.'),
    ('shared', 'Tax, support, credits and commitments that covered nobody; inside no workload.'),
    ('not_ai', 'The rest of the bill.'),
    ('declared', 'Evidence: a tag, an account or a rule of the team says so.'),
    ('billed', 'Evidence: the SKU says so.'),
    ('measured', 'Evidence: usage was counted.'),
    ('inferred', 'Evidence: a name suggests it.'),
    ('none', 'Evidence: nothing tells.'),
    ('estimated', 'Cost basis: usage that no bill covers yet, at the rate card''s price.'),
    ('unmeasured', 'Idle reason: nobody measured the accelerator. Neither idle nor busy.'),
    ('unpriced', 'Usage of tokens whose price is not known. Never 0.'),
    ('holds', 'Verdict: the whole measured interval lies inside the claimed range.'),
    ('fails', 'Verdict: the whole measured interval lies outside the claimed range.'),
    ('undetermined', 'Verdict: the interval is wider than the evidence can settle.')
),

definitions as (
    select
        'definition' as topic,
        subject,
        meaning,
        null::timestamp as loaded_at
    from words
),

everything as (
    select * from versions
    union all
    select * from freshness
    union all
    select * from definitions
)

select
    topic, -- version, freshness or definition.
    subject, -- Which part, which source and fact, or which word.
    meaning, -- Its version, how far it reaches, or what it means.
    loaded_at -- When a source was last loaded, UTC; null for other topics.
from everything
