"""What one token costs: the `genai-prices` library behind the team's own prices.

The library answers every question with a number, also those it cannot answer: an unknown tier or a batch before its
first price gets the standard price. Here such a question is `unpriced` with a reason. All prices are US dollars.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from models.llm_names import PROVIDERS, provider_id
from models.money import ARITHMETIC
from models.price_settings import PriceOverride, Prices

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

# The library prices tokens by their most specific price, else by that of what they are part of.
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "uncached_input": ("input_mtok",),
    "cache_read": ("cache_read_mtok", "input_mtok"),
    "cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "output": ("output_mtok",),
    "reasoning": ("output_reasoning_mtok", "output_mtok"),
    "input_audio": ("input_audio_mtok", "input_mtok"),
    "output_audio": ("output_audio_mtok", "output_mtok"),
}
# Units as usage names them, singular or plural → the library's price and how many units it is for.
_UNITS: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "searches": (("web_searches_kcount", 1000),),
    "web_searches": (("web_searches_kcount", 1000),),
    "file_searches": (("storage_searches_kcount", 1000),),
    "seconds": (("audio_hours", 3600), ("input_audio_hours", 3600), ("output_audio_hours", 3600)),
    "characters": (("input_mchars", 1_000_000),),
    "pages": (("input_document_kpages", 1000),),
}
_STANDARD: Final = frozenset({"", "standard", "default", "auto", "on_demand", "on-demand", "ondemand"})
# Providers' own tables leave out cached tokens and searches where a batch or tier does not change them, and the library
# follows them. Input and output it must name, or the context has no price for them.
_MAIN: Final = ("input_mtok", "output_mtok")


@dataclass(frozen=True)
class PriceKey:
    """What decides a price. `input_from` and `input_to` bound the input of each request, exclusive and inclusive.

    `input_above` is the size taken where the bounds leave more than one tier open; `unit` is null for tokens.
    """

    provider_name: str
    price_model_id: str | None
    llm_model: str | None
    llm_model_id: str | None
    usage_date: date
    usage_time: time = time(0)
    service_tier: str | None = None
    is_batch: bool = False
    input_above: int = 0
    input_from: int = 0
    input_to: int | None = None
    unit: str | None = None
    workload: str | None = None
    spans_day_times: bool = False


@dataclass(frozen=True)
class Price:
    """One resolved price, or why there is none.

    `rates` are dollars per million tokens; a bucket without a rate cannot be priced. `is_exact` says that all requests
    within the key's bounds pay these rates.
    """

    status: str
    reason: str | None = None
    price_source: str | None = None
    matched_model: str | None = None
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    per_thousand_requests: Decimal | None = None
    unit_price: Decimal | None = None
    units_per_price: int | None = None
    has_tiers: bool = False
    is_exact: bool = True


def _unpriced(reason: str, source: str | None = None, model: str | None = None) -> Price:
    return Price("unpriced", reason, source, model)


class RateCard:
    """The library's bundled prices with the team's own in front of them."""

    def __init__(self, settings: Prices | None = None) -> None:
        self.settings = settings or Prices()
        self._models: dict[tuple[str, str], tuple[Provider, ModelInfo] | None] = {}

    @cached_property
    def _snapshot(self) -> Any:
        # Among the half million objects of a run, looking for garbage takes longer than making these thousands.
        gc.disable()
        try:
            from genai_prices.data import providers
            from genai_prices.data_snapshot import DataSnapshot
        finally:
            gc.enable()

        # Not the library's current snapshot, which a background update may have replaced: prices must not move.
        return DataSnapshot(providers=providers, from_auto_update=False)

    @cached_property
    def version(self) -> str:
        """Name and version of the library, as recorded with each price."""
        from importlib.metadata import version

        return f"genai-prices {version('genai-prices')}"

    @cached_property
    def digest(self) -> str:
        """Text that changes when any price could: the library's version and the team's settings."""
        return json.dumps([self.version, self.settings.model_dump(mode="json")], sort_keys=True)

    @cached_property
    def tier_starts(self) -> tuple[int, ...]:
        """Input sizes above which some model costs more."""
        starts = {
            tier.start
            for provider in self._snapshot.providers
            for model in provider.models
            for prices in _all_prices(model)
            for price in _values(prices).values()
            for tier in getattr(price, "tiers", ())
        }
        return tuple(sorted(starts))

    @cached_property
    def day_times(self) -> tuple[time, ...]:
        """Times of day, UTC, at which some model's price changes; the first is midnight."""
        times = {time(0)}
        for provider in self._snapshot.providers:
            for model in provider.models:
                for constraint in _constraints(model):
                    if (start := getattr(constraint, "start_time", None)) is not None:
                        times |= {start.replace(tzinfo=None), constraint.end_time.replace(tzinfo=None)}
        return tuple(sorted(times))

    @cached_property
    def day_time_providers(self) -> tuple[str, ...]:
        """Providers, in lower case and every spelling, some of whose models' prices depend on the time of day."""
        own = {
            provider.id
            for provider in self._snapshot.providers
            if any(hasattr(constraint, "start_time") for model in provider.models for constraint in _constraints(model))
        }
        own |= {
            provider.id for provider in self._snapshot.providers if own & set(provider.fallback_model_providers or ())
        }
        return tuple(sorted(own | {name for name, known in PROVIDERS.items() if known in own}))

    def changes_within_days(self, provider_name: str | None, price_model_id: str | None) -> bool:
        """Tell whether a model's price depends on the time of day."""
        found = self._find(provider_id(provider_name), price_model_id or "")
        return found is not None and any(hasattr(constraint, "start_time") for constraint in _constraints(found[1]))

    def is_known(self, provider: str, price_model_id: str) -> bool:
        """Tell whether the library lists a model of a provider."""
        return self._find(provider, price_model_id) is not None

    def _find(self, provider: str, price_model_id: str) -> tuple[Provider, ModelInfo] | None:
        key = provider, price_model_id
        if key not in self._models:
            self._models[key] = self._look_up(provider, price_model_id)
        return self._models[key]

    def _look_up(self, provider: str, price_model_id: str) -> tuple[Provider, ModelInfo] | None:
        # Only a provider of exactly that id: the library would also take one that merely looks like it.
        if all(known.id != provider for known in self._snapshot.providers):
            return None
        try:
            found: tuple[Provider, ModelInfo] = self._snapshot.find_provider_model(price_model_id, None, provider, None)
        except LookupError:
            return None
        # A deployment's name is chosen freely: that it contains a model's does not make it that model.
        if provider == "azure" and not price_model_id.lower().startswith(found[1].id.lower()):
            return None
        return found

    def resolve(self, key: PriceKey) -> Price:
        """Give the price of one key; never a guess."""
        if key.price_model_id is None and not key.llm_model_id:
            return _unpriced("the usage names no model")
        if key.workload not in {None, "inference", "development"}:
            return _unpriced(f"{key.workload} has no price per token of use")
        for number in reversed(range(len(self.settings.overrides))):
            override = self.settings.overrides[number]
            if _fits(override, key):
                name = f"prices.overrides[{number}]"
                if override.provisioned:
                    return Price("provisioned", "throughput bought by the hour", name, key.llm_model)
                if override.per_million is not None and key.unit is None:
                    return Price("priced", None, name, key.llm_model, _whole(override.per_million))
                if override.discount is not None:
                    return _discounted(self._listed(key), override.discount, name)
        return self._listed(key)

    def _listed(self, key: PriceKey) -> Price:
        provider = provider_id(key.provider_name)
        if key.price_model_id is None:
            return _unpriced("the id names no model: add it to prices.models", self.version)
        found = self._find(provider, key.price_model_id)
        if found is None:
            return _unpriced("unknown model", self.version)
        if key.spans_day_times and self.changes_within_days(key.provider_name, key.price_model_id):
            return _unpriced("the price changes within the bucket's hours", self.version, found[1].id)
        return _from_library(*found, key, self.version)


def _fits(override: PriceOverride, key: PriceKey) -> bool:
    if provider_id(override.provider) != provider_id(key.provider_name):
        return False
    if key.usage_date < override.effective_from or key.usage_date > (override.effective_until or date.max):
        return False
    if override.is_batch is not None and override.is_batch != key.is_batch:
        return False
    if override.service_tier is not None and _tier(override.service_tier) != _tier(key.service_tier):
        return False
    # A dated id is one version's: only a name without version stands for all of them.
    return override.model is None or override.model in {key.llm_model_id, key.price_model_id, key.llm_model}


def _tier(stated: str | None) -> str:
    tier = (stated or "").strip().lower()
    return "" if tier in _STANDARD else tier


def _whole(rates: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Give parts of input and output the price of the whole where they have none of their own."""
    parts = {"input_audio": "uncached_input", "reasoning": "output", "output_audio": "output"}
    return {**{part: rates[whole] for part, whole in parts.items() if whole in rates}, **rates}


def _discounted(price: Price, discount: Decimal, name: str) -> Price:
    if price.status != "priced":
        return price

    def less(amount: Decimal | None) -> Decimal | None:
        return None if amount is None else ARITHMETIC.multiply(amount, 1 - discount)

    return Price(
        "priced",
        None,
        f"{price.price_source}, {name}",
        price.matched_model,
        {bucket: ARITHMETIC.multiply(rate, 1 - discount) for bucket, rate in price.rates.items()},
        less(price.per_thousand_requests),
        less(price.unit_price),
        price.units_per_price,
        price.has_tiers,
        price.is_exact,
    )


def contexts_of(key: PriceKey, provider: str) -> dict[str, str]:
    """Give the library's words for tier and batch; a batch's own tier says nothing, it is `default` for all."""
    tier = (key.service_tier or "").strip().lower()
    if key.is_batch or tier == "batch":
        context = {"processing": "batch"}
        return context if tier in _STANDARD | {"batch"} else {**context, "service_tier": tier}
    if tier in _STANDARD:
        return {"service_tier": "default"} if tier == "default" else {}
    if provider == "anthropic" and tier == "fast":
        return {"speed": "fast"}
    return {"service_tier": tier}


def _from_library(provider: Provider, model: ModelInfo, key: PriceKey, version: str) -> Price:
    at = datetime.combine(key.usage_date, key.usage_time, UTC)
    context = contexts_of(key, provider.id)
    standard = _values(model.get_prices(at))
    prices = _values(model.get_prices(at, context))
    missing: set[str] = set()
    unusual = {name: value for name, value in context.items() if (name, value) != ("service_tier", "default")}
    if unusual:
        own = any(model is listed for listed in provider.models)
        variants = [
            variant
            for variant in (model.price_variants or () if own else ())
            if (variant.constraint is None or variant.constraint.active(at))
            and all(context.get(name) == value for name, value in variant.when.items())
        ]
        covered = {name for variant in variants for name, value in variant.when.items() if unusual.get(name) == value}
        if covered != set(unusual) or len(unusual) > 1:
            stated = ", ".join(f"{name} {value}" for name, value in sorted(unusual.items()))
            return _unpriced(f"no price for {stated} on this day", version, model.id)
        overridden = {name for variant in variants for name in _values(variant.prices)}
        missing = {name for name in _MAIN if name in standard and name not in overridden}
    return _priced(prices, missing, model, key, version)


def _priced(prices: Mapping[str, Any], missing: set[str], model: ModelInfo, key: PriceKey, version: str) -> Price:
    if key.unit is not None:
        choices = [(name, per) for name, per in _UNITS.get(key.unit, ()) if name in prices]
        if len(choices) != 1:
            return _unpriced(f"no price per unit {key.unit!r}", version, model.id)
        name, per = choices[0]
        return Price("priced", None, version, model.id, unit_price=prices[name], units_per_price=per)
    rates: dict[str, Decimal] = {}
    for bucket, names in _KEYS.items():
        priced_by = next((name for name in names if name in prices), None)
        if priced_by is not None and priced_by not in missing:
            rates[bucket] = _rate(prices[priced_by], key.input_above)
    if not rates:
        return _unpriced("no price per token", version, model.id)
    starts = [tier.start for price in prices.values() for tier in getattr(price, "tiers", ())]
    exact = not any(key.input_from < start and (key.input_to is None or start < key.input_to) for start in starts)
    return Price(
        "priced", None, version, model.id, rates, prices.get("requests_kcount"), None, None, bool(starts), exact
    )


def _rate(price: Any, input_above: int) -> Decimal:
    """Take the tier of a price; a tier's start is exclusive, and the whole request pays it."""
    rate: Decimal = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if input_above >= tier.start:
            rate = tier.price
    return rate


def _values(prices: ModelPrice) -> dict[str, Any]:
    return {name: value for name, value in vars(prices).items() if value is not None and not name.startswith("_")}


def _all_prices(model: ModelInfo) -> list[ModelPrice]:
    listed = [item.prices for item in model.prices] if isinstance(model.prices, list) else [model.prices]
    return [*listed, *(variant.prices for variant in model.price_variants or ())]


def _constraints(model: ModelInfo) -> list[Any]:
    listed = [item.constraint for item in model.prices] if isinstance(model.prices, list) else []
    return [*listed, *(variant.constraint for variant in model.price_variants or ())]
