"""From meters to lines: what the export prints for each of them, in the account's own money."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from examples.bill import Tagging
from examples.company import months_since_start, next_month
from examples.gcp_company import PROJECTS, UNITS, BillingAccount, Meter, sku_id
from examples.hours import curves
from examples.meters import random_for

_PACIFIC: Final = timedelta(hours=7)
"""Google's days and invoice months are Pacific, seven hours behind UTC in these months."""
_DEFAULT_MODEL: Final = {"id": "7754-699E-0EBF", "description": "Default"}
_CREDITS: Final = {
    "PROMOTION": "Meridian AI start-up credits",
    "SUSTAINED_USAGE_DISCOUNT": "Sustained Usage Discount",
    "COMMITTED_USAGE_DISCOUNT": "Committed Usage Discount: N2",
    "FEE_UTILIZATION_OFFSET": "Compute Flexible CUDs 1 Year: fee utilization offset",
    "DISCOUNT": "Negotiated discount on analytics",
    "FREE_TIER": "Free tier",
}
_COUNTED_BY: Final = 1_000_000
_ORGANIZATION: Final = {"resource_name": "organizations/905512340987", "display_name": "meridian.example"}


@dataclass(frozen=True)
class Line:
    """One row of the export, which account's table it is in, and the truth of it."""

    account: BillingAccount
    row: Mapping[str, Any]
    truth: Mapping[str, Any]

    @property
    def invoice_month(self) -> str:
        """The month of the invoice, as the export writes it."""
        return str(self.row["invoice"]["month"])

    @property
    def net(self) -> float:
        """What it adds to the invoice."""
        return float(self.row["cost"]) + sum(float(credit["amount"]) for credit in self.row["credits"])

    def but(self, **columns: object) -> Line:
        """Give the same line with other columns."""
        return replace(self, row={**self.row, **columns})


def first_hour(month: date) -> datetime:
    """Say when an invoice month begins, UTC."""
    return datetime(month.year, month.month, 1, tzinfo=UTC) + _PACIFIC


def credit(kind: str, amount: float) -> dict[str, object]:
    """Print a credit; it takes off what it says."""
    name = _CREDITS[kind]
    return {"name": name, "full_name": name, "amount": amount, "id": sku_id(name), "type": kind}


def numeric(amount: float) -> Decimal:
    """Print an amount as BigQuery's NUMERIC, which has nine decimals."""
    return Decimal(f"{amount:.9f}")


def lines(meters: Iterable[Meter], month: date, seed: int, tagging: Tagging) -> Iterator[Line]:
    """Run meters through an invoice month: a line for each interval in which they counted something."""
    metered = list(meters)
    hours: dict[str, list[tuple[int, float]]] = {}
    for shape, hour, level in curves(month, (meter.shape for meter in metered)).iter_rows():
        hours.setdefault(shape, []).append((hour, level))
    start = first_hour(month)
    for meter in metered:
        noise = random_for(seed, "gcp", month, meter.project, meter.sku, meter.resource, *sorted(meter.labels.items()))
        used: dict[int, float] = {}
        for hour, level in hours[meter.shape]:
            used[hour // meter.grain] = used.get(hour // meter.grain, 0.0) + level
        hourly = meter.quantity * meter.growth ** months_since_start(month)
        printed, truth = _printed(meter, tagging), _truth(meter, tagging)
        for tick, level in used.items():
            begin = start + timedelta(hours=tick * meter.grain)
            quantity = hourly * level * (1 + meter.jitter * noise.uniform(-1, 1))
            measured = _measured(meter, begin, quantity, timedelta(minutes=noise.randrange(300, 1500)))
            yield Line(PROJECTS[meter.project].account, printed | measured, truth)


def _printed(meter: Meter, tagging: Tagging) -> dict[str, Any]:
    """Give the columns that all lines of a meter share."""
    project = PROJECTS[meter.project]
    price = numeric(meter.price * project.account.rate * _per(meter))
    return {
        **blank(project.account, meter.project),
        "service": {"id": meter.service[0], "description": meter.service[1]},
        "sku": {"id": sku_id(meter.sku), "description": meter.sku},
        "labels": pairs(_labels(meter, tagging)),
        "system_labels": pairs(_system_labels(meter)),
        "location": {"location": project.region, "country": project.country, "region": project.region, "zone": None},
        "resource": _resource(meter, project.region),
        "price": {
            "effective_price": price,
            "tier_start_amount": Decimal(0),
            "unit": meter.unit,
            "pricing_unit_quantity": Decimal(_per(meter)),
            "list_price": price,
            "effective_price_default": price,
            "list_price_consumption_model": price,
        },
        "transaction_type": "THIRD_PARTY_RESELLER" if meter.seller else "GOOGLE",
        "seller_name": meter.seller or "Google",
        "consumption_model": _DEFAULT_MODEL,
    }


def _measured(meter: Meter, begin: datetime, quantity: float, delay: timedelta) -> dict[str, Any]:
    """Give the columns of one interval; its line is exported some hours after it."""
    base_unit, factor = UNITS[meter.unit]
    cost = round(meter.price * PROJECTS[meter.project].account.rate * quantity, 6)
    exact = numeric(cost)
    end = begin + timedelta(hours=meter.grain)
    return {
        "usage_start_time": begin,
        "usage_end_time": end,
        "export_time": end + delay,
        "cost": cost,
        "usage": {
            "amount": quantity * factor,
            "unit": base_unit,
            "amount_in_pricing_units": quantity,
            "pricing_unit": meter.unit,
        },
        "credits": [credit(meter.credit[0], -round(cost * meter.credit[1], 6))] if meter.credit else [],
        "invoice": {"month": f"{begin - _PACIFIC:%Y%m}", "publisher_type": "PARTNER" if meter.seller else "GOOGLE"},
        "cost_at_list": cost,
        "cost_at_effective_price_default": exact,
        "cost_at_list_consumption_model": exact,
    }


def _truth(meter: Meter, tagging: Tagging) -> dict[str, object]:
    return {
        "workload": meter.workload,
        "team": meter.team,
        "llm_model": meter.llm_model,
        "idle_reason": meter.idle_reason,
        "evidence_possible": meter.is_evident or "workload" in _labels(meter, tagging),
    }


def _labels(meter: Meter, tagging: Tagging) -> dict[str, str]:
    by_people = ("workload", "team")
    return {key: text for key, text in meter.labels.items() if tagging == "half" or key not in by_people}


def _per(meter: Meter) -> int:
    """Say how many units a price is for: tokens and calls are priced by the million."""
    return _COUNTED_BY if meter.unit == "count" else 1


def of_the_invoice(
    account: BillingAccount, month: date, sku: str, cost: float, *, adjustment: Mapping[str, str] | None = None
) -> Line:
    """Print a line that belongs to no project: tax, rounding, goodwill. They come with the invoice, days later."""
    end = first_hour(next_month(month))
    row = {
        **blank(account),
        "service": {"id": None, "description": "Invoice"},
        "sku": {"id": sku_id(sku), "description": sku},
        "usage_start_time": end - timedelta(hours=1),
        "usage_end_time": end,
        "export_time": end + timedelta(days=4, hours=3),
        "cost": cost,
        "invoice": {"month": f"{month:%Y%m}", "publisher_type": "GOOGLE"},
        "cost_type": {"Tax": "tax", "Rounding error": "rounding_error"}.get(sku, "adjustment"),
        "adjustment_info": adjustment,
    }
    return Line(account, row, {"workload": "shared", "evidence_possible": True})


def blank(account: BillingAccount, project: str = "") -> dict[str, Any]:
    """Give the columns that every line of an account, or of a project, has."""
    return {
        "billing_account_id": account.id,
        "project": _project(project) if project else None,
        "labels": [],
        "system_labels": [],
        "tags": [],
        "transaction_type": "GOOGLE",
        "currency": account.currency,
        "currency_conversion_rate": account.rate,
        "credits": [],
        "cost_type": "regular",
    }


def pairs(texts: Mapping[str, str]) -> list[dict[str, str]]:
    """Print labels as the export does: a list of keys and values."""
    return [{"key": key, "value": text} for key, text in texts.items()]


def _project(name: str) -> dict[str, object]:
    project = PROJECTS[name]
    return {
        "id": name,
        "number": project.number,
        "name": name,
        "labels": pairs(project.labels),
        "ancestry_numbers": "/905512340987/",
        "ancestors": [{"resource_name": f"projects/{project.number}", "display_name": name}, _ORGANIZATION],
    }


def _system_labels(meter: Meter) -> dict[str, str]:
    spec = {"compute.googleapis.com/machine_spec": meter.machine} if meter.machine else {}
    return {**spec, **meter.system_labels}


def _resource(meter: Meter, region: str) -> dict[str, str] | None:
    if not meter.resource:
        return None
    if meter.kind == "buckets":
        return {"name": meter.resource, "global_name": f"//storage.googleapis.com/projects/_/buckets/{meter.resource}"}
    service = "aiplatform" if meter.kind in ("customJobs", "endpoints") else "compute"
    place = f"locations/{region}" if service == "aiplatform" else f"zones/{region}-a"
    path = f"projects/{PROJECTS[meter.project].number}/{place}/{meter.kind}/{meter.resource}"
    return {"name": meter.resource, "global_name": f"//{service}.googleapis.com/{path}"}
