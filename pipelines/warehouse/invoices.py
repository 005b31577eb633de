"""Read the totals that invoices asked for: as a team writes them down, and as AWS's invoicing API tells them."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connectors.aws_invoices import AwsInvoices, list_invoices, months_before
from models.errors import BadInput
from models.money import quantize_decimal

if TYPE_CHECKING:
    from pipelines.settings import Settings

REFRESH_SECONDS: Final = 3600
"""What was asked less than this ago is not asked again."""
_COLUMNS: Final = ("provider", "invoice_id", "billing_period", "currency", "total")


def invoices_of(settings: Settings) -> list[dict[str, object]]:
    """Give every invoice there is word of: the team's CSV first, then what was pulled. Asks nobody.

    Raises:
        BadInput: as `read_invoices`.
    """
    pulled = [_pulled(settings, account) for account in settings.aws_invoices]
    paths = [settings.invoices, *(path for path in pulled if path.exists())]
    return [invoice for path in paths for invoice in read_invoices(path)]


def pull_invoices(settings: Settings) -> None:
    """Ask AWS for the newest invoices and keep them beside the older ones, in a CSV like the team's own.

    Raises:
        BadInput: AWS cannot be asked, or answers something that is no invoice; what was pulled before stays.
    """
    for account in settings.aws_invoices:
        kept = _pulled(settings, account)
        if kept.exists() and time.time() - kept.stat().st_mtime < REFRESH_SECONDS:
            continue
        months = months_before(datetime.now(UTC).date(), account.months)
        asked = {f"{month:%Y-%m}" for month in months}
        fresh = list_invoices(account, months)
        rows = [row for row in _rows(kept) if row["billing_period"] not in asked] + fresh
        rows.sort(key=lambda row: [row[name] for name in ("billing_period", "invoice_id")])
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}.part")
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        partial.replace(kept)


def _pulled(settings: Settings, account: AwsInvoices) -> Path:
    return settings.home / "invoices" / f"aws-{account.account_id}.csv"


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


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
