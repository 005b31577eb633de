"""The review page: one HTML file, everything inlined, every value escaped, nothing fetched and nothing run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

import jinja2
from markupsafe import Markup

from models.workloads import Evidence, IdleReason, Workload
from pipelines.reports import charts, findings, palette
from pipelines.reports.figures import Pack, Table
from pipelines.reports.wording import clipped, full, month, percent, plain, words

_CELL: Final = 240  # characters of a text the page shows; the workbook and review.json have it whole
_TOLD_BEFORE: Final = ("suggested_rule", "reading")  # long texts that stand on the page in full
_SMALL: Final = ("cost_per_million_tokens", "difference", "quantisation_residual")  # 0.00 would hide them
_VOCABULARY: Final = frozenset({"workload", "idle_reason", "series_name", "series_kind", "status", "verdict"})
_RATIOS: Final = ("share_of", "_share", "measured", "measured_low", "measured_high", "claimed_low", "claimed_high")
_SHARES: Final = (None, "share", "ratio")  # units of a claim that are percentages

# section → (heading, its questions in order); what a question has no rows for says what is missing.
_SECTIONS: Final = {
    "split_by_month": ("Where the money went", ("split_by_month", "evidence")),
    "idle": ("Accelerators: busy, idle, unmeasured", ("gpu_idle_waterfall", "idle")),
    "llm_models": ("Language models", ("llm_models",)),
    "teams": ("Teams", ("teams",)),
    "changes": ("What changed", ("changes", "variance", "anomalies", "restatements")),
    "budgets": ("Budgets and forecast", ("budgets", "forecast")),
    "unattributed": ("Unattributed money, and the rules that would place it", ("unattributed",)),
    "claims": ("Every claim", ("claims",)),
    "reconciliation": ("Reconciliation and freshness", ("reconciliation", "invoice_reconciliation", "freshness")),
}
# Short answers are read where they are said, these columns of them; longer ones in the appendix.
_ON_THE_PAGE: Final = {
    "reconciliation": (
        "source",
        "billing_currency",
        "lines_read",
        "lines_loaded",
        "billed_cost_read",
        "billed_cost_loaded",
        "difference",
        "invoiced",
        "invoice_difference",
        "is_reconciled",
        "is_final",
    ),
    "invoice_reconciliation": (
        "provider_name",
        "invoice_id",
        "billing_currency",
        "invoiced",
        "billed_cost",
        "difference",
        "is_reconciled",
    ),
    "budgets": (
        "budget_name",
        "budget_cost",
        "month_to_date_cost",
        "used_share",
        "projected_cost",
        "breach_date",
        "status",
    ),
    "forecast": (
        "series_name",
        "usage_period",
        "reported_cost",
        "forecast_cost",
        "forecast_low_cost",
        "forecast_high_cost",
        "forecast_error_share",
    ),
    "anomalies": ("usage_date", "series_name", "actual_cost", "expected_cost", "driver_usage_type"),
    "restatements": (
        "billing_period",
        "source",
        "workload",
        "reported_cost",
        "provider_change_cost",
        "retag_change_cost",
        "current_cost",
    ),
    "freshness": ("source", "first_month", "last_month", "last_day_of_use", "loaded_at"),
}


@dataclass(frozen=True)
class Figure:
    """A question on the page: its number, its table, its picture or the columns shown beside the text, if any."""

    number: int
    table: Table
    chart: Markup | None
    alternative: str
    inline: tuple[str, ...]


def render(pack: Pack) -> str:
    """Write the page of one month."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": words, "plain": plain, "month": month, "code": _code}
    verdict, sentence = findings.verdict(pack)
    pictures = _pictures(pack)

    figures = {
        name: Figure(
            number,
            table,
            Markup(pictures[name]()) if name in pictures and table else None,  # noqa: S704 - SVG of ours, text escaped
            _ALTERNATIVES.get(name, ""),
            _ON_THE_PAGE.get(name, ()),
        )
        for number, (name, table) in enumerate(pack.tables.items(), 1)
    }

    def wanted(name: str) -> bool:
        # The waterfall says more than the bill alone; where it is there, it takes the place of the simpler picture.
        return name != "gpu_idle_waterfall" or bool(pack.tables[name])

    return environment.get_template("review.html.j2").render(
        pack=pack,
        title=f"AI cost review, {month(pack.period)}",
        verdict=verdict,
        sentence=sentence,
        verdict_figure=figures["verdict"],
        cards=findings.cards(pack),
        decisions=findings.decisions(pack),
        sentences=findings.sentences(pack),
        sections={
            name: (heading, [figures[question] for question in questions if wanted(question)])
            for name, (heading, questions) in _SECTIONS.items()
        },
        appendix=[
            (figure, tuple(name for name in figure.table.columns if name not in _TOLD_BEFORE))
            for figure in figures.values()
        ],
        cell=lambda column, row: _cell(column, row, pack.currency),
        numeric=lambda column, table: (
            any(isinstance(row[column], int | float | Decimal) for row in table.rows)
            and not any(isinstance(row[column], bool) for row in table.rows)
        ),
        dates=lambda table: [name for name in table.columns if any(isinstance(row[name], date) for row in table.rows)],
        provisional=[row["source"] for row in pack.tables["reconciliation"].rows if not row["is_final"]],
        palette=palette,
        workloads=_WORKLOADS,
        evidence=_EVIDENCE,
        idle_reasons=_IDLE,
    )


def _pictures(pack: Pack) -> dict[str, Callable[[], str]]:
    rows = {name: table.rows for name, table in pack.tables.items()}
    currency = pack.currency
    pictures: dict[str, Callable[[], str]] = {
        "split_by_month": lambda: charts.split_by_month(rows["split_by_month"], currency),
        "llm_models": lambda: charts.llm_models(rows["llm_models"], currency),
        "teams": lambda: charts.teams(rows["teams"], currency),
        "changes": lambda: charts.changes([row for row in rows["changes"] if row["dimension"] == "workload"], currency),
        "unattributed": lambda: charts.unattributed(rows["unattributed"], currency),
    }
    if rows["variance"]:
        pictures["variance"] = lambda: charts.variance(rows["variance"], currency)
    if rows["budgets"]:
        pictures["budgets"] = lambda: charts.budgets(rows["budgets"], currency)
    if any(row["measured_low"] is not None for row in rows["verdict"]):
        pictures["verdict"] = lambda: charts.verdict(rows["verdict"])
    steps = list(_waterfall_steps(pack.tables["gpu_idle_waterfall"]))
    name = "gpu_idle_waterfall" if steps else "idle"
    pictures[name] = lambda: charts.waterfall(steps or rows["idle"], currency, "all accelerators")
    return pictures


def _waterfall_steps(table: Table) -> Iterator[dict[str, Any]]:
    """Sum the waterfall's steps over whatever else the mart tells apart."""
    step = next((name for name in ("step", "idle_reason") if name in table.columns), None)
    if step is None or "effective_cost" not in table.columns:
        return
    order = {reason: position for position, reason in enumerate([*map(str, IdleReason), "busy"])}
    sums: dict[str, Decimal] = {}
    for row in table.rows:
        reason = row[step] or "busy"
        sums[reason] = sums.get(reason, Decimal(0)) + row["effective_cost"]
    for reason in sorted(sums, key=lambda reason: order.get(reason, -1)):
        yield {"idle_reason": reason, "effective_cost": sums[reason]}


def _code(text: str) -> Markup:
    """Set what stands between backticks as code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part
        for position, part in enumerate(text.split("`"))
    )


def _cell(column: str, row: Any, currency: str) -> Markup | str:
    """Write one value of a table: money to the cent with all its digits underneath, text clipped."""
    value = row[column]
    match value:
        case float():
            return percent(value)
        case Decimal() if any(column.startswith(part) or column.endswith(part) for part in _RATIOS) and (
            not column.endswith("_cost")
        ):
            return percent(value) if row.get("unit") in _SHARES else plain(value)
        case Decimal():
            small = column in _SMALL and 0 < abs(value) < Decimal("0.01")
            text = f"{value.normalize():f}" if small else full(value)
            return Markup('<data value="{}" title="{}">{}</data>').format(f"{value:f}", f"{value:f} {currency}", text)
        case str() if column == "suggested_rule":
            return Markup("<pre>{}</pre>").format("\n".join(clipped(line, _CELL) for line in value.split("\n")))
        case str():
            return clipped(words(value) if column in _VOCABULARY else value, _CELL)
        case _:
            return plain(value)


_ALTERNATIVES: Final = {
    "verdict": "A band marks the claimed range; one bar a month runs from the least to the most that inference can be.",
    "split_by_month": "One bar a month, divided by workload.",
    "idle": "A waterfall from what accelerators cost, over what stood idle or is unmeasured, to what was busy.",
    "gpu_idle_waterfall": "A waterfall from what was paid for accelerators to what was busy.",
    "llm_models": "One bar a language model in the colour of its workload, with its price per million tokens.",
    "teams": "One bar a team, divided by workload.",
    "changes": "One bar a workload, to the right where cost grew and to the left where it shrank.",
    "variance": "A waterfall from what last month cost, part by part, to what this month cost.",
    "budgets": "One bar a budget: what the month has cost, what it is foreseen to cost, and where the budget ends.",
    "unattributed": "One bar for each of the keys that cost most and have no purpose.",
}
_WORKLOADS: Final = {
    Workload.INFERENCE: "answering requests: tokens, endpoints, serving clusters, batch inference",
    Workload.TRAINING: "training a model from the start or further, distributed or not",
    Workload.FINE_TUNING: "adapting a model somebody trained",
    Workload.DEVELOPMENT: "notebooks, evaluation, data preparation",
    Workload.STORAGE: "data, checkpoints and models that the bill or the team ties to AI",
    Workload.UNATTRIBUTED: "AI money whose purpose the bill does not tell; never guessed",
    Workload.SHARED: "tax, support, credits and commitment fees: belongs to everybody, counted apart",
    Workload.NOT_AI: "the rest of the bill",
}
_EVIDENCE: Final = {
    Evidence.DECLARED: "a tag or rule of the team says so",
    Evidence.BILLED: "the bill's own SKU says so",
    Evidence.MEASURED: "job records, tokens or metrics say so",
    Evidence.INFERRED: "a cluster's, bucket's or resource's name suggests it",
    Evidence.NONE: "nothing says so",
}
_IDLE: Final = {
    IdleReason.UNUSED_RESERVATION: "reserved capacity nobody started a machine in",
    IdleReason.UNUSED_COMMITMENT: "a commitment that covered no use",
    IdleReason.UNALLOCATED: "accelerators of a node that no job asked for",
    IdleReason.WARM_POOL: "machines kept ready between jobs",
    IdleReason.UNUSED_THROUGHPUT: "provisioned throughput without tokens to match",
    IdleReason.IDLE: "measured, and hardly busy at all",
    IdleReason.UNDERUTILIZED: "the unused part of an accelerator that was busy",
    IdleReason.UNMEASURED: "nobody looked: neither idle nor busy",
}
