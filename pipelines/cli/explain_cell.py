"""A cell of a mart, its parts and their lines at a terminal of 80 columns, or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import typer

from pipelines.cli.output import exact, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbt_like_sql.sql_model import SqlModel
    from pipelines.settings import Settings
    from pipelines.warehouse.cells import Cell, Part, Question, Step

_WIDTH: Final = 80
_AMOUNT: Final = 22
_BESIDE: Final = _AMOUNT + 2


def explain_cell(settings: Settings, question: Question, *, as_json: bool, limit: int) -> None:
    """Print what a cell is the sum of, or why it is none and what it is made from."""
    from pipelines.ledger.tables import Ledger
    from pipelines.warehouse.build import sql_models
    from pipelines.warehouse.cells import Cell, difference, explained, require_equal

    model = next(model for model in sql_models() if model.schema == "marts" and model.name == question.mart)
    answer = explained(settings.home, Ledger.of(settings), question, limit=limit, reads=model.depends_on)
    asked: dict[str, Any] = {"mart": question.mart, "column": answer.column or None}
    asked |= {"where": dict(question.where), "period": question.period}
    if isinstance(answer, Cell):
        require_equal(answer)
        if as_json:
            print_json({**asked, **asdict(answer), "difference": difference(answer)})
        else:
            _print_cell(question, answer)
        return
    read_from = _read_from(model, answer)
    if as_json:
        print_json({**asked, **asdict(answer), "read_from": read_from})
    else:
        _print_step(question, answer, read_from)


def _read_from(model: SqlModel, answer: Step) -> list[str]:
    """Name the columns that a column of a mart is read from."""
    from pipelines.orchestration.lineage import column_lineage
    from pipelines.warehouse.build import sql_models
    from pipelines.warehouse.tables import TABLES

    if not answer.column:
        return []
    known = {table: list(columns) for table, (_, columns) in TABLES.items()}
    known |= {other.table: list(other.columns) for other in sql_models()}
    found = column_lineage([model], known)[model.table].get(answer.column, [])
    return [f"{table}.{column}" for table, column in found]


def _print_cell(question: Question, cell: Cell) -> None:
    from pipelines.warehouse.cells import difference, said

    _say(f"marts.{question.mart}, {cell.column}: {cell.comment}")
    _say(said(question) or "all rows")
    typer.echo("")
    typer.echo(f"{_figure(cell.value)}  the cell: {_many(cell.row_count, 'row')} of the mart")
    typer.echo(f"{_figure(cell.parts_value)}  the sum of its {_many(cell.part_count, 'part')}")
    typer.echo(f"{_figure(difference(cell))}  difference")
    for part in cell.parts:
        typer.echo("")
        _print_part(part)
    if cell.part_count > len(cell.parts):
        shown = sum(part.amount for part in cell.parts)
        typer.echo("")
        rest = _many(cell.part_count - len(cell.parts), "smaller part")
        typer.echo(f"{_figure((cell.parts_value or 0) - shown)}  {rest}; --limit shows more")


def _print_part(part: Part) -> None:
    place = part.place
    what = " ".join(str(place[name]) for name in ("usage_date", "service_name", "usage_type") if name in place)
    if "pool" in place:
        what = f"of the pool {place['pool']} of {place['source']} (intermediate.int_showback_pools), {place['method']}"
    elif "usage_id" in place:
        what = f"{what} estimated: row {place['usage_id']} of ledger.token_usage_daily, on no bill"
    _say(f"{_figure(part.amount)}  {exact(what)}", indent=_BESIDE)
    if place.get("method", "direct") != "direct" and "daily_id" in place:
        how = f"part {place.get('part')} of what these lines cost, by {place['method']}".replace("_", " ")
        _say(how, first=_BESIDE, indent=_BESIDE)
    if "key_id" in place:
        _say(f"key {place['key_id']}", first=_BESIDE, indent=_BESIDE)
    file = ""
    for line in part.lines:
        named, _, row = line["charge"].rpartition("#")
        if named != file:
            file = named
            money = f", in {part.currency}" if part.currency else ""
            _say(f"in {exact(file)}{money}", first=_BESIDE, indent=_BESIDE)
        typer.echo(f"{_figure(line['amount'])}  #{row}")
    if part.line_count > len(part.lines):
        shown = sum(line["amount"] or 0 for line in part.lines)
        more = _many(part.line_count - len(part.lines), "more line")
        typer.echo(f"{_figure((part.lines_amount or 0) - shown)}  {more}")


def _print_step(question: Question, step: Step, read_from: list[str]) -> None:
    from pipelines.warehouse.cells import said

    _say(f"marts.{question.mart}{f', {step.column}: {step.comment}' if step.column else ''}")
    _say(f"{said(question) or 'all'}: {_many(step.row_count, 'row')}")
    typer.echo("")
    _say(step.why)
    if read_from:
        typer.echo("")
        _say(f"{step.column} is read from {', '.join(read_from)}.")
    for row in step.rows:
        typer.echo("")
        _print_row(row)
    for relation in step.relations:
        typer.echo("")
        same = f" of the same {', '.join(relation['agrees_in'])}" if relation["agrees_in"] else ""
        what = relation["comment"].partition(". ")[0].rstrip(".")
        _say(f"{relation['table']}, {_many(relation['row_count'], 'row')}{same}. {what}.")


def _print_row(row: Mapping[str, Any]) -> None:
    longest = max(map(len, row))
    for name, value in row.items():
        if value is not None:
            _say(f"{name:<{longest}}  {exact(value)}", first=2, indent=longest + 4)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _figure(value: Any) -> str:
    return f"{exact(value):>{_AMOUNT}}"


def _say(text: str, first: int = 0, indent: int = 2) -> None:
    lead = len(text) - len(text.lstrip())
    lines = wrap(
        text.strip(),
        _WIDTH,
        initial_indent=" " * (first + lead),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    typer.echo("\n".join(lines))
