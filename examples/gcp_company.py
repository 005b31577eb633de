"""Meridian AI on Google Cloud: its projects and billing accounts, its SKUs and machines, and what they cost.

Everything here is invented except the names of services and SKUs and the order of magnitude of prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal, NamedTuple

from examples.meters import random_for


class BillingAccount(NamedTuple):
    """Who pays, in which money; one US dollar is `rate` of it."""

    id: str
    currency: str
    rate: float
    tax: float

    @property
    def table(self) -> str:
        """Name the table that BigQuery exports this account's costs to."""
        return f"gcp_billing_export_resource_v1_{self.id.replace('-', '_')}"


class Project(NamedTuple):
    """One project and what people labelled it with."""

    account: BillingAccount
    number: str
    region: str
    country: str
    labels: Mapping[str, str]


AMERICA: Final = BillingAccount("01B4C7-9D2E60-F3A815", "USD", 1.0, 0.004)
EUROPE: Final = BillingAccount("017E3A-52C9D8-6B40F1", "EUR", 0.8764, 0.19)

PROJECTS: Final = {
    "meridian-research": Project(AMERICA, "481516234201", "us-central1", "US", {"env": "research"}),
    "meridian-serving": Project(AMERICA, "481516234202", "us-central1", "US", {"env": "prod"}),
    "meridian-europe": Project(EUROPE, "481516234303", "europe-west3", "DE", {"env": "prod"}),
}
PLACES: Final = {"US": "Americas", "DE": "Frankfurt"}

COMPUTE: Final = ("6F81-5844-456A", "Compute Engine")
VERTEX: Final = ("C7E2-9256-1C43", "Vertex AI")
GEMINI_API: Final = ("AEFD-7695-64FA", "Gemini API")
STORAGE: Final = ("95FF-2EF5-5EA1", "Cloud Storage")

UNITS: Final = {
    "hour": ("seconds", 3600.0),
    "gibibyte hour": ("byte-seconds", 2.0**30 * 3600),
    "gibibyte month": ("byte-seconds", 2.0**30 * 86_400 * 30),
    "gibibyte": ("bytes", 2.0**30),
    "count": ("count", 1.0),
    "month": ("months", 1.0),
}
"""What a pricing unit is counted in, and how many of those it is."""


class Machine(NamedTuple):
    """A machine type: the words its SKUs use, what is inside, and an hour's price of each part."""

    series: str
    gpu: str
    gpus: int
    cores: int
    memory_gib: int
    gpu_price: float
    core_price: float
    memory_price: float


MACHINES: Final = {
    "a3-highgpu-8g": Machine("A3 Instance", "Nvidia H100 80GB", 8, 208, 1872, 9.7966, 0.029228, 0.002548),
    "a2-highgpu-8g": Machine("A2 Instance", "Nvidia Tesla A100", 8, 96, 680, 2.934, 0.031611, 0.004237),
    "g2-standard-48": Machine("G2 Instance", "Nvidia L4", 4, 48, 192, 0.560004, 0.024988, 0.002927),
    "n1-standard-16": Machine("N1 Predefined Instance", "Nvidia Tesla T4", 1, 16, 60, 0.35, 0.031611, 0.004237),
    "n2-standard-32": Machine("N2 Instance", "", 0, 32, 128, 0.0, 0.031611, 0.004237),
}


@dataclass(frozen=True, kw_only=True)
class Meter:
    """One SKU used in one project by one resource (or by none), with the truth that the bill does not print."""

    project: str
    service: tuple[str, str]
    sku: str
    price: float
    """US dollars per pricing unit."""
    unit: str = "hour"
    quantity: float = 1.0
    """Pricing units in each hour that `shape` is on."""
    shape: str = "always"
    grain: Literal[1, 24] = 24
    """Hours in one line."""
    jitter: float = 0.0
    growth: float = 1.0

    resource: str = ""
    kind: str = "instances"
    machine: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    system_labels: Mapping[str, str] = field(default_factory=dict)
    seller: str = ""
    credit: tuple[str, float] | None = None
    """A type of credit, and the share of the cost it takes off."""

    workload: str
    team: str | None = None
    llm_model: str | None = None
    idle_reason: str | None = None
    is_evident: bool = True
    """Whether the SKU, a name or a line beside it gives the workload away without a purpose label."""


@cache
def sku_id(sku: str) -> str:
    """Invent the id of a SKU; the same text always has the same one."""
    digits = f"{random_for(0, 'sku', sku).getrandbits(48):012X}"
    return f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"
