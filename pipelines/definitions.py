"""Dagster's entry point: `dagster dev -m pipelines.definitions`, with `APPORTION_CONFIG` naming the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from pipelines import logs
from pipelines.orchestration.assets import Progress, all_assets
from pipelines.orchestration.schedules import close_job, closing_schedule, daily_refresh, refresh_job
from pipelines.orchestration.sensors import budgets_and_anomalies, failed_runs, news_of_bills
from pipelines.redaction import hidden
from pipelines.settings import Settings


def definitions(settings: Settings) -> dg.Definitions:
    """Make the definitions of a configuration."""
    closing = close_job(settings)
    return dg.Definitions(
        assets=all_assets(settings, Progress(on_step=_told, under_dagster=True)),
        jobs=[refresh_job(), closing],
        schedules=[daily_refresh(settings), closing_schedule(settings, closing)],
        sensors=[news_of_bills(settings), failed_runs(settings), budgets_and_anomalies(settings)],
        # One step after the other: they take turns at the lock on the home anyway, and importing this costs seconds.
        executor=dg.in_process_executor,
    )


def _told(text: str) -> None:
    dg.get_dagster_logger().info(hidden(text))
    logs.SAID.info(text)


@dg.definitions
def defs() -> dg.Definitions:
    """Load the definitions; called by Dagster, never on import."""
    logs.configure()
    return definitions(Settings.load(Path(os.environ.get("APPORTION_CONFIG", "apportion.yaml"))))
