"""What the bill counts: a meter is one SKU, used by one resource or by none, and why the company pays for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, NamedTuple

from examples.company import ACCOUNTS

Grain = Literal["hour", "day", "month"]


class Product(NamedTuple):
    """A service as the bill names it."""

    code: str
    name: str
    service_code: str
    discounted: bool = True
    entity: str = "AWS"


def aws(code: str, name: str) -> Product:
    """Name a service of AWS's own, whose two codes are the same."""
    return Product(code, name, code)


EC2: Final = aws("AmazonEC2", "Amazon Elastic Compute Cloud")
EKS: Final = aws("AmazonEKS", "Amazon Elastic Kubernetes Service")
SAGEMAKER: Final = aws("AmazonSageMaker", "Amazon SageMaker")
BEDROCK: Final = aws("AmazonBedrock", "Amazon Bedrock")
BEDROCK_SERVICE: Final = aws("AmazonBedrockService", "Amazon Bedrock Service")
S3: Final = aws("AmazonS3", "Amazon Simple Storage Service")
RDS: Final = aws("AmazonRDS", "Amazon Relational Database Service")
CLOUDFRONT: Final = aws("AmazonCloudFront", "Amazon CloudFront")


@dataclass(frozen=True, kw_only=True)
class Meter:
    """One SKU used by one resource (or by none), with the truth that the bill does not print."""

    account: str
    product: Product
    usage_type: str
    rate: float
    """What one unit costs here; `on_demand_rate` is what the price list says, where the two differ."""
    on_demand_rate: float | None = None
    unit: str = "Hrs"
    operation: str = ""
    description: str = ""
    family: str = ""
    instance: str = ""
    region: str = "us-east-1"
    resource: str = ""
    line_type: str = "Usage"

    quantity: float = 1.0
    """Units in each hour that `shape` is on."""
    jitter: float = 0.0
    """How far the quantity strays either way, as a share of itself."""
    shape: str = "always"
    grain: Grain = "hour"
    growth: float = 1.0
    """What the quantity is multiplied by from one month to the next."""

    tag: str = ""
    """The workload tag as somebody typed it; the team's tag goes with it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    """Columns of the export that only a few lines fill."""
    savings_ratio: float | None = None
    """Price under the Savings Plan as a share of on demand; empty where the plan does not reach."""
    reservation: str = ""

    is_late: bool = False
    """On final bills only: support fees and refunds come days after the month's end."""
    provisional: float = 1.0
    """What an open bill multiplies the price by before it is corrected."""

    workload: str
    team: str | None = None
    llm_model: str | None = None
    idle_reason: str | None = None
    is_evident: bool = True
    """Whether the SKU, or a name on the line, gives the workload away without a tag."""


def random_for(seed: int, *names: object) -> Random:
    """Make a generator of its own for each thing, so that adding one thing leaves the others as they were."""
    return Random("/".join(map(str, (seed, *names))))


def resource_id(seed: int, prefix: str, *names: object) -> str:
    """Invent an EC2-style id, such as an instance's, that stays the same from month to month."""
    return f"{prefix}-0{random_for(seed, prefix, *names).getrandbits(64):016x}"


def arn(service: str, account: str, name: str, region: str = "us-east-1") -> str:
    """Spell the name of a resource in one of the company's accounts."""
    return f"arn:aws:{service}:{region}:{ACCOUNTS[account].id}:{name}"
