"""What starts by itself: a run when bills, rules or prices changed, and messages when something needs a person.

No `from __future__ import annotations` here: Dagster reads the types of arguments at definition time.
"""

import json
from typing import Final

import dagster as dg

from models.errors import ApportionError, BadInput, BadSettings, Refused
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.assets import after_sources, all_assets, month_range
from pipelines.orchestration.notify import news, send, without_secrets
from pipelines.orchestration.plan import Plan, content, plan, tagging_of
from pipelines.orchestration.schedules import REFRESH
from pipelines.settings import Settings
from pipelines.warehouse.keys import digest
from pipelines.warehouse.reader import NotFound

EVERY: Final = 600
"""Seconds between two looks at the sources; a look lists, it downloads nothing."""
NEWS_EVERY: Final = 300
"""Seconds between two looks at the published report."""
_KEPT: Final = 1000
_OURS: Final = {kind.__name__ for kind in (ApportionError, BadInput, BadSettings, NotFound, Refused)}


def news_of_bills(settings: Settings) -> dg.SensorDefinition:
    """Make the sensor that starts one run for whatever is new: manifests, months, partitions, rules, prices.

    Its cursor is a digest of what there is to do, so the same news never starts a second run, restarts included: what
    was refused is tried again by the daily schedule, or when it changes.
    """

    @dg.sensor(
        job_name=REFRESH,
        minimum_interval_seconds=EVERY,
        default_status=_status(settings),
        description="Starts a run when a source delivered, or rules, prices or settings changed.",
    )
    def new_bills(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        todo = plan(settings)
        refused = "; ".join(f"{name}: {without_secrets(settings, why)}" for name, why in todo.refused.items())
        if todo.nothing:
            return dg.SkipReason(f"Nothing changed. {refused}".strip())
        seen = _digest(settings, todo)
        if seen == context.cursor:
            return dg.SkipReason(f"A run was started for this already. {refused}".strip())
        if todo.months:
            request = dg.RunRequest(
                run_key=f"news-{seen}",
                tags={**month_range(min(todo.months), max(todo.months)), "trigger": "news"},
            )
        else:
            request = dg.RunRequest(
                run_key=f"news-{seen}", tags={"trigger": "news"}, asset_selection=after_sources(all_assets(settings))
            )
        return dg.SensorResult(run_requests=[request], cursor=seen)

    return new_bills


def _digest(settings: Settings, todo: Plan) -> str:
    return digest(
        [
            {
                name: [[str(version.billing_period), version.fingerprint] for version in versions]
                for name, versions in sorted(todo.loads.items())
            },
            [partition.load_id for partition in todo.retag],
            content(settings, Ledger.of(settings), tagging_of(settings)),
        ]
    )


def failed_runs(settings: Settings) -> dg.SensorDefinition:
    """Make the sensor that tells people that a run failed, with a link to it and no secret."""

    @dg.run_failure_sensor(
        name="failed_runs",
        default_status=_status(settings),
        description="Sends a message through `notify` when a run fails.",
    )
    def failed(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if not settings.notify:
            return dg.SkipReason("`notify` names nobody to tell.")
        run = context.dagster_run
        said = [
            f"{event.step_key}: {_reason(event)}" for event in context.get_step_failure_events() if event.step_key
        ] or ["It failed outside its steps; see the log."]
        lines = [*said, f"{settings.ui_url.rstrip('/')}/runs/{run.run_id}"]
        send(settings, f"Apportion: {run.job_name} failed", "\n".join(lines))
        return None

    return failed


def _reason(event: dg.DagsterEvent) -> str:
    """Give the text of an error of ours, which was written to be read; of any other only its name."""
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    if error is None:
        return "no reason was recorded"
    name = error.cls_name or "error"
    if name not in _OURS:
        return f"{name}; see the log"
    return error.message.partition(": ")[2].strip() or name


def budgets_and_anomalies(settings: Settings) -> dg.SensorDefinition:
    """Make the sensor that tells people of budgets that break and odd days, each once.

    Its cursor holds what was told. It reads the published report, whoever published it.
    """

    @dg.sensor(
        minimum_interval_seconds=NEWS_EVERY,
        default_status=_status(settings),
        description="Sends a message through `notify` when a budget breaks, or will, and when a day is odd.",
    )
    def odd_spending(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not settings.notify:
            return dg.SkipReason("`notify` names nobody to tell.")
        told = json.loads(context.cursor or "[]")
        fresh = {key: text for key, text in news(settings).items() if key not in told}
        if not fresh:
            return dg.SkipReason("Nothing new to tell.")
        lines = [*fresh.values(), f"{settings.ui_url.rstrip('/')}/assets/reports/reports_duckdb"]
        title = f"Apportion: {len(fresh)} thing{'s' if len(fresh) > 1 else ''} to look at"
        send(settings, title, "\n".join(lines))
        context.update_cursor(json.dumps([*told, *fresh][-_KEPT:]))
        return dg.SkipReason(f"Told {len(fresh)}.")

    return odd_spending


def _status(settings: Settings) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if settings.unattended else dg.DefaultSensorStatus.STOPPED
