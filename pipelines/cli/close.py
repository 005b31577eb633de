"""Close a month and reopen it."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.options import DEFAULT_CONFIG, Config, Json, Period


def close(  # noqa: PLR0913 - options of one command
    config: Config = DEFAULT_CONFIG,
    *,
    period: Period = None,
    why: Annotated[str, typer.Option("--why", help="Reason; kept in the audit trail beside your user name.")] = "",
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept", help="Close although this gate does not hold: ended, final, reconciled, complete or covered."
        ),
    ] = None,
    reopen: Annotated[bool, typer.Option("--reopen", help="Reopen the month instead; needs --why.")] = False,
    json: Json = False,
) -> None:
    """Close a month: check that it can be stood on, pin it, archive its review pack.

    A closed month keeps its tags, and `marts.restatements` says what its provider changes later. Exits 1, and changes
    nothing, where a gate does not hold. Who, when and why is kept: `select * from reference.closings`.

    Example: apportion close --period 2026-07
    """
    from pipelines.cli.output import print_json, say
    from pipelines.settings import Settings

    if period is None:
        raise typer.BadParameter("name the month to close: --period 2026-07")
    settings = Settings.load(config)
    if reopen:
        from pipelines.orchestration.close import reopen as reopen_month

        sources = reopen_month(settings, period, why=why, on_step=say)
        if json:
            print_json({"billing_period": f"{period:%Y-%m}", "reopened": sources})
        say(f"{period:%Y-%m} is open again: {', '.join(sources)}")
        return
    from dataclasses import asdict

    from pipelines.orchestration.close import close as close_month

    closed = close_month(settings, period, why=why, accepted=accept or [], on_step=say)
    if json:
        print_json(asdict(closed))
    for gate in closed.gates:
        say(f"{'passed  ' if gate.passed else 'accepted'} {gate.name}: {gate.found}")
    say(f"{period:%Y-%m} is closed: {', '.join(closed.sources)}; archived in {closed.archive}")
