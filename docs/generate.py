"""Write `docs/reference.md` from the code: settings, sources, commands, tables, rules and claims.

.venv/bin/python docs/generate.py          # write it
.venv/bin/python docs/generate.py --check  # exit 1 if the committed file says something else
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from pydantic import BaseModel

from connectors.aws_invoices import AwsInvoices
from connectors.source import CONNECTORS, connector
from models.claim_settings import Alternative, ClaimSettings, Plan
from models.claims import load_claims
from models.dimensions import AiScope
from models.rulebook import Rulebook
from pipelines.cli.app import app
from pipelines.governance_settings import (
    Anomalies,
    Budget,
    Closing,
    CostOfRevenue,
    Expected,
    Grant,
    SharingSettings,
)
from pipelines.settings import ExchangeRate, Settings, SourceSettings, SparkSettings
from pipelines.warehouse.build import sql_models
from pipelines.warehouse.tables import TABLES

REFERENCE: Final = Path(__file__).with_name("reference.md")


def reference() -> str:
    """Give the whole page."""
    parts = [
        "# Reference\n\nWritten by `docs/generate.py` from the code; do not edit it by hand.",
        "## Settings\n\nOne YAML file; every field also as an environment variable `APPORTION_<FIELD>`.",
        _settings(Settings),
        *(f"### {title}\n\n{_settings(model)}" for title, model in _parts().items()),
        "## Commands",
        *_commands(),
        "## Tables of `reports.duckdb`",
        *_tables(),
        "## Rules\n\nIn the order they are tried, after the team's own; the first that matches decides.",
        _rules(),
        "## Claims",
        _claims(),
    ]
    return "\n\n".join(parts) + "\n"


def field_notes(model: type[BaseModel]) -> Mapping[str, str]:
    """Give the text under each field of a settings class; empty where there is none."""
    notes: dict[str, str] = {}
    tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - the source of a class is a class
    for statement, following in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            said = following.value if isinstance(following, ast.Expr) else None
            notes[statement.target.id] = str(said.value) if isinstance(said, ast.Constant) else ""
    inherited = [field_notes(base) for base in model.__bases__ if _is_ours(base)]
    everything = {name: note for base in inherited for name, note in base.items()} | notes
    return {name: " ".join(everything[name].split()) for name in model.model_fields}


def _is_ours(base: type) -> bool:
    return issubclass(base, BaseModel) and base.__module__.split(".")[0] in {"pipelines", "connectors", "models"}


def settings_classes() -> list[type[BaseModel]]:
    """Give every class whose fields a configuration may write."""
    return [Settings, *_parts().values()]


def _parts() -> dict[str, type[BaseModel]]:
    sources = {f"`type: {kind}`": connector(kind).Options for kind in sorted(CONNECTORS)}
    return {
        "Each of `sources`": SourceSettings,
        **sources,
        "`spark`": SparkSettings,
        "`ai_scope`": AiScope,
        "Each of `exchange_rates`": ExchangeRate,
        "Each of `aws_invoices`": AwsInvoices,
        "Each of `budgets`": Budget,
        "Each of `credits`": Grant,
        "Each of `cogs`": CostOfRevenue,
        "`sharing`": SharingSettings,
        "`expected`": Expected,
        "`closing`": Closing,
        "`anomalies`": Anomalies,
        "`claims`": ClaimSettings,
        "`plan`": Plan,
        "Each of `plan.alternatives`": Alternative,
    }


def _settings(model: type[BaseModel]) -> str:
    rows = []
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{_default(field.get_default(call_default_factory=True))}`"
        rows.append((f"`{name}`", default, field_notes(model)[name]))
    return _table(("field", "default", "meaning"), rows)


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return str(value.model_dump(mode="json"))
    return "none" if value is None else str(value)


def _commands() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        said = inspect.cleandoc(command.help or "")
        options = [
            (
                "`" + (" ".join(parameter.opts) if parameter.opts else str(parameter.name).upper()) + "`",
                " ".join((getattr(parameter, "help", "") or "").split()),
            )
            for parameter in command.params
        ]
        yield f"### `apportion {name}`\n\n{said}\n\n" + _table(("argument or option", "meaning"), options)


def _tables() -> Iterator[str]:
    for model in sorted(sql_models(), key=lambda model: (model.schema != "marts", model.table)):
        yield f"### `{model.table}`\n\n{model.comment}\n\n" + _table(("column", "meaning"), _ticked(model.columns))
    for table, (meaning, columns) in TABLES.items():
        notes = {name: note for name, (_, note) in columns.items()}
        yield f"### `{table}`\n\n{meaning}\n\n" + _table(("column", "meaning"), _ticked(notes))


def _ticked(columns: Mapping[str, str]) -> list[tuple[str, ...]]:
    return [(f"`{name}`", note) for name, note in columns.items()]


def _rules() -> str:
    rows = [
        (
            f"`{rule.id}`",
            str(rule.workload or "–"),
            str(rule.evidence or "–"),
            rule.reason,
            f"[source]({rule.source_url})",
        )
        for rule in Rulebook.load().rules
    ]
    return _table(("rule", "workload", "evidence", "reason", ""), rows)


def _claims() -> str:
    rows = [
        (
            f"`{claim.id}`",
            claim.statement,
            claim.said_by,
            f"{claim.claimed_low}–{claim.claimed_high or '…'} {claim.unit}",
            claim.reading,
        )
        for claim in load_claims()
    ]
    return _table(("claim", "statement", "said by", "claimed range", "how to read the verdict"), rows)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def main() -> int:
    """Write the page, or check it."""
    if "--check" in sys.argv[1:]:
        return int(REFERENCE.read_text(encoding="utf-8") != reference())
    REFERENCE.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
