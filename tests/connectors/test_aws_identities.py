"""Promises of AWS about its own amounts, and lines of a kind nobody documented."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.source import Identity, Totals
from tests.connectors.bills import Line, data_export, legacy_report, line

PLAN: Line = {"savings_plan_savings_plan_a_r_n": "arn:aws:savingsplans::5555:savingsplan/bc1d08fd"}
TERM: Line = {
    "savings_plan_start_time": "2026-01-01T00:00:00.000Z",
    "savings_plan_end_time": "2026-12-31T23:59:59.000Z",
}
RESERVED: Line = {"reservation_reservation_a_r_n": "arn:aws:ec2:us-east-1:5555:reserved-instances/f8c2"}
PAYER = "999900000000"
Read = Callable[..., tuple[pl.DataFrame, Totals]]
Found = dict[str, Identity]


@pytest.fixture
def found(tmp_path: Path, read: Read) -> Callable[[Sequence[Line]], Found]:
    """Give the identities of a bill by name."""

    def of(lines: Sequence[Line]) -> Found:
        data_export(tmp_path, lines)
        return {one.name: one for one in read(tmp_path)[1].identities}

    return of


def discounted(kind: str = "Usage", cost: float = 10.0, discount: float = -1.0, net: float = 9.0) -> Line:
    return line(
        line_item_line_item_type=kind,
        line_item_unblended_cost=cost,
        discount_total_discount=discount,
        line_item_net_unblended_cost=net,
    )


def covered(cost: float = 0.0026, **more: Any) -> Line:
    kind = {"line_item_line_item_type": "SavingsPlanCoveredUsage", "line_item_unblended_cost": 0.0052}
    return line(savings_plan_savings_plan_effective_cost=cost, **kind, **PLAN, **more)


def hour_of_a_plan(used: float = 0.013, **more: Any) -> list[Line]:
    """Bill an hour of AWS's documented plan: $0.015 committed, five t3.nano at $0.0026 covered, $0.002 unused."""
    negation = {"line_item_line_item_type": "SavingsPlanNegation", "line_item_unblended_cost": -0.026}
    fee = {"line_item_line_item_type": "SavingsPlanRecurringFee", "line_item_unblended_cost": 0.01}
    amounts = {"savings_plan_total_commitment_to_date": 0.015, "savings_plan_used_commitment": used}
    return [*(covered(**more) for _ in range(5)), line(**negation, **PLAN), line(**fee, **amounts, **PLAN, **more)]


def month_of_a_reservation(upfront: float = 24.8, **more: Any) -> list[Line]:
    """Bill a month of a reservation used for three quarters: $74.40 recurring, $24.80 of what was paid upfront."""
    use = line(
        line_item_line_item_type="DiscountedUsage", line_item_unblended_cost=0.0, reservation_effective_cost=74.4
    )
    fee = line(
        line_item_line_item_type="RIFee",
        line_item_unblended_cost=74.4,
        reservation_amortized_upfront_fee_for_billing_period=upfront,
        reservation_unused_amortized_upfront_fee_for_billing_period=6.2,
        reservation_unused_recurring_fee=18.6,
    )
    return [{**one, **RESERVED, **more} for one in (use, fee)]


def test_what_discounts_take_off_is_what_the_net_columns_lack(found: Callable[..., Found]) -> None:
    lines = [discounted(), discounted("EdpDiscount", -1.0, 0.0, 0.0), discounted("Tax", 2.0, 0.0, 2.0)]
    whole = found(lines)["unblended_equals_net"]
    assert (whole.left, whole.right, whole.holds, whole.lines) == (Decimal(11), Decimal(11), True, 3)
    broken = found([discounted(), discounted("EdpDiscount", -1.5, 0.0, 0.0)])["unblended_equals_net"]
    assert (broken.left, broken.right, broken.holds) == (Decimal("8.5"), Decimal(9), False)


def test_a_discount_line_without_a_net_cost_nets_to_nothing(found: Callable[..., Found]) -> None:
    whole = found([discounted(), line(line_item_line_item_type="EdpDiscount", line_item_unblended_cost=-1.0)])
    assert whole["unblended_equals_net"].holds


def test_each_line_of_usage_is_its_net_cost_plus_its_discounts(found: Callable[..., Found]) -> None:
    name = "usage_plus_discounts_equals_net"
    kept = found([discounted(), discounted(cost=1.0000005, net=0.0), discounted("Tax", 2.0, -1.0, 2.0)])[name]
    assert (kept.holds, kept.lines, kept.tolerance) == (True, 2, Decimal("0.000001"))
    # Two lines whose errors cancel: the sums agree and the lines do not.
    broken = found([discounted(net=9.01), discounted(net=8.99)])[name]
    assert broken.left == broken.right
    assert (broken.holds, broken.note) == (False, "2 lines differ by more")


def test_without_discounts_there_is_nothing_to_compare_and_that_is_said(found: Callable[..., Found]) -> None:
    for one in found([line(line_item_net_unblended_cost=0.0)]).values():
        assert (one.holds, one.left) == (None, None)
        assert "no net columns" in one.skipped
    only_net = found([line(line_item_unblended_cost=10.0, line_item_net_unblended_cost=9.0)])
    assert "no column discount_total_discount" in only_net["usage_plus_discounts_equals_net"].skipped


def test_a_plan_costs_what_it_covered_and_what_stood_unused(found: Callable[..., Found]) -> None:
    plan = found(hour_of_a_plan() * 3)["commitment_equals_covered_plus_unused"]
    assert (plan.left, plan.right, plan.holds) == (Decimal("0.045"), Decimal("0.045"), True)
    assert plan.subject == PLAN["savings_plan_savings_plan_a_r_n"]
    broken = found([*hour_of_a_plan(), covered(cost=0.5)])["commitment_equals_covered_plus_unused"]
    assert (broken.right, broken.holds) == (Decimal("0.515"), False)


def test_a_reservation_costs_what_it_covered_and_what_stood_unused(found: Callable[..., Found]) -> None:
    name = "commitment_equals_covered_plus_unused"
    held = found(month_of_a_reservation())[name]
    assert (held.left, held.right, held.holds) == (Decimal("99.2"), Decimal("99.2"), True)
    payers = {"line_item_usage_account_id": PAYER}
    assert found(month_of_a_reservation(upfront=30, **payers))[name].holds is False
    assert found(month_of_a_reservation(bill_invoice_id=None))[name].skipped == "the month is still open"


def test_commitments_of_one_bill_are_told_apart(tmp_path: Path, read: Read) -> None:
    other = "arn:aws:savingsplans::5555:savingsplan/other"
    wrong = [{**one, "savings_plan_savings_plan_a_r_n": other} for one in [*hour_of_a_plan(), covered(cost=0.5)]]
    data_export(tmp_path, [*hour_of_a_plan(), *wrong], [*month_of_a_reservation()])
    found = [one for one in read(tmp_path)[1].identities if one.name == "commitment_equals_covered_plus_unused"]
    held = {one.subject: one.holds for one in found}
    plan, reservation = PLAN["savings_plan_savings_plan_a_r_n"], RESERVED["reservation_reservation_a_r_n"]
    assert held == {plan: True, other: False, reservation: True}


def test_a_member_accounts_bill_is_not_judged(found: Callable[..., Found]) -> None:
    name = "commitment_equals_covered_plus_unused"
    assert found([covered()])[name].skipped.startswith("the bill lacks the fee lines")
    # The fee is here, and others used nine dollars of the plan.
    assert "covered elsewhere" in found(hour_of_a_plan(used=9.0))[name].skipped
    assert found([*hour_of_a_plan(used=9.0), line(line_item_usage_account_id=PAYER)])[name].holds is False


def test_each_month_says_its_part_of_the_term(found: Callable[..., Found]) -> None:
    upfront = line(line_item_line_item_type="SavingsPlanUpfrontFee", line_item_unblended_cost=43.8, **PLAN)
    part = found([*hour_of_a_plan(**TERM), upfront])["commitment_term_effective_equals_billed"]
    assert (part.left, part.right, part.holds) == (Decimal("0.015"), Decimal("43.81"), None)
    assert (str(part.starts), str(part.ends)) == ("2026-01-01", "2026-12-31")
    assert "when the term starts" in found(hour_of_a_plan())["commitment_term_effective_equals_billed"].skipped


def test_the_same_bill_as_csv_says_the_same(tmp_path: Path, read: Read) -> None:
    lines = [*hour_of_a_plan(**TERM), discounted(), discounted("EdpDiscount", -1.0, 0.0, 0.0)]
    data_export(tmp_path / "parquet", lines)
    data_export(tmp_path / "csv", lines, suffix="csv.gz")
    legacy = [{name.replace("_a_r_n", "_arn"): cell for name, cell in one.items()} for one in lines]
    names = {"discount_total_discount": "discount/TotalDiscount"}
    legacy_report(tmp_path / "legacy", [{names.get(name, name): cell for name, cell in one.items()} for one in legacy])
    said = [read(tmp_path / folder)[1].identities for folder in ("parquet", "csv", "legacy")]
    assert said[0] == said[1] == said[2]
    assert [one.holds for one in said[0]] == [True, True, True, None]


def test_lines_of_an_unknown_kind_are_counted(tmp_path: Path, read: Read) -> None:
    new = line(line_item_line_item_type="SomethingNew", line_item_unblended_cost=6.0)
    known = [line(line_item_line_item_type=kind) for kind in ("Usage", "Tax", "RiVolumeDiscount")]
    data_export(tmp_path, [*known, new], [new])
    charges, totals = read(tmp_path)
    assert totals.unknown_kinds == {"SomethingNew": 2}
    assert charges.filter(line_item_type="SomethingNew")["effective_cost"].to_list() == [6, 6]
