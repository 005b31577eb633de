"""Tag months again on purpose: the only way a closed month ever gets other rules."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

from models.errors import ApportionError
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.assets import Progress, run_in_process
from pipelines.orchestration.plan import locked, tagging_of
from pipelines.warehouse.database import warehouse
from pipelines.warehouse.month import MonthBuilder, Reason
from pipelines.warehouse.reporting import Reporting

if TYPE_CHECKING:
    from pipelines.settings import Settings


def retag(
    settings: Settings, period: date | None, why: str, on_step: Callable[[str], None] = lambda _: None
) -> list[dict[str, object]]:
    """Give every month of an invoice period, or all, today's rules; publish; say how many keys changed in each.

    Raises:
        ApportionError: the ledger has no such month, or no reason was given.
    """
    if not why.strip():
        raise ApportionError("A re-tag needs a reason: --why '…'. It is kept in the audit trail.")
    ledger = Ledger.of(settings)
    changed: list[dict[str, object]] = []
    with locked(settings, on_step):
        current = sorted(ledger.charges.partitions().items())
        chosen = [partition for (_, month), partition in current if period in {None, month}]
        if not chosen:
            raise ApportionError(f"The ledger has no month {period:%Y-%m}." if period else "The ledger is empty.")
        with warehouse(settings) as connection:
            reporting = Reporting(settings.currency, settings.exchange_rates)
            months = MonthBuilder(ledger, connection, tagging_of(settings), reporting)
            for partition in chosen:
                keys = months.refresh(partition, retag=True, reason=Reason(getpass.getuser(), why.strip()))
                month = f"{partition.billing_period:%Y-%m}"
                changed.append({"source": partition.source, "billing_period": month, "keys_changed": keys})
        run_in_process(settings, [], Progress(on_step=on_step))
    return changed
