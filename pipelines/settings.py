"""One YAML file says everything: where the bills are, what dimensions mean, which rules and budgets hold.

Every field can also be given as an `APPORTION_…` environment variable (`APPORTION_CURRENCY=EUR`; lists and maps as
JSON); the environment wins. Relative paths are relative to the file. `${NAME}` inside a value is replaced from the
environment, so that secrets stay out of the file.
"""

from __future__ import annotations

import os
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from connectors.aws_invoices import AwsInvoices
from connectors.source import Source, connector
from models.accelerators import Shape
from models.claim_settings import ClaimSettings, Plan
from models.dimensions import AiScope, Dimensions
from models.errors import BadSettings
from models.idle_settings import Idle
from models.price_settings import Prices
from pipelines import redaction
from pipelines.governance_settings import Governance

if TYPE_CHECKING:
    from collections.abc import Callable

_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_WRITTEN = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Inside `{ … }` YAML would end the map at the variable's brace, so while YAML reads it has brackets of its own.
_VARIABLE = re.compile("\ue000(.+?)\ue001")


def _source_name(name: str) -> str:
    # The name becomes a folder of the ledger and a part of SQL and asset names.
    if not _SOURCE_NAME.fullmatch(name):
        raise ValueError("use lower-case letters, digits, '-' and '_', at most 63, starting with a letter or digit")
    return name


class SourceSettings(BaseModel):
    """One entry of `sources`; fields beside these two belong to the connector."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, AfterValidator(_source_name)]
    """Your name for it, for example `aws`; the ledger keeps it, so do not change it later."""
    type: str
    """Which connector reads it, for example `aws_cur`."""


class ExchangeRate(BaseModel):
    """What one unit of a currency is worth in the reporting currency, from a month on."""

    model_config = ConfigDict(extra="forbid")

    currency: str
    """ISO 4217 code of the bill."""
    rate: Decimal = Field(gt=0)
    """Units of the reporting currency for one unit of `currency`."""
    effective_from: date
    """First invoice month the rate holds for."""


class SparkSettings(BaseModel):
    """Where Spark is; without `master` and `remote`, what `spark-submit` or the environment says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    master: str | None = None
    """Master URL, for example `yarn`, `spark://host:7077` or `local-cluster[2,1,1024]`."""
    remote: str | None = None
    """Spark Connect URL instead, for example `sc://host:15002`."""
    options: dict[str, str] = Field(default={}, repr=False)
    """Spark's own settings, for example `spark.executor.memory: 4g`."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.master is not None and self.remote is not None:
            raise ValueError("give `master` or `remote`, not both")
        return self


class Settings(BaseSettings, Governance):
    """The configuration; unknown fields are refused, so a misspelt one is never silently ignored."""

    model_config = SettingsConfigDict(extra="forbid", env_prefix="APPORTION_")

    home: Path = Path(".apportion")
    """Where the ledger, the warehouse and the reports live."""
    ledger: str | None = None
    """Where the ledger's tables live, a directory or `s3://bucket/prefix`; `<home>/ledger` if not given."""
    ledger_options: dict[str, str] = {}
    """Storage options for a ledger on object storage, for example `aws_endpoint_url` and `aws_region`."""
    engine: Literal["polars", "spark"] = "polars"
    """What passes over every line of the bills: polars on this machine, or Spark on many. The answers are the same."""
    spark: SparkSettings = SparkSettings()
    """Where Spark is, for `engine: spark`."""
    currency: str = "USD"
    """Reporting currency; bills in another need an entry in `exchange_rates`."""
    sources: list[SourceSettings] = []
    """The bills to read."""
    dimensions: Dimensions = Dimensions()
    """How team, environment, project, customer … are found in tags, cost categories and accounts; first match wins."""
    ai_scope: AiScope = AiScope()
    """Accounts and sources that are AI as a whole, so that their storage counts as AI storage."""
    rules: list[str] = []
    """Rule files of your own, tried before ours; patterns such as `rules/*.yaml`."""
    exchange_rates: list[ExchangeRate] = []
    """Rates into the reporting currency."""
    prices: Prices = Prices()
    """Prices of your own, names of deployments and profiles, whose token records count; list prices need nothing."""
    idle: Idle = Idle()
    """What counts as idle, and whose records count where two sources describe one accelerator."""
    accelerators: list[Shape] = []
    """Machine shapes with accelerators of your own, added to the catalogue or put in place of a listed one."""
    claims: ClaimSettings = ClaimSettings()
    """What claims need to know beside the bills: production environments, operations cost …"""
    plan: Plan = Plan()
    """What the marts `what_if_…` assume: growth of requests, other models, discounts."""
    invoices: Path | None = None
    """A CSV of what invoices asked for, to be compared with the ledger: `provider`, `invoice_id` (may be blank),
    `billing_period` (2026-07), `currency`, `total`."""
    aws_invoices: list[AwsInvoices] = []
    """Accounts whose invoice totals are asked of AWS's invoicing API, beside the CSV."""
    review_packs: int = Field(default=3, ge=0)
    """For how many of the newest invoice months a run writes a review pack under `<home>/reports`; packs that exist are
    kept current. `apportion report` writes any month's."""
    lock_timeout: float = Field(default=600, ge=0)
    """Seconds a run waits for another run on the same home before it gives up and says who holds the lock."""
    notify: list[SecretStr] = []
    """Whom Dagster tells of failed runs, budgets and odd days: apprise addresses, such as `mailtos://…` or `slack://…`."""
    ui_url: str = "http://127.0.0.1:3000"
    """Where people open the Dagster UI: messages link there."""
    unattended: bool = False
    """Schedules and sensors run as soon as Dagster loads them; otherwise somebody turns them on in the UI."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a configuration file.

        Raises:
            BadSettings: the file is missing, is no YAML, or says something unknown; names the field.
        """
        try:
            text = _WRITTEN.sub("\ue000\\1\ue001", path.read_text(encoding="utf-8"))
            raw = yaml.load(text, Loader=yaml.CSafeLoader)
        except FileNotFoundError:
            raise BadSettings(
                f"{path}: there is no such file. Write one (see README) or name one with --config."
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise BadSettings(f"{path}: cannot be read as YAML: {_fault(error)}") from None
        if raw is not None and not isinstance(raw, dict):
            raise BadSettings(f"{path}: expected fields such as `sources:`, found a {type(raw).__name__}.")
        try:
            settings = cls(**_expand(raw or {}, path))
        except ValidationError as error:
            raise BadSettings(_explain(path, error)) from None
        settings._resolve(path.parent.resolve())
        redaction.remember(settings.model_dump())
        settings._check(path)
        return settings

    def _resolve(self, base: Path) -> None:
        self.home = (base / self.home.expanduser()).resolve()
        if self.ledger and "://" not in self.ledger:
            self.ledger = str((base / self.ledger).resolve())
        self.rules = [str(base / pattern) for pattern in self.rules]
        self.invoices = self.invoices and base / self.invoices
        for source in self.sources:
            extra = cast("dict[str, Any]", source.__pydantic_extra__)
            location = extra.get("location")
            if isinstance(location, str) and "://" not in location:
                extra["location"] = str((base / Path(location).expanduser()).resolve())

    def _check(self, path: Path) -> None:
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise BadSettings(f"{path}: sources: the name {name!r} stands twice. Names must be unique.")
        for source in self.sources:
            self._options(source, path)

    def _options(self, source: SourceSettings, path: Path | None = None) -> BaseModel:
        try:
            return connector(source.type).Options(**cast("dict[str, Any]", source.__pydantic_extra__))
        except ValidationError as error:
            raise BadSettings(_explain(path or Path("configuration"), error, f"sources: {source.name}: ")) from None

    def open(self, name: str, on_bytes: Callable[[int], None] = lambda _: None, landing: Path | None = None) -> Source:
        """Make the source with that name; what it fetches lands in `home`, or in another folder."""
        source = next(source for source in self.sources if source.name == name)
        return connector(source.type)(name, self._options(source), landing or self.home / "landing", on_bytes)

    @property
    def ledger_root(self) -> str:
        """Directory or URI that holds one Delta table per fact."""
        return self.ledger or str(self.home / "ledger")

    @property
    def rule_files(self) -> list[Path]:
        """The team's own rule files, in the order of their patterns and then of their names."""
        files = []
        for pattern in self.rules:
            found = sorted(Path(pattern).parent.glob(Path(pattern).name))
            if not found:
                raise BadSettings(f"rules: nothing matches {pattern}. Correct the pattern or remove it.")
            files += found
        return files


def _fault(error: Exception) -> str:
    # PyYAML quotes the line it stumbles over, and that line may hold a secret.
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error)


def _expand(value: Any, path: Path) -> Any:
    """Replace `${NAME}` in every text of a parsed YAML tree."""
    if isinstance(value, dict):
        return {key: _expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise BadSettings(f"{path}: ${{{match[1]}}} is not set in the environment. Set it or write the value.")
        return os.environ[match[1]]

    return _VARIABLE.sub(replace, value)


def _explain(path: Path, error: ValidationError, prefix: str = "") -> str:
    # The value itself is left out: it may be a secret.
    faults = [f"{prefix}{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return f"{path}: " + "; ".join(faults)
