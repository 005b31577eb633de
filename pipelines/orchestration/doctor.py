"""Try everything a run needs, and say in plain words what is wrong and how to put it right."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from models.errors import ApportionError
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.plan import tagging_of

if TYPE_CHECKING:
    from pipelines.settings import Settings, SourceSettings

_LITTLE: Final = 5 << 30
_BUCKET: Final = re.compile(r"s3://([^/]+)/?(.*)")


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: what was tried, for example `source aws`.
        works: it does.
        found: what was found.
        fix: what to do where it does not work; several lines where a policy is needed.
    """

    what: str
    works: bool
    found: str
    fix: str = ""


def examine(settings: Settings, on_step: Callable[[str], None] = lambda _: None) -> Iterator[Finding]:
    """Try the home, the rules, the ledger and each source; changes nothing."""
    yield _home(settings)
    yield _tried("rules", lambda: f"{len(tagging_of(settings).rulebook.rules)} rules are in force", "Correct the file.")
    ledger = Ledger.of(settings)
    yield _tried("ledger", lambda: _loaded(ledger), "Check `ledger`, `ledger_options` and your permissions there.")
    if not settings.sources:
        yield Finding("sources", works=False, found="the configuration names none", fix="Add your bills to `sources`.")
    for source in settings.sources:
        on_step(f"trying {source.name}")
        yield _source(settings, ledger, source)


def _home(settings: Settings) -> Finding:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    try:
        with FileLock(settings.home / ".lock").acquire(timeout=0):
            pass
    except Timeout:
        return Finding(f"home {settings.home}", works=True, found="another run is writing there now")
    except OSError as error:
        found = f"cannot be written ({error.strerror})"
        return Finding(f"home {settings.home}", works=False, found=found, fix="Give yourself the right to write there.")
    found = f"{free / 2**30:,.1f} GiB free"
    fix = "A run needs room for the bills and about as much again: free some, or choose another `home`."
    return Finding(f"home {settings.home}", works=free >= _LITTLE, found=found, fix="" if free >= _LITTLE else fix)


def _tried(what: str, attempt: Callable[[], str], fix: str) -> Finding:
    try:
        return Finding(what, works=True, found=attempt())
    except (ApportionError, OSError) as error:
        return Finding(what, works=False, found=str(error), fix=fix)


def _loaded(ledger: Ledger) -> str:
    loads = ledger.current_loads()
    return f"{loads.height} months of {loads['source'].n_unique()} sources are loaded"


def _source(settings: Settings, ledger: Ledger, source: SourceSettings) -> Finding:
    what = f"source {source.name} ({source.type})"
    try:
        versions = list(settings.open(source.name).versions())
    except (ApportionError, OSError) as error:
        return Finding(what, works=False, found=str(error), fix=_fix(source))
    if not versions:
        return Finding(what, works=False, found="there is no month to read", fix="Wait for the first delivery.")
    newest = max(versions, key=lambda version: version.billing_period)
    loaded = ledger.loaded_versions(source.name)
    changed = sum(loaded.get(version.billing_period) != version.fingerprint for version in versions)
    found = f"{len(versions)} months, the newest {newest.billing_period:%Y-%m}; {changed} not loaded yet"
    return Finding(what, works=True, found=found + _last_total(ledger, source.name))


def _last_total(ledger: Ledger, name: str) -> str:
    bills = ledger.current_loads().filter(source=name, fact="charges").sort("billing_period")
    if bills.is_empty():
        return ""
    last = bills.row(-1, named=True)
    return f"; {last['billing_period']:%Y-%m} billed {last['billed_cost_loaded']:,.2f} {last['billing_currency']}"


def _fix(source: SourceSettings) -> str:
    """Give the least permission that a source needs; what connectors say of themselves stands in their sections."""
    extra: dict[str, Any] = source.__pydantic_extra__ or {}
    bucket = _BUCKET.match(str(extra.get("location", "")))
    if bucket:
        return f"It needs these permissions and no others:\n{json.dumps(_s3_policy(bucket[1], bucket[2]), indent=2)}"
    if source.type == "gcp_billing":
        return "It needs roles/bigquery.jobUser on the project that pays, and roles/bigquery.dataViewer on the dataset."
    if source.type == "cloudwatch":
        return f"It needs these permissions and no others:\n{json.dumps(_CLOUDWATCH, indent=2)}"
    if source.type == "cloud_monitoring":
        return "It needs roles/monitoring.viewer on the project."
    if source.type in {"openai", "anthropic"}:
        return "It needs an admin key of the organization; keys of projects cannot read usage or costs."
    return "Correct this entry of `sources`."


def _s3_policy(bucket: str, prefix: str) -> dict[str, Any]:
    prefix = prefix.rstrip("/")
    under = f"{prefix}/*" if prefix else "*"
    listing: dict[str, Any] = {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
        "Condition": {"StringLike": {"s3:prefix": under}},
    }
    reading = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/{under}"}
    return {"Version": "2012-10-17", "Statement": [listing, reading]}


_CLOUDWATCH: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["cloudwatch:ListMetrics", "cloudwatch:GetMetricData"], "Resource": "*"}
    ],
}
