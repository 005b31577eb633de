from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.errors import BadSettings
from models.price_settings import PriceOverride, Prices
from models.rate_card import PriceKey, RateCard
from pipelines.settings import Settings
from tests.models.token_requests import money, one

ARN = "arn:aws:bedrock:us-east-1:1:"
PROVISIONED = f"{ARN}provisioned-model/p1"
OVERRIDES = Prices(
    models={"prod-chat": "gpt-4o", "abc123": "global.anthropic.claude-haiku-4-5-20251001-v1:0"},
    overrides=[
        PriceOverride(
            provider="OpenAI",
            effective_from=date(2026, 7, 1),
            effective_until=date(2026, 7, 31),
            discount=Decimal("0.15"),
        ),
        PriceOverride(
            provider="OpenAI",
            model="house-model",
            effective_from=date(2026, 1, 1),
            per_million={"uncached_input": Decimal("1.5"), "output": Decimal(6)},
        ),
        PriceOverride(provider="AWS", model=PROVISIONED, effective_from=date(2026, 1, 1), provisioned=True),
    ],
)


def test_a_negotiated_discount_holds_on_its_days_only() -> None:
    card = RateCard(OVERRIDES)
    july, august = one(card), one(card, usage_start=datetime(2026, 8, 1, tzinfo=UTC))
    assert july["priced_cost"] == august["priced_cost"] * Decimal("0.85")
    assert july["price_source"] == "genai-prices 0.2.3, prices.overrides[0]"


def test_private_models_have_the_teams_price_and_nothing_else() -> None:
    card = RateCard(OVERRIDES)
    assert one(card, llm_model_id="house-model")["priced_cost"] == money("0.00156")
    assert one(card, llm_model_id="house-model", cache_read_tokens=1)["price_status"] == "unpriced"


def test_deployments_and_profiles_are_priced_through_the_teams_map() -> None:
    card = RateCard(OVERRIDES)
    azure = one(card, provider_name="Microsoft", llm_model_id="azure/prod-chat")
    profile = f"{ARN}application-inference-profile/abc123"
    bedrock = one(card, provider_name="AWS", llm_model_id=profile)
    assert (azure["llm_model"], azure["priced_cost"]) == ("gpt-4o", money("0.0026"))
    assert (bedrock["llm_model"], bedrock["priced_cost"]) == ("claude-haiku-4.5", money("0.00105"))


def test_provisioned_throughput_has_no_price_per_token() -> None:
    row = one(RateCard(OVERRIDES), provider_name="AWS", llm_model_id=PROVISIONED)
    assert (row["price_status"], row["priced_cost"]) == ("provisioned", None)


@pytest.mark.parametrize(
    "fault",
    [
        {"model": "m"},
        {"model": "m", "discount": "0.1", "provisioned": True},
        {"provisioned": True},
        {"model": "m", "per_million": {"input": 1}},
        {"discount": "0.1", "effective_until": "2025-01-01"},
        {"discount": "1.5"},
    ],
)
def test_an_override_that_says_nothing_or_two_things_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PriceOverride.model_validate({"provider": "OpenAI", "effective_from": "2026-01-01", **fault})


def test_the_last_override_that_fits_wins_and_only_in_its_context() -> None:
    batch = {"provider": "OpenAI", "effective_from": "2026-01-01", "is_batch": True, "model": "gpt-4o"}
    rules = [{**batch, "per_million": {"uncached_input": 1, "output": 1}}, {**batch, "provisioned": True}]
    card = RateCard(Prices.model_validate({"overrides": rules}))
    assert one(card, is_batch=True)["price_status"] == "provisioned"
    assert one(card)["priced_cost"] == money("0.0026")
    assert one(RateCard(Prices.model_validate({"overrides": rules[:1]})), is_batch=True)["priced_cost"] == money(
        "0.00101"
    )


def test_a_dated_id_is_one_versions_price_and_a_bare_name_all_versions() -> None:
    def card(model: str) -> RateCard:
        rates = {"uncached_input": Decimal(1), "output": Decimal(1)}
        rule = PriceOverride(provider="OpenAI", model=model, effective_from=date(2026, 1, 1), per_million=rates)
        return RateCard(Prices(overrides=[rule]))

    cost = money("0.00101")
    assert one(card("gpt-4o"), llm_model_id="gpt-4o-2024-08-06")["priced_cost"] == cost
    assert one(card("gpt-4o-2024-08-06"), llm_model_id="gpt-4o-2024-08-06")["priced_cost"] == cost
    assert one(card("gpt-4o-2024-05-13"), llm_model_id="gpt-4o-2024-08-06")["priced_cost"] == money("0.0026")


def test_the_version_of_the_library_stands_with_each_price_and_in_the_digest() -> None:
    card = RateCard()
    price = card.resolve(PriceKey("OpenAI", "gpt-4o", "gpt-4o", "gpt-4o", date(2026, 7, 1)))
    assert price.price_source == card.version == f"genai-prices {version('genai-prices')}"
    assert card.version in card.digest
    assert RateCard(OVERRIDES).digest != card.digest


def test_prices_are_configured_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "apportion.yaml"
    file.write_text(
        """
        prices:
          models: { prod-chat: gpt-4o }
          overrides:
            - { provider: OpenAI, effective_from: 2026-07-01, discount: 0.15 }
            - { provider: OpenAI, model: "ft:gpt-4.1-mini:acme", effective_from: 2026-07-01, per_million: { uncached_input: 0.8, output: 3.2 } }
          authority: [{ provider: OpenAI, reported_by: gateway }]
        """,  # noqa: E501
        encoding="utf-8",
    )
    card = RateCard(Settings.load(file).prices)
    assert one(card, llm_model_id="ft:gpt-4.1-mini:acme")["priced_cost"] == money("0.000832")
    file.write_text("prices: { overrides: [{ provider: OpenAI, effective_from: 2026-07-01 }] }", encoding="utf-8")
    with pytest.raises(BadSettings, match=r"prices\.overrides\.0: .*exactly one of discount, per_million"):
        Settings.load(file)
