"""Try everything a run needs, and say in plain words what is wrong and how to put it right."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from connectors.aws_invoices import list_invoices, months_before
from models.errors import ApportionError
from models.facts import Fact
from pipelines.ledger.tables import Ledger
from pipelines.orchestration import permissions
from pipelines.orchestration.plan import tagging_of
from pipelines.redaction import hidden
from pipelines.warehouse.invoices import read_invoices

if TYPE_CHECKING:
    from connectors.source import SourceVersion
    from pipelines.settings import Settings, SourceSettings

_LITTLE: Final = 5 << 30
_QUICK: Final = 64 << 20  # bytes that are fetched and summed while somebody waits


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: what was tried, for example `source aws`.
        works: it does.
        found: what was found.
        fix: what to do where it does not work; several lines where a policy is needed.
    """

    what: str
    works: bool
    found: str
    fix: str = ""


def examine(settings: Settings, on_step: Callable[[str], None] = lambda _: None) -> Iterator[Finding]:
    """Try the home, the rules, the ledger, each source and what tells of invoices; changes nothing."""
    yield _home(settings)
    yield _tried("rules", lambda: f"{len(tagging_of(settings).rulebook.rules)} rules are in force", "Correct the file.")
    ledger = Ledger.of(settings)
    yield _tried("ledger", lambda: _loaded(ledger), permissions.of_ledger(settings.ledger_root))
    if not settings.sources:
        yield Finding("sources", works=False, found="the configuration names none", fix="Add your bills to `sources`.")
    for source in settings.sources:
        on_step(f"trying {source.name}")
        yield _source(settings, ledger, source)
    if settings.invoices:
        file = settings.invoices
        yield _tried("invoices", lambda: f"{len(read_invoices(file))} totals in {file}", "Correct that file.")
    for account in settings.aws_invoices:
        on_step(f"trying AWS's invoices of {account.account_id}")
        months = months_before(datetime.now(UTC).date(), 1)
        yield _tried(
            f"invoices of AWS account {account.account_id}",
            lambda account=account, months=months: f"{len(list_invoices(account, months))} of last month",  # type: ignore[misc]
            permissions.of_invoices(),
        )


def _home(settings: Settings) -> Finding:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(settings.home).free
        with FileLock(settings.home / ".lock").acquire(timeout=0):
            pass
    except Timeout:
        return Finding(f"home {settings.home}", works=True, found="another run is writing there now")
    except OSError as error:
        found = f"cannot be written ({error.strerror})"
        return Finding(f"home {settings.home}", works=False, found=found, fix="Give yourself the right to write there.")
    found = f"{free / 2**30:,.1f} GiB free"
    fix = "A run needs room for the bills and about as much again: free some, or choose another `home`."
    return Finding(f"home {settings.home}", works=free >= _LITTLE, found=found, fix="" if free >= _LITTLE else fix)


def _tried(what: str, attempt: Callable[[], str], fix: str) -> Finding:
    try:
        return Finding(what, works=True, found=attempt())
    except (ApportionError, OSError) as error:
        return Finding(what, works=False, found=hidden(str(error)), fix=fix)


def _loaded(ledger: Ledger) -> str:
    loads = ledger.current_loads()
    return f"{loads.height} months of {loads['source'].n_unique()} sources are loaded"


def _source(settings: Settings, ledger: Ledger, source: SourceSettings) -> Finding:
    """Try a source: list its months, and of the newest read what a run would read, or say what it came to."""
    what = f"source {source.name} ({source.type})"
    try:
        versions = list(settings.open(source.name).versions())
        if not versions:
            return Finding(what, works=False, found="there is no month to read", fix="Wait for the first delivery.")
        newest = max(versions, key=lambda version: version.billing_period)
        loaded = ledger.loaded_versions(source.name)
        changed = [version for version in versions if loaded.get(version.billing_period) != version.fingerprint]
        if newest in changed:
            last = _summed(settings, source, newest)
        else:
            last = _in_ledger(ledger, source.name, newest.billing_period)
    except (ApportionError, OSError) as error:
        return Finding(what, works=False, found=hidden(str(error)), fix=permissions.of_source(source))
    found = f"{len(versions)} months, the newest {newest.billing_period:%Y-%m}: {last}; {len(changed)} not loaded yet"
    return Finding(what, works=True, found=found)


def _summed(settings: Settings, source: SourceSettings, version: SourceVersion) -> str:
    """Fetch and sum a month that is not loaded, without a trace; a long one only said to be long."""
    sizes = [file.size for file in version.files]
    size = sum(size or 0 for size in sizes)
    if None in sizes:
        return "not read here, because the source does not say how much it would be"
    if size > _QUICK:
        return f"{size / 1e6:,.0f} MB, not read here"
    # What has no location is an API's: its answers have landed when they were listed.
    has_files = "location" in (source.__pydantic_extra__ or {})
    with tempfile.TemporaryDirectory() as folder:
        opened = settings.open(source.name, landing=Path(folder) if has_files else None)
        totals = opened.totals(opened.fetch(version))
    rows = sum(int(sums["rows"]) for sums in totals.usage.values())
    billed = f", {totals.quantized['billed_cost']:,.2f} billed" if totals.lines else ""
    return f"{totals.lines + rows:,} lines{billed} in its files"


def _in_ledger(ledger: Ledger, name: str, period: date) -> str:
    loads = ledger.current_loads().filter(source=name, billing_period=period)
    bills = loads.filter(fact=Fact.CHARGES.value)
    lines = f"{loads['lines_loaded'].sum():,} lines"
    if bills.is_empty():
        return lines
    bill = bills.row(0, named=True)
    return f"{lines}, {bill['billed_cost_loaded']:,.2f} {bill['billing_currency']} billed"
