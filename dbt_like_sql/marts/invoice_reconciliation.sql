/*
Does the ledger hold what each invoice asked for? A tool that reconciles only with its own input has proved nothing.
Amounts are in the bill's own currency. One row per configured invoice.
*/
select
    provider_name, -- Who asks for the money, or the name of a source.
    billing_period, -- First day of the invoice month.
    invoice_id, -- Invoice number; null for everything of the month.
    billing_currency, -- Currency.
    invoiced, -- Total of the invoice.
    sum(billed_cost)::decimal(38, 12) as billed_cost, -- What the ledger holds for it; 0 where no bill knows it.
    (invoiced - sum(billed_cost))::decimal(38, 12) as difference, -- Invoiced − billed_cost.
    count(source) as source_count, -- Sources whose bills hold charges of it.
    abs(invoiced - sum(billed_cost)) * 200 <= abs(invoiced) as is_reconciled -- Matched within 0.5 %.
from intermediate.int_invoices_matched
group by
    provider_name,
    billing_period,
    invoice_id,
    billing_currency,
    invoiced
