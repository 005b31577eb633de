"""What connectors of file deliveries share: find the current delivery of every month, and land its files verified."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict

from connectors.aws_exports import Delivery, deliveries
from connectors.landing import Entry, Location, jailed, open_location
from connectors.source import Landed, SourceVersion
from models.errors import BadInput

DOWNLOADS: Final = 4


class DeliveryOptions(BaseModel):
    """Say where the bills are and which export to read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: str
    """`s3://bucket/prefix`, a folder or a single file."""
    export: str | None = None
    """Name of the export or report, needed where the location holds several."""
    endpoint_url: str | None = None
    """Another S3 endpoint, for example a VPC endpoint; AWS's own when left out."""
    region: str | None = None
    """Region of the bucket; boto3's own chain decides when left out."""
    profile: str | None = None
    """Profile of the AWS configuration files; boto3's own chain decides when left out."""


class DeliveredFiles(ABC):
    """List and land deliveries, with manifests in AWS's layouts or without any; what the files say is a subclass's."""

    Options: type[BaseModel] = DeliveryOptions
    READER: ClassVar[int] = 1
    """Raise it when `read` comes to say more of the same bytes: months that have not changed are then loaded anew."""

    def __init__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> None:
        self.name = name
        self._options = DeliveryOptions.model_validate(options)
        self._landing = jailed(landing, name)
        self._on_bytes = on_bytes
        self._progress = Lock()
        self._known: dict[str, Delivery] = {}

    @abstractmethod
    def periods_in(self, path: Path, name: str) -> Collection[date]:
        """Read the months that a file without a manifest bills."""

    @cached_property
    def _location(self) -> Location:
        options = self._options.model_dump(exclude={"location", "export"})
        return open_location(self._options.location, **options)

    def versions(self) -> Sequence[SourceVersion]:
        """List the current delivery of every month, oldest first; where there are manifests, only they are read."""
        found = deliveries(self._location, self._options.export, self._periods)
        versions = [delivery.version.read_by(self.READER) for delivery in found]
        self._known = {version.fingerprint: delivery for version, delivery in zip(versions, found, strict=True)}
        return versions

    def fetch(self, version: SourceVersion) -> Landed:
        """Land the version's files, a few at a time; files of a folder are used where they are."""
        delivery = self.delivery(version)
        if delivery.fault:
            raise delivery.fault
        folder = self._landing / f"{version.billing_period:%Y-%m}" / version.fingerprint[:16]
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            paths = list(pool.map(partial(self._land, folder if delivery.manifest else None), delivery.entries))
        if delivery.manifest and self._location.read(delivery.manifest)[1] != delivery.manifest_etag:
            raise BadInput(self._location.uri(delivery.manifest), "the delivery changed while reading", "Run again")
        return Landed(version, paths)

    def delivery(self, version: SourceVersion) -> Delivery:
        """Find the delivery of a version, also one that another process listed."""
        if version.fingerprint not in self._known:
            self.versions()
        if version.fingerprint not in self._known:
            found = f"the delivery of {version.billing_period:%Y-%m} changed while reading"
            raise BadInput(self._location.uri(""), found, "Run again")
        return self._known[version.fingerprint]

    def _land(self, folder: Path | None, entry: Entry) -> Path:
        """Land one file; where no manifest says its month, a folder of its own, named by the listing."""
        listed = f"{entry.key}\0{entry.etag}\0{entry.modified}"
        alone = self._landing / "files" / hashlib.sha256(listed.encode()).hexdigest()[:16]
        return self._location.land(entry, folder or alone, self._report)

    def _report(self, count: int) -> None:
        with self._progress:
            self._on_bytes(count)

    def _periods(self, entry: Entry) -> Collection[date]:
        return self.periods_in(self._land(None, entry), entry.key)
