"""Publish what people read: an immutable `reports-<n>.duckdb`, and the link `reports.duckdb` re-pointed to it.

A plain rename would not do: a process that still holds the old file would keep seeing it on new connections.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import duckdb

from pipelines.warehouse.database import opened

LINK: Final = "reports.duckdb"
_NUMBERED: Final = re.compile(r"reports-(\d+)\.duckdb")
_KEEP: Final = 3  # readers that opened an older file finish on it


def publish(home: Path, connection: duckdb.DuckDBPyConnection, *, content: str, charges_version: int) -> Path:
    """Copy the warehouse for people and re-point the link; call it after every check has passed.

    Args:
        home: folder of the link.
        connection: the warehouse.
        content: digest of everything that was published; `published` gives it back.
        charges_version: version of the ledger that the published figures stand on.
    """
    numbers = sorted(int(match[1]) for path in home.iterdir() if (match := _NUMBERED.fullmatch(path.name)))
    target = home / f"reports-{(numbers or [0])[-1] + 1}.duckdb"
    partial = target.with_suffix(".part")
    partial.unlink(missing_ok=True)
    warehouse = connection.sql("select current_database()").fetchall()[0][0]
    connection.execute(f"attach '{str(partial).replace(chr(39), chr(39) * 2)}' as published")
    try:
        connection.execute(f'copy from database "{warehouse}" to published')
        # Its files may be vacuumed; `warehouse.reader` reaches the lines of the version this report stands on.
        connection.execute("drop view if exists published.ledger.charges")
        connection.execute(
            "create table published.reference.publication as "
            "select now()::timestamp as published_at, $content as content, $version::bigint as charges_version",
            {"content": content, "version": charges_version},
        )
    finally:
        connection.execute("detach published")
    _sync(partial)
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
