"""Commands around the runs: init, doctor, vacuum."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import DEFAULT_CONFIG, Config, Json


def init(
    config: Config = DEFAULT_CONFIG,
    *,
    bills: Annotated[str | None, typer.Option("--bills", help="Where the bills are, instead of being asked.")] = None,
    team_tag: Annotated[str | None, typer.Option("--team-tag", help="Tag that names the team, likewise.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Reporting currency, likewise.")] = None,
) -> None:
    """Ask three questions and write a commented configuration.

    Example: apportion init
    """
    from models.errors import BadSettings
    from pipelines.cli.output import say
    from pipelines.settings import Settings

    if config.exists():
        raise BadSettings(f"{config}: is there already. Edit it, or name another with --config.")
    where = bills or typer.prompt("Where are the bills? (s3://bucket/prefix, a folder, or project.dataset.table)")
    tag = team_tag or typer.prompt("Which tag or label names the team?", default="team")
    money = currency or typer.prompt("Which currency do you report in?", default="USD")
    config.write_text(_configuration(where.strip(), tag.strip(), money.strip().upper()), encoding="utf-8")
    Settings.load(config)
    say(f"Wrote {config}. Next: apportion doctor --config {config}, then apportion run --config {config}")


def _configuration(bills: str, tag: str, currency: str) -> str:
    import json

    kind, field = _kind(bills)
    quoted = json.dumps  # JSON text is YAML text, whatever stands in it
    return f"""\
# Where did our AI money really go? Every field: docs/reference.md. Relative paths are relative to this file, and
# ${{NAME}} is replaced from the environment, so that secrets stay out of it.
home: .apportion  # ledger, warehouse and reports live here
currency: {quoted(currency)}  # bills in another need an entry in `exchange_rates`

sources:
  # type: aws_cur (Cost and Usage Report, CUR 2.0), gcp_billing (BigQuery export), focus (any FOCUS file), openai, …
  - {{ name: bills, type: {kind}, {field}: {quoted(bills)} }}

dimensions:
  # Tried in order; the first that is there wins. An account can stand for a team:
  # {{ account: {{ "111122223333": search }} }}
  team: [{{ tag: {quoted(tag)} }}]
  environment: [{{ tag: environment }}, {{ tag: env }}]

# ai_scope: {{ accounts: ["111122223333"] }}  # accounts that are AI as a whole: their storage counts as AI storage
# rules: [rules/*.yaml]                       # rules of your own, tried before ours
# budgets: [{{ name: training, workload: training, monthly: 50000 }}]
"""


def _kind(bills: str) -> tuple[str, str]:
    """Tell the connector from where the bills are."""
    import re

    if re.fullmatch(r"[\w-]+(?:\.[\w-]+){2}", bills) and not Path(bills).exists():
        return "gcp_billing", "table"
    return ("focus" if "focus" in bills.lower() else "aws_cur"), "location"


def doctor(config: Config = DEFAULT_CONFIG, *, json: Json = False) -> None:
    """Try the home, the rules, the ledger and each source, and say how to fix what fails.

    Of the newest month of each source it reads what a run would read (up to 64 MiB; of one that is loaded, it says what
    was loaded). Exits 0 when a run would find everything it needs, else 1. Changes nothing.

    Example: apportion doctor --config apportion.yaml
    """
    from dataclasses import asdict

    from pipelines.cli.output import print_json, say
    from pipelines.orchestration.doctor import examine
    from pipelines.settings import Settings

    findings = list(examine(Settings.load(config), say))
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.works else 'FAIL'} {finding.what}: {finding.found}")
            for line in finding.fix.splitlines():
                typer.echo(f"       {line}")
    sys.exit(0 if all(finding.works for finding in findings) else 1)


def vacuum(
    config: Config = DEFAULT_CONFIG,
    *,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Versions of each table of the ledger to keep.")] = 10,
    json: Json = False,
) -> None:
    """Remove table versions that nobody stands on, and landed deliveries that were replaced.

    The last versions, and every version a closed month is pinned to, stay readable.

    Example: apportion vacuum --keep 10
    """
    from dataclasses import asdict

    from pipelines.cli.output import print_json, say
    from pipelines.orchestration.retention import sweep
    from pipelines.settings import Settings

    swept = sweep(Settings.load(config), keep_last=keep, on_step=say)
    if json:
        print_json(asdict(swept))
        return
    files, folders = len(swept.ledger_files), len(swept.landed)
    typer.echo(f"removed {files} files of the ledger and {folders} landed deliveries: {_size(swept.freed)} are free")
    for name, size in swept.sizes.items():
        typer.echo(f"  {name}: {_size(size)}")


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e8 else f"{count / 1e6:,.2f} MB"  # noqa: PLR2004 - where MB get long
