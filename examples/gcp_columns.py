"""The columns of Google's detailed usage cost export, typed so that BigQuery loads the files without a schema."""

from typing import Final

import pyarrow as pa

TEXT: Final = pa.string()
FLOAT: Final = pa.float64()
NUMERIC: Final = pa.decimal128(38, 9)
INSTANT: Final = pa.timestamp("us", tz="UTC")


def _record(**fields: pa.DataType) -> pa.DataType:
    return pa.struct(list(fields.items()))


_LABELS: Final = pa.list_(_record(key=TEXT, value=TEXT))

EXPORT: Final = pa.schema(
    {
        "billing_account_id": TEXT,
        "service": _record(id=TEXT, description=TEXT),
        "sku": _record(id=TEXT, description=TEXT),
        "usage_start_time": INSTANT,
        "usage_end_time": INSTANT,
        "project": _record(
            id=TEXT,
            number=TEXT,
            name=TEXT,
            labels=_LABELS,
            ancestry_numbers=TEXT,
            ancestors=pa.list_(_record(resource_name=TEXT, display_name=TEXT)),
        ),
        "labels": _LABELS,
        "system_labels": _LABELS,
        "location": _record(location=TEXT, country=TEXT, region=TEXT, zone=TEXT),
        "resource": _record(name=TEXT, global_name=TEXT),
        "tags": pa.list_(_record(key=TEXT, value=TEXT, inherited=pa.bool_(), namespace=TEXT)),
        "price": _record(
            effective_price=NUMERIC,
            tier_start_amount=NUMERIC,
            unit=TEXT,
            pricing_unit_quantity=NUMERIC,
            list_price=NUMERIC,
            effective_price_default=NUMERIC,
            list_price_consumption_model=NUMERIC,
        ),
        "subscription": _record(instance_id=TEXT),
        "transaction_type": TEXT,
        "seller_name": TEXT,
        "export_time": INSTANT,
        "cost": FLOAT,
        "currency": TEXT,
        "currency_conversion_rate": FLOAT,
        "usage": _record(amount=FLOAT, unit=TEXT, amount_in_pricing_units=FLOAT, pricing_unit=TEXT),
        "credits": pa.list_(_record(name=TEXT, amount=FLOAT, full_name=TEXT, id=TEXT, type=TEXT)),
        "invoice": _record(month=TEXT, publisher_type=TEXT),
        "cost_type": TEXT,
        "adjustment_info": _record(id=TEXT, description=TEXT, mode=TEXT, type=TEXT),
        "cost_at_list": FLOAT,
        "cost_at_effective_price_default": NUMERIC,
        "cost_at_list_consumption_model": NUMERIC,
        "consumption_model": _record(id=TEXT, description=TEXT),
    }
)

TRUTH: Final = pa.schema(
    {
        "file": TEXT,
        "row": pa.int64(),
        "workload": TEXT,
        "team": TEXT,
        "llm_model": TEXT,
        "idle_reason": TEXT,
        "evidence_possible": pa.bool_(),
    }
)
"""A line of this bill has no id: it is the row, from 1, of a file."""
