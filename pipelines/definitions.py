"""Dagster's entry point: `dagster dev -m pipelines.definitions`, with `APPORTION_CONFIG` naming the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from pipelines.orchestration.assets import all_assets
from pipelines.settings import Settings


def definitions(settings: Settings) -> dg.Definitions:
    """Make the definitions of a configuration."""
    return dg.Definitions(assets=all_assets(settings))


@dg.definitions
def defs() -> dg.Definitions:
    """Load the definitions; called by Dagster, never on import."""
    return definitions(Settings.load(Path(os.environ.get("APPORTION_CONFIG", "apportion.yaml"))))
