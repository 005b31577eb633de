"""Commands that read the published report; none of them imports Dagster."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import DEFAULT_CONFIG, Config, Json, Limit, Period

if TYPE_CHECKING:
    import polars as pl

    from pipelines.cli.output import Headings

_SPLIT = """
with costs as (
    select workload, evidence, billed_cost, effective_cost, charge_count
    from marts.costs_by_workload
    where ($period is null or usage_period = $period)
)
select
    workload,
    sum(effective_cost)::decimal(38, 12) as effective_cost,
    (case when workload not in ('not_ai', 'shared') then
        sum(effective_cost)::double / nullif((
            select sum(effective_cost) from costs where workload not in ('not_ai', 'shared')
        ), 0)::double
    end) as share_of_ai,
    sum(effective_cost) filter (evidence = 'declared')::decimal(38, 12) as declared,
    sum(effective_cost) filter (evidence = 'billed')::decimal(38, 12) as billed,
    sum(effective_cost) filter (evidence = 'measured')::decimal(38, 12) as measured,
    sum(effective_cost) filter (evidence = 'inferred')::decimal(38, 12) as inferred,
    sum(billed_cost)::decimal(38, 12) as billed_cost,
    sum(charge_count)::bigint as charge_count
from costs
group by workload
order by workload in ('not_ai', 'shared'), sum(effective_cost) desc
"""
_IDLE = """
select
    accelerator,
    idle_reason,
    sum(gpu_hours)::decimal(38, 12) as gpu_hours,
    sum(effective_cost)::decimal(38, 12) as effective_cost
from marts.gpu_idle_costs
where ($period is null or usage_period = $period)
group by all
order by idle_reason, effective_cost desc
"""
# A price is a ratio to look at, divided as double; that of several months is weighted by their tokens or requests.
_MODELS = """
with costs as (
    select
        *,
        coalesce(uncached_input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)
            as input_tokens
    from marts.llm_model_costs
    where ($period is null or usage_period = $period)
)
select
    llm_model,
    hosting,
    workload,
    cost_basis,
    sum(effective_cost)::decimal(38, 12) as effective_cost,
    sum(input_tokens)::hugeint as input_tokens,
    sum(output_tokens)::hugeint as output_tokens,
    sum(requests)::hugeint as requests,
    (sum(cost_per_million_tokens::double * (input_tokens + coalesce(output_tokens, 0))) / nullif(
        sum(input_tokens + coalesce(output_tokens, 0)) filter (cost_per_million_tokens is not null), 0
    ))::decimal(38, 12) as cost_per_million_tokens,
    (sum(cost_per_request::double * requests) / nullif(
        sum(requests) filter (cost_per_request is not null), 0
    ))::decimal(38, 12) as cost_per_request
from costs
group by all
order by effective_cost desc nulls last, llm_model
limit $limit
"""
_CLAIMS = """
select claim_id, statement, said_by, period, unit, measured_low, measured, measured_high, claimed_low, claimed_high,
    verdict, needs, advice, undecided_cost, attributed_share, sample_size, note, definition, reading
from marts.claim_checks
where ($period is null or period = $period)
order by claim_id != 'inference-80-20', claim_id, period
"""
_UNATTRIBUTED = """
select billing_period, provider_name, service_name, coalesce(usage_type, service_name) as usage_type, effective_cost,
    charge_count, key_id, suggested_rule
from marts.unattributed_charges
where ($period is null or billing_period = $period)
order by effective_cost desc
limit $limit
"""


def _ask(config: Path, sql: str, **parameters: object) -> tuple[pl.DataFrame, str]:
    """Ask the published report and give the answer with the reporting currency."""
    from pipelines.settings import Settings
    from pipelines.warehouse.reader import ask

    settings = Settings.load(config)
    return ask(settings.home, sql, parameters), settings.currency


def _span(period: date | None) -> str:
    return f"{period:%Y-%m}" if period else "all months"


def split(config: Config = DEFAULT_CONFIG, *, period: Period = None, json: Json = False) -> None:
    """Show what AI money was for: training, fine-tuning, inference, storage, and what nobody can tell.

    Effective (amortized) cost by month of use, reporting currency; shares are of AI money without `shared`. Beside it,
    how each amount is known.

    Example: apportion split --period 2026-07
    """
    from pipelines.cli.output import Column, print_frame

    frame, currency = _ask(config, _SPLIT, period=period)
    headings: Headings = {"workload": "workload", "effective_cost": Column("cost", "money")}
    headings |= {"share_of_ai": Column("of AI", "share"), "bar": Column("", "bar", of="effective_cost")}
    headings |= {name: Column(name, "money") for name in ("declared", "billed", "measured", "inferred")}
    title = f"Split of AI cost, {_span(period)}"
    print_frame(frame, title=title, as_json=json, headings=headings, currency=currency)


def idle(config: Config = DEFAULT_CONFIG, *, period: Period = None, json: Json = False) -> None:
    """Show accelerator money by what it did: idle for a reason the bill states, or unmeasured.

    Example: apportion idle --period 2026-07 --json
    """
    from pipelines.cli.output import Column, print_frame

    frame, currency = _ask(config, _IDLE, period=period)
    headings: Headings = {
        "accelerator": "accelerator",
        "idle_reason": "idle reason",
        "gpu_hours": Column("GPU-hours", "number"),
    }
    headings |= {"effective_cost": Column("cost", "money"), "bar": Column("", "bar", of="effective_cost", width=20)}
    title = f"Accelerator cost by idle reason, {_span(period)}"
    print_frame(frame, title=title, as_json=json, headings=headings, currency=currency)


def models(config: Config = DEFAULT_CONFIG, *, period: Period = None, json: Json = False, limit: Limit = 15) -> None:
    """Show what each language model costs: by API, in a cloud, on own machines; per million tokens and per request.

    Example: apportion models --period 2026-09 --limit 5
    """
    import polars as pl

    from pipelines.cli.output import Column, print_frame

    frame, currency = _ask(config, _MODELS, period=period, limit=limit)
    headings: Headings = {"llm_model": "model", "hosting": "hosting", "effective_cost": Column("cost", "money")}
    headings |= {"bar": Column("", "bar", of="effective_cost", width=3)}
    headings |= {"cost_per_million_tokens": Column("per M tokens", "price"), "requests": Column("requests", "number")}
    headings |= {"cost_per_request": Column("per request", "price")}
    if not json:
        # Most of it is inference and billed: what is not says so beside its name, so that a line stays short.
        purpose = pl.when(pl.col("workload") != "inference").then(", " + pl.col("workload")).otherwise(pl.lit(""))
        basis = pl.when(pl.col("cost_basis") != "billed").then(", " + pl.col("cost_basis")).otherwise(pl.lit(""))
        frame = frame.with_columns(pl.col("llm_model") + purpose, pl.col("hosting") + basis)
    title = f"Cost by language model, {_span(period)}"
    print_frame(frame, title=title, as_json=json, headings=headings, currency=currency)


def claims(config: Config = DEFAULT_CONFIG, *, period: Period = None, json: Json = False) -> None:
    """Check what everybody repeats against your bills: an interval, a verdict, and what would settle it.

    Example: apportion claims --period 2026-07
    """
    from pipelines.cli.output import print_json

    frame, currency = _ask(config, _CLAIMS, period=period)
    if json:
        print_json(frame.to_dicts())
        return
    from pipelines.cli.ledger_of_claims import print_claims

    print_claims(frame, currency)


def unattributed(
    config: Config = DEFAULT_CONFIG, *, period: Period = None, json: Json = False, limit: Limit = 10
) -> None:
    """List the largest AI keys nobody can attribute, each with the rule one would write (in full with --json).

    Example: apportion unattributed --limit 5
    """
    from pipelines.cli.output import Column, print_frame

    frame, currency = _ask(config, _UNATTRIBUTED, period=period, limit=limit)
    headings: Headings = {
        "billing_period": "month",
        "usage_type": "usage type",
        "effective_cost": Column("cost", "money"),
    }
    headings |= {"bar": Column("", "bar", of="effective_cost", width=5), "key_id": Column("explain with", "key")}
    title = f"Unattributed AI cost, {_span(period)}"
    print_frame(frame, title=title, as_json=json, headings=headings, currency=currency)
    if not json and frame.height:
        typer.echo("The rule that would settle the largest, for a file named in `rules:`\n")
        typer.echo("rules:\n" + frame["suggested_rule"][0])


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT over the published report.")],
    config: Config = DEFAULT_CONFIG,
    *,
    json: Json = False,
) -> None:
    """Ask the published report any question in SQL, read-only.

    Example: apportion query "select * from marts.reconciliation"
    """
    import duckdb
    import polars as pl

    from models.errors import ApportionError
    from pipelines.cli.output import print_answer

    try:
        frame, _ = _ask(config, sql)
    except (duckdb.Error, pl.exceptions.PolarsError) as error:
        raise ApportionError(f"query: {error}") from None
    print_answer(frame, as_json=json)
