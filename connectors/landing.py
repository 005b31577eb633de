"""Where native files are, a folder or S3, and how their bytes get here: verified, resumable, never outside the landing folder."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from models.errors import BadInput, BadSettings, Refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK: Final = 1 << 20
DOWNLOADS: Final = 4
OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Entry:
    """One object of a location: its key relative to the location, and what the listing says of it."""

    key: str
    size: int
    modified: datetime
    etag: str = ""


class Location(Protocol):
    """A place that holds native files. `path` is where it is, for matching the folders it stands in."""

    path: str

    def uri(self, key: str) -> str:
        """Name an object as the user knows it."""

    def entries(self) -> Sequence[Entry]:
        """List every object, sorted by key."""

    def read(self, key: str) -> tuple[bytes, str]:
        """Read a small object and its entity tag (a digest where there is none)."""

    def key_of(self, listed: str, keys: frozenset[str]) -> str | None:
        """Find the key of a file as a manifest writes it, or None where it is missing."""

    def land(self, entry: Entry, folder: Path, on_bytes: OnBytes) -> Path:
        """Bring an object to this machine, unless it is here."""


def jailed(folder: Path, key: str) -> Path:
    """Give the path of a key under a folder.

    Raises:
        Refused: the key would leave the folder, or is no plain path.
    """
    check_key(key)
    return folder.joinpath(*PurePosixPath(key).parts)


def check_key(key: str) -> None:
    """Refuse a key that is absolute, steps upwards or hides something; keys come from outside."""
    odd = not key or key.startswith("/") or "\\" in key or not key.isprintable()
    if odd or any(part in {"", ".", ".."} for part in key.split("/")):
        raise Refused(f"the file name {key!r} would leave the landing folder; nothing was fetched. Check who wrote it.")


def location(where: str, **client: str | None) -> Location:
    """Open a location: `s3://bucket/prefix`, a folder, or a single file of either."""
    return Bucket(where, **client) if where.startswith("s3://") else Folder(Path(where))


class Folder:
    """A local folder or single file; files are read where they are."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise BadSettings(f"location {path}: there is no such file or folder")
        self._only = path.name if path.is_file() else None
        self._root = (path.parent if self._only else path).absolute()
        self.path = self._root.as_posix()

    def uri(self, key: str) -> str:
        """Give the path under the location as configured."""
        return str(self._root / key)

    def entries(self) -> Sequence[Entry]:
        """List every file below, hidden ones left out."""
        paths = [self._root / self._only] if self._only else sorted(self._root.rglob("*"))
        return [self._entry(path) for path in paths if path.is_file() and not _hidden(path.relative_to(self._root))]

    def _entry(self, path: Path) -> Entry:
        stat = path.stat()
        modified = datetime.fromtimestamp(stat.st_mtime, UTC)
        return Entry(path.relative_to(self._root).as_posix(), stat.st_size, modified)

    def read(self, key: str) -> tuple[bytes, str]:
        """Read a file and the SHA-256 of its content."""
        content = jailed(self._root, key).read_bytes()
        return content, hashlib.sha256(content).hexdigest()

    def key_of(self, listed: str, keys: frozenset[str]) -> str | None:
        """Find the longest tail of the listed key that is here: the folder stands for some prefix of a bucket.

        The tail keeps its last folder, so that a file of the same name elsewhere is never taken for it.
        """
        parts = listed.removeprefix("s3://").lstrip("/").split("/")
        check_key("/".join(parts))
        tails = ("/".join(parts[start:]) for start in range(len(parts) - 1))
        here = next((tail for tail in tails if tail in keys), None)
        alone = parts[-1] in keys and self._root.name == parts[-2:-1][0] if len(parts) > 1 else parts[-1] in keys
        return here or (parts[-1] if alone else None)

    def land(self, entry: Entry, folder: Path, on_bytes: OnBytes) -> Path:  # noqa: ARG002 - nothing to fetch
        """Check that the file is as listed."""
        path = jailed(self._root, entry.key)
        if not path.is_file():
            raise BadInput(str(path), "the file is missing", "Deliver it again, then run again")
        if path.stat().st_size != entry.size:
            raise BadInput(str(path), "the file changed while reading", "Run again")
        return path


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
