"""Write Meridian AI's Google Cloud bill as BigQuery's detailed export holds it, and the truth of every line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from examples import gcp_commitments, gcp_tail, gcp_usage
from examples.bill import Tagging
from examples.company import FIRST_MONTH, MONTHS, OPEN_FROM, RESTATED_MONTH, next_month
from examples.gcp_bill import Line, first_hour, lines, numeric, of_the_invoice
from examples.gcp_columns import EXPORT, TRUTH
from examples.gcp_company import AMERICA, EUROPE, Meter

_CORRECTED: Final = ("on NVIDIA H100 80GB", 9, 12)
"""The SKU whose price was wrong from one day of July to another, and right in the restatement."""
_RIGHT_PRICE: Final = 0.91
_GOODWILL: Final = -1_500.0


def write(folder: Path, *, seed: int = 7, months: Sequence[date] = MONTHS, tagging: Tagging = "half") -> None:
    """Write one table per billing account under `folder/gcp`, and truth by invoice month under `folder/truth`.

    A table is cut into files by the month of export, so a file holds lines of two invoices, as a partition would.
    """
    truths: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    billed = [line for month in months for line in _invoice(month, seed, tagging)]
    for account in (AMERICA, EUROPE):
        files: defaultdict[str, list[Line]] = defaultdict(list)
        of_account = (line for line in billed if line.account == account)
        for line in sorted(of_account, key=lambda line: line.row["export_time"]):
            files[f"{account.table}/{line.row['export_time']:%Y-%m}-000000000000.parquet"].append(line)
        for name, exported in files.items():
            _write(folder / "gcp" / name, [line.row for line in exported], EXPORT)
            for number, line in enumerate(exported, start=1):
                truths[line.invoice_month].append({"file": name, "row": number, **line.truth})
    for month, truth in truths.items():
        _write(folder / "truth" / f"gcp-{month[:4]}-{month[4:]}.parquet", truth, TRUTH)


def _write(path: Path, rows: Sequence[object], schema: pa.Schema) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path, compression="snappy")


def _invoice(month: date, seed: int, tagging: Tagging) -> list[Line]:
    """Bill one invoice month: its usage, what came late of the month before, corrections, the invoice's own lines."""
    billed = [line for line in _used(month, seed, tagging) if not _is_late(line, month)]
    if month > FIRST_MONTH:
        before = (month - timedelta(days=1)).replace(day=1)
        measured = lines(filter(_comes_late, gcp_usage.meters()), before, seed, tagging)
        billed.extend(_moved(line, month, days=2) for line in measured if _is_late(line, before))
    if month == RESTATED_MONTH:
        billed.extend(_corrections(month, seed, tagging))
    if month < OPEN_FROM:
        billed.extend(_closing(month, billed))
    return billed


def _used(month: date, seed: int, tagging: Tagging) -> Iterator[Line]:
    yield from lines([*gcp_usage.meters(), *gcp_commitments.committed(), *gcp_tail.meters(seed)], month, seed, tagging)
    yield from gcp_commitments.settle(lines(gcp_commitments.web_servers(), month, seed, tagging))


def _comes_late(meter: Meter) -> bool:
    return meter.kind == "endpoints" and meter.project == gcp_usage.EU


def _is_late(line: Line, month: date) -> bool:
    """Tell the usage of a month's last day that was measured too late for its invoice."""
    named = (line.row["resource"] or {}).get("global_name", "")
    last_day = first_hour(next_month(month)) - timedelta(days=1)
    return line.account == EUROPE and "/endpoints/" in named and line.row["usage_start_time"] >= last_day


def _moved(line: Line, invoice: date, days: int, **columns: object) -> Line:
    late = max(line.row["export_time"], first_hour(invoice)) + timedelta(days=days)
    return line.but(export_time=late, invoice={**line.row["invoice"], "month": f"{invoice:%Y%m}"}, **columns)


def _corrections(month: date, seed: int, tagging: Tagging) -> Iterator[Line]:
    """Take July's lines back and bill them again at the right price, on the next invoice; and one goodwill line."""
    sku, first, last = _CORRECTED
    wrong = (meter for meter in gcp_usage.meters() if sku in meter.sku and "fee" not in meter.sku)
    info = {
        "id": f"adj-{FIRST_MONTH:%Y%m}-0417",
        "description": "Price correction for GPUs of training jobs",
        "mode": "COMPLETE_NEGATION_WITH_REMONETIZATION",
        "type": "PRICE_CORRECTION",
    }
    for line in lines(wrong, FIRST_MONTH, seed, tagging):
        day = (line.row["usage_start_time"] - first_hour(FIRST_MONTH)).days
        if first <= day < last:
            for part in (-1.0, _RIGHT_PRICE):
                yield _moved(line, month, 13, **_scaled(line, part), cost_type="adjustment", adjustment_info=info)
    goodwill = {"id": "adj-gw-88", "description": "Goodwill", "mode": "MANUAL_ADJUSTMENT", "type": "GOODWILL"}
    yield of_the_invoice(AMERICA, month, "Billing adjustment", _GOODWILL, adjustment=goodwill)


def _scaled(line: Line, part: float) -> dict[str, object]:
    """Negate a line whole, or give it again with the usage it had and another cost."""
    sign = -1.0 if part < 0 else 1.0
    usage = line.row["usage"]
    counted = {name: usage[name] * sign for name in ("amount", "amount_in_pricing_units")}
    cost, listed = round(line.row["cost"] * part, 6), line.row["cost_at_list"] * sign
    return {
        "cost": cost,
        "cost_at_list": listed,
        "cost_at_effective_price_default": numeric(cost),
        "cost_at_list_consumption_model": numeric(listed),
        "usage": {**usage, **counted},
        "credits": [{**one, "amount": round(one["amount"] * part, 6)} for one in line.row["credits"]],
    }


def _closing(month: date, billed: Sequence[Line]) -> Iterator[Line]:
    """Print what a finished invoice adds: tax on the whole, and what rounding it to cents changes."""
    for account in (AMERICA, EUROPE):
        net = sum(line.net for line in billed if line.account == account)
        tax = round(net * account.tax, 6)
        yield of_the_invoice(account, month, "Tax", tax)
        yield of_the_invoice(account, month, "Rounding error", round(round(net + tax, 2) - net - tax, 6))
