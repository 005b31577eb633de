"""Sentences people repeat about AI spend, as data that `marts.claim_checks` measures."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from models.errors import BadSettings

BUNDLED: Final = Path(__file__).with_name("claims.yaml")

Text = Annotated[str, Field(min_length=1)]


class Metric(StrEnum):
    """What `dbt_like_sql/intermediate/int_claim_….sql` can measure."""

    INFERENCE_SHARE_OF_AI = "inference_share_of_ai"
    INFERENCE_SHARE_OF_COMPUTE = "inference_share_of_compute"
    INFERENCE_TO_TRAINING = "inference_to_training"
    PRODUCTION_INFERENCE = "production_inference"
    TRAINING_MONTHS = "training_months"
    INFERENCE_GPU_UTILIZATION = "inference_gpu_utilization"
    TRAINING_GPU_UTILIZATION = "training_gpu_utilization"
    REQUEST_PRICE = "request_price"
    RESPONSE_CACHE_HITS = "response_cache_hits"
    ROUTING_SAVINGS = "routing_savings"
    HOURLY_REQUEST_BAND = "hourly_request_band"
    FINE_TUNING_RUN = "fine_tuning_run"
    CHECKPOINT_YEAR = "checkpoint_year"
    SPOT_SAVINGS = "spot_savings"
    P5_LIST_PRICE = "p5_list_price"
    A100_PAIR_MONTH = "a100_pair_month"
    SERVERLESS_MULTIPLE = "serverless_multiple"
    SELF_HOSTED_MILLION_TOKENS = "self_hosted_million_tokens"
    SELF_HOSTED_TO_API = "self_hosted_to_api"
    SELF_HOSTED_TO_API_WITH_OPERATIONS = "self_hosted_to_api_with_operations"
    GPT_4O_INPUT_PRICE = "gpt_4o_input_price"
    GPT_4O_OUTPUT_PRICE = "gpt_4o_output_price"
    LONG_CONTEXT_PRICE = "long_context_price"


class Unit(StrEnum):
    """What a measured figure counts."""

    SHARE = "share"
    """Part of a whole, 0 to 1."""
    RATIO = "ratio"
    """Shown as a percentage like a share, and may exceed 1."""
    TIMES = "times"
    DOLLARS = "dollars"


class Claim(BaseModel):
    """One sentence, who said it, and the range it claims for one metric."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    """Name in configuration, tables and reports; never reused for another sentence."""
    statement: Text
    """The sentence as people say it."""
    said_by: Text
    """Who says so."""
    said_on: date | None = None
    """When; null for a saying without a date, or where it is not known."""
    metric: Metric
    """What is measured."""
    unit: Unit = Unit.SHARE
    """What the range is in; dollars are of the reporting currency."""
    claimed_low: Decimal
    """Lower end of the claimed range, inclusive; a share is a fraction of 1."""
    claimed_high: Decimal | None = None
    """Upper end of the claimed range, inclusive; null where it has none."""
    priced_on: date | None = None
    """For a claim about a list price: a day on which that price was in force."""
    scope: Text
    """Which money counts."""
    definition: Text
    """How it is measured: lower end, point and upper end."""
    reading: Text
    """How to read the verdict, for whoever it is about."""
    answered_by: Text
    """Which connector or setting answers it where there are no data."""

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.claimed_high is not None and self.claimed_low > self.claimed_high:
            raise ValueError(f"claimed_low {self.claimed_low} is above claimed_high {self.claimed_high}")
        return self


_CLAIMS: Final = TypeAdapter(list[Claim])


def load_claims(extra_files: Iterable[Path] = ()) -> list[Claim]:
    """Read the bundled claims and then the team's own.

    Raises:
        BadSettings: a file cannot be read, a field is wrong, two claims share an id, or a unit is not that of the
            metric; names file and field.
    """
    claims: dict[str, Claim] = {}
    units: dict[Metric, Unit] = {}
    for path in (BUNDLED, *extra_files):
        for claim in _read(path):
            if claim.id in claims:
                raise BadSettings(f"{path}: there are two claims `{claim.id}`. Give one of them another id.")
            if (unit := units.setdefault(claim.metric, claim.unit)) != claim.unit:
                raise BadSettings(
                    f"{path}: claim `{claim.id}`: {claim.metric} is not measured in `{claim.unit}`. "
                    f"Write `unit: {unit}`."
                )
            claims[claim.id] = claim
    return list(claims.values())


def _read(path: Path) -> list[Claim]:
    try:
        return _CLAIMS.validate_python(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or [])
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSettings(f"{path}: cannot be read as YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise BadSettings(f"{path}: {wrong}") from error
