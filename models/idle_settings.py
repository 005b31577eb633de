"""What a team calls idle: below which use, for how long, and whose records count where two describe one accelerator."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Idle(BaseModel):
    """When accelerators count as idle; the defaults are those of the documentation."""

    model_config = ConfigDict(extra="forbid")

    idle_below: float = Field(default=0.05, ge=0, le=1)
    """An accelerator whose mean busy fraction of an hour is below this is idle for the hour, as a whole; above it,
    1 − busy fraction of the hour is underutilized."""
    idle_hours: int = Field(default=1, ge=1, le=744)
    """For how many hours in a row it must be below before any of them counts as idle; shorter ones count as
    underutilized."""
    grace_hours: int = Field(default=1, ge=0, le=744)
    """Hours after a machine's first billed hour that are never idle: images are pulled and models loaded. What was not
    busy then is underutilized."""
    prefer: list[str] = []
    """Names of sources whose records count where two describe one accelerator, best first. Sources not named here come
    after them: those that measure single devices before those that average machines, then by name."""
    headroom: float = Field(default=0.2, ge=0, lt=1)
    """Part of a smaller machine that must stay free at the busiest hour before `marts.right_sizing` proposes it."""
