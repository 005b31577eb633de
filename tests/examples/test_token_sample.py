"""The sample company's tokens against the truth of who used them: no rule and no price list has seen it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from examples import tokens
from examples.company import MONTHS
from tests.cli.conftest import ran
from tests.once import once

pytestmark = pytest.mark.pipeline
KEYS = ("month", "provider_name", "llm_model", "hosting", "cost_basis", "team", "feature")
COUNTS = ("requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole sample company, run once; read it, do not change it."""
    return once(tmp_path_factory, "desk", ran)


def ask(sample: Path, sql: str) -> pl.DataFrame:
    with duckdb.connect(str(sample / ".apportion" / "reports.duckdb"), read_only=True) as connection:
        frame: pl.DataFrame = connection.sql(sql).pl()
    return frame


def truth(sample: Path) -> pl.DataFrame:
    return pl.read_csv(sample / "truth" / "tokens.csv", schema_overrides={"cost": pl.Decimal(38, 12)})


def rows(frame: pl.DataFrame, keys: tuple[str, ...], values: tuple[str, ...]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {row[: len(keys)]: row[len(keys) :] for row in frame.select(*keys, *values).iter_rows()}


def test_cost_and_use_of_each_team_and_feature_are_the_true_ones(sample: Path) -> None:
    found = ask(
        sample,
        """
        select
            strftime(usage_period, '%Y-%m') as month, provider_name, llm_model, hosting, cost_basis,
            coalesce(team, '') as team, coalesce(feature, '') as feature, effective_cost as cost,
            coalesce(requests, 0) as requests, coalesce(uncached_input_tokens, 0) as input_tokens,
            coalesce(cache_read_tokens, 0) as cache_read_tokens,
            coalesce(cache_write_tokens, 0) as cache_write_tokens, coalesce(output_tokens, 0) as output_tokens
        from marts.unit_costs
        """,
    )
    measured = rows(found, KEYS, ("cost", *COUNTS))
    expected = rows(truth(sample).filter(pl.col("hosting") != "self_hosted").fill_null(""), KEYS, ("cost", *COUNTS))
    assert len(expected) == 30
    for key, (cost, *counts) in expected.items():
        # Bedrock's truth is in floats, as its bill is.
        assert measured[key][0] == pytest.approx(cost, rel=Decimal("1e-9"), abs=Decimal("1e-9")), key
        assert list(measured[key][1:]) == counts, key


def test_every_model_on_the_bill_costs_what_it_truly_does(sample: Path) -> None:
    """Of all of Bedrock, logged or not: the truth of the bill's own lines."""
    bills = sorted((sample / "bills/meridian-cur/data").glob("*"))
    lines = pl.concat(
        [
            pl.read_parquet(max(month.iterdir()) / "*.parquet")
            .select("identity_line_item_id", "line_item_usage_type", "pricing_unit", "line_item_net_unblended_cost")
            .join(pl.read_parquet(sample / "truth" / f"{month.name[-7:]}.parquet"), on="identity_line_item_id")
            for month in bills
        ]
    )
    about = lines.filter(pl.col("pricing_unit").is_in(["1K tokens", "1M tokens"]), pl.col("workload") == "inference")
    expected = dict(about.group_by("llm_model").agg(pl.col("line_item_net_unblended_cost").sum()).iter_rows())
    found = dict(
        ask(
            sample,
            "select llm_model, sum(effective_cost)::double from marts.llm_model_costs "
            "where hosting = 'managed' and workload = 'inference' group by 1",
        ).iter_rows()
    )
    for model in ("claude-opus-4.8", "gpt-oss-120b", "claude-sonnet-4", "llama-3.3-70b", "nova-micro", "mistral-small"):
        assert found[model] == pytest.approx(expected[model]), model


def test_a_fleet_costs_what_its_machines_do(sample: Path) -> None:
    served = ask(
        sample,
        "select sum(requests) as requests, sum(output_tokens) as output, bool_and(cost_per_request > 0) as priced "
        "from marts.llm_model_costs where hosting = 'self_hosted' and llm_model = 'llama-3.3-70b'",
    ).row(0)
    true = truth(sample).filter(pl.col("hosting") == "self_hosted").select("requests", "output_tokens").sum().row(0)
    assert served == (*true, True)
    machines, fleet = ask(
        sample,
        "select (select sum(effective_cost) from intermediate.int_charges_allocated "
        "where accelerator is not null and resource_name = 'assistant-chat-70b'), "
        "(select sum(self_hosted_cost) from marts.self_hosting_break_even where api_provider = 'Cerebras')",
    ).row(0)
    assert machines == fleet > 0


def test_reconciliation_finds_the_discounts_and_what_nobody_logged(sample: Path) -> None:
    found = ask(
        sample,
        "select provider_name, llm_model, likely_cause, round(min(ratio), 4) as low, round(max(ratio), 4) as high "
        "from marts.token_reconciliation group by all",
    )
    causes = {row[:2]: row[2:] for row in found.iter_rows()}
    assert causes["OpenAI", "gpt-4.1"] == ("negotiated discount", 0.92, 0.92)
    assert causes["AWS", "claude-opus-4.8"] == ("negotiated discount", 0.94, 0.94)
    assert causes["OpenAI", "o4-mini"] == ("no usage beside the bill: missing logs", None, None)
    assert causes["AWS", "claude-haiku-4.5"][0] == "missing logs"


def test_the_same_seed_writes_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "bills").symlink_to(sample / "bills")
    tokens.write(tmp_path, seed=7, months=MONTHS)
    for path in sorted((sample / "tokens").rglob("*.*")):
        if path.is_file():
            assert (tmp_path / path.relative_to(sample)).read_bytes() == path.read_bytes(), path.name
    assert (tmp_path / "truth/tokens.csv").read_bytes() == (sample / "truth/tokens.csv").read_bytes()
