"""Requests and a bill in, tables out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from models.facts import COST_COLUMNS, TOKEN_USAGE, Schema, schema
from models.money import MONEY
from models.price_settings import Prices
from models.rate_card import RateCard
from pipelines.warehouse.tokens import DAILY, TokenTables, token_tables, usage_daily
from pipelines.warehouse.usage import CHARGES
from tests.dbt_like_sql.test_marts import Warehouse

CARD = RateCard()
DAY = date(2026, 7, 1)
TOTALS = ("usage_records", "requests", "uncached_input_tokens", "output_tokens")


def usage(*rows: dict[str, Any]) -> pl.LazyFrame:
    """Requests of claude-sonnet-4-5 at noon unless told otherwise."""
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    defaults = {
        "source": "gateway",
        "source_file": "log.jsonl",
        "source_row": 1,
        "usage_start": noon,
        "usage_end": noon,
        "provider_name": "Anthropic",
        "reported_by": "gateway",
        "llm_model_id": "claude-sonnet-4-5-20250929",
        "requests": 1,
        "uncached_input_tokens": 1000,
        "output_tokens": 100,
    }
    columns = {"source": pl.String, **schema(TOKEN_USAGE)}
    return pl.DataFrame([{**defaults, **row} for row in rows], schema=columns).lazy()


def bill(*rows: dict[str, Any]) -> pl.DataFrame:
    columns: Schema = {"charge_id": pl.Int64, "usage_date": pl.Date, **dict.fromkeys(COST_COLUMNS, MONEY)}
    text: Schema = dict.fromkeys(
        ("provider_name", "sub_account_id", "llm_model", "token_bucket", "service_tier"), pl.String
    )
    defaults = {"usage_date": DAY, "provider_name": "Anthropic", "llm_model": "claude-sonnet-4.5"}
    filled = [
        {"charge_id": number, **defaults, **dict.fromkeys(COST_COLUMNS[:3], Decimal(str(row.pop("cost")))), **row}
        for number, row in enumerate(rows, 1)
    ]
    return pl.DataFrame(filled, schema={**columns, **text})


def test_requests_are_priced_at_their_own_size_and_then_summed() -> None:
    daily, prices = usage_daily(usage({}, {}, {"uncached_input_tokens": 200_001}), CARD)
    assert daily.schema == pl.Schema(dict(DAILY))
    row = daily.row(0, named=True)
    assert daily.height == 1
    assert [row[name] for name in TOTALS] == [3, 3, 202_001, 300]
    assert row["uncached_input_cost"] == Decimal("0.006") + 200_001 * Decimal("0.000006")
    assert row["output_cost"] == Decimal("0.003") + Decimal("0.00225")
    assert (row["llm_model"], row["price_precision"]) == ("claude-sonnet-4.5", "request")
    assert sorted(prices["uncached_input_price"].to_list()) == [3, 6]
    assert set(prices["price_version"]) == {CARD.version}


def test_a_day_is_priced_as_a_whole_or_not_at_all() -> None:
    daily, _ = usage_daily(usage({}, {"llm_model_id": "mystery"}, {"service_tier": "mystery"}), CARD)
    assert daily.select("price_status", "priced_cost", "uncached_input_tokens").sort("price_status").rows() == [
        ("priced", Decimal("0.0045"), 1000),
        ("unpriced", None, 1000),
        ("unpriced", None, 1000),
    ]


def test_nothing_is_lost_between_requests_and_days() -> None:
    rows = usage(
        {"team": "a"}, {"team": "b", "is_batch": True}, {"requests": None}, {"response_cache_hit": True},
        {"usage_end": datetime(2026, 7, 2, 12, tzinfo=UTC), "requests": None},
        {"uncached_input_tokens": None, "output_tokens": None, "unit": "images", "quantity": Decimal(2)},
    )  # fmt: skip
    daily, _ = usage_daily(rows, CARD)
    assert daily["usage_records"].sum() == 6
    assert daily["uncached_input_tokens"].sum() == 5000
    assert daily["quantity"].sum() == 2
    assert daily["usage_id"].to_list() == list(range(1, daily.height + 1))


def test_users_are_told_apart_only_when_asked_for() -> None:
    rows = usage({"user_id": "u1"}, {"user_id": "u2"})
    assert usage_daily(rows, CARD)[0].height == 1
    assert usage_daily(rows, CARD, by_user=True)[0].height == 2


def test_a_ledger_without_optional_columns_is_enough() -> None:
    kept = ["source", "usage_start", "usage_end", "provider_name", "reported_by", "llm_model_id", "output_tokens"]
    daily, _ = usage_daily(usage({}).select(kept), CARD)
    assert daily["priced_cost"].item() == Decimal("0.0015")


def total(tables: TokenTables) -> Decimal:
    """All money there is: divided, undivided and estimated."""
    figures = (tables.allocations["billed_cost"], tables.unexplained["billed_cost"], tables.estimated["estimated_cost"])
    return sum((Decimal(figure.sum()) for figure in figures), Decimal(0))


def test_without_a_bill_usage_is_estimated() -> None:
    tables = token_tables(usage({"team": "a"}), bill(), CARD)
    assert tables.estimated.select("team", "estimated_cost", "price_source").row(0) == (
        "a",
        Decimal("0.0045"),
        CARD.version,
    )
    assert tables.daily["counts_as"].to_list() == ["estimated"]


def test_a_bill_replaces_the_estimate_on_its_days_only() -> None:
    second = {"usage_start": datetime(2026, 7, 2, 9, tzinfo=UTC), "usage_end": datetime(2026, 7, 2, 9, tzinfo=UTC)}
    rows = usage({"team": "a"}, {"team": "b", "output_tokens": 0, "uncached_input_tokens": 1500}, second)
    tables = token_tables(rows, bill({"cost": "0.009"}), CARD)
    shares = tables.allocations.select("team", "billed_cost").rows()
    assert shares == [("a", Decimal("0.0045")), ("b", Decimal("0.0045"))]
    assert tables.estimated["usage_date"].to_list() == [date(2026, 7, 2)]
    assert total(tables) == Decimal("0.0135")


@pytest.mark.parametrize("category", ["Purchase", "Credit", "Adjustment", "Tax"])
def test_a_top_up_or_credit_is_neither_a_bill_of_usage_nor_divided_over_it(category: str) -> None:
    warehouse = Warehouse()
    line = {"provider_name": "Anthropic", "invoice_issuer_name": "Anthropic", "llm_model": "claude-sonnet-4.5"}
    warehouse.charge(1, "inference", "billed", 500, usage_date=DAY, charge_category=category, **line)
    prepaid = token_tables(usage({"team": "a"}), warehouse.connection.sql(CHARGES).pl(), CARD)
    assert prepaid.daily["counts_as"].to_list() == ["estimated"]
    assert total(prepaid) == Decimal("0.0045")
    # The usage it pays for stands on lines of its own: those alone are divided.
    warehouse.charge(2, "inference", "billed", "0.009", usage_date=DAY, **line)
    billed = token_tables(usage({"team": "a"}), warehouse.connection.sql(CHARGES).pl(), CARD)
    assert billed.daily["counts_as"].to_list() == ["billed"]
    assert billed.allocations.select("team", "billed_cost").rows() == [("a", Decimal("0.009"))]
    assert total(billed) == Decimal("0.009")


def test_priority_tier_stays_estimated_beside_a_bill_that_leaves_it_out() -> None:
    tables = token_tables(usage({}, {"service_tier": "priority"}), bill({"cost": 1}), CARD)
    assert tables.estimated.select("service_tier", "price_status", "estimated_cost").rows() == [
        ("priority", "unpriced", None)
    ]
    assert tables.allocations["billed_cost"].to_list() == [Decimal(1)]


@pytest.mark.parametrize("kinds", [("usage_api", "gateway"), ("invocation_log", "gateway"), ("usage_api", "trace")])
def test_two_records_of_the_same_requests_count_once(kinds: tuple[str, str]) -> None:
    rows = usage(*({"reported_by": kind, "source": kind} for kind in kinds))
    billed = token_tables(rows, bill({"cost": "0.0045"}), CARD)
    unbilled = token_tables(rows, bill(), CARD)
    assert total(billed) == total(unbilled) == Decimal("0.0045")
    assert sorted(billed.daily["counts_as"]) == ["billed", "repeated"]
    assert billed.left_out.select("reported_by", "authority", "requests").rows() == [(kinds[1], kinds[0], 1)]


def test_bedrock_logs_and_a_bill_meet_through_the_teams_map_of_profiles() -> None:
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    haiku = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
    rows = usage(
        {"provider_name": "AWS", "sub_account_id": "111122223333", "llm_model_id": profile, "team": "search"},
        {"provider_name": "AWS", "sub_account_id": "111122223333", "llm_model_id": haiku},
    )  # fmt: skip
    lines = bill(
        {
            "cost": 9,
            "provider_name": "AWS",
            "sub_account_id": "111122223333",
            "llm_model": "claude-haiku-4.5",
            "token_bucket": "output",
        }
    )
    unknown = token_tables(rows, lines, CARD)
    assert unknown.unbilled["llm_model"].to_list().count(profile) == 2
    assert unknown.unexplained["reason"].item().startswith("usage beside it may be of this model")
    card = RateCard(Prices(models={profile: haiku}))
    known = token_tables(rows, lines, card)
    assert known.allocations.select("team", "billed_cost").sort("team").rows() == [
        (None, Decimal("4.5")),
        ("search", Decimal("4.5")),
    ]
