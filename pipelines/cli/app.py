"""The `apportion` command: registers the commands and turns errors into one line and an exit status.

Command modules import nothing heavy at their top, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
import traceback

import typer

from pipelines.cli import close, dashboard, explain, report, run, show, upkeep

app = typer.Typer(
    name="apportion",
    help="Where did our AI money really go? Reads your own bills; answers to the cent.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for command in (
    run.demo,
    upkeep.init,
    upkeep.doctor,
    run.run,
    show.split,
    show.idle,
    show.models,
    show.claims,
    show.unattributed,
    explain.explain,
    explain.rules,
    run.retag,
    close.close,
    show.query,
    report.report,
    dashboard.dashboard,
    upkeep.vacuum,
    run.dev,
):
    app.command()(command)


def main() -> None:
    """Run the command line.

    Exits 1 where something was refused, 2 on a wrong call or configuration, 143 or 130 where somebody stopped it.
    """
    from models.errors import ApportionError, BadSettings
    from pipelines import logs, stopping
    from pipelines.cli.output import say

    logs.configure()
    stopping.listen()
    try:
        app()
    except stopping.Stopped as stopped:
        say(f"stopped by {stopped}: what people read is the last complete report; the next run goes on from here.")
        sys.exit(stopped.status)
    except BadSettings as error:
        say(f"error: {error}")
        sys.exit(2)
    except ApportionError as error:
        say(f"error: {error}")
        sys.exit(1)
    except BrokenPipeError:
        # `apportion … | head` is no error.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # A full or read-only disk, a missing right: of the machine, not of the bills, and a person's to correct.
        where = f"{error.filename}: " if error.filename else ""
        why = f"{where}{error.strerror or error}"
        say(f"error: {why}. What people read is the last complete report; correct that and run again.")
        sys.exit(1)
    except Exception:  # noqa: BLE001 - whatever it is, Python would print it with the secrets in it
        say(traceback.format_exc())
        say("That is a mistake of ours: nothing half done counts. Please report it with the lines above.")
        sys.exit(1)
