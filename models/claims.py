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
    """What `dbt_like_sql/marts/claim_checks.sql` can measure."""

    INFERENCE_SHARE_OF_AI = "inference_share_of_ai"


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
    """When; null for a saying without a date."""
    metric: Metric
    """What is measured."""
    claimed_low: Decimal
    """Lower end of the claimed range, inclusive; a share is a fraction of 1."""
    claimed_high: Decimal
    """Upper end of the claimed range, inclusive."""
    scope: Text
    """Which money counts."""
    reading: Text
    """How to read the verdict, for whoever it is about."""

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.claimed_low > self.claimed_high:
            raise ValueError(f"claimed_low {self.claimed_low} is above claimed_high {self.claimed_high}")
        return self


_CLAIMS: Final = TypeAdapter(list[Claim])


def load_claims(extra_files: Iterable[Path] = ()) -> list[Claim]:
    """Read the bundled claims and then the team's own.

    Raises:
        BadSettings: a file cannot be read, a field is wrong, or two claims share an id; names file and field.
    """
    claims: dict[str, Claim] = {}
    for path in (BUNDLED, *extra_files):
        for claim in _read(path):
            if claim.id in claims:
                raise BadSettings(f"{path}: there are two claims `{claim.id}`. Give one of them another id.")
            claims[claim.id] = claim
    return list(claims.values())


def _read(path: Path) -> list[Claim]:
    try:
        return _CLAIMS.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")) or [])
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSettings(f"{path}: cannot be read as YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise BadSettings(f"{path}: {wrong}") from error
