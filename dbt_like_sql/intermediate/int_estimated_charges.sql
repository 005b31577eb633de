/*
Usage of API tokens that no bill covers, at the rate card's price: nobody has asked for this money yet, so billed_cost is
0. A bill that arrives for the provider, account, day and tier replaces it. What is not priced is left out here and stands
in ledger.token_usage_daily. One row per row of daily usage.
*/
select
    daily.source, -- Name of the source in the configuration.
    date_trunc('month', usage.usage_date)::date as billing_period, -- First day of the month of use: no invoice yet.
    usage.usage_id, -- Row of ledger.token_usage_daily.
    date_trunc('month', usage.usage_date)::date as usage_period, -- First day of the month of use.
    usage.usage_date, -- Day of use, UTC.
    usage.provider_name, -- Who serves it.
    usage.sub_account_id, -- Account that called.
    usage.provider_name || ' API' as service_name, -- Product name for people.
    coalesce(usage.workload, 'inference') as workload, -- Answers, unless the record itself says otherwise.
    'measured' as evidence, -- Usage was counted.
    usage.llm_model, -- Language model.
    usage.team, -- Team as the log says.
    coalesce(usage.project_id, usage.workspace_id) as project, -- Project or workspace as the provider says.
    usage.api_key_id, -- Key id or alias.
    usage.feature, -- Feature tag where the log has one.
    usage.endpoint, -- Endpoint or deployment.
    0::decimal(38, 12) as billed_cost, -- Nobody has asked for it.
    usage.estimated_cost as effective_cost, -- At the rate card's price, reporting currency.
    usage.estimated_cost as net_cost, -- The same.
    usage.estimated_cost as list_cost, -- The same.
    0::bigint as charge_count, -- No bill lines.
    'estimated' as cost_basis -- No bill.
from computed.estimated_charges as usage
inner join ledger.token_usage_daily as daily using (usage_id)
where usage.estimated_cost is not null
