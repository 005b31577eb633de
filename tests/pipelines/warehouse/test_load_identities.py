"""What a provider's own rules say of its amounts, from the bill to what people query."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.bills import Line, data_export, line
from tests.pipelines.conftest import Company

pytestmark = pytest.mark.pipeline

PLAN = "arn:aws:savingsplans::5555:savingsplan/bc1d08fd"
YEAR = 2026


def of_the_plan(kind: str, cost: float, **more: Any) -> Line:
    return line(
        line_item_line_item_type=kind,
        line_item_unblended_cost=cost,
        savings_plan_savings_plan_a_r_n=PLAN,
        savings_plan_start_time="2026-01-01T00:00:00.000Z",
        savings_plan_end_time="2027-01-01T00:00:00.000Z",
        **more,
    )


def month_of_a_plan(month: int) -> Iterator[Line]:
    """Bill AWS's documented plan: $43.80 upfront for a year, $0.01 an hour, of $0.015 committed $0.013 used.

    https://docs.aws.amazon.com/cur/latest/userguide/cur-sp.html
    """
    hours = monthrange(YEAR, month)[1] * 24
    yield of_the_plan("SavingsPlanCoveredUsage", 0.026 * hours, savings_plan_savings_plan_effective_cost=0.013 * hours)
    yield of_the_plan("SavingsPlanNegation", -0.026 * hours)
    yield of_the_plan(
        "SavingsPlanRecurringFee",
        0.01 * hours,
        savings_plan_total_commitment_to_date=0.015 * hours,
        savings_plan_used_commitment=0.013 * hours,
    )
    if month == 1:
        yield of_the_plan("SavingsPlanUpfrontFee", 43.8)


def deliver(company: Company, month: int, *more: Line) -> None:
    first = datetime(YEAR, month, 1)  # noqa: DTZ001 - as Parquet says it
    lines = [
        {**one, "bill_billing_period_start_date": first, "line_item_usage_start_date": first}
        for one in (*month_of_a_plan(month), *more)
    ]
    data_export(company.folder / "bills", lines, month=f"{YEAR}-{month:02}")


def test_over_a_whole_term_a_commitment_costs_what_was_billed(tmp_path: Path) -> None:
    company = Company(tmp_path).configure()
    asked = "select billing_period, left_side, right_side, holds, skipped from marts.load_identities where name = "
    term = f"{asked} 'commitment_term_effective_equals_billed'"
    for month in range(1, 12):
        deliver(company, month)
    company.run()
    ((last, *_, holds, why),) = company.ask(term)
    assert (last, holds, why) == (date(YEAR, 11, 1), None, "11 of the 12 months of the term are loaded")
    deliver(company, 12)
    company.run()
    # 8,760 hours of $0.015, of which $0.01 were billed as they fell due and $43.80 on the first day.
    whole = Decimal("131.4")
    assert company.ask(term) == [(date(YEAR, 12, 1), whole, whole, True, "")]
    of_february = f"{asked} 'commitment_equals_covered_plus_unused' and billing_period = '2026-02-01'"
    assert company.ask(of_february) == [(date(YEAR, 2, 1), Decimal("10.08"), Decimal("10.08"), True, "")]
    costs = "select sum(billed_cost), sum(effective_cost) from marts.costs_by_workload"
    assert company.ask(costs) == [(whole, whole)]


def test_a_bill_that_contradicts_itself_is_loaded_and_says_so(tmp_path: Path) -> None:
    company = Company(tmp_path).configure()
    new = line(line_item_line_item_type="SomethingNew", line_item_unblended_cost=6.0)
    wrong = of_the_plan("SavingsPlanCoveredUsage", 0.0, savings_plan_savings_plan_effective_cost=5.0)
    deliver(company, 1, new, wrong)
    answer = company.apportion("run")
    assert answer.status == 0, answer.said
    assert "note: aws 2026-01: 1 lines of the unknown kind 'SomethingNew' were kept" in answer.said
    assert f"the bill contradicts itself in commitment_equals_covered_plus_unused of {PLAN}" in answer.said
    found = "select difference, holds from marts.load_identities where name = 'commitment_equals_covered_plus_unused'"
    assert company.ask(found) == [(Decimal(-5), False)]
    counted = "select unknown_lines, unknown_kinds, is_reconciled from marts.reconciliation"
    assert company.ask(counted) == [(1, "SomethingNew", True)]
