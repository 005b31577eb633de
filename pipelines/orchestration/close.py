"""Close a month: once its figures can be stood on, pin them, archive its pack, and keep who did it and why.

What is pinned keeps its tags whatever rules say later, and `marts.restatements` says what its provider changes later.
"""

from __future__ import annotations

import calendar
import getpass
import hashlib
import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from models.errors import ApportionError, Refused
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.assets import Progress, run_in_process
from pipelines.orchestration.plan import content, locked, tagging_of
from pipelines.warehouse.build import check
from pipelines.warehouse.database import warehouse
from pipelines.warehouse.publish import published
from pipelines.warehouse.reader import ask

if TYPE_CHECKING:
    from pipelines.settings import Settings

GATES: Final = ("ended", "final", "reconciled", "complete", "covered")
"""What must hold of a month, in the order it is asked; any can be accepted as it is, with a reason."""


@dataclass(frozen=True)
class Gate:
    """One condition of closing, and what was found."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class Closed:
    """What closing a month did."""

    billing_period: str
    sources: list[str]
    gates: list[Gate]
    archive: str


def close(
    settings: Settings,
    period: date,
    *,
    why: str,
    accepted: Collection[str] = (),
    on_step: Callable[[str], None] = lambda _: None,
) -> Closed:
    """Close an invoice month of every source.

    Args:
        settings: the configuration.
        period: first day of the month.
        why: kept in the ledger's history; needed where a gate is accepted.
        accepted: gates that need not hold.
        on_step: told what is being done.

    Raises:
        ApportionError: the month is closed already or not in the ledger, or a gate is unknown.
        Refused: a gate does not hold, a check fails, or the report is not current; nothing was changed.
    """
    unknown = sorted(set(accepted) - set(GATES))
    if unknown:
        raise ApportionError(f"There is no gate {unknown[0]!r}. The gates are {', '.join(GATES)}.")
    if accepted and not why.strip():
        raise ApportionError("To accept a gate takes a reason: --why '…'. It is kept in the audit trail.")
    with locked(settings, on_step):
        ledger = Ledger.of(settings)
        sources = _open_sources(ledger, period)
        if content(settings, ledger, tagging_of(settings)) != published(settings.home):
            raise Refused("The published report is not what bills and rules say now. Run `apportion run` first.")
        on_step(f"{period:%Y-%m}: checking")
        with warehouse(settings) as connection:
            check(connection)
        gates = gates_of(settings, period)
        failed = [gate for gate in gates if not gate.passed and gate.name not in accepted]
        if failed:
            reasons = "; ".join(f"{gate.name}: {gate.found}" for gate in failed)
            raise Refused(
                f"{period:%Y-%m} is not closed: {reasons}. Correct that, or accept it with "
                f"{' '.join(f'--accept {gate.name}' for gate in failed)} --why '…'."
            )
        waived = sorted(gate.name for gate in gates if not gate.passed)
        reason = (why.strip() or "monthly close") + (f" (accepted: {', '.join(waived)})" if waived else "")
        archive = _archive(settings, ledger, period, gates, reason)
        for source in sources:
            ledger.pin(source, period, by=getpass.getuser(), reason=reason)
        on_step(f"{period:%Y-%m}: publishing")
        run_in_process(settings, [], Progress(on_step=on_step))
    return Closed(f"{period:%Y-%m}", sources, gates, str(archive))


def reopen(settings: Settings, period: date, *, why: str, on_step: Callable[[str], None] = lambda _: None) -> list[str]:
    """Reopen a closed month, so that it follows today's rules again; give its sources.

    What was reported stays in the ledger and in the archive, and `marts.restatements` goes on comparing with it.

    Raises:
        ApportionError: no reason was given, or the month is not closed.
    """
    if not why.strip():
        raise ApportionError("To reopen a month takes a reason: --why '…'. It is kept in the audit trail.")
    with locked(settings, on_step):
        ledger = Ledger.of(settings)
        sources = sorted(ledger.pins().filter(billing_period=period)["source"])
        if not sources:
            raise ApportionError(f"{period:%Y-%m} is not closed.")
        for source in sources:
            ledger.reopen(source, period, by=getpass.getuser(), reason=why.strip())
        run_in_process(settings, [], Progress(on_step=on_step))
    return sources


def gates_of(settings: Settings, period: date) -> list[Gate]:
    """Say of each gate whether the published report lets a month pass it."""
    home = settings.home
    month: dict[str, object] = {"period": period}
    last_day = period.replace(day=calendar.monthrange(period.year, period.month)[1])
    reported = ask(home, "select reported_until_date as day from intermediate.int_reported_until")["day"].to_list()
    of_month = "from marts.reconciliation where billing_period = $period"
    unfinal = ask(home, f"select source {of_month} and not is_final order by 1", month)["source"].to_list()
    differing = ask(home, f"select source {of_month} and not is_reconciled order by 1", month)["source"].to_list()
    absent = ask(
        home,
        "select concat(kind, ' ', entity, if(is_present, ' lacks ' || missing_day_count || ' days', ' is absent')) "
        "as what from marts.completeness where billing_period = $period "
        "and (not is_present or coalesce(missing_day_count, 0) > 0) order by kind, entity",
        month,
    )["what"].to_list()
    ((share,),) = ask(
        home,
        "select sum(effective_cost) filter (where workload != 'unattributed')::double / nullif(sum(effective_cost), 0) "
        "from marts.costs_by_workload where billing_period = $period and workload not in ('not_ai', 'shared')",
        month,
    ).rows()
    least = settings.closing.coverage
    return [
        Gate("ended", bool(reported) and reported[0] >= last_day, f"reported until {reported[0] if reported else '–'}"),
        Gate("final", not unfinal, f"not final: {', '.join(unfinal)}" if unfinal else "every bill is final"),
        Gate("reconciled", not differing, f"differs: {', '.join(differing)}" if differing else "every bill reconciles"),
        Gate("complete", not absent, _few(absent) if absent else "nothing expected is absent"),
        Gate(
            "covered",
            share is None or share >= least,
            f"{share or 0:.1%} of AI money has a workload, {least:.0%} is asked for",
        ),
    ]


def _few(texts: list[str], most: int = 5) -> str:
    more = f", and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _open_sources(ledger: Ledger, period: date) -> list[str]:
    sources = {source for source, month in ledger.charges.partitions() if month == period}
    if not sources:
        raise ApportionError(f"The ledger has no month {period:%Y-%m}.")
    pins = {row["source"]: row for row in ledger.pins().filter(billing_period=period).iter_rows(named=True)}
    if not (left := sorted(sources - pins.keys())):
        pin = next(iter(pins.values()))
        raise ApportionError(
            f"{period:%Y-%m} was closed on {pin['pinned_at']:%Y-%m-%d} by {pin['pinned_by']} ({pin['reason']}). "
            "To close it again, first reopen it: --reopen --why '…'."
        )
    return left


def _archive(settings: Settings, ledger: Ledger, period: date, gates: list[Gate], reason: str) -> Path:
    """Copy the month's pack where no later run writes, beside a record of what it stands on."""
    folder = settings.home / "closed"
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + sum(1 for _ in folder.glob(f"{period:%Y-%m}-*[0-9]"))
    target, partial = folder / f"{period:%Y-%m}-{number}", folder / f"{period:%Y-%m}.part"
    shutil.rmtree(partial, ignore_errors=True)
    pack = settings.home / "reports" / f"{period:%Y-%m}"
    if pack.is_dir():
        shutil.copytree(pack, partial)
    else:
        partial.mkdir()
    record = {
        "billing_period": f"{period:%Y-%m}",
        "closed_at": datetime.now(UTC).isoformat(),
        "closed_by": getpass.getuser(),
        "reason": reason,
        "gates": [asdict(gate) for gate in gates],
        "loads": {
            source: partition.load_id
            for (source, month), partition in sorted(ledger.charges.partitions().items())
            if month == period
        },
        "costs_by_workload": _costs(settings, period),
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(partial.iterdir())},
    }
    (partial / "close.json").write_text(json.dumps(record, indent=2, ensure_ascii=False), encoding="utf-8")
    return partial.rename(target)


def _costs(settings: Settings, period: date) -> list[dict[str, Any]]:
    costs = ask(
        settings.home,
        "select workload, sum(billed_cost)::varchar as billed_cost, sum(effective_cost)::varchar as effective_cost "
        "from marts.costs_by_workload where billing_period = $period group by all order by workload",
        {"period": period},
    )
    return costs.to_dicts()
