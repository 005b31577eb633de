"""JSON from outside: what Python reads but nobody can write again is no JSON either."""

from __future__ import annotations

import json
from typing import Any


def loads(text: bytes | str, **how: Any) -> Any:
    r"""Read JSON.

    Args:
        text: one value.
        how: as for `json.loads`: what to make of numbers.

    Raises:
        ValueError: it is none, is nested beyond all use, or holds half a character (`\ud800`), which no file can keep.
    """
    # Python takes UTF-16 for JSON too; nobody else does.
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        found = json.loads(text, **how)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(found, ensure_ascii=False, default=str).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return found
