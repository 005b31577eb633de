"""Where native files are, and how they get here: listed, read and landed, never outside the landing folder."""

from __future__ import annotations

import gzip
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol, cast

import pyarrow as pa

from models.errors import BadInput, BadSettings, Refused

CHUNK: Final = 1 << 20
ZIP: Final = b"PK\x03\x04"
GZIP: Final = b"\x1f\x8b"
# Bills and logs pack to a tenth or a fiftieth, a bomb to a thousandth. What unpacks to little may repeat itself.
TIMES: Final = 200
HARMLESS: Final = 64 << 20
OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Entry:
    """One object of a location: its key relative to the location, and what the listing says of it."""

    key: str
    size: int
    modified: datetime
    etag: str = ""


class Location(Protocol):
    """A place that holds native files. `path` is its own whole path: folder names above the location can matter."""

    path: str

    def uri(self, key: str) -> str:
        """Name an object as the user knows it."""

    def entries(self) -> Sequence[Entry]:
        """List every object, sorted by key."""

    def read(self, key: str) -> tuple[bytes, str]:
        """Read a small object and its entity tag, or a digest where there is none."""

    def digest(self, entry: Entry) -> str:
        """Tell one content from another."""

    def key_of(self, listed: str, manifest: str, keys: frozenset[str]) -> str | None:
        """Find the key of a file as the manifest at another key writes it, or None where it is missing."""

    def land(self, entry: Entry, folder: Path, on_bytes: OnBytes) -> Path:
        """Bring an object to this machine, under `folder` unless it is here already."""


def open_location(
    where: str, *, endpoint_url: str | None = None, region: str | None = None, profile: str | None = None
) -> Location:
    """Open `s3://bucket/prefix`, a folder, or a single file of either."""
    if not where.startswith("s3://"):
        return Folder(Path(where))
    from connectors.bucket import Bucket  # boto3 takes 0.3 s to import

    return Bucket(where, endpoint_url=endpoint_url, region=region, profile=profile)


def as_listed(location: Location, entries: Mapping[str, Entry], key: str, digest: str) -> Entry:
    """Find an object that was listed, seen to be unchanged.

    Raises:
        BadInput: it is gone, or another one.
    """
    entry = entries.get(key)
    if entry is None or location.digest(entry) != digest:
        raise BadInput(location.uri(key), "the file changed while reading", "Run again")
    return entry


def check_key(key: str) -> None:
    """Check that a key is a plain relative path; keys come from outside.

    Raises:
        Refused: it is absolute, steps upwards, or hides something.
    """
    odd = not key or key.startswith("/") or "\\" in key or not key.isprintable()
    if odd or any(part in {"", ".", ".."} for part in key.split("/")):
        raise Refused(f"the file name {key!r} would leave the landing folder; nothing was fetched. Check who wrote it.")


def jailed(folder: Path, key: str) -> Path:
    """Give the path of a key under a folder, or refuse it."""
    check_key(key)
    return folder.joinpath(*PurePosixPath(key).parts)


def seal(part: Path, target: Path) -> None:
    """Give a complete file its name, so that a name always stands for whole content, power cuts included."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def unpacked(path: Path, folder: Path, entry: Entry, name: str) -> Path:
    """Give the one file inside a zip, unpacked under `folder`; any other file as it is.

    The member's own name is data and goes nowhere; reading to the end checks its CRC.
    """
    with path.open("rb") as file:
        starts = file.read(len(ZIP))
    if starts != ZIP:
        return path
    target = jailed(folder, entry.key + ".unpacked")
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise BadInput(name, f"the archive holds {len(members)} files, not one", "Export the bill again")
            with archive.open(members[0]) as packed, part.open("wb") as plain:
                for chunk in _bounded(packed, may_unpack_to(path), name):
                    plain.write(chunk)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, zlib.error) as error:
        raise BadInput(name, f"the archive is damaged ({error})", "Fetch or export the file again") from error
    seal(part, target)
    return target


def is_gzipped(path: Path) -> bool:
    """Tell by the first bytes: names of exports differ, contents do not."""
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


def inflated(path: Path) -> IO[bytes]:
    """Open a file as it is, or inflated where it is gzipped."""
    return cast("IO[bytes]", gzip.open(path)) if is_gzipped(path) else path.open("rb")


def no_bomb(path: Path, name: str) -> Path:
    """Give a file that may be read whole once it is inflated.

    Raises:
        BadInput: it unpacks to more than a bill or log could be.
    """
    if is_gzipped(path):
        _refuse_bomb(path, path.stat().st_mtime_ns, may_unpack_to(path), name)
    return path


@lru_cache(maxsize=1024)  # a file lands for its month, and again for its lines
def _refuse_bomb(path: Path, _changed: int, limit: int, name: str) -> None:
    with suppress(OSError, pa.ArrowException), pa.input_stream(str(path), compression="gzip") as plain:
        # Damage is its reader's to name.
        for _ in _bounded(plain, limit, name):
            pass


def may_unpack_to(path: Path) -> int:
    """Say to how many bytes a file may unpack that is no bomb."""
    return max(HARMLESS, TIMES * path.stat().st_size)


def bomb(name: str, limit: int) -> BadInput:
    """Say that a file unpacks to more than a bill or log could be."""
    found = f"the file unpacks to more than {limit >> 20:,} MiB, {TIMES} times its size or more"
    return BadInput(name, found, "Check who wrote it; deliver it unpacked if it is right")


def _bounded(source: IO[bytes], limit: int, name: str) -> Iterator[bytes]:
    """Give what unpacks, as long as it is no bomb.

    Raises:
        BadInput: it is one.
    """
    read = 0
    while chunk := source.read(CHUNK):
        read += len(chunk)
        if read > limit:
            raise bomb(name, limit)
        yield chunk


class Folder:
    """A local folder or single file; files are read where they are."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise BadSettings(f"location {path}: there is no such file or folder. Correct it, or wait for the delivery")
        self._only = path.name if path.is_file() else None
        self._root = (path.parent if self._only else path).absolute()
        self.path = self._root.as_posix()

    def uri(self, key: str) -> str:
        """Give the whole path."""
        return str(self._root / key)

    def entries(self) -> Sequence[Entry]:
        """List every file below, hidden ones left out."""
        if self._only:
            return [self._entry(self._root / self._only)]
        files = [path for path in self._root.rglob("*") if path.is_file()]
        entries = [self._entry(path) for path in files]
        return sorted((entry for entry in entries if not _is_hidden(entry.key)), key=lambda entry: entry.key)

    def _entry(self, path: Path) -> Entry:
        stat = path.stat()
        return Entry(path.relative_to(self._root).as_posix(), stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))

    def read(self, key: str) -> tuple[bytes, str]:
        """Read a file and the SHA-256 of its content."""
        content = jailed(self._root, key).read_bytes()
        return content, hashlib.sha256(content).hexdigest()

    def digest(self, entry: Entry) -> str:
        """Give the SHA-256 of the content: a time of modification says nothing after a copy."""
        with jailed(self._root, entry.key).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def key_of(self, listed: str, manifest: str, keys: frozenset[str]) -> str | None:
        """Find the longest tail of the listed key, under a folder that the manifest is under too.

        The folder stands for some prefix of the bucket, or holds copies of several. A tail keeps the file's own folder,
        so that a file of the same name elsewhere is never taken for it.
        """
        check_key(listed.removeprefix("s3://"))
        parts = listed.removeprefix("s3://").split("/")
        above = [*PurePosixPath(manifest).parents]
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            for folder in above:
                key = (folder / tail).as_posix()
                own = folder.name or self._root.name
                if key in keys and (start < len(parts) - 1 or start == 0 or own == parts[start - 1]):
                    return key
        return None

    def land(self, entry: Entry, folder: Path, on_bytes: OnBytes) -> Path:
        """Check that the file is as listed; only archives need the landing folder."""
        del on_bytes
        path = jailed(self._root, entry.key)
        with suppress(FileNotFoundError):
            if path.stat().st_size == entry.size:
                return unpacked(path, folder, entry, self.uri(entry.key))
            raise BadInput(str(path), "the file changed while reading", "Run again")
        raise BadInput(str(path), "the file is missing", "Deliver it again, then run again")


def _is_hidden(key: str) -> bool:
    return any(part.startswith(".") for part in key.split("/"))
