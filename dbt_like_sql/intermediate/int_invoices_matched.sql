/*
The charges each configured invoice asks for, in the currency of the bill. An invoice with a number is matched by
provider, month and number, one without by provider and month. One row per invoice and source with charges of it, one
row without a source for an invoice that no bill knows.
*/
with

billed as (
    select
        daily.source,
        daily.billing_period,
        daily.billing_currency,
        daily.invoice_id,
        attributions.provider_name,
        sum(daily.native_billed_cost)::decimal(38, 12) as billed_cost
    from ledger.charges_daily as daily
    semi join reference.invoices using (billing_period, billing_currency)
    left join computed.attributions as attributions using (source, billing_period, key_id)
    group by all
)

select
    invoices.provider_name, -- Who asks for the money, or the name of a source.
    invoices.billing_period, -- First day of the invoice month.
    invoices.invoice_id, -- Invoice number; null for everything of the month.
    invoices.billing_currency, -- Currency.
    invoices.invoiced, -- Total of the invoice.
    billed.source, -- Source whose bill holds charges of it; null where none does.
    coalesce(sum(billed.billed_cost), 0)::decimal(38, 12) as billed_cost, -- What the ledger holds for it.
    count(billed.source) over (
        partition by
            invoices.provider_name, invoices.billing_period, invoices.invoice_id, invoices.billing_currency
    ) as invoice_source_count -- Sources whose bills hold charges of it.
from reference.invoices
left join billed
    on lower(invoices.provider_name) in (lower(billed.source), lower(billed.provider_name))
        and invoices.billing_period = billed.billing_period
        and invoices.billing_currency = billed.billing_currency
        and (invoices.invoice_id is null or invoices.invoice_id = billed.invoice_id)
group by
    invoices.provider_name,
    invoices.billing_period,
    invoices.invoice_id,
    invoices.billing_currency,
    invoices.invoiced,
    billed.source
