"""Who Meridian AI is: its accounts, what it pays per hour, and the months it is billed for.

Everything here is invented except the names and the order of magnitude of AWS prices.
"""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple


class Account(NamedTuple):
    """One AWS account and the business unit its cost category files it under."""

    id: str
    environment: str
    business_unit: str


class Shape(NamedTuple):
    """What one instance type costs an hour on demand, and what is inside."""

    price: float
    vcpu: int
    memory_gib: int
    gpus: int = 0


PAYER: Final = "meridian-payer"
ACCOUNTS: Final = {
    PAYER: Account("210087650010", "prod", "corporate"),
    "research-training": Account("210087650021", "research", "research"),
    "applied-ml": Account("210087650032", "research", "research"),
    "inference-prod": Account("210087650043", "prod", "products"),
    "inference-staging": Account("210087650054", "staging", "products"),
    "platform": Account("210087650065", "prod", "products"),
    "data": Account("210087650076", "prod", "platform"),
    "corp-it": Account("210087650087", "prod", "corporate"),
}

PREFIXES: Final = {"us-east-1": "USE1-", "us-west-2": "USW2-"}
"""Region codes of usage types; EC2 and its neighbors leave the one of us-east-1 out."""

SHAPES: Final = {
    "p5.48xlarge": Shape(55.04, 192, 2048, 8),
    "p4d.24xlarge": Shape(21.957642, 96, 1152, 8),
    "trn1.32xlarge": Shape(21.5, 128, 512, 16),
    "inf2.48xlarge": Shape(12.98127, 192, 768, 12),
    "g6.48xlarge": Shape(13.3504, 192, 768, 8),
    "g6.12xlarge": Shape(4.6016, 48, 192, 4),
    "g6e.2xlarge": Shape(2.24208, 8, 64, 1),
    "g5.48xlarge": Shape(16.288, 192, 768, 8),
    "g5.12xlarge": Shape(5.672, 48, 192, 4),
    "g5.2xlarge": Shape(1.212, 8, 32, 1),
    "g5.xlarge": Shape(1.006, 4, 16, 1),
    "m7i.48xlarge": Shape(9.6768, 192, 768),
    "c7i.48xlarge": Shape(8.568, 192, 384),
    "r7i.24xlarge": Shape(6.3504, 96, 768),
    "m5.4xlarge": Shape(0.768, 16, 64),
    "m5.xlarge": Shape(0.192, 4, 16),
    "t3.medium": Shape(0.0416, 2, 4),
    "t3.small": Shape(0.0208, 2, 2),
    "x9.48xlarge": Shape(9.87, 192, 1536, 8),
}

SPOT_SHARE: Final = 0.4217
"""Spot price as a share of the on-demand price."""

SAGEMAKER_MARKUP: Final = 1.15
"""What SageMaker adds to the EC2 price of the same shape."""

DISCOUNT: Final = 0.06
"""The enterprise discount, on AWS's own services only: not on Marketplace, tax, support or credits."""

FIRST_MONTH: Final = date(2026, 7, 1)
RESTATED_MONTH: Final = date(2026, 8, 1)
OPEN_FROM: Final = date(2026, 9, 1)
MONTHS: Final = (FIRST_MONTH, RESTATED_MONTH, OPEN_FROM)


def months_since_start(month: date) -> int:
    """Count the months from the first one, so that growth can be compounded; earlier months count as the first."""
    return max(0, (month.year - FIRST_MONTH.year) * 12 + month.month - FIRST_MONTH.month)


def next_month(month: date) -> date:
    """Give the first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def hours_in(month: date) -> int:
    """Count the hours of a month; bills are in UTC, so there is no clock change."""
    return (next_month(month) - month).days * 24
