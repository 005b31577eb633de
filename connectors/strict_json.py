"""JSON from outside: what Python reads but nobody can write again is no JSON either."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


# `json.loads` makes a decoder for every text as soon as it is told what to make of numbers: twice the time of a line.
_PLAIN: Final = json.JSONDecoder()
# Amounts keep every digit they are written with.
EXACT: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number)
WRITTEN: Final = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def loads(text: bytes | str, decoder: json.JSONDecoder = _PLAIN) -> Any:
    r"""Read JSON.

    Args:
        text: one value.
        decoder: what to make of numbers; one of this module's.

    Raises:
        ValueError: it is none, is nested beyond all use, or holds half a character (`\ud800`), which no file can keep.
    """
    # Python takes UTF-16 for JSON too; nobody else does.
    text = text.decode().removeprefix("\ufeff") if isinstance(text, bytes) else text
    try:
        found = decoder.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(found, ensure_ascii=False, default=str).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return found
