"""Commands that change something: run, retag, demo, dev."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipelines.cli.options import DEFAULT_CONFIG, Config, Json, Period

if TYPE_CHECKING:
    from pipelines.settings import Settings


def run(
    config: Config = DEFAULT_CONFIG,
    *,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Rebuild the warehouse from the ledger.")] = False,
    json: Json = False,
) -> None:
    """Load what changed, tag it, rebuild the marts and publish them.

    Exits 0 when every source reconciled, 1 when something was refused, 2 on a wrong configuration.

    Example: apportion run --config apportion.yaml
    """
    from pipelines.settings import Settings

    sys.exit(run_settings(Settings.load(config), rebuild=rebuild, json=json))


def run_settings(settings: Settings, *, rebuild: bool = False, json: bool = False) -> int:
    """Run the pipeline for a configuration, report, and give the exit status."""
    from pipelines.cli.output import heard, print_json, say
    from pipelines.orchestration.plan import locked, plan
    from pipelines.redaction import hidden

    if not settings.sources:
        from models.errors import BadSettings

        raise BadSettings("The configuration names no `sources`; add the bills to read.")
    with locked(settings, say), heard():
        todo = plan(settings)
        if rebuild:
            (settings.home / "warehouse.duckdb").unlink(missing_ok=True)
        refused = {name: [hidden(why)] for name, why in todo.refused.items()}
        loaded: list[dict[str, object]] = []
        remarks: list[str] = []
        if todo.nothing and not rebuild:
            say("Nothing changed: the report is current.")
        else:
            from pipelines.cli.progress import drawn
            from pipelines.orchestration.assets import run_in_process

            with drawn(republish=rebuild) as progress:
                run_in_process(settings, todo.months, progress)
            refused |= progress.refused
            loaded = [
                {
                    "source": month.source,
                    "billing_period": f"{month.billing_period:%Y-%m}",
                    "lines": month.lines,
                    "billed_cost": month.billed_cost,
                    "billing_currency": month.billing_currency,
                    "is_final": month.is_final,
                    "remarks": list(month.remarks),
                }
                for month in progress.loaded
            ]
            remarks = [
                f"{month.source} {month.billing_period:%Y-%m}: {remark}"
                for month in progress.loaded
                for remark in month.remarks
            ]
    for month in loaded:
        billed = (
            f", {month['billed_cost']:,.2f} {month['billing_currency']} billed" if month["billing_currency"] else ""
        )
        say(f"{month['source']} {month['billing_period']}: {month['lines']:,} lines{billed}")
    for remark in remarks:
        say(f"note: {remark}")
    for name, reasons in refused.items():
        for reason in reasons:
            say(f"refused: {name}: {reason}")
    if json:
        print_json({"loaded": loaded, "refused": refused, "report": str(settings.home / "reports.duckdb")})
    return 1 if refused else 0


def retag(
    config: Config = DEFAULT_CONFIG,
    *,
    period: Period = None,
    why: Annotated[str, typer.Option("--why", help="Reason; kept in the audit trail beside your user name.")],
    json: Json = False,
) -> None:
    """Tag months again with today's rules, closed ones included, and publish.

    Who, when and why is kept: `select * from reference.attribution_log`.

    Example: apportion retag --period 2026-07 --why "cluster b serves since June"
    """
    from pipelines.cli.output import print_json, say
    from pipelines.orchestration.retag import retag as retag_months
    from pipelines.settings import Settings

    changed = retag_months(Settings.load(config), period, why, say)
    if json:
        print_json(changed)
    for month in changed:
        say(f"{month['source']} {month['billing_period']}: {month['keys_changed']} keys changed")


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to write the sample company and its reports.")] = Path("demo"),
) -> None:
    """Make the sample company's bills, run the whole pipeline on them and show the answers.

    Example: apportion demo
    """
    from importlib.resources import files

    from examples.sample import write_sample
    from pipelines.cli import show
    from pipelines.cli.output import say
    from pipelines.settings import Settings

    config = folder / "apportion.yaml"
    if not config.exists():
        say(f"writing three months of bills to {folder / 'bills'}")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "bills", ignore_errors=True)
        write_sample(folder)
        config.write_bytes(files("examples").joinpath("apportion.yaml").read_bytes())
    status = run_settings(Settings.load(config))
    if status:
        sys.exit(status)
    for answer in (show.split, show.idle, show.claims):
        answer(config=config)
    show.models(config=config, limit=30)
    settings = Settings.load(config)
    say(f"\nBills    {folder / 'bills'}")
    say(f"Config   {config}")
    say(f"Report   {settings.home / 'reports.duckdb'}  (open it in any DuckDB client, or `apportion query`)")
    say(f"Ledger   {settings.ledger_root}")


# One run at a time, because runs take turns at the lock on the home anyway; a killed one is noticed.
_INSTANCE: Final = """\
telemetry: { enabled: false }
freshness: { enabled: true }
concurrency: { runs: { max_concurrent_runs: 1 } }
run_monitoring: { enabled: true }
"""


def dev(config: Config = DEFAULT_CONFIG) -> None:
    """Open the Dagster UI on this configuration, on loopback only.

    Example: apportion dev --config apportion.yaml
    """
    import os

    from pipelines.settings import Settings

    home = Settings.load(config).home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(_INSTANCE, encoding="utf-8")
    environment = {**os.environ, "APPORTION_CONFIG": str(config.resolve()), "DAGSTER_HOME": str(home)}
    command = [sys.executable, "-m", "dagster", "dev", "-m", "pipelines.definitions", "--host", "127.0.0.1"]
    os.execve(sys.executable, command, environment)  # noqa: S606 - the command line becomes the server
