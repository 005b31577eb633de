"""Google's own example of one hour under a spend-based commitment, told in both of its models.

The figures are those of https://docs.cloud.google.com/docs/cuds-multiprice-datamodel.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.gcp_billing import GcpBilling
from models.facts import Fact
from tests.connectors.gcp_rows import Row, credit, pairs, row, write

LEGACY = "subscriptions/e52f"
NEWER = "subscriptions/1fd3"
FEE = {"id": "FEE", "description": "Commitment - dollar based v1: GCE for 1 year"}
SKUS = {
    "RAM": {"id": "RAM", "description": "N2 Instance Ram"},
    "CORE": {"id": "CORE", "description": "N2 Instance Core"},
}
FLEXIBLE = {"id": "3F1A", "description": "Compute Flexible CUDs 1 Year"}
DEFAULT = {"id": "7754-699E-0EBF", "description": "Default"}


def fee(cost: float, sku: str | None, subscription: str, offset: float | None = None) -> Row:
    return row(
        sku=FEE,
        cost=cost,
        labels=pairs(goog__originating__sku__id=sku) if sku else [],
        subscription={"instance_id": subscription},
        credits=[] if offset is None else [credit(offset, "FEE_UTILIZATION_OFFSET")],
        consumption_model=DEFAULT if subscription == NEWER else None,
    )


def credited(sku: str, cost: float, amount: float) -> Row:
    return row(sku=SKUS[sku], cost=cost, credits=[credit(amount, "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE")])


def priced(sku: str, cost: float, *, covered: bool) -> Row:
    model = FLEXIBLE if covered else DEFAULT
    subscription = {"instance_id": NEWER} if covered else None
    return row(sku=SKUS[sku], cost=cost, consumption_model=model, subscription=subscription)


OVERUSED_LEGACY = [
    fee(0.046868, "RAM", LEGACY),
    fee(0.025132, "CORE", LEGACY),
    credited("RAM", 0.174496, -0.065095),
    credited("CORE", 0.093568, -0.034905),
]
OVERUSED = [
    fee(0.046868, "RAM", NEWER, -0.046868),
    fee(0.025132, "CORE", NEWER, -0.025132),
    priced("RAM", 0.109398, covered=False),
    priced("CORE", 0.058648, covered=False),
    priced("RAM", 0.046868, covered=True),
    priced("CORE", 0.025132, covered=True),
]
UNDERUSED_LEGACY = [
    fee(0.022994, None, LEGACY),
    fee(0.125637, "RAM", LEGACY),
    fee(0.067369, "CORE", LEGACY),
    credited("RAM", 0.174496, -0.174496),
    credited("CORE", 0.093568, -0.093568),
]
UNDERUSED = [
    fee(0.022994, None, NEWER),
    fee(0.125637, "RAM", NEWER, -0.1256348),
    fee(0.067369, "CORE", NEWER, -0.0673581),
    priced("RAM", 0.125637, covered=True),
    priced("CORE", 0.067369, covered=True),
]
Charges = Callable[[Sequence[Row]], pl.DataFrame]


@pytest.fixture
def charges(tmp_path: Path) -> Charges:
    def read(rows: Sequence[Row]) -> pl.DataFrame:
        bill = write(tmp_path / "bill.parquet", rows)
        gcp = GcpBilling("gcp", GcpBilling.Options(location=str(bill)), tmp_path / "landing", lambda _: None)
        (version,) = gcp.versions()
        landed = gcp.fetch(version)
        (frame,) = gcp.read(landed)[Fact.CHARGES]
        found = frame.collect()
        assert found["effective_cost"].sum() == gcp.totals(landed).quantized["effective_cost"]
        return found

    return read


@pytest.mark.parametrize(
    ("rows", "total", "unused"),
    [
        (OVERUSED_LEGACY, "0.240064", "0"),
        (OVERUSED, "0.240046", "0"),
        (UNDERUSED_LEGACY, "0.216000", "0.022994"),
        (UNDERUSED, "0.2160131", "0.0230071"),
    ],
)
def test_each_model_of_the_worked_example_gives_its_own_total(
    charges: Charges, rows: Sequence[Row], total: str, unused: str
) -> None:
    found = charges(rows)
    assert found["effective_cost"].sum() == found["billed_cost"].sum() == Decimal(total)
    left = found.filter(pl.col("commitment_discount_status") == "Unused")
    assert left["effective_cost"].sum() == Decimal(unused)
    assert set(left["charge_category"]) <= {"Purchase"}


@pytest.mark.parametrize(
    ("rows", "ram", "core"),
    [(OVERUSED_LEGACY, "0.156269", "0.083795"), (UNDERUSED_LEGACY, "0.125637", "0.067369")],
)
def test_in_the_older_model_a_fee_and_the_usage_it_paid_for_go_by_the_sku(
    charges: Charges, rows: Sequence[Row], ram: str, core: str
) -> None:
    used = charges(rows).filter(pl.col("commitment_discount_status") == "Used")
    by_sku = dict(used.group_by("commitment_discount_id").agg(pl.col("effective_cost").sum()).iter_rows())
    assert by_sku == {"originating-sku/RAM": Decimal(ram), "originating-sku/CORE": Decimal(core)}
    fees = used.filter(pl.col("charge_category") == "Purchase")
    assert fees["pricing_category"].to_list() == ["Committed"] * 2


@pytest.mark.parametrize(
    ("rows", "ram", "core"), [(OVERUSED, "0.156266", "0.083780"), (UNDERUSED, "0.125637", "0.067369")]
)
def test_in_the_newer_model_usage_carries_the_commitments_price_and_name(
    charges: Charges, rows: Sequence[Row], ram: str, core: str
) -> None:
    usage = charges(rows).filter(pl.col("charge_category") == "Usage")
    by_sku = dict(usage.group_by("sku_id").agg(pl.col("effective_cost").sum()).iter_rows())
    assert by_sku == {"RAM": Decimal(ram), "CORE": Decimal(core)}
    covered = usage.filter(pl.col("pricing_category") == "Committed")
    assert covered["commitment_discount_id"].to_list() == [NEWER] * 2
    assert covered["commitment_discount_status"].to_list() == ["Used"] * 2


def test_the_fee_of_committed_resources_does_not_say_how_much_was_used(charges: Charges) -> None:
    committed = {"id": "C", "description": "Commitment v1: Nvidia H100 80GB GPU in Americas for 1 Year"}
    found = charges(
        [row(sku=committed, cost=70.0), row(cost=90.0, credits=[credit(-90.0, "COMMITTED_USAGE_DISCOUNT")])]
    )
    assert found["charge_category"].to_list() == ["Purchase", "Usage"]
    assert found["commitment_discount_status"].to_list() == [None, None]
    assert found["pricing_category"].to_list() == ["Standard", "Committed"]
    assert found["consumed_quantity"].to_list() == [None, Decimal(2)]


@pytest.mark.parametrize(
    ("kind", "effective"),
    [
        ("SUSTAINED_USAGE_DISCOUNT", 9),
        ("DISCOUNT", 9),
        ("COMMITTED_USAGE_DISCOUNT", 9),
        ("COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", 9),
        ("RESELLER_MARGIN", 9),
        ("SUBSCRIPTION_BENEFIT", 9),
        ("A_TYPE_GOOGLE_INVENTS", 9),
        (None, 9),
        ("PROMOTION", 10),
        ("FREE_TIER", 10),
    ],
)
def test_what_was_negotiated_lowers_the_effective_cost_and_a_gift_only_the_bill(
    charges: Charges, kind: Any, effective: int
) -> None:
    (found,) = charges([row(cost=10.0, credits=[{"amount": -1.0, "type": kind}])]).iter_rows(named=True)
    assert found["effective_cost"] == effective
    assert found["net_cost"] == found["billed_cost"] == Decimal(9)
    assert found["list_cost"] == Decimal(3)
