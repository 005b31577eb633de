"""Publish what people read: an immutable `reports-<n>.duckdb`, and the link `reports.duckdb` re-pointed to it.

A plain rename would not do: a process that still holds the old file would keep seeing it on new connections.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from shutil import copyfile
from typing import Final

import duckdb

from pipelines.warehouse.database import UNMERGED, not_written, opened

LINK: Final = "reports.duckdb"
_NUMBERED: Final = re.compile(r"reports-(\d+)\.duckdb")
_KEEP: Final = 3  # readers that opened an older file finish on it


def publish(home: Path, warehouse: Path, *, content: str, charges_version: int) -> Path:
    """Copy the warehouse for people and re-point the link; call it after every check has passed, the warehouse closed.

    The file is copied as it stands: to write all its tables anew takes ten times as long.

    Args:
        home: folder of the link.
        warehouse: its file.
        content: digest of everything that was published; `published` gives it back.
        charges_version: version of the ledger that the published figures stand on.
    """
    numbers = sorted(int(match[1]) for path in home.iterdir() if (match := _NUMBERED.fullmatch(path.name)))
    target = home / f"reports-{(numbers or [0])[-1] + 1}.duckdb"
    partial = target.with_suffix(".part")
    partial.with_suffix(".part.wal").unlink(missing_ok=True)  # of a publication that was killed
    try:
        with opened(warehouse) as connection:
            connection.execute(UNMERGED)
            connection.execute("checkpoint")
        copyfile(warehouse, partial)
        with opened(partial) as connection:
            connection.execute(UNMERGED)
            # Its files may be vacuumed; `warehouse.reader` reaches the lines of the version this report stands on.
            connection.execute("drop view if exists ledger.charges")
            connection.execute(
                "create table reference.publication as "
                "select now()::timestamp as published_at, $content as content, $version::bigint as charges_version",
                {"content": content, "version": charges_version},
            )
            connection.execute("checkpoint")
        _sync(partial)
    except (OSError, duckdb.Error) as error:
        raise not_written(partial, error) from error
    partial.rename(target)
    link = home / f"{LINK}.new"
    link.unlink(missing_ok=True)
    link.symlink_to(target.name)
    link.replace(home / LINK)
    _sync(home)
    for number in numbers[: -(_KEEP - 1)]:
        (home / f"reports-{number}.duckdb").unlink(missing_ok=True)
    return home / LINK


def published(home: Path) -> str:
    """Give the digest of what is published; empty where nothing is, or nothing this code can read."""
    if not (home / LINK).exists():
        return ""
    try:
        with opened((home / LINK).resolve(), read_only=True) as connection:
            return str(connection.sql("select content from reference.publication").fetchall()[0][0])
    except duckdb.Error:
        return ""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
