/*
The language models that cost most this month. The price per million tokens is over the lines that count tokens; it is
empty where the bill counts none.
*/
select
    llm_model,
    provider_name,
    hosting,
    workload,
    effective_cost,
    cost_per_million_tokens,
    requests,
    uncached_input_tokens,
    cache_read_tokens,
    cache_write_tokens,
    output_tokens
from marts.llm_model_costs
where usage_period = date '2026-09-01'
order by effective_cost desc, llm_model asc
limit 15
