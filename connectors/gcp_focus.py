"""Google's own FOCUS export: what it says in columns of its own, under the names that readers of FOCUS look for.

It has no Tags, and no column for commitments or reservations; labels, credits and the SKU's text say the same in the
shapes of the detailed export, so the expressions for that one are asked. Credits lend only their kinds: their amounts
are in BilledCost and EffectiveCost already. https://docs.cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/focus-export
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from connectors import focus_charges, gcp_charges
from connectors.focus_columns import AMOUNTS, INSTANTS, PROVIDERS, REQUIRED, FocusColumns
from connectors.gcp_columns import GcpColumns, field
from connectors.gcp_labels import tags

# The detailed export's name → this one's, for lists of key and value.
LABELS: Final = {"labels": "x_Labels", "system_labels": "x_SystemLabels", "tags": "x_Tags"}
PROJECT_LABELS: Final = "x_ProjectLabels"
CREDITS: Final = "x_Credits"
# What FOCUS readers look for → where Google has it; rules know the SKU's text.
ALIASES: Final = {"x_ServiceCode": "x_ServiceId", "x_UsageType": "ChargeDescription", "x_LineItemType": "x_CostType"}
OWN: Final = (
    *LABELS.values(),
    PROJECT_LABELS,
    "x_Location",
    *ALIASES.values(),
    CREDITS,
    "x_ConsumptionModelId",
    "x_ConsumptionModelDescription",
    "x_SubscriptionInstanceId",
    "x_CurrencyConversionRate",
)
# What is read of the table, and nothing else.
WANTED: Final = tuple(
    dict.fromkeys(
        [
            *REQUIRED,
            *PROVIDERS,
            *AMOUNTS,
            *INSTANTS,
            *(name for names in focus_charges.TEXTS.values() for name in names),
            *focus_charges.WORDS.values(),
            "ConsumedUnit",
            "ResourceName",
            *OWN,
        ]
    )
)


def told(frame: pl.LazyFrame, bill: FocusColumns) -> tuple[pl.LazyFrame, FocusColumns]:
    """Add what Google says in its own columns to one file of its export; any other FOCUS file stays as it is.

    Args:
        frame: the native file with `ROW`.
        bill: its columns.
    """
    if not _is_records(bill, CREDITS) or bill.stands("Tags"):
        return frame, bill
    detailed = _detailed(bill)
    lines = frame.with_columns(**detailed)
    as_detailed = GcpColumns(lines.select(*detailed).collect_schema(), bill.name)
    lines = gcp_charges.marked(lines, as_detailed)
    added = {
        "Tags": tags(as_detailed),
        **_commitment(as_detailed),
        "ResourceId": bill.text("ResourceId", "ResourceName"),
        "ResourceName": gcp_charges.steady_name(bill.text("ResourceName"), bill.text("x_ServiceId")),
        "RegionId": bill.text("RegionId", "x_Location"),
        "x_InstanceType": gcp_charges.machine(as_detailed),
        **{name: bill.text(source) for name, source in ALIASES.items()},
        **_quantity(bill),
    }
    whole = lines.with_columns(**added)
    schema = {name: dtype for name, dtype in whole.collect_schema().items() if name not in detailed}
    filled = {name for name in schema if bill.has(name)} | added.keys()
    return whole, FocusColumns(schema, bill.name, filled)


def _is_records(bill: FocusColumns, column: str) -> bool:
    """Tell a repeated record: the export in text has none, nor has another writer's column of that name."""
    dtype = bill.dtype(column) if bill.stands(column) else None
    return isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct)


def _detailed(bill: FocusColumns) -> Mapping[str, pl.Expr]:
    """Give the columns that the detailed export would have."""
    found = {
        "sku": pl.struct(id=bill.text("SkuId"), description=bill.text("ChargeDescription")),
        "cost_type": bill.text("x_CostType"),
        "credits": pl.col(CREDITS).list.eval(pl.struct(type=field("Type"))),
        "subscription": pl.struct(instance_id=bill.text("x_SubscriptionInstanceId")),
        "consumption_model": pl.struct(
            id=bill.text("x_ConsumptionModelId"), description=bill.text("x_ConsumptionModelDescription")
        ),
    }
    found |= {name: _pairs(column) for name, column in LABELS.items() if _is_records(bill, column)}
    if _is_records(bill, PROJECT_LABELS):
        found["project"] = pl.struct(labels=_pairs(PROJECT_LABELS))
    return found


def _pairs(column: str) -> pl.Expr:
    return pl.col(column).list.eval(pl.struct(key=field("Key"), value=field("Value")))


def _quantity(bill: FocusColumns) -> Mapping[str, pl.Expr]:
    """Give quantities in the unit that prices are in, hours of a machine, where Google consumes its seconds."""
    if not bill.has("PricingQuantity"):
        return {}
    priced, unit = bill.cell("PricingQuantity"), bill.text("PricingUnit")
    if not bill.has("ConsumedQuantity"):
        return {"ConsumedQuantity": priced, "ConsumedUnit": unit}
    is_priced = priced.is_not_null()
    return {
        "ConsumedQuantity": pl.coalesce(priced, bill.cell("ConsumedQuantity")),
        "ConsumedUnit": pl.when(is_priced).then(unit).otherwise(bill.text("ConsumedUnit")),
    }


def _commitment(bill: GcpColumns) -> Mapping[str, pl.Expr]:
    of = {**gcp_charges.commitment(bill), **gcp_charges.capacity_reservation(bill)}
    return {
        "CommitmentDiscountId": of["commitment_discount_id"],
        "CommitmentDiscountStatus": of["commitment_discount_status"],
        "CapacityReservationId": of["capacity_reservation_id"],
        "CapacityReservationStatus": of["capacity_reservation_status"],
    }
