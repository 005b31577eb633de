"""The assets: each is wiring, read → pure function → write. The command line runs these same assets in process.

No `from __future__ import annotations` here: Dagster reads the type of `context` at definition time.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import dagster as dg

from models.errors import ApportionError
from models.facts import CHARGES
from pipelines.ledger.load import Loaded, load
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.plan import changed_versions, content, locked, months_to_retag, tagging_of
from pipelines.settings import Settings
from pipelines.warehouse.build import build, check, show_lines, sql_models
from pipelines.warehouse.database import builds, drop_months, warehouse
from pipelines.warehouse.facts import Reporting
from pipelines.warehouse.governance import refresh_governance
from pipelines.warehouse.gpu import refresh_gpu
from pipelines.warehouse.month import MonthBuilder, Reason
from pipelines.warehouse.publish import publish, published
from pipelines.warehouse.reference import refresh_reference
from pipelines.warehouse.tables import TABLES
from pipelines.warehouse.usage import refresh_tokens

MONTHS: Final = dg.MonthlyPartitionsDefinition(start_date="2015-01", fmt="%Y-%m", end_offset=1)
_FACTS: Final = (
    "ledger.charges_daily",
    "ledger.gpu_hours",
    "ledger.token_usage_daily",
    "computed.attributions",
    "computed.allocations",
    "computed.token_allocations",
    "computed.gpu_allocations",
    "computed.estimated_charges",
)


@dataclass(frozen=True)
class Progress:
    """Where assets report to while they work; the command line draws it.

    With `republish`, what is published already is published anew: the warehouse was rebuilt for a reason.
    """

    on_bytes: Callable[[int], None] = lambda _: None
    on_step: Callable[[str], None] = lambda _: None
    refused: dict[str, list[str]] = field(default_factory=dict)
    loaded: list[Loaded] = field(default_factory=list)
    republish: bool = False


def source_asset(settings: Settings, name: str, kind: str, progress: Progress) -> dg.AssetsDefinition:
    """Make the asset that loads one source's changed months.

    A refused month changes nothing and does not keep others from loading; the check `every_month_loaded` says why.
    """

    @dg.asset(
        key=["sources", name],
        group_name="ledger",
        kinds={"deltalake", "polars"},
        partitions_def=MONTHS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("every_month_loaded", asset=["sources", name])],
        description=f"What `{name}` ({kind}) says, by month; unchanged months cost nothing.",
        metadata={
            "dagster/column_schema": _column_schema({name: column.meaning for name, column in CHARGES.items()}),
        },
    )
    def charges(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        wanted = set(context.partition_keys)
        with locked(settings, progress.on_step):
            loaded, refused = _load(settings, name, wanted, progress)
        yield dg.MaterializeResult(
            metadata={
                "lines": sum(month.lines for month in loaded),
                "billed_cost": float(sum(month.billed_cost for month in loaded)),
                "months": ", ".join(f"{month.billing_period:%Y-%m}" for month in loaded),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not refused, check_name="every_month_loaded", metadata={"refused": "; ".join(refused)}
                )
            ],
        )

    return charges


def _load(settings: Settings, name: str, wanted: set[str], progress: Progress) -> tuple[list[Loaded], list[str]]:
    ledger = Ledger.of(settings)
    source = settings.open(name, progress.on_bytes)
    loaded, refused = [], []
    try:
        versions = changed_versions(ledger, source)
    except ApportionError as error:
        versions, refused = [], [str(error)]
    for version in versions:
        if f"{version.billing_period:%Y-%m}" not in wanted:
            continue
        progress.on_step(f"{name} {version.billing_period:%Y-%m}: loading")
        try:
            loaded.append(load(ledger, source, version))
        except ApportionError as error:
            refused.append(str(error))
    progress.loaded.extend(loaded)
    if refused:
        progress.refused.setdefault(name, []).extend(refused)
    return loaded, refused


def facts_asset(settings: Settings, progress: Progress) -> dg.AssetsDefinition:
    """Make the asset that tags changed months and aggregates them by day and hour."""
    sources = [dg.AssetKey(["sources", source.name]) for source in settings.sources]

    @dg.multi_asset(
        specs=[
            dg.AssetSpec(
                table.split("."),
                deps=sources,
                group_name=table.split(".")[0],
                description=TABLES[table][0],
                kinds={"duckdb", "polars"},
                metadata={
                    "dagster/column_schema": _column_schema({k: note for k, (_, note) in TABLES[table][1].items()})
                },
            )
            for table in _FACTS
        ],
        name="facts",
    )
    def facts() -> Iterator[dg.MaterializeResult[Any]]:
        with locked(settings, progress.on_step), warehouse(settings) as connection:
            refresh_months(settings, connection, progress)
            if refresh_tokens(connection, Ledger.of(settings), settings):
                progress.on_step("priced token usage and joined it to the bills")
            if refresh_gpu(connection, Ledger.of(settings), settings):
                progress.on_step("joined metrics and job records to machine-hours")
            for table in _FACTS:
                rows = connection.sql(f"select count(*) from {table}").fetchall()[0][0]
                yield dg.MaterializeResult(asset_key=table.split("."), metadata={"dagster/row_count": rows})

    return facts


def refresh_months(settings: Settings, connection: Any, progress: Progress) -> None:
    """Bring every month in the warehouse up to date with the ledger and the rules."""
    ledger = Ledger.of(settings)
    tagging = tagging_of(settings)
    months = MonthBuilder(ledger, connection, tagging, Reporting(settings.currency, settings.exchange_rates))
    retag = {(partition.source, partition.billing_period) for partition in months_to_retag(ledger, tagging)}
    stored = ledger.attributions.partitions()
    current = ledger.charges.partitions()
    drop_months(connection, keep=set(current))
    built = builds(connection)
    for month, partition in sorted(current.items()):
        ids = (partition.load_id, stored[month].load_id if month in stored else "")
        known = built.get(month)
        if month in retag or known is None or (known.charges_id, known.attributions_id) != ids:
            progress.on_step(f"{month[0]} {month[1]:%Y-%m}: tagging and aggregating")
            months.refresh(partition, retag=month in retag, reason=Reason())


def sql_asset(settings: Settings, progress: Progress) -> dg.AssetsDefinition:
    """Make the one asset that builds every SQL model; sixty assets of their own would cost seconds a run."""

    @dg.multi_asset(
        specs=[
            dg.AssetSpec(
                [model.schema, model.name],
                deps=[table.split(".") for table in sorted(model.depends_on) if _is_asset(table)]
                or [["ledger", "charges_daily"]],
                group_name=model.schema,
                description=model.comment,
                kinds={"duckdb", "sql"},
                metadata={"dagster/column_schema": _column_schema(model.columns)},
            )
            for model in sql_models()
        ],
        name="sql_models",
        can_subset=False,
    )
    def sql() -> Iterator[dg.MaterializeResult[Any]]:
        progress.on_step("building marts")
        with locked(settings, progress.on_step), warehouse(settings) as connection:
            ledger = Ledger.of(settings)
            tagging = tagging_of(settings)
            refresh_reference(connection, ledger, settings, tagging.rulebook)
            refresh_governance(connection, ledger, settings, tagging)
            show_lines(connection, ledger)
            for model in sql_models():
                build(connection, model)
                yield dg.MaterializeResult(asset_key=[model.schema, model.name])

    return sql


def report_asset(settings: Settings, progress: Progress) -> dg.AssetsDefinition:
    """Make the asset that checks the whole warehouse and publishes it."""

    @dg.asset(
        key=["reports", "reports_duckdb"],
        deps=[[model.schema, model.name] for model in sql_models()],
        group_name="reports",
        kinds={"duckdb"},
        description="What people read: every check passed over the whole warehouse, then one atomic switch.",
    )
    def reports() -> dg.MaterializeResult[Any]:
        progress.on_step("checking and publishing")
        with locked(settings, progress.on_step), warehouse(settings) as connection:
            ledger = Ledger.of(settings)
            passed = check(connection)
            what = content(settings, ledger, tagging_of(settings))
            if what == published(settings.home) and not progress.republish:
                return dg.MaterializeResult(metadata={"unchanged": True, "checks_passed": passed})
            path = publish(settings.home, connection, content=what, charges_version=ledger.charges.open().version())
        return dg.MaterializeResult(metadata={"path": str(path), "checks_passed": passed})

    return reports


def review_asset(settings: Settings, progress: Progress) -> dg.AssetsDefinition:
    """Make the asset that writes the review packs of the months that changed."""

    @dg.asset(
        key=["reports", "review_pack"],
        deps=[["reports", "reports_duckdb"]],
        group_name="reports",
        kinds={"html", "excel"},
        description="Review packs of the newest months: page, workbook, data, FOCUS. A pack that still stands is left.",
    )
    def review_packs() -> dg.MaterializeResult[Any]:
        from pipelines.reports.review import refresh_reviews

        with locked(settings, progress.on_step):
            written = list(refresh_reviews(settings, progress.on_step))
        return dg.MaterializeResult(metadata={"written": [str(path) for path in written]})

    return review_packs


def _is_asset(table: str) -> bool:
    return table in _FACTS or table.startswith(("staging.", "intermediate.", "marts."))


def _column_schema(columns: Any) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(name, description=note) for name, note in columns.items()])


def all_assets(settings: Settings, progress: Progress | None = None) -> list[dg.AssetsDefinition]:
    """Make every asset of a configuration."""
    progress = progress or Progress()
    with warnings.catch_warnings():
        # A range of months in one run is beta in Dagster 1.13; our tests stand for it, nobody need be told each time.
        warnings.simplefilter("ignore", dg.BetaWarning)
        sources = [source_asset(settings, source.name, source.type, progress) for source in settings.sources]
    return [
        *sources,
        facts_asset(settings, progress),
        sql_asset(settings, progress),
        report_asset(settings, progress),
        review_asset(settings, progress),
    ]


def run_in_process(settings: Settings, months: list[date], progress: Progress) -> bool:
    """Run the assets here and now: the loads of these months, then everything after them; tell whether all succeeded.

    Without months to load, only the assets after the sources run.
    """
    assets = all_assets(settings, progress)
    tags, selection = {}, None
    if months:
        tags = {
            "dagster/asset_partition_range_start": f"{min(months):%Y-%m}",
            "dagster/asset_partition_range_end": f"{max(months):%Y-%m}",
        }
    else:
        selection = dg.AssetSelection.all() - dg.AssetSelection.groups("ledger") | dg.AssetSelection.assets(
            *_fact_keys()
        )
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets,
            selection=selection,
            instance=instance,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    return bool(result.success)


def _fact_keys() -> list[dg.AssetKey]:
    return [dg.AssetKey(table.split(".")) for table in _FACTS]
