"""The review pack of a month: page, workbook, data for programs, and the month's charges as FOCUS.

The same published data gives the same files. A pack says in review.json what it was made of; one that still stands is
left alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from models import focus
from models.errors import BadSettings
from pipelines.reports import findings
from pipelines.reports.figures import Pack, gather, months
from pipelines.reports.focus_export import write_focus

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from pipelines.settings import Settings

FOLDER: Final = "reports"
PAGES: Final = ("review.html", "review.xlsx", "review.json")
FOCUS: Final = ("charges_focus.parquet", "charges_focus.csv")
_LONG: Final = 100_000  # lines of a month from which FOCUS, a row of 1.5 kB for each owner and team, is on demand only


def write_review(
    settings: Settings, period: date, folder: Path, focus_version: str = "1.4", *, on_demand: bool = True
) -> list[Path]:
    """Write the pack of one month into a folder and give its files.

    Unasked, nothing is written where the pack still stands, and no FOCUS files for a month of very many lines.

    A file gets its name when it is whole, review.json last, so a pack that was cut short is written again.

    Args:
        settings: whose published report.
        period: the month: of use for everything the page says, of the invoice for the FOCUS files.
        folder: where to.
        focus_version: of the FOCUS files.
        on_demand: somebody asked for it.

    Raises:
        BadSettings: FOCUS has no such version.
        NotFound: nothing is published, or nothing of that month.
    """
    from pipelines.reports.page import render
    from pipelines.reports.workbook import write_workbook

    if focus_version not in focus.VERSIONS:  # said before anything is written
        raise BadSettings(f"FOCUS {focus_version!r} is not known. Choose one of {', '.join(focus.VERSIONS)}.")
    pack = gather(settings, period)
    content = _content(pack, focus_version)
    with_focus = on_demand or pack.line_count <= _LONG
    if not on_demand and _stands(folder, content, PAGES + FOCUS * with_focus):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("review.json", *FOCUS):  # of what the month was before
        (folder / name).unlink(missing_ok=True)
    written = [_whole(folder / "review.html", lambda path: path.write_bytes(render(pack).encode()))]
    written += [_whole(folder / "review.xlsx", lambda path: write_workbook(path, pack))]
    if with_focus:
        written += write_focus(settings, period, folder, focus_version)
    answer = json.dumps(_data(pack, content), default=_plain, indent=1, ensure_ascii=False) + "\n"
    return [*written, _whole(folder / "review.json", lambda path: path.write_bytes(answer.encode()))]


def refresh_reviews(settings: Settings, on_step: Callable[[str], None]) -> Iterator[Path]:
    """Write the packs of the newest months and of every month that has one, where they no longer stand."""
    on_step("writing review packs")
    home = settings.home / FOLDER
    known = months(settings)
    newest = set(known[-settings.review_packs :] if settings.review_packs else [])
    for period in known:
        folder = home / f"{period:%Y-%m}"
        if period in newest or (folder / "review.json").exists():
            yield from write_review(settings, period, folder, on_demand=False)


def _whole(path: Path, write: Callable[[Path], object]) -> Path:
    part = path.with_name(f"{path.name}.part")
    write(part)
    part.replace(path)
    return path


def _stands(folder: Path, content: str, names: Sequence[str]) -> bool:
    if not all((folder / name).exists() for name in names):
        return False
    try:
        made_of = json.loads((folder / "review.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(made_of, dict) and made_of.get("content") == content


def _content(pack: Pack, focus_version: str) -> str:
    """Digest everything the pack is made of: the answers, and the code that draws them."""
    digest = hashlib.sha256(f"{pack.period} {pack.currency} {focus_version} {pack.loads}".encode())
    for table in pack.tables.values():
        digest.update(repr((table.sql, table.columns, [tuple(row.values()) for row in table.rows])).encode())
    digest.update(repr((pack.marts, pack.definitions)).encode())
    for file in _code(files("pipelines.reports")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _code(folder: Traversable) -> Iterator[Traversable]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _code(entry)
        elif entry.name.endswith((".py", ".sql", ".j2", ".css")):
            yield entry


def _data(pack: Pack, content: str) -> dict[str, Any]:
    """Give what the page says as data: money as exact text, sentences as plain text."""
    verdict, sentence = findings.verdict(pack)
    return {
        "period": f"{pack.period:%Y-%m}",
        "currency": pack.currency,
        "content": content,
        "verdict": verdict,
        "sentence": sentence.striptags(),
        "decisions": [step.text.striptags() for step in findings.decisions(pack)],
        "tables": {
            name: {
                "title": table.question.title,
                "note": table.note,
                "query": table.sql,
                "missing_marts": table.absent,
                "rows": table.rows,
            }
            for name, table in pack.tables.items()
        },
    }


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
