/*
Did every line and every cent of the bill arrive, and is it what the invoice says? Amounts are in the bill's own
currency. One row per source and billing period.
*/
with

loads as (
    select * from ledger.loads
),

-- What an invoice that covers several bills asks of each of them is not known.
invoiced as (
    select
        source,
        billing_period,
        sum(invoiced)::decimal(38, 12) as invoiced,
        sum(invoiced - billed_cost)::decimal(38, 12) as invoice_difference
    from intermediate.int_invoices_matched
    where invoice_source_count = 1
    group by all
)

select
    loads.source, -- Name of the source in the configuration.
    loads.billing_period, -- First day of the invoice month.
    loads.billing_currency, -- Currency of the amounts here, or mixed.
    loads.lines_read, -- Lines in the native files, split-cost rows left out.
    loads.lines_loaded, -- Lines in the ledger, split-cost rows left out.
    loads.billed_cost_read, -- Sum over the native files, each amount rounded once.
    loads.billed_cost_loaded, -- Sum over the ledger.
    (loads.billed_cost_read - loads.billed_cost_loaded)::decimal(38, 12) as difference, -- Read − loaded; 0 or refused.
    loads.quantization_residual as quantisation_residual, -- Exact native amounts − billed_cost_read: the one rounding.
    invoiced.invoiced, -- Total of the configured invoices; null when none is configured.
    invoiced.invoice_difference, -- Invoiced − what the ledger holds for these invoices; null when none is configured.
    loads.lines_read = loads.lines_loaded
    and loads.billed_cost_read = loads.billed_cost_loaded
    and coalesce(abs(invoiced.invoice_difference) * 200 <= abs(invoiced.invoiced), true)
        as is_reconciled, -- Nothing lost on the way, and any invoice matched within 0.5 %.
    loads.unknown_lines, -- Lines of kinds that nobody documented; they are kept and counted above.
    loads.unknown_kinds, -- Those kinds; null where there are none.
    loads.is_final, -- Every line carries an invoice number.
    loads.loaded_at -- When, UTC.
from loads
left join invoiced using (source, billing_period)
