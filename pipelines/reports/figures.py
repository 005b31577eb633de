"""The questions a review pack answers: one SQL file each in `queries/`, and what to say where it cannot be answered.

The SQL that is shown beside a table is the text that was run: it can be pasted into `apportion query`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from pipelines.warehouse.database import builds
from pipelines.warehouse.reader import Connection, NotFound, QueryError, report

if TYPE_CHECKING:
    from pipelines.settings import Settings

_MONTH_COLUMNS: Final = ("period", "usage_period", "billing_period", "month")
_EXAMPLE: Final = "date '2026-09-01'"  # the month in the files of `queries/`, so that each runs as it stands
# A year of its thousands of definitions a month would be most of the workbook.
_OF_ITS_MONTH: Final = frozenset({"claim_sensitivity"})
MOST_ROWS: Final = 1_000_000  # a sheet holds 1,048,576
_MANY: Final = 200  # rows of a mart that the page shows; the workbook has them all


@dataclass(frozen=True)
class Question:
    """One question: the marts it needs, and how to get what is missing."""

    name: str
    title: str
    marts: tuple[str, ...]
    fill: str

    @property
    def has_query(self) -> bool:
        """Whether `queries/` has a file for it; else this month's rows of its mart are the answer."""
        return (files("pipelines.reports") / "queries" / f"{self.name}.sql").is_file()


QUESTIONS: Final = (
    Question("verdict", "The 80/20 claim, month by month", ("claim_checks",), "Load a bill with `apportion run`."),
    Question("split_by_month", "Split by month", ("costs_by_workload",), "Load a bill with `apportion run`."),
    Question("evidence", "How each amount is known", ("costs_by_workload",), "Load a bill with `apportion run`."),
    Question(
        "idle",
        "Accelerators: busy, idle, unmeasured",
        ("gpu_idle_costs",),
        "No bill of this month has an accelerator. If that is wrong, add the bill that does to `sources`.",
    ),
    Question(
        "gpu_idle_waterfall",
        "Accelerators: from what was paid to what was busy",
        ("gpu_idle_waterfall",),
        "Add GPU metrics to `sources` (`type: prometheus`, `cloudwatch` or `cloud_monitoring`).",
    ),
    Question(
        "llm_models",
        "Language models",
        ("llm_model_costs",),
        "No bill of this month names a language model. Add the bills or usage of your model providers to `sources`.",
    ),
    Question("teams", "Teams", ("costs_by_team",), "Say how teams are found in `dimensions.team`."),
    Question(
        "changes",
        "What changed since last month",
        ("costs_by_workload", "costs_by_team", "llm_model_costs"),
        "There is no month before this one in the ledger. Add the older bill to the source's location.",
    ),
    Question(
        "variance",
        "Why it changed: price, volume, mix",
        ("cost_variance",),
        "There is no month before this one in the ledger. Add the older bill to the source's location.",
    ),
    Question(
        "anomalies", "Odd days", ("cost_anomalies",), "No day of this month was far from what its weekday let expect."
    ),
    Question(
        "restatements",
        "What changed in months already reported",
        ("restatements",),
        "Nothing changed in a closed month since it was reported, or none has been closed: `apportion close`.",
    ),
    Question("budgets", "Budgets", ("budget_status",), "Write `budgets` in the configuration."),
    Question(
        "forecast",
        "Forecast",
        ("cost_forecast",),
        "The newest month and the next are foreseen once four weeks of use are loaded; months before them are not.",
    ),
    Question(
        "unattributed",
        "The five rules that would say most",
        ("unattributed_charges",),
        "Every AI amount of this month has a workload: nothing to do.",
    ),
    Question("claims", "Every claim", ("claim_checks",), "Load a bill with `apportion run`."),
    Question(
        "reconciliation",
        "Reconciliation",
        ("reconciliation",),
        "No bill of this invoice month is loaded. Run `apportion run`.",
    ),
    Question(
        "invoice_reconciliation",
        "Invoices",
        ("invoice_reconciliation",),
        "Name a CSV of invoice totals in `invoices` to compare the ledger with what was asked for.",
    ),
    Question("freshness", "How far the data reaches", ("reconciliation",), "Load a bill with `apportion run`."),
)


@dataclass(frozen=True)
class Table:
    """The answer to one question: rows, the SQL that gave them, and what the question needs but the report lacks."""

    question: Question
    note: str
    sql: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    absent: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is an answer."""
        return bool(self.rows)


@dataclass(frozen=True)
class Pack:
    """Everything one month's pack says, read from one published report."""

    period: date
    currency: str
    tables: Mapping[str, Table]
    definitions: Mapping[str, Mapping[str, str]]
    """mart → column → meaning; the mart's own meaning under an empty name."""
    marts: Mapping[str, tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]]
    """mart → its columns and its rows of this month and the eleven before, of the longest of this month alone."""
    loads: tuple[tuple[str, str], ...]
    """Which loads and attributions of the invoice month the report stands on."""
    line_count: int
    """Lines of the invoice month in the ledger."""


def months(settings: Settings) -> list[date]:
    """Give the invoice months in the published report, newest last."""
    with report(settings.home) as connection:
        found = connection.sql("select distinct billing_period from marts.reconciliation order by 1").fetchall()
    return [period for (period,) in found]


def gather(settings: Settings, period: date) -> Pack:
    """Answer every question for one month.

    Raises:
        NotFound: nothing is published, or nothing of that month.
    """
    known = months(settings)
    if period not in known:
        there = ", ".join(f"{month:%Y-%m}" for month in known) or "none"
        raise NotFound(f"The published report has no {period:%Y-%m}. Months there are: {there}.")
    with report(settings.home) as connection:
        definitions = _definitions(connection)
        tables = {question.name: _answer(connection, question, period, definitions) for question in QUESTIONS}
        marts = {mart: _rows(connection, mart, period, definitions) for mart in definitions}
        lines = sum(row["lines_loaded"] for row in tables["reconciliation"].rows)
        loads = tuple(
            sorted((repr(month), repr(build)) for month, build in builds(connection).items() if month[1] == period)
        )
    return Pack(period, settings.currency, tables, definitions, marts, loads, lines)


def _rows(
    connection: Connection, mart: str, period: date, marts: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]:
    dated = next((column for column in _MONTH_COLUMNS if column in marts[mart]), None)
    months = 1 if mart in _OF_ITS_MONTH else 12
    span = f"where {dated} <= date '{period}' and {dated} > date '{period}' - interval {months} month" if dated else ""
    found = connection.sql(f"select * from marts.{mart} {span} order by all limit {MOST_ROWS}")
    return tuple(found.columns), found.fetchall()


def _definitions(connection: Connection) -> dict[str, dict[str, str]]:
    found = connection.sql(
        "select table_name, '' as column_name, comment from duckdb_tables() where schema_name = 'marts' union all "
        "(select table_name, column_name, comment from duckdb_columns() where schema_name = 'marts' "
        "order by table_name, column_index)"
    ).fetchall()
    definitions: dict[str, dict[str, str]] = {}
    for mart, column, comment in sorted(found, key=lambda row: row[0]):
        definitions.setdefault(mart, {})[column] = comment or ""
    return definitions


def _answer(connection: Connection, question: Question, period: date, marts: Mapping[str, Mapping[str, str]]) -> Table:
    absent = tuple(mart for mart in question.marts if mart not in marts)
    if absent:
        return Table(question, "", "", (), (), absent)
    note, sql = _query(question, period, marts)
    try:
        answer = connection.sql(sql)
        found = answer.fetchall()
    except QueryError as error:
        why = str(error).splitlines()[0]
        raise NotFound(
            f"The published report was made by another version ({why}). Run `apportion run` first."
        ) from None
    columns = tuple(answer.columns)
    rows = tuple(dict(zip(columns, row, strict=True)) for row in found)
    return Table(question, note, sql, columns, rows)


def _query(question: Question, period: date, marts: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """Give what a query is about and its text for one month."""
    if question.has_query:
        text = (files("pipelines.reports") / "queries" / f"{question.name}.sql").read_text(encoding="utf-8")
        comment, _, sql = text.removeprefix("/*").partition("*/")
        return " ".join(comment.split()), sql.strip().replace(_EXAMPLE, f"date '{period}'")
    (mart,) = question.marts
    dated = next((column for column in _MONTH_COLUMNS if column in marts[mart]), None)
    where = f"\nwhere {dated} = date '{period}'" if dated else ""
    return marts[mart][""], f"select *\nfrom marts.{mart}{where}\norder by all\nlimit {_MANY}"
