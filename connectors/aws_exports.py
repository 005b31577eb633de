"""How AWS lays its bills out: which delivery of a month is current, and which files belong to it.

A version is (export, billing period, execution or assembly id) and its manifest's entity tag. Deliveries of one month
accumulate in the create-new layouts, so only files that the current manifest lists are ever read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from connectors.landing import Entry, Location
from connectors.source import SourceFile, SourceVersion
from models.errors import ApportionError, BadInput, BadSettings, Refused

# Data Exports (CUR 2.0): metadata/BILLING_PERIOD=2026-01[/<timestamp>-<execution>]/<export>-Manifest.json
# Legacy CUR:             20260101-20260201[/<assembly>]/<report>-Manifest.json
MANIFEST: Final = re.compile(
    r"(?:^|/)(?:metadata/billing_period=(?P<month>\d{4}-\d\d)|(?P<day>\d{8})-\d{8})"
    r"/(?:(?P<delivery>[^/]+)/)?(?P<export>[^/]+)-manifest\.json$",
    re.IGNORECASE,
)
TIMESTAMP: Final = re.compile(r"\d{4}-?\d\d-?\d\dT")
DATA: Final = re.compile(r"\.(parquet|csv|csv\.gz|zip)$", re.IGNORECASE)
# Where the Athena layout says how far a delivery has come.
STATUS_FOLDER: Final = "cost_and_usage_data_status"


REDELIVER: Final = "Have the export delivered again"


@dataclass(frozen=True)
class Manifest:
    """A manifest found in a listing."""

    entry: Entry
    export: str
    period: date
    delivery: str


@dataclass(frozen=True)
class Delivery:
    """A version, and where its files and manifest are; without a manifest every data file counts.

    `fault` is why it cannot be fetched: one month's broken manifest does not keep the others from being read.
    """

    version: SourceVersion
    entries: Sequence[Entry]
    manifest: str | None = None
    manifest_etag: str = ""
    fault: ApportionError | None = None


def deliveries(
    location: Location, export: str | None, periods_of: Callable[[Entry], Collection[date]]
) -> list[Delivery]:
    """Find the current delivery of every billing period, oldest first.

    Args:
        location: where to look.
        export: the one export to read, needed where there are several.
        periods_of: reads a data file's months, called only where no manifest says them.

    Raises:
        BadSettings: the location holds several exports and none was chosen, or not the chosen one.
        BadInput: there is nothing to read. What is wrong with one month is that delivery's `fault`: its manifest cannot
            be read, lists a file twice, one that is missing, or one that leaves the location.
    """
    entries = location.entries()
    manifests = [found for entry in entries if (found := _manifest(location, entry))]
    names = sorted({manifest.export for manifest in manifests})
    if export is None and len(names) > 1:
        raise BadSettings(f"{location.uri('')}: holds the exports {', '.join(names)}. Choose one with `export:`")
    if export is not None and export not in names:
        raise BadSettings(f"{location.uri('')}: holds no export {export!r}, only: {', '.join(names) or 'none'}")
    if not manifests:
        return _plain(location, entries, periods_of)
    chosen = [manifest for manifest in manifests if manifest.export == (export or manifest.export)]
    by_period = groupby(sorted(chosen, key=attrgetter("period")), key=attrgetter("period"))
    return [_delivery(location, _current(list(group)), entries) for _, group in by_period]


def _plain(
    location: Location, entries: Sequence[Entry], periods_of: Callable[[Entry], Collection[date]]
) -> list[Delivery]:
    files = [entry for entry in entries if DATA.search(entry.key) and STATUS_FOLDER not in entry.key.split("/")]
    if not files:
        fix = "Check `location`: it needs a manifest, or CSV or Parquet files"
        raise BadInput(location.uri(""), "there are no bills here", fix)
    by_period: dict[date, list[Entry]] = {}
    for entry in files:
        for period in periods_of(entry):
            by_period.setdefault(period, []).append(entry)
    found = []
    for period, group in sorted(by_period.items()):
        content = [part for entry in group for part in (entry.key, str(entry.size), location.digest(entry))]
        found.append(Delivery(_version(period, _digest([period.isoformat(), *content]), group), group))
    return found


def _manifest(location: Location, entry: Entry) -> Manifest | None:
    if not (match := MANIFEST.search(f"{location.path}/{entry.key}")):
        return None
    month = match["month"] or f"{match['day'][:4]}-{match['day'][4:6]}"
    try:
        period = date.fromisoformat(f"{month}-01")
    except ValueError as error:
        raise BadInput(location.uri(entry.key), f"{month} is no month", "Rename the folder") from error
    return Manifest(entry, match["export"], period, match["delivery"] or "")


def _current(manifests: Sequence[Manifest]) -> Manifest:
    """Choose among one month's manifests: the month folder's own, which AWS overwrites, unless a delivery is newer.

    A switch from one layout to the other leaves the old manifest standing, so the later modification counts. Deliveries
    are named by time, or by an id that says nothing.
    """
    own = [manifest for manifest in manifests if not manifest.delivery]
    kept = [manifest for manifest in manifests if manifest.delivery]
    if not kept:
        return own[-1]
    newest = max(kept, key=lambda manifest: (TIMESTAMP.match(manifest.delivery) is not None, _when(manifest)))
    if own and own[-1].entry.modified >= newest.entry.modified:
        return own[-1]
    return newest


def _when(manifest: Manifest) -> str:
    return manifest.delivery if TIMESTAMP.match(manifest.delivery) else manifest.entry.modified.isoformat()


def _delivery(location: Location, manifest: Manifest, entries: Sequence[Entry]) -> Delivery:
    try:
        return _listed_delivery(location, manifest, entries)
    except (BadInput, Refused) as error:
        fingerprint = _digest([manifest.export, manifest.period.isoformat(), str(error)])
        return Delivery(_version(manifest.period, fingerprint, []), [], fault=error)


def _listed_delivery(location: Location, manifest: Manifest, entries: Sequence[Entry]) -> Delivery:
    name = location.uri(manifest.entry.key)
    content, etag = location.read(manifest.entry.key)
    identity, listed = _listed(name, content)
    by_key = {entry.key: entry for entry in entries}
    keys = frozenset(by_key)
    found: dict[str, Entry] = {}
    for file in listed:
        try:
            key = location.key_of(file, manifest.entry.key, keys)
        except Refused as error:
            raise Refused(f"{name}: {error}") from error
        if key is None:
            raise BadInput(
                name, f"lists {file!r}, which is not there", "Wait for the delivery to finish, or copy it whole"
            )
        if key in found:
            raise BadInput(name, f"lists {file!r} twice", REDELIVER)
        found[key] = by_key[key]
    fingerprint = _digest([manifest.export, manifest.period.isoformat(), identity, etag])
    return Delivery(
        _version(manifest.period, fingerprint, found.values()), list(found.values()), manifest.entry.key, etag
    )


def _listed(name: str, content: bytes) -> tuple[str, Sequence[str]]:
    try:
        manifest: Mapping[str, Any] = json.loads(content)
        identity = manifest["executionId"] if "dataFiles" in manifest else manifest["assemblyId"]
        listed = manifest["dataFiles"] if "dataFiles" in manifest else manifest["reportKeys"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(name, f"is no manifest of an AWS export ({error!r})", REDELIVER) from error
    if not isinstance(listed, list) or not all(isinstance(file, str) for file in listed):
        raise BadInput(name, "its list of files is no list of names", REDELIVER)
    if not listed:
        raise BadInput(name, "lists no files", "Wait for the first delivery of the month")
    return str(identity), listed


def _version(period: date, fingerprint: str, entries: Iterable[Entry]) -> SourceVersion:
    files = [SourceFile(entry.key, entry.size, entry.etag) for entry in entries]
    return SourceVersion(period, fingerprint, files)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
