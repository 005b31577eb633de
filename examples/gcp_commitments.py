"""What is paid for in advance: servers under a flexible, spend-based commitment and under one for their cores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from examples.gcp_bill import Line, credit, numeric, pairs
from examples.gcp_company import COMPUTE, Meter, sku_id
from examples.gcp_usage import EU, SERVING, machine

_FLEXIBLE: Final = 0.72
"""Price under the flexible commitment as a share of on demand."""
_COMMITTED_PER_DAY: Final = 90.0
_MODEL: Final = "Compute Flexible CUDs 1 Year"
_FEE: Final = "Commitment - dollar based v1: Compute Flexible for 1 Year"
_SUBSCRIPTION: Final = "subscriptions/4b1d7a52-93c6-4e08-8f3a-d05e62b9714c"
_RESOURCES: Final = (("Cpu", "Core", 0.63), ("Ram", "Ram", 0.63))

WEB: Final = "web-frontend"


def web_servers() -> Iterator[Meter]:
    """Meter the servers that the flexible commitment reaches: more on a workday than it covers, fewer on others."""
    for shape in ("always", "weekdays"):
        yield from machine("n2-standard-32", nodes=2, project=SERVING, shape=shape, resource=f"{WEB}-{shape}",
                           workload="not_ai", team="platform", labels={"team": "platform"})  # fmt: skip


def committed() -> Iterator[Meter]:
    """Meter servers whose cores and memory are committed: usage with a credit for all of it, and fees of their own."""
    for meter in machine("n2-standard-32", project=EU, resource="erp-app", workload="not_ai", team="platform"):
        yield replace(meter, credit=("COMMITTED_USAGE_DISCOUNT", 1.0))
        for fee, part, share in _RESOURCES:
            if f" {part} " in meter.sku:
                yield replace(
                    meter,
                    sku=f"Commitment v1: N2 {fee} in Frankfurt for 1 Year",
                    price=meter.price * share,
                    resource="",
                    machine="",
                    workload="shared",
                    team=None,
                )


def settle(used: Iterable[Line]) -> Iterator[Line]:
    """Split what the flexible commitment covers from what it does not, day by day, and print its fees.

    Covered usage carries its discounted price; the fee for it is offset by a credit to the cent, and what the
    commitment paid for nothing is left as a fee without one.
    """
    days: defaultdict[datetime, list[Line]] = defaultdict(list)
    for one in used:
        days[one.row["usage_start_time"]].append(one)
    for lines in days.values():
        eligible = sum(one.row["cost"] for one in lines) * _FLEXIBLE
        share = min(1.0, _COMMITTED_PER_DAY / eligible)
        left = _COMMITTED_PER_DAY
        fees: dict[str, float] = {}
        for one in lines:
            covered = _part(one, share, _FLEXIBLE)
            yield covered
            if share < 1:
                yield _part(one, 1 - share, 1.0)
            cost = covered.row["cost"]
            fees[one.row["sku"]["id"]] = fees.get(one.row["sku"]["id"], 0.0) + cost
            left -= cost
        for originating, cost in fees.items():
            paid = round(cost, 6)
            yield _fee(lines[0], paid, originating, [credit("FEE_UTILIZATION_OFFSET", -paid)])
        if left > 1e-6:  # noqa: PLR2004 - what rounding leaves
            yield _fee(lines[0], round(left, 6), "", [])


def _part(whole: Line, share: float, discount: float) -> Line:
    usage, price = whole.row["usage"], whole.row["price"]
    listed = round(whole.row["cost"] * share, 6)
    cost = round(listed * discount, 6)
    columns: dict[str, Any] = {
        "cost": cost,
        "cost_at_list": listed,
        "cost_at_effective_price_default": numeric(listed),
        "cost_at_list_consumption_model": numeric(cost),
        "usage": {**usage, **{name: usage[name] * share for name in ("amount", "amount_in_pricing_units")}},
    }
    if discount < 1:
        effective = numeric(float(price["effective_price"]) * discount)
        columns["price"] = {**price, "effective_price": effective, "list_price_consumption_model": effective}
        columns["consumption_model"] = {"id": sku_id(_MODEL), "description": _MODEL}
        columns["subscription"] = {"instance_id": _SUBSCRIPTION}
    return whole.but(**columns)


def _fee(beside: Line, cost: float, originating: str, offsets: list[dict[str, object]]) -> Line:
    one, exact = numeric(1.0), numeric(cost)
    prices = ("effective_price", "list_price", "effective_price_default", "list_price_consumption_model")
    fee = beside.but(
        service={"id": COMPUTE[0], "description": COMPUTE[1]},
        sku={"id": sku_id(_FEE), "description": _FEE},
        resource=None,
        labels=pairs({"goog-originating-sku-id": originating} if originating else {}),
        system_labels=[],
        subscription={"instance_id": _SUBSCRIPTION},
        price={**beside.row["price"], **dict.fromkeys(prices, one), "unit": "hour"},
        usage={"amount": cost * 3600, "unit": "seconds", "amount_in_pricing_units": cost, "pricing_unit": "hour"},
        cost=cost,
        cost_at_list=cost,
        cost_at_effective_price_default=exact,
        cost_at_list_consumption_model=exact,
        credits=offsets,
    )
    idle = None if originating else "unused_commitment"
    return replace(fee, truth={"workload": "shared", "idle_reason": idle, "evidence_possible": True})
