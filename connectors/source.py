"""The protocol of a source: what exists, fetch it, read it. And the registry of connectors, loaded when named."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol, cast, runtime_checkable

import polars as pl
from pydantic import BaseModel

from models.errors import BadSettings
from models.facts import Fact


@dataclass(frozen=True)
class SourceFile:
    """One native file of a version.

    Attributes:
        name: path relative to the source's location: what `source_file` in the ledger says.
        size: bytes, None where the listing does not say.
        etag: entity tag or digest of the content, empty where there is none.
    """

    name: str
    size: int | None = None
    etag: str = ""


@dataclass(frozen=True)
class SourceVersion:
    """One delivery of one billing period.

    Attributes:
        billing_period: first day of the invoice month; for usage, of the month of use.
        fingerprint: equal fingerprints mean equal content: nothing is fetched or loaded again.
        files: native files, in the manifest's order.
        is_final: the provider says so, or None where that takes reading the lines (AWS: the invoice id).
    """

    billing_period: date
    fingerprint: str
    files: Sequence[SourceFile]
    is_final: bool | None = None

    def read_by(self, reader: int) -> SourceVersion:
        """Tell what a later reader makes of the same bytes apart: months that have not changed are then loaded anew."""
        return self if reader == 1 else replace(self, fingerprint=f"{self.fingerprint}-{reader}")


@dataclass(frozen=True)
class Landed:
    """A version whose bytes are on this machine and verified. `paths` parallels `version.files`."""

    version: SourceVersion
    paths: Sequence[Path]


@dataclass(frozen=True)
class Identity:
    """Two amounts that the vendor's own rules make equal. A broken one is shown; it never refuses a load.

    Attributes:
        name: what must be equal.
        subject: the commitment it is about; empty for the whole bill.
        left: one side, in the currency of the bill; None where it was skipped.
        right: the other side.
        tolerance: how far rounding may part them: the sums, or each line where `note` says "line by line".
        lines: bill lines that were compared.
        holds: None where it was skipped, or can only be told of a whole term.
        skipped: why it was not asked; empty where it was.
        note: what else there is to say.
        starts: first day of the term that an identity over a whole term is about.
        ends: its last day.
    """

    name: str
    subject: str = ""
    left: Decimal | None = None
    right: Decimal | None = None
    tolerance: Decimal | None = None
    lines: int = 0
    holds: bool | None = None
    skipped: str = ""
    note: str = ""
    starts: date | None = None
    ends: date | None = None


@dataclass(frozen=True)
class Totals:
    """What the native files say, computed from their own columns and not through `read`.

    Attributes:
        lines: rows in the files, split-cost rows left out.
        split_lines: rows that repeat another row's cost (split-cost allocation), counted apart.
        quantized: sum per ledger cost column that is a native column too, each amount rounded once.
        exact: the same sums with 22 decimals; the difference is the quantization residual.
        is_final: every line carries an invoice number.
        usage: per usage fact that `read` yields, `rows` and the sum of each additive column, counted from the native
            bytes too: what the ledger must hold.
        identities: what the vendor's own rules say of its amounts.
        unknown_kinds: kinds of line that nobody documented, and how many there are; they are kept.
    """

    lines: int
    split_lines: int
    quantized: Mapping[str, Decimal]
    exact: Mapping[str, Decimal]
    is_final: bool
    usage: Mapping[Fact, Mapping[str, int | Decimal]] = field(default_factory=dict)
    identities: Sequence[Identity] = ()
    unknown_kinds: Mapping[str, int] = field(default_factory=dict)


class Source(Protocol):
    """What every connector offers."""

    name: str

    def versions(self) -> Iterable[SourceVersion]:
        """List the newest version of every billing period there is, oldest period first."""

    def fetch(self, version: SourceVersion) -> Landed:
        """Bring the version's files here, verified and resumable; files already here are not fetched again."""

    def totals(self, landed: Landed) -> Totals:
        """Check every cell `read` needs and sum the native cost columns, independently of `read`.

        Raises:
            BadInput: a needed column is missing, or a cell is no number or date; names file, row and column.
        """

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame per native file and fact, with the declared columns; nothing is read yet.

        One frame per file, so that a file is the unit of work on one machine and on many. Every fact the source can
        yield is there, with frames of no rows where it has none.
        """


@runtime_checkable
class KeepsLines(Protocol):
    """A source that may leave the lines of a bill where they are and read sums of them: rows with a `line_count`."""

    def lines(self, file: str, row: int) -> pl.DataFrame:
        """Fetch the lines that a row of the ledger stands for, as charges.

        Args:
            file: its `source_file`.
            row: its `source_row`.

        Raises:
            BadInput: the lines are not there any more, or cannot be read.
            Refused: fetching them would cost more than allowed.
        """


class Connector(Protocol):
    """A class that makes sources: its `Options` are what one entry of `sources:` in the configuration may say."""

    Options: type[BaseModel]

    def __call__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> Source:
        """Make a source that lands its files under `landing` and reports bytes fetched to `on_bytes`."""


# type in the configuration → module:class, imported only when a configuration names it.
CONNECTORS: Final[Mapping[str, str]] = {
    "anthropic": "connectors.anthropic:Anthropic",
    "aws_cur": "connectors.aws_cur:AwsCur",
    "bedrock_logs": "connectors.bedrock_logs:BedrockLogs",
    "cloud_monitoring": "connectors.cloud_monitoring:CloudMonitoring",
    "cloudwatch": "connectors.cloudwatch:CloudWatch",
    "focus": "connectors.focus:Focus",
    "gcp_billing": "connectors.gcp_billing:GcpBilling",
    "generic_gpu": "connectors.generic_gpu:GenericGpu",
    "generic_tokens": "connectors.generic_tokens:GenericTokens",
    "gpu_jobs": "connectors.job_files:JobFiles",
    "langfuse": "connectors.langfuse:Langfuse",
    "litellm": "connectors.litellm:LiteLlm",
    "openai": "connectors.openai:OpenAi",
    "openrouter": "connectors.openrouter:OpenRouter",
    "otel_genai": "connectors.otel_genai:OtelGenAi",
    "prometheus": "connectors.prometheus:Prometheus",
    "slurm": "connectors.slurm:Slurm",
}


def connector(kind: str) -> Connector:
    """Load the connector of a source type.

    Raises:
        BadSettings: there is no such type.
    """
    if kind not in CONNECTORS:
        raise BadSettings(f"sources: there is no source type {kind!r}. Known types: {', '.join(sorted(CONNECTORS))}")
    module, _, name = CONNECTORS[kind].partition(":")
    return cast("Connector", getattr(importlib.import_module(module), name))
