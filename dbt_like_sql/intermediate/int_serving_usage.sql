/*
What self-hosted models answered, and the name of the fleet that served them: the endpoint as a gateway or a server's
metrics write it (of an address, the host's first label), else the Kubernetes namespace.
One row per row of daily usage of one's own machines.
*/
with

usage as (
    select
        *,
        nullif(regexp_extract(endpoint, '^https?://([^/:.]+)', 1), '') as host_label,
        nullif(regexp_extract(endpoint, '^https?://[^/:.]+\.([^/:.]+)\.svc', 1), '') as host_namespace
    from ledger.token_usage_daily
    where counts_as = 'self_hosted'
)

select
    usage_id, -- Row of ledger.token_usage_daily.
    date_trunc('month', usage_date)::date as usage_period, -- First day of the month of use.
    usage_date, -- Day of use, UTC.
    lower(coalesce(host_label, endpoint, namespace, host_namespace)) as fleet, -- Fleet; null where none is named.
    lower(coalesce(namespace, host_namespace)) as fleet_namespace, -- Kubernetes namespace, where the record says it.
    llm_model, -- Language model.
    team, -- Team as the log says.
    feature, -- Feature tag where the log has one.
    requests, -- Requests; null where not counted.
    uncached_input_tokens, -- Input tokens computed.
    cache_read_tokens, -- Input tokens read from a prefix cache.
    cache_write_5m_tokens + cache_write_1h_tokens as cache_write_tokens, -- Input tokens written to a cache.
    output_tokens -- Output tokens.
from usage
