"""The assets: each is wiring, read → pure function → write. The command line runs these same assets in process.

No `from __future__ import annotations` here: Dagster reads the type of `context` at definition time.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from connectors.source import SourceVersion
from models.errors import ApportionError
from models.facts import CHARGES
from pipelines import logs
from pipelines.ledger.load import Loaded, load
from pipelines.ledger.tables import Ledger
from pipelines.orchestration.faults import TRIES, is_transient, wait_before
from pipelines.orchestration.plan import changed_versions, content, locked, months_to_retag, tagging_of
from pipelines.orchestration.shown import check_results, check_specs, column_schema, loads_metadata, model_metadata
from pipelines.redaction import hidden, safe
from pipelines.settings import Settings
from pipelines.stopping import Stopped, last_signal
from pipelines.warehouse.build import build, check, show_lines, sql_models
from pipelines.warehouse.database import builds, drop_months, warehouse, warehouse_path
from pipelines.warehouse.governance import refresh_governance
from pipelines.warehouse.gpu import refresh_gpu
from pipelines.warehouse.invoices import pull_invoices
from pipelines.warehouse.month import MonthBuilder, Reason
from pipelines.warehouse.publish import publish, published
from pipelines.warehouse.reference import refresh_reference
from pipelines.warehouse.reporting import Reporting
from pipelines.warehouse.tables import TABLES
from pipelines.warehouse.usage import refresh_tokens

MONTHS: Final = dg.MonthlyPartitionsDefinition(start_date="2015-01", fmt="%Y-%m", end_offset=1)
FRESH: Final = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=26), fail_window=timedelta(hours=50))
"""The daily schedule touches these once a day, changed or not; after two missed days they are stale."""
_SOURCES: Final = "sources"
# Built straight on the facts, with all other SQL models.
_FIRST_MODEL: Final = dg.AssetKey(["intermediate", "int_charges_allocated"])
_FACTS: Final = (
    "ledger.charges_daily",
    "ledger.gpu_hours",
    "ledger.gpu_days",
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

    `on_month` is told which version of a month is pulled and loaded now, `on_bytes` of what is pulled, and `on_file` of
    each of its native files that stands in the ledger's files: its number and its rows.

    With `republish`, what is published already is published anew: the warehouse was rebuilt for a reason.
    `under_dagster` says that Dagster runs the assets, and not our own command: a fault that may pass is tried again,
    and what the UI shows beside a table is worked out.
    """

    on_bytes: Callable[[int], None] = lambda _: None
    on_step: Callable[[str], None] = lambda _: None
    on_month: Callable[[str, SourceVersion], None] = lambda _month, _version: None
    on_file: Callable[[int, int], None] = lambda _number, _rows: None
    refused: dict[str, list[str]] = field(default_factory=dict)
    loaded: list[Loaded] = field(default_factory=list)
    republish: bool = False
    under_dagster: bool = False


def source_asset(settings: Settings, name: str, kind: str, progress: Progress) -> dg.AssetsDefinition:
    """Make the asset that loads one source's changed months.

    A refused month changes nothing and does not keep others from loading; the check `every_month_loaded` says why.
    """

    @dg.asset(
        key=[_SOURCES, name],
        group_name="ledger",
        kinds={"deltalake", "polars"},
        partitions_def=MONTHS,
        freshness_policy=FRESH,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("every_month_loaded", asset=[_SOURCES, name])],
        description=f"What `{name}` ({kind}) says, by month; unchanged months cost nothing.",
        metadata={
            "dagster/column_schema": column_schema({name: column.meaning for name, column in CHARGES.items()}),
        },
    )
    def charges(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        wanted = set(context.partition_keys)
        with (
            logs.about(run=context.run.run_id, source=name),
            _again(context, progress),
            locked(settings, progress.on_step),
        ):
            loaded, refused = _load(settings, name, wanted, progress, is_last=_is_last(context, progress))
            metadata = loads_metadata(Ledger.of(settings), name, loaded)
        yield dg.MaterializeResult(
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    passed=not refused, check_name="every_month_loaded", metadata={"refused": "; ".join(refused)}
                )
            ],
        )

    return charges


def _load(
    settings: Settings, name: str, wanted: set[str], progress: Progress, *, is_last: bool
) -> tuple[list[Loaded], list[str]]:
    """Load the wanted months that changed; give what was loaded, and why what was not was refused.

    Unless this attempt `is_last`, a fault that may pass is raised after the other months are loaded.
    """
    ledger = Ledger.of(settings)
    source = settings.open(name, progress.on_bytes)
    loaded, refused, passing = [], [], None
    try:
        versions = changed_versions(ledger, source)
    except ApportionError as error:
        if not is_last and is_transient(error):
            raise
        versions, refused = [], [hidden(str(error))]
    for version in versions:
        period = f"{version.billing_period:%Y-%m}"
        if period not in wanted:
            continue
        with logs.about(period=period):
            progress.on_step(f"{name} {period}: loading")
            progress.on_month(f"{name} {period}", version)
            started = time.monotonic()
            try:
                loaded.append(load(ledger, source, version, progress.on_file))
            except ApportionError as error:
                passing = error if not is_last and is_transient(error) else passing
                refused.append(hidden(str(error)))
                logs.SAID.warning("refused: %s", error)
            else:
                _measured(loaded[-1], version, time.monotonic() - started)
    progress.loaded.extend(loaded)
    if passing:
        raise passing
    if refused:
        progress.refused.setdefault(name, []).extend(refused)
    return loaded, refused


def _measured(month: Loaded, version: SourceVersion, seconds: float) -> None:
    """Write the metrics of one load; the log knows run, source and period by itself."""
    sizes = [file.size for file in version.files]
    what = {
        "lines": month.lines,
        "billed_cost": None if month.billing_currency is None else f"{month.billed_cost:f}",
        "billing_currency": month.billing_currency,
        "seconds": round(seconds, 3),
        "bytes": None if None in sizes else sum(size or 0 for size in sizes),
    }
    logs.METRICS.info("loaded", extra=what)


def _is_last(context: dg.AssetExecutionContext, progress: Progress) -> bool:
    return not progress.under_dagster or context.retry_number >= TRIES


@contextmanager
def _again(context: dg.AssetExecutionContext, progress: Progress) -> Iterator[None]:
    """Try a step again, later and later, after a fault that may pass; anything else fails at once."""
    try:
        yield
    except Exception as error:
        # Dagster keeps what an error says, and what it was raised from, in its event log.
        shown = safe(error)
        if _is_last(context, progress) or not is_transient(error):
            if shown is error:
                raise
            raise shown from None
        seconds = wait_before(context.retry_number + 1)
        progress.on_step(f"trying again in {seconds} s: {shown}")
        raise dg.RetryRequested(max_retries=TRIES, seconds_to_wait=seconds) from shown


def facts_asset(settings: Settings, progress: Progress) -> dg.AssetsDefinition:
    """Make the asset that tags changed months and aggregates them by day and hour."""
    sources = [dg.AssetKey([_SOURCES, source.name]) for source in settings.sources]

    @dg.multi_asset(
        specs=[
            dg.AssetSpec(
                table.split("."),
                deps=sources,
                group_name=table.split(".")[0],
                description=TABLES[table][0],
                kinds={"duckdb", "polars"},
                metadata={
                    "dagster/column_schema": column_schema({k: note for k, (_, note) in TABLES[table][1].items()})
                },
            )
            for table in _FACTS
        ],
        name="facts",
    )
    def facts(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        with (
            logs.about(run=context.run.run_id),
            _again(context, progress),
            locked(settings, progress.on_step),
            warehouse(settings) as connection,
        ):
            refresh_months(settings, connection, progress)
            if refresh_tokens(connection, Ledger.of(settings), settings):
                progress.on_step("priced token usage and joined it to the bills")
            if refresh_gpu(connection, Ledger.of(settings), settings, tagging_of(settings)):
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
    """Make the one asset that builds every SQL model; sixty assets of their own would cost seconds a run.

    Whichever of them a run selects, all are built: any one reads what others hold.
    """

    @dg.multi_asset(
        specs=[
            dg.AssetSpec(
                [model.schema, model.name],
                deps=[table.split(".") for table in sorted(model.depends_on) if _is_asset(table)]
                or [["ledger", "charges_daily"]],
                group_name=model.schema,
                description=model.comment,
                kinds={"duckdb", "sql"},
                metadata={"dagster/column_schema": column_schema(model.columns)},
            )
            for model in sql_models()
        ],
        name="sql_models",
        can_subset=True,
    )
    def sql(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        progress.on_step("building marts")
        with (
            logs.about(run=context.run.run_id),
            _again(context, progress),
            locked(settings, progress.on_step),
            warehouse(settings) as connection,
        ):
            try:
                pull_invoices(settings)
            except ApportionError as error:
                # Marts without the newest invoice are better than none; the older ones stay.
                progress.on_step(str(error))
                progress.refused["aws_invoices"] = [hidden(str(error))]
            ledger = Ledger.of(settings)
            tagging = tagging_of(settings)
            refresh_reference(connection, ledger, settings, tagging.rulebook)
            built = refresh_governance(connection, ledger, settings, tagging)
            show_lines(connection, ledger)
            for model in sql_models():
                if model.table not in built:
                    build(connection, model)
                key = dg.AssetKey([model.schema, model.name])
                if key in context.selected_asset_keys:
                    metadata = model_metadata(connection, model) if progress.under_dagster else None
                    yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return sql


def report_asset(settings: Settings, progress: Progress) -> dg.AssetsDefinition:
    """Make the asset that checks the whole warehouse and publishes it."""

    @dg.asset(
        key=["reports", "reports_duckdb"],
        deps=[[model.schema, model.name] for model in sql_models()],
        group_name="reports",
        kinds={"duckdb"},
        freshness_policy=FRESH,
        check_specs=check_specs() if progress.under_dagster else None,
        description="What people read: every check passed over the whole warehouse, then one atomic switch.",
    )
    def reports(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        progress.on_step("checking and publishing")
        with logs.about(run=context.run.run_id), _again(context, progress), locked(settings, progress.on_step):
            ledger = Ledger.of(settings)
            with warehouse(settings) as connection:
                passed = check(connection)
                results = check_results(connection) if progress.under_dagster else []
            what = content(settings, ledger, tagging_of(settings))
            if what == published(settings.home) and not progress.republish:
                metadata: dict[str, Any] = {"unchanged": True, "checks_passed": passed}
            else:
                version = ledger.charges.open().version()
                path = publish(settings.home, warehouse_path(settings), content=what, charges_version=version)
                metadata = {"path": str(path), "checks_passed": passed}
        yield dg.MaterializeResult(metadata=metadata, check_results=results)

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


def month_range(first: date, last: date) -> dict[str, str]:
    """Give the tags that make one run load a range of months."""
    return {
        "dagster/asset_partition_range_start": f"{first:%Y-%m}",
        "dagster/asset_partition_range_end": f"{last:%Y-%m}",
    }


def after_sources(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetKey]:
    """Name the assets that come after the sources."""
    return [key for asset in assets for key in asset.keys if key.path[0] != _SOURCES]


def run_in_process(settings: Settings, months: list[date], progress: Progress) -> bool:
    """Run the assets here and now: the loads of these months, then everything after them; tell whether all succeeded.

    Without months to load, only the assets after the sources run.
    """
    assets = all_assets(settings, progress)
    tags = month_range(min(months), max(months)) if months else {}
    keys = [key for asset in assets for key in asset.keys] if months else after_sources(assets)
    # Nobody sees what Dagster notes of sixty models in this instance, and it takes a third of a second to note.
    unseen = {dg.AssetKey([model.schema, model.name]) for model in sql_models()} - {_FIRST_MODEL}
    selection = [key for key in keys if key not in unseen]
    with dg.DagsterInstance.ephemeral() as instance:
        try:
            result = dg.materialize(
                assets,
                selection=selection,
                instance=instance,
                tags=tags,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            raise Stopped(last_signal()) from None
    return bool(result.success)
