/*
What changed in closed months since they were reported (`apportion close`), the provider's changes apart from our
re-tagging. provider_change_cost is the bill of now under the tags of then, minus what was reported; retag_change_cost
is the rest. Keys that did not change are left out; a reopened month is compared with what was last reported of it.
Amounts are effective_cost, divided as bills alone divide them. One row per source, billing period, workload and key.
*/
select
    source, -- Name of the source in the configuration.
    billing_period, -- First day of the invoice month.
    workload, -- What the money was or is for.
    key_id, -- Key in computed.attributions, then or now.
    provider_name, -- Who provides the service.
    sub_account_id, -- Account, project or subscription.
    service_name, -- Product name.
    usage_type, -- Native usage type or SKU text.
    closed_at, -- When the month was closed, UTC.
    reported_cost, -- What was reported.
    provider_change_cost, -- What another bill changed.
    retag_change_cost, -- What other tags changed.
    current_cost -- What the month costs now.
from computed.restatements
