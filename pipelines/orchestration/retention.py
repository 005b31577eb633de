"""What may go: table versions nobody stands on, files of crashed loads, landed deliveries that were replaced."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connectors.source import connector
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.plan import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.settings import Settings

_MONTH: Final = re.compile(r"\d{4}-\d\d")
_DELIVERY: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Swept:
    """What was removed, and what is kept where, in bytes.

    Attributes:
        ledger_files: files of the ledger that are gone.
        landed: folders of replaced deliveries that are gone, relative to the home.
        freed: bytes on this disk that are free again.
        sizes: bytes per folder or file of the home after it.
    """

    ledger_files: list[str]
    landed: list[str]
    freed: int
    sizes: dict[str, int]


def sweep(settings: Settings, *, keep_last: int, on_step: Callable[[str], None] = lambda _: None) -> Swept:
    """Remove what neither the last table versions nor a pin stand on, and landed deliveries that were replaced."""
    with locked(settings, on_step):
        before = sum(_sizes(settings.home).values())
        ledger = Ledger.of(settings)
        removed = ledger.vacuum(keep_last=keep_last)
        landed = list(_replaced(settings, ledger))
        for folder in landed:
            shutil.rmtree(folder)
        after = _sizes(settings.home)
    names = [str(folder.relative_to(settings.home)) for folder in landed]
    return Swept(removed, names, before - sum(after.values()), after)


def _replaced(settings: Settings, ledger: Ledger) -> Iterator[Path]:
    """Find landed deliveries of months whose current load came from another one."""
    from connectors.delivered import DeliveredFiles

    for source in settings.sources:
        kind = connector(source.type)
        folder = settings.home / "landing" / source.name
        # Pages of an API may be the only copy of a month that the provider no longer serves: those stay.
        if not (isinstance(kind, type) and issubclass(kind, DeliveredFiles)) or not folder.is_dir():
            continue
        current = ledger.loaded_versions(source.name)
        for month in sorted(path for path in folder.iterdir() if _MONTH.fullmatch(path.name)):
            fingerprint = current.get(datetime.strptime(f"{month.name}-01", "%Y-%m-%d").date())  # noqa: DTZ007 - a day
            for delivery in sorted(path for path in month.iterdir() if _DELIVERY.fullmatch(path.name)):
                if fingerprint and not fingerprint.startswith(delivery.name):
                    yield delivery


def _sizes(home: Path) -> dict[str, int]:
    """Sum the bytes of each entry of the home; a link counts nothing."""
    found = {}
    for entry in sorted(home.iterdir()):
        files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
        size = sum(file.stat().st_size for file in files if not file.is_symlink())
        if size:
            found[entry.name] = size
    return found
