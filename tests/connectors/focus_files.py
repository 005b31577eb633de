"""FOCUS files of every version, written line by line from one line of usage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.connectors import bills

Line = Mapping[str, Any]
LINE: Final[Line] = {
    "BilledCost": 4.0,
    "BillingAccountId": "payer-1",
    "BillingAccountName": "Acme",
    "BillingCurrency": "USD",
    "BillingPeriodEnd": datetime(2026, 2, 1),  # noqa: DTZ001 - as AWS's Parquet has it
    "BillingPeriodStart": datetime(2026, 1, 1),  # noqa: DTZ001
    "ChargeCategory": "Usage",
    "ChargeDescription": "H100 SXM on demand",
    "ChargeFrequency": "Usage-Based",
    "ChargePeriodEnd": datetime(2026, 1, 10, 1),  # noqa: DTZ001
    "ChargePeriodStart": datetime(2026, 1, 10),  # noqa: DTZ001
    "ConsumedQuantity": 2.0,
    "ConsumedUnit": "Hours",
    "ContractedCost": 4.0,
    "EffectiveCost": 3.5,
    "InvoiceIssuerName": "Cumulus",
    "ListCost": 5.0,
    "PricingCategory": "Standard",
    "PricingQuantity": 2.0,
    "PricingUnit": "Hours",
    "ProviderName": "Cumulus",
    "PublisherName": "Cumulus",
    "ServiceCategory": "Compute",
    "ServiceName": "GPU Cloud",
    "SkuId": "gpu-h100",
    "SubAccountId": "team-1",
    "Tags": {"team": "search"},
}
# What a later version has that the earlier ones lack.
NEW: Final[Mapping[str, Line]] = {
    "1.1": {"ServiceSubcategory": "Virtual Machines", "SkuMeter": "GPU hours"},
    "1.2": {"InvoiceId": "INV-1", "BillingAccountType": "Account"},
    "1.3": {"ServiceProviderName": "Cumulus", "HostProviderName": "Cumulus"},
}


def line(version: str = "1.2", **columns: Any) -> dict[str, Any]:
    """Make a line of usage of a version that says otherwise only what a test is about."""
    new = {name: value for since, some in NEW.items() if since <= version for name, value in some.items()}
    one = {**LINE, **new, **columns}
    if version == "1.4":
        one.pop("ProviderName", None)
        one.pop("PublisherName", None)
    return one


def write(path: Path, *lines: Line) -> Path:
    """Write one file in the format its name says."""
    return bills.write(path, lines or [line()])


def export(root: Path, *files: Sequence[Line], execution: str = "execution-1") -> Path:
    """Deliver January 2026 of AWS's FOCUS export, whose month folders are in lower case."""
    return bills.data_export(root, *files, execution=execution, key="billing_period")


def json_cell(tags: Mapping[str, Any]) -> str:
    """Write tags as JSON text."""
    return json.dumps(tags, ensure_ascii=False)
