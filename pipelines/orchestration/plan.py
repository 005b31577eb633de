"""What has changed since the last run, without Dagster: for the command line, the sensor and the assets alike."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

import dbt_like_sql
from models.claims import load_claims
from models.errors import ApportionError
from models.rulebook import Rulebook
from pipelines.governance_settings import Governance
from pipelines.ledger.delta import Partition
from pipelines.ledger.tables import Ledger
from pipelines.warehouse.invoices import invoices_of, pull_invoices
from pipelines.warehouse.keys import Tagging, digest
from pipelines.warehouse.month import AttributionsId
from pipelines.warehouse.prices import rate_card
from pipelines.warehouse.publish import published
from pipelines.warehouse.tables import TABLES

if TYPE_CHECKING:
    from connectors.source import Source, SourceVersion
    from pipelines.settings import Settings


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        loads: source → versions whose bill is not in the ledger, oldest month first.
        refused: source → why its versions could not be listed.
        retag: months whose attributions are missing, belong to other lines, or to other rules while still open.
        publish: what people read is not what the ledger and the rules say.
    """

    loads: dict[str, list[SourceVersion]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    retag: list[Partition] = field(default_factory=list)
    publish: bool = False

    @property
    def nothing(self) -> bool:
        """Tell whether there is nothing to do."""
        return not (self.loads or self.retag or self.publish)

    @property
    def months(self) -> list[date]:
        """Give the billing periods to load, in order."""
        return sorted({version.billing_period for versions in self.loads.values() for version in versions})


def plan(settings: Settings) -> Plan:
    """Compare the bills, the ledger and what is published."""
    ledger = Ledger.of(settings)
    loads: dict[str, list[SourceVersion]] = {}
    refused: dict[str, str] = {}
    try:
        pull_invoices(settings)
    except ApportionError as error:
        refused["aws_invoices"] = str(error)
    for source in settings.sources:
        try:
            versions = changed_versions(ledger, settings.open(source.name))
        except ApportionError as error:
            refused[source.name] = str(error)
        else:
            if versions:
                loads[source.name] = versions
    tagging = tagging_of(settings)
    retag = months_to_retag(ledger, tagging)
    stale = content(settings, ledger, tagging) != published(settings.home)
    return Plan(loads, refused, retag, publish=bool(loads or retag or stale))


def changed_versions(ledger: Ledger, source: Source) -> list[SourceVersion]:
    """Give the versions of a source that are not in the ledger."""
    loaded = ledger.loaded_versions(source.name)
    return [version for version in source.versions() if loaded.get(version.billing_period) != version.fingerprint]


def tagging_of(settings: Settings) -> Tagging:
    """Put together everything that decides what a key is for."""
    return Tagging(Rulebook.load(settings.rule_files, settings.accelerators), settings.dimensions, settings.ai_scope)


def months_to_retag(ledger: Ledger, tagging: Tagging) -> list[Partition]:
    """Give the months whose attributions are not what lines and rules say; a pinned month keeps the rules it had."""
    pinned = {(row["source"], row["billing_period"]) for row in ledger.pins().iter_rows(named=True)}
    stored = ledger.attributions.partitions()
    found = []
    for month, partition in sorted(ledger.charges.partitions().items()):
        attributed = AttributionsId.parse(stored[month].load_id if month in stored else "")
        same_lines = attributed.charges_id == partition.load_id
        if not same_lines or (attributed.tagging != tagging.digest and month not in pinned):
            found.append(partition)
    return found


def content(settings: Settings, ledger: Ledger, tagging: Tagging) -> str:
    """Digest everything a report is made from."""
    return digest(
        [
            sorted(partition.load_id for table in ledger.facts() for partition in table.partitions().values()),
            sorted(partition.load_id for partition in ledger.attributions.partitions().values()),
            _sql(),
            [claim.model_dump_json() for claim in load_claims()],
            [str(invoice) for invoice in invoices_of(settings)],
            [rate.model_dump_json() for rate in settings.exchange_rates],
            [settings.currency, tagging.digest, rate_card(settings).digest, TABLES],
            settings.model_dump_json(include={*Governance.model_fields, "idle", "claims", "plan"}),
            [str(act) for act in ledger.acts().iter_rows()],
        ]
    )


def _sql() -> dict[str, str]:
    # Only the text: parsing it takes most of a second, and a run that finds nothing changed needs no parser.
    folder = Path(*dbt_like_sql.__path__)
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.sql")}


@contextmanager
def locked(settings: Settings, waiting: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the home: one writer at a time, whether a schedule, the UI or the command line started it.

    The lock is the operating system's, so a killed run never leaves it behind. Re-entrant within a process.

    Raises:
        ApportionError: another run held it for longer than `lock_timeout`; says which.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.home / ".lock", is_singleton=True, thread_local=False)
    holder = settings.home / ".lock-holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting(f"waiting up to {settings.lock_timeout:.0f} s for {_read(holder)} to finish")
        try:
            lock.acquire(timeout=settings.lock_timeout)
        except Timeout:
            raise ApportionError(
                f"{settings.home}: {_read(holder)} still holds it after {settings.lock_timeout:.0f} s. "
                "Wait for that run, or raise `lock_timeout`."
            ) from None
    try:
        holder.write_text(f"process {os.getpid()} of {getpass.getuser()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _read(holder: Path) -> str:
    return holder.read_text(encoding="utf-8") if holder.exists() else "another run"
