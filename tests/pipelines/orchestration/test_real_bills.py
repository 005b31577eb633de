from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal

import duckdb
import pytest

from tests.pipelines.conftest import Company

pytestmark = [pytest.mark.pipeline, pytest.mark.real_data]

# Native lines as text, read by DuckDB alone; amounts are summed by Python's decimals, far beyond any bill's digits.
NATIVE = """
select "bill/BillingPeriodStartDate"[:10]::date, "lineItem/UsageAccountId",
    coalesce(nullif("product/ProductName", ''), "lineItem/ProductCode"), "lineItem/UnblendedCost"
from read_csv('{files}', all_varchar = true, header = true)
"""
EXACT = Context(prec=100)
QUANTUM = Decimal("0.000000000001")
Key = tuple[date, str, str]
BILLS = {"anonymous_2023-11.csv": "anonymous_2023-11.csv", "bucket": "bucket/**/*.csv.gz"}


@pytest.fixture(scope="module", params=BILLS)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Company, str]:
    """A company that has run on a real bill, and the pattern of that bill's files."""
    bills = request.config.rootpath.parent / "shared" / "data" / "aws_cur_legacy"
    if not bills.is_dir():
        pytest.skip("the real bills are not beside this checkout")
    source = {"name": "aws", "type": "aws_cur", "location": str(bills / request.param)}
    made = Company(tmp_path_factory.mktemp("real") / "home").configure(sources=[source], dimensions={})
    made.run()
    return made, str(bills / BILLS[request.param])


def native_amounts(files: str) -> dict[Key, list[Decimal]]:
    """Read each line's unblended cost, every digit of it, by period, account and service."""
    found: dict[Key, list[Decimal]] = {}
    with duckdb.connect() as connection:
        for period, account, service, amount in connection.sql(NATIVE.format(files=files)).fetchall():
            found.setdefault((period, account, service), []).append(Decimal(amount))
    return found


def total(amounts: list[Decimal]) -> Decimal:
    whole = Decimal(0)
    for amount in amounts:
        whole = EXACT.add(whole, amount)
    return whole


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(QUANTUM, ROUND_HALF_EVEN, EXACT)


def test_a_real_bill_reaches_the_ledger_and_the_report_to_the_last_digit(real: tuple[Company, str]) -> None:
    company, files = real
    native = native_amounts(files)
    expected = {key: total([rounded(amount) for amount in amounts]) for key, amounts in native.items()}

    lines = company.lines().group_by("billing_period", "sub_account_id", "service_name").agg(total="billed_cost")
    kept = {(row[0], row[1], row[2]): total(row[3]) for row in lines.collect().iter_rows()}
    assert kept == expected

    daily = company.ask(
        "select day.billing_period, key.sub_account_id, key.service_name, sum(day.billed_cost) "
        "from ledger.charges_daily as day join computed.attributions as key using (source, billing_period, key_id) "
        "group by all"
    )
    assert {(period, account, service): billed for period, account, service, billed in daily} == expected

    ((period, count, billed),) = company.ask(
        "select billing_period, sum(charge_count), sum(billed_cost) from marts.costs_by_workload group by all"
    )
    assert {period} == {key[0] for key in native}
    assert count == sum(len(amounts) for amounts in native.values())
    assert billed == total(list(expected.values()))


def test_the_one_rounding_of_a_real_bill_is_recorded(real: tuple[Company, str]) -> None:
    company, files = real
    amounts = [amount for group in native_amounts(files).values() for amount in group]
    once = total([rounded(amount) for amount in amounts])
    ((read, loaded, lost, residual, count, is_reconciled),) = company.ask(
        "select billed_cost_read, billed_cost_loaded, difference, quantisation_residual, lines_loaded, is_reconciled "
        "from marts.reconciliation"
    )
    assert (read, loaded, lost, count, is_reconciled) == (once, once, 0, len(amounts), True)
    assert residual == rounded(EXACT.subtract(total(amounts), once))
    # The bill of 2018 carries amounts with 21 decimals; the other one needs no rounding.
    assert (residual != 0) == ("bucket" in files)
