"""Commands that say why: a line, key or cell walked to its rule and its place in a file, and the rules in force."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import DEFAULT_CONFIG, Config, Json, Limit, Period

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.warehouse.reader import Place

_STALE_DAYS = 365
_SHOWN = (
    "charge_period_start",
    "charge_period_end",
    "resource_id",
    "consumed_quantity",
    "pricing_unit",
    "billed_cost",
    "effective_cost",
    "net_cost",
)


def explain(  # noqa: PLR0913 - each is an option of the command
    what: Annotated[
        str,
        typer.Argument(
            help="A line, `source/2026-07/file#row`, a key id from `apportion unattributed`, or the name of a mart."
        ),
    ],
    config: Config = DEFAULT_CONFIG,
    *,
    period: Period = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", metavar="COLUMN=VALUE", help="Rows of the mart; nothing after `=` is null."),
    ] = None,
    column: Annotated[str, typer.Option("--column", help="Column of the mart; its first sum if left out.")] = "",
    json: Json = False,
    limit: Limit = 5,
) -> None:
    """Walk a figure to its lines: the rule that decided, why, and the file and row each came from.

    For a line, show its rule and the runner-up rules; for a row that BigQuery added up, fetch its lines too. For a key,
    show its attribution and its largest lines. For a mart, add up the rows that --where and --period select and show
    the parts of the bill that they are the sum of.

    Example: apportion explain costs_by_team --where team=search --period 2026-08 --column effective_cost
    """
    from models.errors import ApportionError
    from pipelines.settings import Settings
    from pipelines.warehouse.cells import Question, marts

    settings = Settings.load(config)
    if "#" in what:
        _explain_line(settings, what, as_json=json, limit=limit)
        return
    mart = what.removeprefix("marts.")
    if mart in marts(settings.home):
        from pipelines.cli.explain_cell import explain_cell

        asked = dict(_condition(text) for text in where or [])
        explain_cell(settings, Question(mart, column, asked, period), as_json=json, limit=limit)
        return
    if where or period or column:
        raise ApportionError(f"There is no mart {what}; --where, --period and --column ask about the rows of one.")
    _explain_key(settings, what, as_json=json, limit=limit)


def _condition(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"{text!r}: write it as --where team=search")
    return name, value


def _explain_line(settings: Settings, charge: str, *, as_json: bool, limit: int) -> None:
    from pipelines.ledger.tables import Ledger
    from pipelines.orchestration.plan import tagging_of
    from pipelines.warehouse.reader import Place, line

    place = Place.parse(charge)
    found = line(settings.home, Ledger.of(settings), place)
    matching = tagging_of(settings).rulebook.explain(found.key)
    decided = found.attribution.get("attribution_rule_id")
    rule = next((rule for rule in matching if rule.id == decided), None)
    answer = {
        "charge": charge,
        "line": {name: value for name, value in found.charge.items() if value is not None},
        "attribution": {name: value for name, value in found.attribution.items() if value is not None},
        # A closed month keeps what a rule said that has changed or gone since; `retag` would apply today's first.
        "rule": _rule(rule) if rule else {"id": decided, "reason": "no longer among the rules, or no longer matches"},
        "runners_up": [_rule(other) for other in matching if other is not rule],
    }
    if (found.charge["line_count"] or 1) > 1:
        answer |= _lines_of(settings, place, found.charge, limit)
    _print(answer, as_json=as_json)


def _lines_of(settings: Settings, place: Place, row: dict[str, Any], limit: int) -> dict[str, Any]:
    """Fetch the lines that a row stands for from where they stayed, and add them up."""
    from connectors.source import KeepsLines
    from models.errors import Refused
    from pipelines.cli.output import heard

    source = settings.open(place.source)
    if not isinstance(source, KeepsLines):
        raise Refused(f"{place.source}: its lines were added up before they came, and this source cannot give them.")
    with heard():
        lines = source.lines(place.file, place.row)
    sums = {name: lines[name].sum() for name in ("billed_cost", "effective_cost", "net_cost")}
    is_whole = lines.height == row["line_count"] and all(sums[name] == row[name] for name in sums)
    verdict = "yes" if is_whole else "no: these are not all, or they changed since the row was loaded; run again"
    largest = lines.sort("effective_cost", "charge_period_start", descending=[True, False]).head(limit)
    return {
        "lines": largest.select(name for name in _SHOWN if name in lines.columns).to_dicts(),
        "all_lines": {"line_count": lines.height, **sums, "equal_the_row": verdict},
    }


def _explain_key(settings: Settings, key_id: str, *, as_json: bool, limit: int) -> None:
    from pipelines.ledger.tables import Ledger
    from pipelines.warehouse.lines import lines_of_key

    attribution, lines = lines_of_key(settings.home, Ledger.of(settings), key_id=key_id, limit=limit)
    charges = [
        {
            "charge": f"{row['source']}/{row['billing_period']:%Y-%m}/{row['source_file']}#{row['source_row']}",
            "resource_id": row["resource_id"],
            "billed_cost": row["billed_cost"],
            "effective_cost": row["effective_cost"],
        }
        for row in lines.iter_rows(named=True)
    ]
    attribution = {name: value for name, value in attribution.items() if value is not None}
    _print({"key": key_id, "attribution": attribution, "largest_lines": charges}, as_json=as_json)


def _rule(rule: Any) -> dict[str, object]:
    return {
        "id": rule.id,
        "workload": str(rule.workload),
        "evidence": str(rule.evidence),
        "reason": rule.reason,
        "effective_from": rule.effective_from,
        "source_url": str(rule.source_url) if rule.source_url else None,
        "checked_on": rule.checked_on,
    }


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    from pipelines.cli.output import cell, print_json

    if as_json:
        print_json(answer)
        return
    for section, content in answer.items():
        rows = content if isinstance(content, list) else [content]
        typer.echo(section.replace("_", " "))
        for row in rows or [None]:
            if not isinstance(row, dict):
                typer.echo(f"  {cell(row)}")
                continue
            for name, value in row.items():
                # Money is shown in full here: this is where a figure is checked.
                typer.echo(f"  {name:<28} {value if name.endswith('_cost') else cell(value)}")
            typer.echo("")


def rules(config: Config = DEFAULT_CONFIG, *, json: Json = False) -> None:
    """List the rules in force, in the order they are tried, and those whose source nobody has read for a year.

    Example: apportion rules --config apportion.yaml
    """
    import polars as pl

    from pipelines.cli.output import print_frame, say
    from pipelines.orchestration.plan import tagging_of
    from pipelines.settings import Settings

    settings = Settings.load(config) if config.exists() or config != DEFAULT_CONFIG else Settings()
    rulebook = tagging_of(settings).rulebook
    frame = pl.DataFrame([_rule(rule) for rule in rulebook.rules], infer_schema_length=None)
    headings = {"id": "rule", "workload": "workload", "evidence": "evidence", "reason": "reason"}
    print_frame(frame, title=f"{frame.height} rules, first match wins", as_json=json, headings=headings)
    stale = rulebook.stale(date.today(), days=_STALE_DAYS)  # noqa: DTZ011 - a day either way does not matter
    if stale:
        say(f"not checked for a year: {', '.join(rule.id for rule in stale)}")
