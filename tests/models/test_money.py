from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import (
    ARITHMETIC,
    MONEY,
    from_units,
    largest_remainder,
    parted,
    quantize,
    quantize_decimal,
    to_units,
)


@pytest.mark.parametrize(
    ("native", "quantized"),
    [
        ("0.0000000000005", "0"),  # half to even, down
        ("0.0000000000015", "0.000000000002"),  # half to even, up
        ("-0.0000000000025", "-0.000000000002"),
        ("1e-7", "0.0000001"),
        ("0.0010684211984159026", "0.001068421198"),
    ],
)
def test_an_amount_is_rounded_once_half_to_even(native: str, quantized: str) -> None:
    assert pl.select(quantize(pl.lit(native))).item() == Decimal(quantized)
    assert quantize_decimal(Decimal(native)) == Decimal(quantized)


def test_a_float_goes_through_its_shortest_decimal_text() -> None:
    assert pl.select(quantize(pl.lit(0.1))).item() == Decimal("0.1")


@pytest.mark.parametrize("text", ["NaN", "inf", "1,000", "1.2.3", "twelve", ""])
def test_what_is_no_number_becomes_null_never_zero(text: str) -> None:
    assert pl.select(quantize(pl.lit(text))).item() is None


@given(st.floats(min_value=-1e12, max_value=1e12, allow_nan=False))
def test_engine_and_python_round_every_float_alike(amount: float) -> None:
    assert pl.select(quantize(pl.lit(amount))).item() == quantize_decimal(Decimal(repr(amount)))


@given(st.integers(-(10**30), 10**30), st.lists(st.integers(0, 10**24), min_size=1, max_size=9).filter(any))
def test_parts_always_sum_to_the_whole_and_keep_its_sign(whole: int, weights: list[int]) -> None:
    parts = largest_remainder(whole, weights)
    assert sum(parts) == whole
    assert all(part * whole >= 0 for part in parts)


@given(st.integers(0, 10**30), st.lists(st.integers(0, 10**24), min_size=1, max_size=9).filter(any))
def test_a_part_is_within_one_unit_of_its_share(whole: int, weights: list[int]) -> None:
    for part, weight in zip(largest_remainder(whole, weights), weights, strict=True):
        assert abs(part * sum(weights) - whole * weight) < sum(weights)


def test_weights_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="not all zero"):
        largest_remainder(10, [0, 0])


@given(st.decimals(min_value=-(10**20), max_value=10**20, places=12))
def test_units_are_exact_both_ways(amount: Decimal) -> None:
    assert from_units(to_units(amount)) == amount


def test_an_amount_with_more_decimals_than_money_has_is_a_fault() -> None:
    with pytest.raises(ValueError, match="more than 12 decimals"):
        to_units(Decimal("0.0000000000001"))


def test_money_sums_exactly_where_floats_do_not() -> None:
    frame = pl.DataFrame({"native": [0.1] * 10})
    assert frame["native"].sum() != 1.0
    assert frame.select(quantize(pl.col("native")).sum()).item() == 1
    assert frame.select(quantize(pl.col("native"))).dtypes == [MONEY]


@given(st.lists(st.floats(allow_infinity=False, allow_nan=False, min_value=-1e15, max_value=1e15), min_size=1))
def test_a_float_is_rounded_from_its_shortest_text_whatever_stands_beside_it(amounts: list[float]) -> None:
    amounts += [round(amount, places) for amount in amounts for places in (2, 6, 10, 12)]
    found = pl.Series("x", amounts).to_frame().select(quantize(pl.col("x"))).to_series().to_list()
    assert found == [Decimal(repr(amount)).quantize(Decimal("1e-12"), context=ARITHMETIC) for amount in amounts]


@given(st.lists(st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.1, 0.0010684211984159026, 1e-13, 2.5e-12]))))
def test_what_was_kept_and_what_was_rounded_off_sum_to_what_was_read(amounts: list[float]) -> None:
    frame = pl.DataFrame({"native": amounts}, schema={"native": pl.Float64})
    for native in (pl.col("native"), pl.col("native").cast(pl.String)):
        kept, off = frame.select(parts=parted(native)).unnest("parts").sum().row(0)
        exact = Decimal(0)
        for amount in amounts:
            exact = ARITHMETIC.add(exact, ARITHMETIC.quantize(Decimal(repr(amount)), Decimal(1).scaleb(-22)))
        assert ARITHMETIC.add(kept or Decimal(0), off or Decimal(0)) == exact
