"""How figures and names are written for people: `$1.24M`, `58.8 %`, `July 2026`; nothing that can act.

Only the standard library is imported: commands that answer at once write with this too.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

_SIGNS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
_STEPS: Final = ((Decimal(1000) ** 4, "T"), (Decimal(1000) ** 3, "B"), (Decimal(1000) ** 2, "M"), (Decimal(1000), "K"))
_THREE_DIGITS: Final = Context(prec=3, rounding=ROUND_HALF_EVEN)
_TWO_DIGITS: Final = Context(prec=2, rounding=ROUND_HALF_EVEN)
_PLAIN_BELOW: Final = 10_000  # four digits are read as quickly as 9.99K
_CENTS_BELOW: Final = 100
_CENT: Final = Decimal("0.01")
_TEN_CENTS: Final = Decimal("0.1")
MINUS: Final = "−"
_NARROW_SPACE: Final = "\u202f"  # a figure and its unit stay on one line

_NAMES: Final = {
    "not_ai": "not AI",
    "fine_tuning": "fine-tuning",
    "llm_model": "model",
    "gpu_hours": "GPU-hours",
    "effective_cost": "effective cost",
}


def inert(text: str) -> str:
    """Replace what does not print: it could move a terminal's cursor, turn text round or break a document.

    Names in a bill come from outside. A right-to-left override, a line break or a NUL becomes a dot; letters of every
    script stay.
    """
    if text.isprintable():  # nearly every one of a workbook's hundred thousand
        return text
    return "".join(character if character.isprintable() else "·" for character in text)


def clipped(text: str, length: int) -> str:
    """Give a name on one line, cut where it is longer than anybody reads."""
    line = inert(text[: length * 4])
    return line if len(line) <= length and len(text) <= length else f"{line[: length - 1].rstrip()}…"


def words(name: str) -> str:
    """Write the name of a column, a workload or an idle reason as people say it."""
    return _NAMES.get(name) or inert(name).replace("_", " ")


def month(period: date) -> str:
    """Write a month in full."""
    return f"{period:%B %Y}"


def _sign(currency: str) -> str:
    return _SIGNS.get(currency, f"{currency} " if currency else "")


def short(amount: Decimal, currency: str = "") -> str:
    """Write an amount with three significant digits; cents only where they matter.

    Without a currency it is a plain number.
    """
    sign, size = _sign(currency), abs(amount)
    minus = MINUS if amount < 0 else ""
    if 0 < size < _CENT:
        return f"{minus}<{sign}0.01"
    if round(size) < _PLAIN_BELOW:
        return f"{minus}{sign}{size:,.2f}" if size < _CENTS_BELOW else f"{minus}{sign}{size:,.0f}"
    # Rounded before the step is chosen, so that 999,999 is 1.00M and not 1000K.
    size = _THREE_DIGITS.plus(size)
    step, letter = next((each for each in _STEPS if size >= each[0]), _STEPS[-1])
    return f"{minus}{sign}{_THREE_DIGITS.divide(size, step):f}{letter}"


def full(amount: Decimal, currency: str = "") -> str:
    """Write an amount to the cent."""
    return f"{MINUS if round(amount, 2) < 0 else ''}{_sign(currency)}{abs(amount):,.2f}"


def price(amount: Decimal, currency: str = "") -> str:
    """Write what one unit costs: to the cent, or two digits of less than ten cents: $0.0044 a request, not $0.00."""
    if not 0 < abs(amount) < _TEN_CENTS:
        return full(amount, currency)
    return f"{MINUS if amount < 0 else ''}{_sign(currency)}{_TWO_DIGITS.plus(abs(amount)):f}"


def signed(amount: Decimal, currency: str = "") -> str:
    """Write a change, with its sign."""
    return f"+{short(amount, currency)}" if amount > 0 else short(amount, currency)


def percent(share: Decimal | float, digits: int = 1) -> str:
    """Write a ratio."""
    return f"{share:.{digits}%}".replace("%", f"{_NARROW_SPACE}%").replace("-", MINUS)


def whole(share: Decimal) -> str:
    """Write a ratio without decimals."""
    return percent(share, 0)


def plain(value: Any) -> str:
    """Write any other value on one line."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, date):
        return f"{value:%Y-%m}" if value.day == 1 else value.isoformat()
    if isinstance(value, Decimal):
        return full(value)
    return f"{value:,}" if isinstance(value, int) else inert(str(value))
