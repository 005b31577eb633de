from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from models.facts import TOKEN_USAGE, schema
from models.price_settings import PriceOverride, Prices
from models.rate_card import RateCard
from models.token_alternatives import api_prices, savings
from models.token_pricing import price, to_money
from models.token_sizes import sum_requests

CARD = RateCard()
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ROW: dict[str, Any] = {
    "source_file": "log", "source_row": 1, "usage_start": NOON, "usage_end": NOON, "reported_by": "gateway",
    "provider_name": "Anthropic", "llm_model_id": "claude-sonnet-4-5-20250929", "requests": 1,
    "response_cache_hit": False, "uncached_input_tokens": 1000, "output_tokens": 100,
}  # fmt: skip


def classes(**changed: Any) -> pl.DataFrame:
    rows = pl.DataFrame([{**ROW, **changed}], schema=schema(TOKEN_USAGE)).lazy()
    return sum_requests(rows, CARD, ["endpoint", "source_file"]).collect()


def saved(card: RateCard = CARD, **changed: Any) -> tuple[Decimal | None, Decimal | None]:
    rows = savings(price(classes(**changed), card)[0], card)
    found = rows.select(to_money(pl.col("caching_saved")), to_money(pl.col("batching_would_save"))).row(0)
    return found[0], found[1]


def test_a_cached_prompt_saved_the_difference_to_fresh_input() -> None:
    read, _ = saved(cache_read_tokens=1000)
    assert read == 1000 * (Decimal("0.000003") - Decimal("0.0000003"))


def test_a_cache_that_is_only_written_cost_more_than_none() -> None:
    written, _ = saved(cache_write_5m_tokens=1000)
    assert written == 1000 * (Decimal("0.000003") - Decimal("0.00000375"))


def test_without_a_cache_nothing_was_saved_and_without_a_price_nobody_knows() -> None:
    assert saved()[0] == 0
    assert saved(llm_model_id="claude-of-nobody", cache_read_tokens=10) == (None, None)


def test_a_cliff_counts_the_whole_prompt_cached_or_not() -> None:
    read, _ = saved(uncached_input_tokens=100, cache_read_tokens=250_000)
    assert read == 250_000 * (Decimal("0.000006") - Decimal("0.0000006"))


def test_a_batch_saves_only_where_it_has_a_price() -> None:
    batch = PriceOverride(
        provider="Anthropic", model="claude-sonnet-4.5", effective_from=date(2026, 1, 1), is_batch=True,
        per_million={"uncached_input": Decimal("1.5"), "output": Decimal("7.5")},
    )  # fmt: skip
    card = RateCard(Prices(overrides=[batch]))
    assert saved()[1] is None
    assert saved(card)[1] == Decimal("0.00225")
    assert saved(card, is_batch=True)[1] is None


def test_tokens_of_an_own_model_are_priced_at_the_apis_that_list_it() -> None:
    found = api_prices(classes(provider_name="Self-hosted", llm_model_id="llama-3.3-70b", endpoint="chat"), CARD)
    assert found.select("endpoint", "api_provider", "matched_model", "list_cost").rows() == [
        ("chat", "Cerebras", "llama-3.3-70b", 1000 * Decimal("0.00000085") + 100 * Decimal("0.0000012"))
    ]
    assert api_prices(classes(provider_name="Self-hosted", llm_model_id="our-own"), CARD).is_empty()
    assert api_prices(classes().clear(), CARD).is_empty()
