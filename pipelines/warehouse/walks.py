"""Where the figures of each mart come from: the rows whose sum a cell is, or in words why there are none.

A walk's rows carry what tells the mart's rows apart under the mart's own names, the walked columns, and where they
stand: a daily row of a bill (`daily_id`, `part`), a key, day and resource, a row of usage that no bill covers
(`usage_id`), or shared money (`pool`). A test walks every row of every mart of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Walk:
    """Rows that columns of a mart are sums of.

    Attributes:
        columns: what is walked.
        grain: what tells the mart's rows apart; SQL that means the same on the mart and on the rows.
        rows: one SELECT over tables of the published report.
    """

    columns: tuple[str, ...]
    grain: tuple[str, ...]
    rows: str


_COSTS: Final = ("effective_cost", "billed_cost", "net_cost")
CHARGES: Final = "select * from intermediate.int_charges_allocated"
_ALL: Final = f"{CHARGES} union all by name select * from intermediate.int_estimated_charges"
_USE: Final = f"select * from ({_ALL}) where coalesce(charge_category, '') not in ('Credit', 'Tax')"
_BY_ENTITY: Final = """
select *, unnest(['source', 'payer', 'account', 'provider']) as kind,
    unnest([source, billing_account_id, sub_account_id, provider_name]) as entity
from ledger.charges_daily inner join computed.attributions using (source, billing_period, key_id)
"""
_VARIANCE: Final = f"""
with charges as ({CHARGES})
select *, effective_cost as current_cost, 0 as previous_cost from charges
union all by name
select * replace ((usage_period + interval 1 month)::date as usage_period), 0 as current_cost,
    effective_cost as previous_cost
from charges
"""
_TOKENS: Final = """
with parts as (
    select source, billing_period, daily_id, part, method, llm_model, effective_cost, effective_cost as divided_cost,
        0 as unexplained_cost
    from computed.token_allocations
    union all by name
    select source, billing_period, daily_id, effective_cost, 0 as divided_cost, effective_cost as unexplained_cost
    from computed.unexplained_charges
)
select parts.* exclude (llm_model), key_id, usage_date, keys.provider_name,
    coalesce(parts.llm_model, keys.llm_model) as llm_model
from parts inner join ledger.charges_daily using (source, billing_period, daily_id)
inner join computed.attributions as keys using (source, billing_period, key_id)
"""
WALKS: Final[dict[str, tuple[Walk, ...]]] = {
    "costs_by_workload": (
        Walk(
            (*_COSTS, "list_cost", "charge_count"),
            ("billing_period", "usage_period", "provider_name", "workload", "evidence", "cost_basis"),
            _ALL,
        ),
    ),
    "costs_by_team": (
        Walk(_COSTS, ("billing_period", "usage_period", "team", "workload", "cost_basis"), _ALL),
        Walk(
            tuple(f"showback_{name}" for name in _COSTS),
            ("billing_period", "usage_period", "team", "workload", "cost_basis"),
            f"""
            select *, billed_cost as showback_billed_cost, effective_cost as showback_effective_cost,
                net_cost as showback_net_cost
            from ({_ALL} union all by name select *, 'billed' as cost_basis from computed.shared_costs)
            """,
        ),
    ),
    "cogs_and_rnd_costs": (
        Walk(
            _COSTS,
            ("billing_period", "usage_period", "cost_class", "workload", "environment"),
            f"""
            select *,
                case
                    when workload in ('shared', 'not_ai') then workload
                    when exists (
                        select 1 from reference.cogs_conditions as asked
                        where coalesce(asked.workload = charges.workload, asked.workload is null)
                            and coalesce(asked.environment = charges.environment, asked.environment is null)
                            and coalesce(asked.team = charges.team, asked.team is null)
                            and coalesce(asked.project = charges.project, asked.project is null)
                    ) then 'cogs'
                    when workload = 'unattributed' then workload
                    else 'research_and_development'
                end as cost_class
            from ({CHARGES}) as charges
            """,
        ),
    ),
    "llm_model_costs": (
        Walk(
            ("effective_cost",),
            ("usage_period", "provider_name", "llm_model", "hosting", "workload", "cost_basis"),
            "select * from intermediate.int_model_charges where llm_model is not null",
        ),
    ),
    "unit_costs": (
        Walk(
            ("effective_cost",),
            ("usage_period", "provider_name", "llm_model", "hosting", "team", "feature", "cost_basis"),
            "select * from intermediate.int_model_charges where llm_model is not null",
        ),
    ),
    "self_hosting_break_even": (
        Walk(
            ("self_hosted_cost",),
            ("usage_period", "fleet", "llm_model"),
            "select *, effective_cost as self_hosted_cost from intermediate.int_model_charges where fleet is not null",
        ),
    ),
    "token_reconciliation": (
        Walk(
            ("effective_cost", "divided_cost", "unexplained_cost"),
            ("usage_date", "provider_name", "llm_model"),
            _TOKENS,
        ),
    ),
    "unattributed_charges": (
        Walk(
            ("effective_cost", "billed_cost", "charge_count"),
            ("source", "billing_period", "key_id"),
            f"{CHARGES} where workload = 'unattributed'",
        ),
    ),
    "claim_flips": (
        Walk(
            ("effective_cost",),
            ("period", "workload", "attribution_rule_id", "key_id"),
            f"""
            select * replace (if(workload = 'unattributed', key_id, null) as key_id), usage_period as period
            from ({CHARGES})
            where coalesce(charge_category, '') not in ('Credit', 'Tax')
                and (workload = 'unattributed' or evidence = 'inferred')
            """,
        ),
    ),
    "commitment_utilization": (
        Walk(
            ("effective_cost", "used_cost", "unused_cost", "ai_cost"),
            ("source", "billing_period", "usage_period", "provider_name", "commitment_discount_id"),
            f"""
            select *, coalesce(idle_reason, '') in ('unused_commitment', 'unused_reservation') as is_unused,
                if(is_unused, 0, effective_cost) as used_cost, if(is_unused, effective_cost, 0) as unused_cost,
                if(workload in ('not_ai', 'shared'), 0, effective_cost) as ai_cost
            from ({CHARGES}) where commitment_discount_id is not null
            """,
        ),
    ),
    "spot_savings": (
        Walk(
            ("effective_cost", "billed_cost"),
            ("usage_period", "provider_name", "workload", "accelerator", "instance_type"),
            f"{CHARGES} where pricing_category = 'Dynamic' and charge_category = 'Usage'",
        ),
    ),
    "storage_by_age": (
        Walk(
            ("effective_cost",),
            ("usage_period", "provider_name", "service_name", "usage_type", "age_months", "is_at_least"),
            "select * from intermediate.int_storage_aged",
        ),
    ),
    "training_runs": (
        Walk(
            ("effective_cost", "lost_cost"),
            (
                "source",
                "provider_name",
                "workload",
                "run_id",
                "attempt_number",
                # Runs that the bill does not name are told apart by service and model.
                "if(run_id is null, run_name, null)",
                "if(run_id is null, llm_model, null)",
            ),
            """
            select *, resource_id as run_id, service_name as run_name,
                if(outcome in ('failed', 'preempted'), effective_cost, 0) as lost_cost
            from intermediate.int_training_charges
            """,
        ),
    ),
    "cost_variance": (
        Walk(
            ("current_cost", "previous_cost"),
            ("usage_period", "provider_name", "workload", "service_name", "usage_type", "pricing_unit"),
            _VARIANCE,
        ),
    ),
    "budget_status": (
        Walk(
            ("month_to_date_cost",),
            ("budget_name", "usage_period"),
            f"""
            select charges.*, budget_name, effective_cost as month_to_date_cost
            from ({_USE}) as charges inner join reference.budgets as budgets
                on coalesce(budgets.workload = charges.workload, charges.workload not in ('not_ai', 'shared'))
                    and coalesce(budgets.team = charges.team, budgets.team is null)
                    and coalesce(budgets.llm_model = charges.llm_model, budgets.llm_model is null)
            """,
        ),
    ),
    "credit_burndown": (
        Walk(
            ("used_cost",),
            ("source", "grant_name"),
            "select *, -used_cost as billed_cost from intermediate.int_credit_charges",
        ),
    ),
    "completeness": (Walk(("effective_cost",), ("billing_period", "kind", "entity"), _BY_ENTITY),),
    "reconciliation": (
        Walk(
            ("billed_cost_loaded", "lines_loaded"),
            ("source", "billing_period"),
            "select *, native_billed_cost as billed_cost_loaded, charge_count as lines_loaded "
            "from ledger.charges_daily",
        ),
    ),
    "invoice_reconciliation": (
        Walk(
            ("billed_cost",),
            ("provider_name", "billing_period", "invoice_id", "billing_currency"),
            """
            select daily.* exclude (invoice_id) replace (native_billed_cost as billed_cost), invoices.provider_name,
                invoices.invoice_id
            from ledger.charges_daily as daily
            left join computed.attributions as keys using (source, billing_period, key_id)
            inner join reference.invoices as invoices
                on lower(invoices.provider_name) in (lower(daily.source), lower(keys.provider_name))
                    and invoices.billing_period = daily.billing_period
                    and invoices.billing_currency = daily.billing_currency
                    and coalesce(invoices.invoice_id = daily.invoice_id, invoices.invoice_id is null)
            """,
        ),
    ),
}

WORDS: Final[dict[str, str]] = {
    "about": "It says what made the report and what its words mean; no line of a bill stands behind it.",
    "claim_checks": (
        "An answer is an interval made of sums and ratios; `definition` says which. The money of shares is "
        "`apportion explain costs_by_workload`, of machines gpu_hour_rates and gpu_utilization_by_workload, of tokens "
        "llm_model_costs; claim_flips says which rules and keys an undetermined answer hangs on."
    ),
    "claim_sensitivity": (
        "Each row is the headline under another definition: other ratios of the same money. That money is "
        "`apportion explain costs_by_workload`."
    ),
    "cost_anomalies": (
        "A day's cost and what its weekday let expect are rounded to cents to be compared (models/anomalies.py says "
        "how). The lines of the key that explains most of it are `apportion explain <driver_key_id>`."
    ),
    "cost_forecast": (
        "A forecast is an estimate from the days of its series (models/forecast.py says how); the days to come stand "
        "on no bill. What has been reported of the month is `apportion explain costs_by_workload`, or costs_by_team."
    ),
    "gpu_coverage": (
        "Its billed rows are the accelerator money of gpu_idle_costs by how far it is measured, which "
        "`apportion explain gpu_idle_costs` walks; metrics and job records are hours without money."
    ),
    "load_identities": (
        "Each side is summed while a bill is loaded, from columns that are not kept line by line. The lines of a "
        "bill are `apportion explain reconciliation`."
    ),
    "restatements": (
        "What was reported stands on versions of the bill pinned when the month was closed, under the tags of then. "
        "The lines of today are `apportion explain <key_id>`."
    ),
    "what_if_growth": (
        "A projection: last month's cost, grown as `plan` says. Last month's is `apportion explain costs_by_workload "
        "--where workload=inference`."
    ),
    "what_if_models": (
        "A counterfactual: the same tokens at other list prices. What they cost now is the part of "
        "`apportion explain llm_model_costs` that bought tokens."
    ),
}
"""Marts none of whose figures is a sum of lines: why, and what to look at instead."""
