"""GPU capacity held in reserve: paid for while nobody runs in it, or prepaid by the block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from examples.company import SHAPES
from examples.compute import FLEETS, Fleet, held, prefix
from examples.meters import EC2, Meter, arn

_BLOCK: Final = arn("ec2", "research-training", "capacity-reservation/cr-0c4b7e5d6a3f21908", "us-west-2")


def meters() -> Iterator[Meter]:
    """Meter the reservations that fleets run in, and the month's capacity block."""
    for fleet in FLEETS:
        if fleet.reserved:
            yield from _reservation(fleet)
    yield _capacity_block()


def _reservation(fleet: Fleet) -> Iterator[Meter]:
    """Meter held capacity: a free line whenever it is held, a full-price one while nobody runs in it."""
    price = SHAPES[fleet.instance].price
    for usage, status, shape, rate in (
        ("Reservation", "Reserved", "always", 0.0),
        ("UnusedBox", "Unused", "weekends", price),
    ):
        yield Meter(
            account=fleet.account,
            product=EC2,
            usage_type=f"{prefix(fleet.region)}{usage}:{fleet.instance}",
            operation="RunInstances",
            description=f"${rate:.10g} per {status} Reservation Linux {fleet.instance} Instance Hour",
            rate=rate,
            family="Compute Instance",
            instance=fleet.instance,
            resource=arn("ec2", fleet.account, f"capacity-reservation/{fleet.reserved}"),
            shape=shape,
            # Amazon names neither cluster nor team here: the reservation's own tag is all there is.
            tag="inference",
            extra=held(fleet, status),
            workload=fleet.workload,
            team=fleet.team,
            idle_reason="unused_reservation" if status == "Unused" else None,
            is_evident=False,
        )


def _capacity_block() -> Meter:
    """Meter a block of four p5 nodes for two days, prepaid in one line."""
    return Meter(
        account="research-training",
        product=EC2,
        usage_type="USW2-CapacityBlockFee:p5.48xlarge",
        operation="RunInstances",
        description="EC2 Capacity Block for ML, 4 x p5.48xlarge, 48 hours from day 12",
        rate=6041.472,
        unit="Quantity",
        family="Compute Instance",
        instance="p5.48xlarge",
        region="us-west-2",
        resource=_BLOCK,
        line_type="Fee",
        shape="once",
        grain="month",
        tag="training",
        extra={
            "capacity_reservation_capacity_reservation_arn": _BLOCK,
            "capacity_reservation_capacity_reservation_type": "EC2 Capacity Blocks for ML",
        },
        workload="training",
        team="research",
        is_evident=False,
    )
