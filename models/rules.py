"""What a rule says about the keys it matches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final, Self

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_validator,
)

from models.conditions import (
    AI_SCOPE,
    TEXT_FIELDS,
    Condition,
    Strict,
    Text,
    condition,
    leaves_of,
    regex,
)
from models.dimensions import cost_category_column, tag_column
from models.workloads import Evidence, IdleReason, Workload

# What rules decide, each by itself: the workload brings its evidence and the rule's id.
FACTS: Final = ("workload", "llm_model", "idle_reason", "token_bucket", "tokens_per_unit")


class TokenBucket(StrEnum):
    """Which of the disjoint token counts a line's quantity is."""

    UNCACHED_INPUT = "uncached_input"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    OUTPUT = "output"


class Capture(Strict):
    """Take text out of a field: the first group of a pattern."""

    field: Text
    pattern: Text

    @field_validator("field")
    @classmethod
    def _known(cls, field: str) -> str:
        kind, _, name = field.partition(":")
        if name and kind in ("tag", "cost_category"):
            return tag_column(name) if kind == "tag" else cost_category_column(name)
        if field not in TEXT_FIELDS:
            raise ValueError(f"unknown field `{field}`; there are {', '.join(sorted(TEXT_FIELDS))}, tag:<name>")
        return field

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return regex(pattern)


class Captures(Strict):
    """What a rule reads out of the bill's text."""

    llm_model: Capture
    """The language model; its name is put into the canonical form (`models.attribution.llm_model_name`)."""


class Rule(Strict):
    """One line of the rule book: when it matches, and what it then says.

    A rule that has a `workload` classifies. One that has only details (`captures`, `idle_reason`, `token_bucket`,
    `tokens_per_unit`) adds them to whatever classified the key, so a team's own rule need not repeat how a
    model's name is spelt. For the workload, and for each detail by itself, the first matching rule that says it wins.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    workload: Workload | None = None
    evidence: Evidence | None = None
    reason: Text
    when: Annotated[Condition, PlainValidator(condition), PlainSerializer(repr, return_type=str)]
    captures: Captures | None = None
    idle_reason: IdleReason | None = None
    token_bucket: TokenBucket | None = None
    tokens_per_unit: Annotated[int, Field(gt=0)] | None = None
    effective_from: date
    """First of a month. A rule's meaning is changed by a newer rule put before it, never in place."""
    source_url: Text | None = None
    checked_on: date | None = None
    examples: Annotated[tuple[Mapping[str, str | bool], ...], Field(min_length=1)]
    """Partial keys that this rule must be the first to match."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.workload is None) != (self.evidence is None):
            raise ValueError("`workload` and `evidence` go together")
        if not self.says:
            raise ValueError("the rule says nothing: give a workload with its evidence, or a detail")
        if self.effective_from.day != 1:
            raise ValueError(f"`effective_from` must be the first of a month, found {self.effective_from}")
        fields = TEXT_FIELDS - {"accelerator"} | {AI_SCOPE}
        for key in (key for example in self.examples for key in example):
            if key not in fields and key not in (tag_column(key[4:]), cost_category_column(key[14:])):
                raise ValueError(f"`examples`: unknown field `{key}`; tags are written `tag:<normalized name>`")
        return self

    @property
    def says(self) -> tuple[str, ...]:
        """What the rule decides where it matches first."""
        said = {"llm_model": self.captures, **{name: getattr(self, name) for name in FACTS if name != "llm_model"}}
        return tuple(name for name in FACTS if said[name] is not None)

    @cached_property
    def columns(self) -> frozenset[str]:
        """The key columns the rule looks at."""
        captured = {self.captures.llm_model.field} if self.captures else set()
        return frozenset(test.column for test in leaves_of(self.when)) | captured
