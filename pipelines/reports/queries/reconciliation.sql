/*
Did every line and every cent of this month's bills arrive, and is it what the invoices ask for? In the bill's own
currency.
*/
select
    source,
    billing_currency,
    lines_read,
    lines_loaded,
    billed_cost_read,
    billed_cost_loaded,
    difference,
    quantisation_residual,
    invoiced,
    invoice_difference,
    is_reconciled,
    is_final,
    loaded_at
from marts.reconciliation
where billing_period = date '2026-09-01'
order by source
