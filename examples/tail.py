"""The long tail: as many small ordinary resources as it takes to make a bill of any length."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import count
from typing import Final, NamedTuple

from examples.meters import EC2, RDS, Meter, Product, arn, aws, random_for, resource_id


class _Small(NamedTuple):
    product: Product
    usage_type: str
    operation: str
    unit: str
    rate: float
    hourly: float
    kind: str
    """How the resource's ARN begins; an EC2 id where it is a bare prefix."""


_SMALL: Final = (
    _Small(EC2, "BoxUsage:t3.small", "RunInstances", "Hrs", 0.0208, 1.0, "i"),
    _Small(EC2, "EBS:VolumeUsage.gp3", "CreateVolume-Gp3", "GB-Mo", 0.08, 20 / 730, "vol"),
    _Small(EC2, "NatGateway-Bytes", "NatGateway", "GB", 0.045, 0.06, "nat"),
    _Small(RDS, "InstanceUsage:db.t4g.micro", "CreateDBInstance:0014", "Hrs", 0.016, 1.0, "rds:db:app"),
    _Small(aws("AWSLambda", "AWS Lambda"), "Lambda-GB-Second", "Invoke", "Lambda-GB-Second", 1.66667e-5, 60.0,
           "lambda:function:job"),
    _Small(aws("AmazonDynamoDB", "Amazon DynamoDB"), "WriteRequestUnits", "PayPerRequestThroughput",
           "WriteRequestUnits", 6.25e-7, 2_000.0, "dynamodb:table/t"),
    _Small(aws("AWSQueueService", "Amazon Simple Queue Service"), "Requests-Tier1", "SendMessage", "Requests", 4e-7,
           900.0, "sqs:queue"),
    _Small(aws("AmazonSNS", "Amazon Simple Notification Service"), "Requests-Tier1", "Publish", "Requests", 5e-7,
           400.0, "sns:topic"),
    _Small(aws("awskms", "AWS Key Management Service"), "us-east-1-KMS-Keys", "Unknown", "Keys", 1.0, 1 / 730,
           "kms:key/k"),
    _Small(aws("AmazonCloudWatch", "AmazonCloudWatch"), "TimedStorage-ByteHrs", "HourlyStorageMetering", "GB-Mo",
           0.03, 4 / 730, "logs:log-group:app"),
    _Small(aws("AmazonECR", "Amazon EC2 Container Registry (ECR)"), "TimedStorage-ByteHrs", "", "GB-Mo", 0.1, 3 / 730,
           "ecr:repository/app"),
    _Small(aws("AmazonS3", "Amazon Simple Storage Service"), "Requests-Tier2", "GetObject", "Requests", 4e-7, 3_000.0,
           "s3:::meridian-app"),
)  # fmt: skip

_LABELED: Final = 0.6
"""The share of small resources with a cost center on them."""

_OWNERS: Final = (
    ("platform", "platform"),
    ("data", "data"),
    ("corp-it", "platform"),
    ("inference-staging", "platform"),
)


def meters(
    seed: int, lines: int, step: int, hours: int, discounted: Collection[tuple[str, Product]]
) -> Iterator[Meter]:
    """Meter resources that make exactly `lines` lines in a month of so many `hours`, billed every `step` hours.

    Every resource runs the whole month, but the last, which starts with it and ends when the lines are used up. The
    first of a product in an account that is not among the `discounted` also makes a line of enterprise discount.
    """
    each = -(-hours // step)
    known = set(discounted)
    for number in count():
        resource = _resource(seed, number)
        owner = resource.account, resource.product
        room = lines if owner in known else lines - 1
        if room > 0:
            yield replace(resource, shape="always" if room >= each else f"first {room * step}")
            known.add(owner)
            lines = room - each
        if lines <= 0:
            return


def _resource(seed: int, number: int) -> Meter:
    random = random_for(seed, "tail", number)
    small = _SMALL[number % len(_SMALL)]
    account, team = random.choice(_OWNERS)
    name = f"{small.kind}-{number:06d}"
    return Meter(
        account=account,
        product=small.product,
        usage_type=small.usage_type,
        operation=small.operation,
        description=f"${small.rate:.10g} per {small.unit} - {small.usage_type}",
        rate=small.rate,
        unit=small.unit,
        resource=_spell(seed, small.kind, account, name, number),
        quantity=small.hourly * random.uniform(0.4, 1.6) if small.unit != "Hrs" else small.hourly,
        jitter=0.0 if small.unit == "Hrs" else 0.5,
        tags={"user_cost_center": f"cc-{random.randrange(40):03d}"} if random.random() < _LABELED else {},
        workload="not_ai",
        team=team,
    )


def _spell(seed: int, kind: str, account: str, name: str, number: int) -> str:
    if kind in {"i", "vol", "nat"}:
        return resource_id(seed, kind, "tail", number)
    if kind.startswith("s3"):
        return name.removeprefix("s3:::")
    service, _, rest = name.partition(":")
    return arn(service, account, rest)
