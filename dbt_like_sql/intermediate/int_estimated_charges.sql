/*
Usage of API tokens that no bill covers, at the rate card's price: nobody has asked for this money yet, so billed_cost
is 0. A bill that arrives for the provider, account, day and tier replaces it. What is not priced is left out here and
stands in ledger.token_usage_daily. One row per row of daily usage.
*/
select
    daily.source, -- Name of the source in the configuration.
    date_trunc('month', used.usage_date)::date as billing_period, -- First day of the month of use: no invoice yet.
    used.usage_id, -- Row of ledger.token_usage_daily.
    date_trunc('month', used.usage_date)::date as usage_period, -- First day of the month of use.
    used.usage_date, -- Day of use, UTC.
    used.provider_name, -- Who serves it.
    used.sub_account_id, -- Account that called.
    used.provider_name || ' API' as service_name, -- Product name for people.
    coalesce(used.workload, 'inference') as workload, -- Answers, unless the record itself says otherwise.
    'measured' as evidence, -- Usage was counted.
    used.llm_model, -- Language model.
    used.team, -- Team as the log says.
    coalesce(used.project_id, used.workspace_id) as project, -- Project or workspace as the provider says.
    used.api_key_id, -- Key id or alias.
    used.feature, -- Feature tag where the log has one.
    used.endpoint, -- Endpoint or deployment.
    0::decimal(38, 12) as billed_cost, -- Nobody has asked for it.
    used.estimated_cost as effective_cost, -- At the rate card's price, reporting currency.
    used.estimated_cost as net_cost, -- The same.
    used.estimated_cost as list_cost, -- The same.
    0::bigint as charge_count, -- No bill lines.
    'estimated' as cost_basis -- No bill.
from computed.estimated_charges as used
inner join ledger.token_usage_daily as daily using (usage_id)
where used.estimated_cost is not null
