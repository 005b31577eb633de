"""What the UI shows beside a table: columns, where each comes from, rows, totals, and how the checks went."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

import dbt_like_sql
from pipelines.orchestration.lineage import column_lineage
from pipelines.warehouse.build import sql_models
from pipelines.warehouse.tables import TABLES

if TYPE_CHECKING:
    from dbt_like_sql.sql_model import SqlModel
    from pipelines.ledger.load import Loaded
    from pipelines.ledger.tables import Ledger

RECENT: Final = "newest_day_is_recent"
LATE_DAYS: Final = 4
"""Clouds report a day within one or two; a report that ends earlier than this is worth a warning."""
_HEADER: Final = re.compile(r"/\*\s*(.+?)\s*\*/", re.DOTALL)


def check_specs() -> list[dg.AssetCheckSpec]:
    """Declare every `assert_*.sql`, and that the newest day reported is recent. Parses nothing."""
    report = dg.AssetKey(["reports", "reports_duckdb"])
    stale = f"The report reaches to within {LATE_DAYS} days of today; a warning, not a fault."
    return [
        dg.AssetCheckSpec(RECENT, asset=report, description=stale),
        *(dg.AssetCheckSpec(name, asset=report, description=note, blocking=True) for name, note in _assertions()),
    ]


def check_results(connection: Any) -> list[dg.AssetCheckResult]:
    """Report the checks of a warehouse that has passed them; one that has not is refused before this."""
    ((until,),) = connection.sql("select max(reported_until_date) from intermediate.int_reported_until").fetchall()
    days = None if until is None else (datetime.now(UTC).date() - until).days
    return [
        dg.AssetCheckResult(
            passed=days is not None and days <= LATE_DAYS,
            check_name=RECENT,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"reported_until": str(until or "nothing is reported")},
        ),
        *(dg.AssetCheckResult(passed=True, check_name=name) for name, _ in _assertions()),
    ]


def _assertions() -> Iterator[tuple[str, str]]:
    for path in sorted(Path(*dbt_like_sql.__path__).glob("checks/assert_*.sql")):
        header = _HEADER.match(path.read_text(encoding="utf-8"))
        yield path.stem, header[1] if header else ""


def loads_metadata(ledger: Ledger, name: str, loaded: Sequence[Loaded]) -> dict[str, Any]:
    """Say what this run loaded, and what the ledger now holds of the source. Money is exact text."""
    billed = [month for month in loaded if month.billing_currency]
    current = ledger.current_loads().filter(source=name)
    return {
        "lines": sum(month.lines for month in loaded),
        "billed_cost": {f"{one.billing_period:%Y-%m}": f"{one.billed_cost:f} {one.billing_currency}" for one in billed},
        "months": ", ".join(f"{month.billing_period:%Y-%m}" for month in loaded),
        "dagster/row_count": int(current["lines_loaded"].sum()),
    }


def model_metadata(connection: Any, model: SqlModel) -> dict[str, Any]:
    """Say where each column comes from, and of a table how many rows it has and what its money adds up to."""
    metadata: dict[str, Any] = {"dagster/column_lineage": _lineage()[model.table]}
    if model.schema == "marts":
        money = [name for name in ("billed_cost", "effective_cost") if name in model.columns]
        sums = "".join(f", sum({name})::varchar" for name in money)
        rows, *totals = connection.sql(f"select count(*){sums} from {model.table}").fetchall()[0]
        metadata |= {"dagster/row_count": rows, **dict(zip(money, (text or "none" for text in totals), strict=True))}
    return metadata


@cache
def _lineage() -> Mapping[str, dg.TableColumnLineage]:
    tables = {table: list(columns) for table, (_, columns) in TABLES.items()}
    return {
        table: dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(dg.AssetKey(read.split(".")), name) for read, name in sources]
                for column, sources in columns.items()
            }
        )
        for table, columns in column_lineage(sql_models(), tables).items()
    }


def column_schema(columns: Any) -> dg.TableSchema:
    """Say of each column what it is."""
    return dg.TableSchema(columns=[dg.TableColumn(name, description=note) for name, note in columns.items()])
