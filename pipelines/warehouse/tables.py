"""The tables that Python fills in `warehouse.duckdb`; everything else there is SQL in `dbt_like_sql/`.

Money columns are in the reporting currency. One row of `charges_daily` is one (key, day, resource, commitment,
capacity reservation, region, invoice, currency); `daily_id` numbers these within (source, billing_period).
"""

from __future__ import annotations

from typing import Final

from pipelines.warehouse.claim_tables import CLAIM_TABLES
from pipelines.warehouse.governance_tables import GOVERNANCE_TABLES
from pipelines.warehouse.gpu_tables import GPU_TABLES
from pipelines.warehouse.usage_tables import USAGE_TABLES

MONEY: Final = "decimal(38, 12)"

_COSTS: Final = {
    "billed_cost": (MONEY, "What the provider asks for (unblended), reporting currency."),
    "effective_cost": (MONEY, "Amortized cost after negotiated discounts, reporting currency."),
    "net_cost": (MONEY, "effective_cost after promotional credits, reporting currency."),
    "list_cost": (MONEY, "Cost at public on-demand price; null where the bill does not say."),
}
_PARTITION: Final = {
    "source": ("varchar", "Name of the source in the configuration."),
    "billing_period": ("date", "First day of the invoice month."),
}
_KEY: Final = {
    "usage_period": ("date", "First day of the month of use."),
    "provider_name": ("varchar", "Who provides the service."),
    "invoice_issuer_name": ("varchar", "Who sends the invoice."),
    "billing_account_id": ("varchar", "Payer."),
    "sub_account_id": ("varchar", "Account, project or subscription."),
    "charge_category": ("varchar", "FOCUS: Usage, Purchase, Tax, Credit or Adjustment."),
    "charge_description": ("varchar", "The bill's own text."),
    "line_item_type": ("varchar", "Native kind of line."),
    "service_name": ("varchar", "Product name for people."),
    "service_code": ("varchar", "Product code for rules."),
    "service_category": ("varchar", "FOCUS: for example AI and Machine Learning; null where the bill has none."),
    "service_subcategory": ("varchar", "FOCUS: for example Generative AI; null where the bill has none."),
    "usage_type": ("varchar", "Native usage type or SKU text."),
    "operation": ("varchar", "Native operation."),
    "instance_type": ("varchar", "Machine shape."),
    "resource_name": ("varchar", "Name a person chose where the id carries one."),
    "pricing_category": ("varchar", "FOCUS: Standard, Dynamic, Committed or Other."),
    "pricing_unit": ("varchar", "Unit of the quantity as the bill writes it."),
    "commitment_discount_status": ("varchar", "FOCUS: Used or Unused."),
    "capacity_reservation_status": ("varchar", "FOCUS: Used or Unused."),
}
_TAGGED: Final = {
    "workload": ("varchar", "training, fine_tuning, inference, storage, development, unattributed, shared or not_ai."),
    "attribution_rule_id": ("varchar", "The rule that decided."),
    "evidence": ("varchar", "declared, billed, measured, inferred or none."),
    "llm_model": ("varchar", "Language model the bill names."),
    "accelerator": ("varchar", "Accelerator of the machine shape."),
    "accelerator_count": (MONEY, "Accelerators per machine; fractions exist."),
    "idle_reason": ("varchar", "Why the bill itself says the money did nothing."),
    "token_bucket": ("varchar", "uncached_input, cache_read, cache_write or output where the SKU counts tokens."),
    "tokens_per_unit": ("bigint", "Tokens in one unit of the quantity."),
    "team": ("varchar", "Resolved by `dimensions.team`."),
    "environment": ("varchar", "Resolved by `dimensions.environment`."),
    "project": ("varchar", "Resolved by `dimensions.project`."),
    "customer": ("varchar", "Resolved by `dimensions.customer`."),
}

# schema.table → (what it is and its grain, {column: (type, meaning)})
TABLES: Final[dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {
    "ledger.charges_daily": (
        "Charges by day. One row per key, day, resource, commitment, reservation, region, invoice and currency.",
        {
            **_PARTITION,
            "daily_id": ("bigint", "Number of the row within source and billing_period."),
            "key_id": ("varchar", "Key in computed.attributions."),
            "usage_date": ("date", "Day of use, UTC."),
            "billing_currency": ("varchar", "Currency of the bill."),
            "invoice_id": ("varchar", "Invoice number; null while open."),
            "region_id": ("varchar", "Region code."),
            "resource_id": ("varchar", "Resource, only where it is AI or of a machine with accelerators."),
            "commitment_discount_id": ("varchar", "Savings Plan or reservation."),
            "capacity_reservation_id": ("varchar", "Capacity reservation or Capacity Block."),
            "consumed_quantity": (MONEY, "Quantity in pricing_unit."),
            **_COSTS,
            "native_billed_cost": (MONEY, "billed_cost in billing_currency."),
            "charge_count": ("bigint", "Bill lines in this row."),
        },
    ),
    "ledger.gpu_hours": (
        "Machines with accelerators, all parts. One row per key, resource, region, commitment, reservation and hour.",
        {
            **_PARTITION,
            "key_id": ("varchar", "Key in computed.attributions."),
            "usage_hour": ("timestamp", "Start of the hour, UTC; a line longer than an hour stands at its start."),
            "resource_id": ("varchar", "Instance, endpoint or job; null where the bill has no resource ids."),
            "region_id": ("varchar", "Region code."),
            "commitment_discount_id": ("varchar", "Savings Plan or reservation."),
            "capacity_reservation_id": ("varchar", "Capacity reservation or Capacity Block it ran in or stands for."),
            "gpu_hours": (
                MONEY,
                "Accelerator-hours: machine-hours × accelerators per machine; null on lines that count none.",
            ),
            **_COSTS,
        },
    ),
    "ledger.gpu_days": (
        "Accelerator-hours of ledger.gpu_hours by day. One row per key, day, resource, region and commitment.",
        {
            **_PARTITION,
            "key_id": ("varchar", "Key in computed.attributions."),
            "usage_date": ("date", "Day of use, UTC."),
            "resource_id": ("varchar", "Instance, endpoint or job; null where the bill has no resource ids."),
            "region_id": ("varchar", "Region code."),
            "commitment_discount_id": ("varchar", "Savings Plan or reservation."),
            "billed_hours": ("integer", "Hours with a line: bit 0 is the first of the day."),
            "largest_hour": (MONEY, "Most accelerator-hours of any line."),
            "gpu_hours": (MONEY, "Accelerator-hours: machine-hours × accelerators per machine."),
        },
    ),
    "ledger.loads": (
        "What each load of the current ledger read and kept. One row per source and billing period.",
        {
            **_PARTITION,
            "load_id": ("varchar", "Load identity, in the names of its files."),
            "fingerprint": ("varchar", "Version of the bill that was loaded."),
            "lines_read": ("bigint", "Lines in the native files, split-cost rows left out."),
            "lines_loaded": ("bigint", "Lines in the ledger, split-cost rows left out."),
            "split_lines": ("bigint", "Split-cost rows, which repeat other lines' money and are counted apart."),
            "billing_currency": ("varchar", "Currency, or 'mixed'."),
            "billed_cost_read": (MONEY, "Σ billed cost of the native files, each amount rounded once."),
            "billed_cost_loaded": (MONEY, "Σ billed_cost in the ledger."),
            "quantization_residual": (MONEY, "Σ exact native amounts − billed_cost_read."),
            "unknown_lines": ("bigint", "Lines of kinds that nobody documented; they are kept."),
            "unknown_kinds": ("varchar", "Those kinds; null where there are none."),
            "is_final": ("boolean", "Every line carries an invoice number."),
            "loaded_at": ("timestamp", "When, UTC."),
        },
    ),
    "ledger.load_identities": (
        "What a vendor's own rules say of its amounts. One row per source, billing period, name and subject.",
        {
            **_PARTITION,
            "name": ("varchar", "What must be equal."),
            "subject": ("varchar", "Commitment it is about; empty for the whole bill."),
            "left_side": (MONEY, "One side, in the bill's currency; null where it was skipped."),
            "right_side": (MONEY, "The other side."),
            "tolerance": (MONEY, "How far rounding may part them."),
            "line_count": ("bigint", "Bill lines compared."),
            "holds": ("boolean", "Null where it was skipped, or can only be told of a whole term."),
            "skipped": ("varchar", "Why it was not asked; empty where it was."),
            "note": ("varchar", "What else there is to say."),
            "starts": ("date", "First day of the term."),
            "ends": ("date", "Last day of the term."),
        },
    ),
    "ledger.usage_loads": (
        "What each load of the current ledger brought that is no bill. One row per fact, source and month of use.",
        {
            "fact": ("varchar", "token_usage, gpu_utilization or gpu_jobs."),
            **_PARTITION,
            "lines_loaded": ("bigint", "Rows in the ledger, equal to those in the native files."),
            "is_final": ("boolean", "The month will not change any more."),
            "loaded_at": ("timestamp", "When, UTC."),
        },
    ),
    "computed.attributions": (
        "What each distinct key of a bill is for. One row per source, billing period and key.",
        {
            **_PARTITION,
            "key_id": ("varchar", "Digest of the key columns and relevant tags."),
            **_KEY,
            "tags": ("varchar", "Relevant tags and cost categories as JSON, names normalized."),
            **_TAGGED,
        },
    ),
    "computed.allocations": (
        "Daily rows that belong to several owners, divided. One row per daily row and part; parts sum to the row.",
        {
            **_PARTITION,
            "daily_id": ("bigint", "Row of ledger.charges_daily that is divided."),
            "part": ("integer", "1, 2, …"),
            **{name: _TAGGED[name] for name in ("workload", "evidence", "llm_model", "accelerator", "idle_reason")},
            **{name: _TAGGED[name] for name in ("team", "environment", "project", "customer")},
            "method": ("varchar", "How it was divided."),
            **_COSTS,
        },
    ),
    "reference.invoices": (
        "Invoice totals the team was actually asked for, from the configuration. One row per invoice.",
        {
            "provider_name": ("varchar", "Who asks for the money, as the bills name it, or the name of a source."),
            "billing_period": ("date", "First day of the invoice month."),
            "invoice_id": ("varchar", "Invoice number; null for everything of the month."),
            "billing_currency": ("varchar", "Currency."),
            "invoiced": (MONEY, "Total of the invoice."),
        },
    ),
    "reference.rules": (
        "The rules in force. One row per rule, in the order they are tried.",
        {
            "position": ("integer", "1 is tried first."),
            "rule_id": ("varchar", "Rule."),
            "workload": ("varchar", "What it decides."),
            "evidence": ("varchar", "How strong that is."),
            "reason": ("varchar", "Why."),
            "effective_from": ("date", "First month of use it holds for."),
            "source_url": ("varchar", "Where the fact is documented."),
            "checked_on": ("date", "When that was last read."),
        },
    ),
    "reference.versions": (
        "What made this report. One row per part.",
        {
            "part": ("varchar", "apportion, duckdb, rules or reporting currency."),
            "version": ("varchar", "Its version; of the rules the digest, of the currency its ISO 4217 code."),
        },
    ),
    "reference.attribution_log": (
        "Who tagged which month, when and why. One row per change of attributions.",
        {
            **_PARTITION,
            "tagged_at": ("timestamp", "When, UTC."),
            "tagged_by": ("varchar", "Operating system user, or `pipeline`."),
            "reason": ("varchar", "Why."),
            "rules_digest": ("varchar", "Rules, dimensions and catalogue in force."),
            "keys_changed": ("bigint", "Keys whose attribution changed."),
        },
    ),
    **CLAIM_TABLES,
    **GOVERNANCE_TABLES,
    **USAGE_TABLES,
    **GPU_TABLES,
}


def create_statement(table: str) -> str:
    """Give the DDL of one table."""
    _, columns = TABLES[table]
    body = ", ".join(f'"{name}" {dtype}' for name, (dtype, _) in columns.items())
    return f"create or replace table {table} ({body})"


def comment_statements(table: str) -> list[str]:
    """Give the COMMENT ON statements of one table and its columns."""
    meaning, columns = TABLES[table]

    def text(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    statements = [f"comment on table {table} is {text(meaning)}"]
    statements += [f'comment on column {table}."{name}" is {text(note)}' for name, (_, note) in columns.items()]
    return statements
