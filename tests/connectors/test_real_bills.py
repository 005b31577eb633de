"""Real bills that nobody here wrote, against sums that DuckDB makes straight from the native files."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from connectors.source import Totals

pytestmark = pytest.mark.real_data

BILLS = Path(__file__).parents[3] / "shared" / "data" / "aws_cur_legacy"
OPEN = "anonymous_2023-11.csv"
BUCKET = "bucket/my-prefix/my-report/20180801-20180901/861af42f-713c-4a42-9562-9158a7625630/my-report-1.csv.gz"
Read = Callable[..., tuple[pl.DataFrame, Totals]]


@pytest.fixture(autouse=True)
def needs_the_bills() -> None:
    if not BILLS.exists():
        pytest.skip("the real bills are not beside this checkout")


@pytest.mark.parametrize(("location", "native"), [(OPEN, OPEN), ("bucket", BUCKET)])
def test_billed_cost_per_account_and_service_is_what_the_file_says(read: Read, location: str, native: str) -> None:
    charges, totals = read(BILLS / location)
    query = """
        select "lineItem/UsageAccountId", "lineItem/ProductCode", count(*),
            sum("lineItem/UnblendedCost"::decimal(38, 22)), sum("pricing/publicOnDemandCost"::decimal(38, 22))
        from read_csv(?, all_varchar = true, header = true) group by all order by all
    """
    says = duckdb.execute(query, [str(BILLS / native)]).fetchall()
    assert totals.exact["billed_cost"] == sum(row[3] for row in says)
    assert totals.exact["list_cost"] == sum(row[4] or 0 for row in says)
    assert totals.quantized["billed_cost"] == charges["billed_cost"].sum()
    assert totals.lines == len(charges) == sum(row[2] for row in says)
    keys = ["sub_account_id", "service_code"]
    ours = charges.group_by(keys).agg(pl.len(), pl.col("billed_cost", "list_cost").sum()).sort(keys).rows()
    for (*key, lines, billed, listed), (*native_key, native_lines, native_billed, native_listed) in zip(
        ours, says, strict=True
    ):
        assert (key, lines) == (native_key, native_lines)
        # One rounding a line, at most half of the twelfth decimal.
        tolerance = lines * Decimal("5e-13")
        assert abs(billed - native_billed) <= tolerance
        assert abs(listed - (native_listed or 0)) <= tolerance


@pytest.mark.parametrize(
    ("location", "lines", "period"), [(OPEN, 1281, date(2023, 11, 1)), ("bucket", 6190, date(2018, 8, 1))]
)
def test_an_open_real_bill_is_read_whole(read: Read, location: str, lines: int, period: date) -> None:
    charges, totals = read(BILLS / location)
    assert (totals.lines, totals.split_lines, totals.is_final) == (lines, 0, False)
    assert charges["usage_period"].unique().to_list() == [period]
    assert charges["source_row"].to_list() == list(range(1, lines + 1))
    assert charges["effective_cost"].sum() == charges["billed_cost"].sum()
