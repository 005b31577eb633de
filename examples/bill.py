"""From meters to bill lines: what the export prints for each of them, before commitments rearrange it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import polars as pl

from examples import hours
from examples.company import ACCOUNTS, DISCOUNT, SHAPES, hours_in, months_since_start
from examples.meters import Meter, random_for

Tagging = Literal["half", "none"]
STRING_MAP: Final = pl.Map(pl.String, pl.String)

WORKLOAD_TAGS: Final = {
    "training": "training",
    "fine_tuning": "fine-tuning",
    "inference": "inference",
    "development": "development",
    "storage": "storage",
}
"""How the company's tagging guide spells the workloads."""

_TERMS: Final = {"Usage": "OnDemand", "DiscountedUsage": "Reserved"}
"""The lines that have a list price, and their pricing term."""

ENTERPRISE: Final = 0.0 - (pl.col("line_item_unblended_cost") + pl.col("discount_bundled_discount")) * pl.col(
    "discount_rate"
)
"""The enterprise discount on a line, zero or less where the line costs something."""

TRUTH: Final = ("workload", "team", "llm_model", "idle_reason", "evidence_possible")


@dataclass(frozen=True, kw_only=True)
class Month:
    """How one month is billed: `step` is the hours in its finest lines, 1 unless the sample must be small."""

    start: date
    seed: int
    tagging: Tagging
    is_final: bool = True
    is_corrected: bool = True
    step: int = 1

    @property
    def index(self) -> int:
        """Count the months since the company's first."""
        return months_since_start(self.start)


def lines(meters: Iterable[Meter], month: Month, first: int = 0) -> pl.DataFrame:
    """Bill some meters, numbered from `first`, for a month: one row per meter and interval, priced."""
    counted = [meter for meter in meters if month.is_final or not meter.is_late]
    used = hours.run(_frame(counted, month, first), month.start)
    amount = pl.col("line_item_usage_amount")
    return used.with_columns(
        line_item_unblended_cost=amount * pl.col("rate"),
        pricing_public_on_demand_cost=amount * pl.col("on_demand_rate"),
        discount_bundled_discount=pl.lit(0.0),
    )


def _frame(meters: Sequence[Meter], month: Month, first: int) -> pl.DataFrame:
    """Lay out what never changes within a month, one row per meter, in the export's own column names."""
    rows = [_row(meter, month) for meter in meters]
    extra = sorted({column for meter in meters for column in meter.extra})
    schema: dict[str, type[pl.DataType] | pl.DataType] = {
        "savings_ratio": pl.Float64(),
        "product": STRING_MAP,
        "resource_tags": STRING_MAP,
        "cost_category": STRING_MAP,
        **dict.fromkeys(("team", "llm_model", "idle_reason", *extra), pl.String()),
    }
    frame = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=1)
    return frame.with_row_index("meter", offset=first).with_columns(pl.col("meter").cast(pl.Int64))


def _row(meter: Meter, month: Month) -> dict[str, object]:
    account = ACCOUNTS[meter.account]
    product = meter.product
    rate = meter.rate if month.is_corrected else meter.rate * meter.provisional
    tag = meter.tag if month.tagging == "half" else ""
    is_instance = bool(meter.instance) and product.code == "AmazonEC2"
    listed = 0.0 if meter.line_type not in _TERMS else rate if meter.on_demand_rate is None else meter.on_demand_rate
    term = "Spot" if "SpotUsage" in meter.usage_type else _TERMS.get(meter.line_type, "")
    return {
        "grain": {"hour": month.step, "day": max(24, month.step), "month": hours_in(month.start)}[meter.grain],
        "shape": meter.shape,
        "phase": random_for(month.seed, month.start, meter.resource, meter.usage_type, meter.account).random(),
        "jitter": meter.jitter,
        "hourly": meter.quantity * meter.growth**month.index,
        "rate": rate,
        "on_demand_rate": listed,
        "discount_rate": DISCOUNT if product.discounted else 0.0,
        "savings_ratio": meter.savings_ratio,
        "reserved_under": meter.reservation,
        "workload": meter.workload,
        "team": meter.team,
        "llm_model": meter.llm_model,
        "idle_reason": meter.idle_reason,
        # A misspelt tag can still be read; a wrong one cannot be seen through.
        "evidence_possible": meter.is_evident or (bool(tag) and not says_another_workload(tag, meter.workload)),
        "bill_bill_type": "Refund" if meter.line_type == "Refund" else "Anniversary",
        "bill_billing_entity": product.entity,
        "bill_invoicing_entity": "Amazon Web Services, Inc.",
        "cost_category": {"business_unit": account.business_unit},
        "line_item_availability_zone": f"{meter.region}b" if is_instance else "",
        "line_item_legal_entity": "Amazon Web Services, Inc.",
        "line_item_line_item_description": meter.description,
        "line_item_line_item_type": meter.line_type,
        "line_item_operation": meter.operation,
        "line_item_product_code": product.code,
        "line_item_resource_id": meter.resource,
        "line_item_unblended_rate": f"{rate:.10f}",
        "line_item_usage_account_id": account.id,
        "line_item_usage_account_name": meter.account,
        "line_item_usage_type": meter.usage_type,
        "pricing_public_on_demand_rate": f"{listed:.10f}",
        "pricing_term": term,
        "pricing_unit": meter.unit,
        "product": _product_map(meter),
        "product_instance_type": meter.instance,
        "product_operation": meter.operation,
        "product_product_family": meter.family,
        "product_region_code": meter.region,
        "product_servicecode": product.service_code,
        "product_usagetype": meter.usage_type,
        "resource_tags": _tags(meter, tag),
        **meter.extra,
    }


def says_another_workload(tag: str, workload: str) -> bool:
    """Tell a wrong tag from a misspelt one: only a wrong one is another workload's name, correctly spelt."""
    return tag in WORKLOAD_TAGS.values() and tag != WORKLOAD_TAGS.get(workload)


def _tags(meter: Meter, tag: str) -> dict[str, str]:
    workload = {"user_workload": tag, "user_team": meter.team or ""} if tag else {}
    environment = {"user_env": ACCOUNTS[meter.account].environment} if meter.resource else {}
    return {**meter.tags, **environment, **workload}


def _product_map(meter: Meter) -> dict[str, str]:
    product = {"product_name": meter.product.name, "region": meter.region}
    shape = SHAPES.get(meter.instance.removeprefix("ml."))
    if shape:
        product |= {
            "instance_type_family": meter.instance.rsplit(".", 1)[0],
            "vcpu": str(shape.vcpu),
            "memory": f"{shape.memory_gib} GiB",
            **({"gpu": str(shape.gpus)} if shape.gpus else {}),
        }
    if shape and meter.product.code == "AmazonEC2":
        status = {"UnusedBox": "UnusedCapacityReservation", "Reservation": "AllocatedCapacityReservation"}
        usage = meter.usage_type.split(":", 1)[0].rsplit("-", 1)[-1]
        product |= {"operating_system": "Linux", "tenancy": "Shared", "capacitystatus": status.get(usage, "Used")}
        product["marketoption"] = "Spot" if usage == "SpotUsage" else "OnDemand"
    return product
