"""An S3 bucket as a location: listed, and downloaded verified, resumable and never over a newer object."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from urllib3.exceptions import HTTPError

from connectors.landing import CHUNK, Entry, OnBytes, check_key, jailed, seal, unpacked
from models.errors import BadInput, BadSettings, Refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPTS: Final = 5
A_FILE: Final = re.compile(r"\.(parquet|csv|gz|zip|jsonl|ndjson|json)$", re.IGNORECASE)
MD5: Final = re.compile(r"[0-9a-f]{32}")
CHANGED: Final = "the object changed while reading"


class Bucket:
    """A prefix of a bucket, or a single object. Read-only: it lists, heads and gets."""

    def __init__(self, where: str, *, endpoint_url: str | None, region: str | None, profile: str | None) -> None:
        self._bucket, _, prefix = where.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/")
        self._only = prefix if A_FILE.search(prefix) else None
        folder = prefix.rpartition("/")[0] if self._only else prefix
        self._base = f"{folder}/" if folder else ""
        self.path = f"{self._bucket}/{folder}"
        # A bucket's name in the host name needs DNS that only AWS's own endpoints are sure to have.
        style: dict[str, Any] = {"s3": {"addressing_style": "path"}} if endpoint_url else {}
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=10,
            read_timeout=60,
            # Checked here, over the whole file: botocore checks no object that is resumed.
            response_checksum_validation="when_required",
            **style,
        )
        try:
            session = boto3.Session(profile_name=profile, region_name=region)
            self._client: S3Client = session.client("s3", endpoint_url=endpoint_url, config=config)
        except (BotoCoreError, ValueError) as error:
            raise BadSettings(f"location {where}: {error}") from error

    def uri(self, key: str) -> str:
        """Give the object's s3:// address."""
        return f"s3://{self._bucket}/{self._base}{key}"

    def entries(self) -> Sequence[Entry]:
        """List every object under the prefix; S3 lists in the order of keys."""
        with self._explained(self.uri(""), "s3:ListBucket"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._only or self._base
            )
            listed = [item for page in pages for item in page.get("Contents", [])]
        return [
            Entry(item["Key"].removeprefix(self._base), item["Size"], item["LastModified"], item["ETag"].strip('"'))
            for item in listed
            if not item["Key"].endswith("/") and self._only in {None, item["Key"]}
        ]

    def read(self, key: str) -> tuple[bytes, str]:
        """Read a small object and its entity tag."""
        with self._explained(self.uri(key), "s3:GetObject"):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._base + key)
            return answer["Body"].read(), answer["ETag"].strip('"')

    def digest(self, entry: Entry) -> str:
        """Give the entity tag."""
        return entry.etag

    def key_of(self, listed: str, manifest: str, keys: frozenset[str]) -> str | None:
        """Translate a listed key, which must be of this bucket and under the location's prefix.

        Raises:
            Refused: it is elsewhere.
        """
        del manifest
        key = listed
        if listed.startswith("s3://"):
            bucket, _, key = listed.removeprefix("s3://").partition("/")
            if bucket != self._bucket:
                raise Refused(f"{listed!r} is in another bucket; nothing was fetched. Check who wrote the manifest.")
        check_key(key)
        if not key.startswith(self._base):
            raise Refused(f"{listed!r} is outside {self.uri('')}; nothing was fetched. Set `location` further up.")
        key = key.removeprefix(self._base)
        return key if key in keys else None

    def land(self, entry: Entry, folder: Path, on_bytes: OnBytes) -> Path:
        """Download an object, from where an earlier attempt stopped; a complete file is never fetched again."""
        name = self.uri(entry.key)
        target = jailed(folder, entry.key)
        if not (target.is_file() and target.stat().st_size == entry.size):
            target.parent.mkdir(parents=True, exist_ok=True)
            tag = re.sub(r"\W", "", entry.etag)[:8]
            part = target.with_name(f"{target.name}.{tag}.part")
            self._download(entry, part, on_bytes)
            try:
                self._verify(entry, part)
            except BadInput:
                part.unlink()
                raise
            seal(part, target)
        return unpacked(target, folder, entry, name)

    def _download(self, entry: Entry, part: Path, on_bytes: OnBytes) -> None:
        broken: Exception | None = None
        for _ in range(ATTEMPTS):
            have = part.stat().st_size if part.exists() else 0
            if have == entry.size:
                part.touch()
                return
            try:
                self._append(entry, part, have if have < entry.size else 0, on_bytes)
            except (HTTPClientError, IncompleteReadError, HTTPError, ConnectionError) as error:
                broken = error
        have = part.stat().st_size if part.exists() else 0
        if have != entry.size:
            problem = f"the download stopped at {have:,} of {entry.size:,} bytes"
            raise BadInput(self.uri(entry.key), problem, "Run again: it resumes") from broken

    def _append(self, entry: Entry, part: Path, start: int, on_bytes: OnBytes) -> None:
        span: Any = {"Range": f"bytes={start}-"} if start else {}
        with self._explained(self.uri(entry.key), "s3:GetObject"):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._base + entry.key, IfMatch=f'"{entry.etag}"', **span
            )
        with closing(answer["Body"]), part.open("ab" if start else "wb") as file:
            for chunk in answer["Body"].iter_chunks(CHUNK):
                file.write(chunk)
                on_bytes(len(chunk))

    def _verify(self, entry: Entry, part: Path) -> None:
        """Compare with every checksum of the whole object that S3 states.

        An object put in parts may state none, or one of its parts' checksums; other servers than AWS's do not tell.
        """
        with self._explained(self.uri(entry.key), "s3:GetObject"):
            head = self._client.head_object(
                Bucket=self._bucket, Key=self._base + entry.key, IfMatch=f'"{entry.etag}"', ChecksumMode="ENABLED"
            )
        md5, sha256, crc = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        with part.open("rb") as file:
            while chunk := file.read(CHUNK):
                md5.update(chunk)
                sha256.update(chunk)
                crc = zlib.crc32(chunk, crc)
        stated = {}
        if head.get("ChecksumType") == "FULL_OBJECT" or "-" not in entry.etag:
            stated["SHA-256"] = head.get("ChecksumSHA256"), base64.b64encode(sha256.digest()).decode()
            stated["CRC-32"] = head.get("ChecksumCRC32"), base64.b64encode(crc.to_bytes(4, "big")).decode()
        # The entity tag is the MD5 of an object put at once, unless a key of KMS or the customer's encrypts it.
        encrypted = head.get("ServerSideEncryption", "").startswith("aws:kms") or "SSECustomerAlgorithm" in head
        if MD5.fullmatch(entry.etag) and not encrypted:
            stated["MD5"] = (entry.etag, md5.hexdigest())
        for kind, (said, found) in stated.items():
            if said and said != found:
                raise BadInput(self.uri(entry.key), f"the {kind} checksum differs from what S3 states", "Run again")

    @contextmanager
    def _explained(self, name: str, permission: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = error.response.get("Error", {}).get("Code", "")
            problem, fix = {
                403: (f"access denied ({code})", f"Allow {permission} to the credentials in use"),
                404: (f"there is no such object or bucket ({code})", "Check the location, or wait for the delivery"),
                412: (CHANGED, "Run again"),
                429: (f"S3 asks to slow down ({code})", "Run again later"),
                503: (f"S3 asks to slow down ({code})", "Run again later"),
            }.get(status or 0, (f"S3 answers {status} {code}", "Check region, endpoint and permissions"))
            raise BadInput(name, problem, fix) from error
        except BotoCoreError as error:
            fix = "Check credentials, region and endpoint"
            raise BadInput(name, f"S3 cannot be asked ({error})", fix) from error
