"""Read the totals that invoices asked for, as a team writes them down."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from models.errors import BadInput
from models.money import quantize_decimal

_COLUMNS: Final = ("provider", "invoice_id", "billing_period", "currency", "total")


def read_invoices(path: Path | None) -> list[dict[str, object]]:
    """Give one row per invoice with the columns of `reference.invoices`.

    Raises:
        BadInput: the file is missing, lacks a column, or a cell is no month or no amount; names row and column.
    """
    if path is None:
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                found = f"has no column {missing[0]!r}, only {', '.join(reader.fieldnames or ()) or 'nothing'}"
                raise BadInput(str(path), found, f"Write the header {','.join(_COLUMNS)}")
            return [_invoice(path, number, row) for number, row in enumerate(reader, 1)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(str(path), f"cannot be read as CSV ({error})", "Correct `invoices:` or the file") from None


def _invoice(path: Path, number: int, row: Mapping[str, str | None]) -> dict[str, object]:
    cells = {name: (row[name] or "").strip() for name in _COLUMNS}

    def bad(column: str, expected: str) -> BadInput:
        return BadInput(
            str(path), f"{cells[column]!r} is no {expected}", "Correct it", f"row {number}, column {column}"
        )

    try:
        period = datetime.strptime(cells["billing_period"], "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
    except ValueError:
        raise bad("billing_period", "month such as 2026-07") from None
    try:
        total = Decimal(cells["total"])
    except InvalidOperation:
        raise bad("total", "amount such as 1234.56") from None
    if not total.is_finite():
        raise bad("total", "amount such as 1234.56")
    if not cells["provider"]:
        raise bad("provider", "provider")
    return {
        "provider_name": cells["provider"],
        "billing_period": period,
        "invoice_id": cells["invoice_id"] or None,
        "billing_currency": cells["currency"],
        "invoiced": quantize_decimal(total),
    }
