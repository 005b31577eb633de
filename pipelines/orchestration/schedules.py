"""What starts by the clock: the daily refresh of the open and the previous month, and the monthly close.

No `from __future__ import annotations` here: Dagster reads the types of arguments at definition time.
"""

import calendar
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from models.errors import ApportionError
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.assets import month_range
from pipelines.orchestration.close import close, gates_of
from pipelines.settings import Settings

REFRESH: Final = "refresh"
DAILY: Final = "0 5 * * *"
"""After midnight UTC everywhere in the Americas, when providers have written the day before."""
CLOSING: Final = "0 8 5-20 * *"
"""Every day from the 5th until the month is closed: providers finalize bills in the first days of the next month."""
LAST_DAY: Final = 20


def refresh_job() -> Any:  # Dagster does not export what this is
    """Make the job that loads months and brings everything after them up to date."""
    return dg.define_asset_job(
        REFRESH,
        selection=dg.AssetSelection.all(),
        description="Load the months that changed, tag them, rebuild the marts, publish. Unchanged ones cost nothing.",
    )


def previous_month(day: date) -> date:
    """Give the first day of the month before."""
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def daily_refresh(settings: Settings) -> dg.ScheduleDefinition:
    """Make the schedule that refreshes the open and the previous month, whether or not the sensor saw news."""

    @dg.schedule(
        cron_schedule=DAILY,
        job_name=REFRESH,
        execution_timezone="UTC",
        default_status=_schedule_status(settings),
        description="Refreshes the open and the previous month every day at 05:00 UTC.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        today = context.scheduled_execution_time.date()
        return dg.RunRequest(
            run_key=f"daily-{today}", tags={**month_range(previous_month(today), today), "trigger": "daily"}
        )

    return daily


class Closing(dg.Config):
    """Which month to close; the schedule fills it, a person may in the launchpad."""

    period: str
    """The month, as 2026-07."""
    why: str = ""
    """Kept in the audit trail; needed where a gate is accepted."""
    accept: list[str] = []  # noqa: RUF012 - pydantic copies it
    """Gates that need not hold."""


def close_job(settings: Settings) -> dg.JobDefinition:
    """Make the job that closes a month: `apportion close`, from the UI or by the clock."""

    @dg.op(description="Check the gates, archive the pack, pin the month, publish.")
    def close_month(context: dg.OpExecutionContext, config: Closing) -> None:
        closed = close(
            settings, parsed(config.period), why=config.why, accepted=config.accept, on_step=context.log.info
        )
        context.log.info("closed %s of %s: %s", closed.billing_period, ", ".join(closed.sources), closed.archive)

    @dg.job(
        description="Close a month once its figures can be stood on. What is not final or does not reconcile refuses.",
        executor_def=dg.in_process_executor,
    )
    def monthly_close() -> None:
        close_month()

    return monthly_close


def parsed(period: str) -> date:
    """Read a month as people write it.

    Raises:
        ApportionError: it is none.
    """
    try:
        return date.fromisoformat(f"{period}-01")
    except ValueError:
        raise ApportionError(f"{period!r} is no month; write it like 2026-07.") from None


def closing_schedule(settings: Settings, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Make the schedule that closes the previous month as soon as it can be; on the last day it insists.

    A gate that does not hold yet skips the day and says why; on the last one the job runs and fails, which notifies.
    """

    @dg.schedule(
        cron_schedule=CLOSING,
        job=job,
        execution_timezone="UTC",
        default_status=_schedule_status(settings),
        description="Closes the previous month between the 5th and the 20th, on the first day all gates hold.",
    )
    def monthly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.date()
        period = previous_month(today)
        ledger = Ledger.of(settings)
        loaded = {source for source, month in ledger.charges.partitions() if month == period}
        left = loaded - set(ledger.pins().filter(billing_period=period)["source"])
        if not left:
            found = "is closed" if loaded else "is not in the ledger"
            return dg.SkipReason(f"{period:%Y-%m} {found}.")
        failed = [f"{gate.name}: {gate.found}" for gate in gates_of(settings, period) if not gate.passed]
        if failed and today.day < min(LAST_DAY, calendar.monthrange(today.year, today.month)[1]):
            return dg.SkipReason(f"{period:%Y-%m} cannot be closed yet: {'; '.join(failed)}.")
        config = {"ops": {"close_month": {"config": {"period": f"{period:%Y-%m}", "why": ""}}}}
        return dg.RunRequest(run_key=f"close-{period:%Y-%m}-{today}", run_config=config)

    return monthly


def _schedule_status(settings: Settings) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if settings.unattended else dg.DefaultScheduleStatus.STOPPED
