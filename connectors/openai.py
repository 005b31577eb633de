"""OpenAI: what an organization was billed and what it used, from its usage, costs and fine-tuning endpoints."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel, Field

from connectors import openai_rows
from connectors.api_months import Address, ApiKey, ApiMonths, ApiOptions
from connectors.api_pages import Endpoint, Query, after_last, next_page
from connectors.api_rows import Rows, Tally, frame, month_items, page_rows
from connectors.source import Landed, Totals
from models.facts import Fact

BUCKETS: Final = "31"
JOBS: Final = "100"
PEOPLE: Final = ("project_id", "api_key_id", "user_id")
COSTS: Final = "costs"
JOBS_OF: Final = "fine_tuning_jobs"
# Endpoint → the finest grouping, the most dispensable last.
USAGE: Final[Mapping[str, tuple[str, ...]]] = {
    "completions": ("model", "project_id", "batch", "service_tier", "api_key_id", "user_id"),
    "embeddings": ("model", *PEOPLE),
    "moderations": ("model", *PEOPLE),
    "images": ("model", *PEOPLE, "size", "source"),
    "audio_speeches": ("model", *PEOPLE),
    "audio_transcriptions": ("model", *PEOPLE),
    "vector_stores": ("project_id",),
    "code_interpreter_sessions": ("project_id",),
    "file_search_calls": (*PEOPLE, "vector_store_id"),
    "web_search_calls": ("model", *PEOPLE, "context_level"),
}
ADMIN: Final = (
    "Use an admin key (sk-admin-…), which an organization owner makes under Settings → Admin keys, with read access "
    "to usage (api.usage.read); a project's key cannot read usage and costs"
)
PROJECT: Final = "Use a key of that project with read access to fine-tuning; an admin key cannot list jobs"
logger = logging.getLogger(__name__)


class OpenAiOptions(ApiOptions):
    """Say whose usage and costs to read."""

    api_key: ApiKey
    """An admin key (`sk-admin-…`) of the organization; it needs to read usage, nothing else."""
    base_url: Address = "https://api.openai.com/v1"
    """Another address, for example of a proxy."""
    billing_account_id: str | None = None
    """What charges call your organization where the API does not name it; the source's name when left out."""
    project_api_keys: Mapping[str, ApiKey] = Field(default_factory=dict)
    """Project id → a key of that project, to read its fine-tuning jobs; admin keys cannot list them."""


class OpenAi(ApiMonths):
    """Read an organization's costs, usage and tuned tokens."""

    Options: type[BaseModel] = OpenAiOptions

    def __init__(self, name: str, options: BaseModel, landing: Path, on_bytes: Callable[[int], None]) -> None:
        super().__init__(name, options, landing, on_bytes)
        self._options = OpenAiOptions.model_validate(options)
        self._has_said: set[str] = set()

    def endpoints(self) -> Sequence[Endpoint]:
        """Costs, every kind of usage, and the jobs of each project whose key is known."""
        from connectors.paged_api import PagedApi  # httpx takes 0.2 s, and every command reads the configuration

        options = self._options
        bearer, patience = ("Authorization", "Bearer {}"), options.timeout_seconds
        admin = PagedApi(options.base_url, options.api_key, bearer, permission=ADMIN, timeout=patience)
        grouped = ("line_item", "project_id", "api_key_id")
        found = [Endpoint(COSTS, admin, "/organization/costs", _span, next_page, grouped)]
        found += [
            Endpoint(name, admin, f"/organization/usage/{name}", _span, next_page, columns, is_optional=True)
            for name, columns in USAGE.items()
        ]
        for project, key in options.project_api_keys.items():
            api = PagedApi(options.base_url, key, bearer, permission=PROJECT, timeout=patience)
            found.append(Endpoint(_jobs_of(project), api, "/fine_tuning/jobs", _all_jobs, after_last))
        return found

    def totals(self, landed: Landed) -> Totals:
        """Check every field and add up costs, tokens, requests and units."""
        tally, month = Tally(), landed.version.billing_period
        for file, path in zip(landed.version.files, landed.paths, strict=True):
            if _is_costs(path):
                for item in month_items(path.read_bytes(), file.name, month):
                    tally.bill(item.amount("amount.value"))
            else:
                for item in month_items(path.read_bytes(), file.name, month):
                    openai_rows.count(item, tally)
                    self._say_unknown(item.text("object"), file.name)
            for _ in page_rows(path, file.name, month, self._rows(path)):
                pass  # every field has been read once
        return tally.totals(landed)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame per page: of charges, or of token usage."""
        frames: dict[Fact, list[pl.LazyFrame]] = {Fact.CHARGES: [], Fact.TOKEN_USAGE: []}
        for file, path in zip(landed.version.files, landed.paths, strict=True):
            fact = Fact.CHARGES if _is_costs(path) else Fact.TOKEN_USAGE
            frames[fact].append(frame(fact, path, file.name, landed.version.billing_period, self._rows(path)))
        return frames

    def _rows(self, path: Path) -> Rows:
        """Tell by its name how a page is read."""
        if _is_costs(path):
            return partial(openai_rows.charges, self._options.billing_account_id or self.name)
        endpoint = path.name.rpartition("-")[0]
        projects = {_jobs_of(project): project for project in self._options.project_api_keys}
        return partial(openai_rows.usage_rows, projects.get(endpoint))

    def _say_unknown(self, kind: str | None, file: str) -> None:
        if kind not in openai_rows.KINDS and str(kind) not in self._has_said:
            self._has_said.add(str(kind))
            logger.warning("%s: %s holds results of an unknown kind, %s; kept without tokens", self.name, file, kind)


def _is_costs(path: Path) -> bool:
    return path.name.startswith(f"{COSTS}-")


def _jobs_of(project: str) -> str:
    # An id from a configuration never names a file.
    return f"{JOBS_OF}-{hashlib.sha256(project.encode()).hexdigest()[:8]}"


def _span(first: date, end: date) -> Query:
    return {"start_time": _epoch(first), "end_time": _epoch(end), "bucket_width": "1d", "limit": BUCKETS}


def _epoch(day: date) -> str:
    # Midnight UTC: a bucket whose start is not aligned comes back partial.
    return str(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))


def _all_jobs(_first: date, _end: date) -> Query:
    return {"limit": JOBS}
