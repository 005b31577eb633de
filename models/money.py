"""Money: one dtype, one rounding, and shares that always sum to the whole."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import polars as pl

SCALE: Final = 12
PRECISION: Final = 38
MONEY: Final = pl.Decimal(PRECISION, SCALE)
# Native amounts carry up to about 20 decimals; summed at this scale they show what the one rounding changed.
EXACT: Final = pl.Decimal(PRECISION, 22)
PARTED: Final = pl.Struct({"kept": MONEY, "off": EXACT})
QUANTUM: Final = Decimal(1).scaleb(-SCALE)
_UNITS: Final = float(10**SCALE)
_FIFTEEN_DIGITS: Final = float(10 ** (15 - SCALE))
# Python's own context keeps 28 digits: too few for money, which has 38, or for exact sums, which have more decimals.
ARITHMETIC: Final = Context(prec=80, rounding=ROUND_HALF_EVEN)


def quantize(amount: pl.Expr) -> pl.Expr:
    """Turn a native amount (float or text) into `MONEY`, half to even; what is no number becomes null.

    A float goes through its shortest decimal text: casting it directly differs between engines on 1 % of values.
    Callers must treat a null that was not null before as bad input, with its row.
    """
    return amount.map_batches(_quantized, return_dtype=MONEY, is_elementwise=True)


def _quantized(amounts: pl.Series) -> pl.Series:
    if not amounts.dtype.is_float():
        return amounts.cast(pl.String).cast(MONEY, strict=False)
    if 2 * amounts.null_count() > len(amounts):
        # What few kinds of line have: rounding nulls costs as much as rounding amounts.
        there = amounts.is_not_null().arg_true()
        return _nothing(amounts, MONEY).scatter(there, _quantized(amounts.gather(there)))
    # A float that is the nearest to a decimal of at most 15 digits has that decimal as its shortest text, so nothing
    # is left to round and the cast is exact. It takes an eighth of the time, and almost all of a bill is like that.
    quantized = amounts.cast(MONEY, strict=False)
    others = _longer(amounts)
    if others.is_empty():
        return quantized
    return quantized.scatter(others, amounts.gather(others).cast(pl.String).cast(MONEY, strict=False))


def _nothing(amounts: pl.Series, dtype: pl.Decimal) -> pl.Series:
    return pl.Series(amounts.name, [None], dtype=dtype).new_from_index(0, len(amounts))


def _longer(amounts: pl.Series) -> pl.Series:
    """Give the places of the floats whose shortest text has more than 15 digits or 12 decimals."""
    fit = (amounts * _UNITS).round() / _UNITS == amounts
    # Two looks at all of them are cheaper than a comparison for each, and hardly a line costs a thousand.
    ends = amounts.min(), amounts.max()
    if not all(isinstance(end, float) and abs(end) < _FIFTEEN_DIGITS for end in ends):
        fit &= amounts.abs() < _FIFTEEN_DIGITS
    return (~fit).arg_true()


def _finer(texts: pl.Series) -> pl.Series:
    """Give the places of the texts that may have more than 12 decimals: others are too short, unless by an exponent."""
    return ((texts.str.len_bytes() > SCALE + 1) | texts.str.contains("[eE]")).arg_true()


def known_sum(name: str) -> pl.Expr:
    """Sum a column of a group under its own name; null, not zero, where no row of the group states it."""
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(name)


def parted(amount: pl.Expr) -> pl.Expr:
    """Part a native amount into what `quantize` keeps of it and what that rounds off, null where that is nothing.

    The exact sum of a column is the sum of both: few amounts have so many digits, and only they are read as text.

    Returns:
        A struct of `kept`, as `MONEY`, and `off`, as `EXACT`.
    """
    return amount.map_batches(_parted, return_dtype=PARTED, is_elementwise=True)


def _parted(amounts: pl.Series) -> pl.Series:
    if amounts.dtype.is_float():
        others = _longer(amounts)
        text = amounts.gather(others).cast(pl.String)
        kept = amounts.cast(MONEY, strict=False).scatter(others, text.cast(MONEY, strict=False))
        off = _nothing(amounts, EXACT).scatter(others, _rounded_off(text))
    else:
        text = amounts.cast(pl.String)
        kept, off = text.cast(MONEY, strict=False), _rounded_off(text)
    return pl.DataFrame({"kept": kept, "off": off}).to_struct(amounts.name)


def _rounded_off(text: pl.Series) -> pl.Series:
    return text.cast(EXACT, strict=False) - text.cast(MONEY, strict=False).cast(EXACT)


def quantize_decimal(amount: Decimal) -> Decimal:
    """Round one amount as `quantize` does."""
    return amount.quantize(QUANTUM, context=ARITHMETIC)


def units_to_money(units: pl.Expr) -> pl.Expr:
    """Turn integers of 10⁻¹² dollars into `MONEY`, exactly."""
    # There is no cast that moves the point: whole dollars and the rest are cast apart.
    one = 10**12
    return (units // one).cast(MONEY) + (units % one).cast(MONEY) / pl.lit(one).cast(MONEY)


def to_units(amount: Decimal) -> int:
    """Count an amount in units of 10⁻¹², exactly; an amount with more decimals is a programming error."""
    units = amount.scaleb(SCALE, ARITHMETIC)
    if units != units.to_integral_value():
        raise ValueError(f"{amount} has more than {SCALE} decimals")
    return int(units)


def from_units(units: int) -> Decimal:
    """Turn units of 10⁻¹² back into an amount."""
    return Decimal(units).scaleb(-SCALE, ARITHMETIC)


def largest_remainder(whole: int, weights: Sequence[int]) -> list[int]:
    """Divide an integer amount by non-negative weights so that the parts sum to it exactly.

    Every part gets the floor of its share; the units left over go to the largest remainders, ties to the earlier
    part, so the answer does not depend on the order in which equal parts were computed elsewhere. A negative whole
    is divided as its absolute value.

    Raises:
        ValueError: no weight is positive, or one is negative.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError("weights must be non-negative and not all zero")
    sign = -1 if whole < 0 else 1
    parts, remainders = [], []
    for weight in weights:
        part, remainder = divmod(abs(whole) * weight, total)
        parts.append(part)
        remainders.append(remainder)
    left = abs(whole) - sum(parts)
    for index in sorted(range(len(weights)), key=lambda i: (-remainders[i], i))[:left]:
        parts[index] += 1
    return [sign * part for part in parts]
