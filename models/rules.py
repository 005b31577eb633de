"""The language of rules: typed clauses, conditions built of them, and what a rule says about the keys it matches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, Self

import polars as pl
from polars.exceptions import ComputeError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from models.dimensions import cost_category_column, tag_column
from models.facts import KEY_COLUMNS
from models.workloads import Evidence, IdleReason, Workload

TEXT_FIELDS: Final = frozenset(KEY_COLUMNS) - {"usage_period"} | {"accelerator"}
AI_SCOPE: Final = "ai_scope"
# What rules decide, each by itself: the workload brings its evidence and the rule's id.
FACTS: Final = ("workload", "llm_model", "idle_reason", "token_bucket", "tokens_per_unit")

Text = Annotated[StrictStr, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


# Clauses: what a field's text must be. A null is no text, so every clause but `is_set: false` is false on it.


class Equals(_Strict):
    """The text is exactly this."""

    equals: Text

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column holds the text."""
        return column == self.equals


class In(_Strict):
    """The text is one of these."""

    in_: Annotated[tuple[Text, ...], Field(alias="in", min_length=1)]

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column holds one of them."""
        return column.is_in(list(self.in_))


class StartsWith(_Strict):
    """The text starts so."""

    starts_with: Text

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column starts so."""
        return column.str.starts_with(self.starts_with)


class Contains(_Strict):
    """The text has this in it."""

    contains: Text

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column has it."""
        return column.str.contains(self.contains, literal=True)


class Matches(_Strict):
    """A regular expression in Rust's syntax (no look-around) is found somewhere in the text."""

    matches: Text

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return _regex(pattern)

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the pattern is found."""
        return column.str.contains(self.matches)


class IsSet(_Strict):
    """The text is there and not blank, or is not."""

    is_set: StrictBool

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column is set, or is not."""
        is_set = (column.str.strip_chars() != "").fill_null(value=False)
        return is_set if self.is_set else ~is_set


Clause = Equals | In | StartsWith | Contains | Matches | IsSet
_CLAUSES: Final[Mapping[str, type[Clause]]] = {
    "equals": Equals,
    "in": In,
    "starts_with": StartsWith,
    "contains": Contains,
    "matches": Matches,
    "is_set": IsSet,
}


def _regex(pattern: str) -> str:
    """Give the pattern back if polars can compile it."""
    try:
        pl.Series([""]).str.contains(pattern)
    except ComputeError as error:
        raise ValueError(f"not a regular expression that Rust knows: {error}") from None
    return pattern


def _casefolded(clause: Clause) -> Clause:
    match clause:
        case Equals(equals=text):
            return Equals(equals=text.strip().lower())
        case In(in_=texts):
            return In(in_=tuple(text.strip().lower() for text in texts))
        case StartsWith(starts_with=text):
            return StartsWith(starts_with=text.lower())
        case Contains(contains=text):
            return Contains(contains=text.lower())
        case Matches(matches=pattern):
            return Matches(matches=f"(?i){pattern}")
    return clause


# Conditions: a tree of tests, the same for a bill's distinct values, one key being explained and the laws below.


@dataclass(frozen=True)
class Test:
    """A clause applied to one column of a prepared key, where tags and cost categories are trimmed and lower-cased."""

    column: str
    clause: Clause | bool

    def expr(self) -> pl.Expr:
        """Say where the column passes; never null."""
        if isinstance(self.clause, bool):
            return pl.col(self.column) == self.clause
        return self.clause.expr(pl.col(self.column)).fill_null(value=False)


@dataclass(frozen=True)
class All:
    """Every part holds; with no parts it always does."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold; a missing value passes `not`."""

    part: Condition


Condition = Test | All | AnyOf | Not


def compiled(part: Condition, leaf: Callable[[Test], pl.Expr]) -> pl.Expr:
    """Give the whole condition as one expression, with `leaf` saying how a test is evaluated."""
    match part:
        case All(parts=parts):
            return pl.all_horizontal(pl.lit(value=True), *(compiled(inner, leaf) for inner in parts))
        case AnyOf(parts=parts):
            return pl.any_horizontal(pl.lit(value=False), *(compiled(inner, leaf) for inner in parts))
        case Not(part=inner):
            return ~compiled(inner, leaf)
        case Test():
            return leaf(part)


def leaves_of(part: Condition) -> Iterator[Test]:
    """Go through the tests of the tree."""
    match part:
        case All(parts=parts) | AnyOf(parts=parts):
            for inner in parts:
                yield from leaves_of(inner)
        case Not(part=inner):
            yield from leaves_of(inner)
        case Test():
            yield part


def condition(raw: object) -> Condition:
    """Read a condition as YAML gives it, or take one that is read already."""
    if isinstance(raw, Test | All | AnyOf | Not):
        return raw
    field, inner = _single(raw, "a condition")
    match field:
        case "all" | "any":
            if not isinstance(inner, list):
                raise ValueError(  # noqa: TRY004 - pydantic reports a ValueError, not a TypeError
                    f"`{field}` takes a list of conditions, found {inner!r}"
                )
            parts = tuple(condition(part) for part in inner)
            return All(parts) if field == "all" else AnyOf(parts)
        case "not":
            return Not(condition(inner))
        case "tag" | "cost_category":
            return _keyed(field, inner)
        case "ai_scope":
            if not isinstance(inner, bool):
                raise ValueError(  # noqa: TRY004 - likewise
                    f"`ai_scope` takes true or false, found {inner!r}"
                )
            return Test(AI_SCOPE, inner)
    if field not in TEXT_FIELDS:
        raise ValueError(f"unknown field `{field}`; there are {', '.join(sorted(TEXT_FIELDS))}, tag, cost_category")
    return Test(field, _clause(inner, field))


def _keyed(field: str, raw: object) -> Condition:
    if not isinstance(raw, dict) or "key" not in raw:
        raise ValueError(f"`{field}` takes `key` (a name or a list of names) and one clause, found {raw!r}")
    names = raw["key"] if isinstance(raw["key"], list) else [raw["key"]]
    clause = _casefolded(_clause({name: value for name, value in raw.items() if name != "key"}, field))
    column = tag_column if field == "tag" else cost_category_column
    tests = tuple(Test(column(str(name)), clause) for name in names)
    return tests[0] if len(tests) == 1 else AnyOf(tests)


def _clause(raw: object, field: str) -> Clause:
    name, _ = _single(raw, f"`{field}`")
    if name not in _CLAUSES:
        raise ValueError(f"`{field}`: unknown clause `{name}`; there are {', '.join(_CLAUSES)}")
    try:
        return _CLAUSES[name].model_validate(raw)
    except ValidationError as error:
        raise ValueError(f"`{field}`: {name}: {error.errors()[0]['msg']}") from None


def _single(raw: object, what: str) -> tuple[str, Any]:
    if not isinstance(raw, dict) or len(raw) != 1:
        raise ValueError(f"{what} takes exactly one entry, found {raw!r}")
    return next((str(key), value) for key, value in raw.items())


class TokenBucket(StrEnum):
    """Which of the disjoint token counts a line's quantity is."""

    UNCACHED_INPUT = "uncached_input"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    OUTPUT = "output"


class Capture(_Strict):
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
        return _regex(pattern)


class Captures(_Strict):
    """What a rule reads out of the bill's text."""

    llm_model: Capture
    """The language model; its name is put into the canonical form (`models.attribution.llm_model_name`)."""


class Rule(_Strict):
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


def implies(narrow: Condition, wide: Condition) -> bool:  # noqa: PLR0911 - one line per law of logic
    """Say whether every key that passes `narrow` surely passes `wide`; False means "not known to"."""
    if narrow == wide:
        return True
    if isinstance(narrow, AnyOf):
        return all(implies(part, wide) for part in narrow.parts)
    if isinstance(wide, All):
        return all(implies(narrow, part) for part in wide.parts)
    if isinstance(wide, AnyOf) and any(implies(narrow, part) for part in wide.parts):
        return True
    if isinstance(narrow, All):
        return any(implies(part, wide) for part in narrow.parts)
    if isinstance(narrow, Not) and isinstance(wide, Not):
        return implies(wide.part, narrow.part)
    if isinstance(narrow, Test) and isinstance(wide, Not):
        return _excludes(narrow, wide.part)
    return isinstance(narrow, Test) and isinstance(wide, Test) and _test_implies(narrow, wide)


def _test_implies(narrow: Test, wide: Test) -> bool:
    if narrow.column != wide.column or isinstance(narrow.clause, bool) or isinstance(wide.clause, bool):
        return False
    if (values := _values(narrow)) is not None:
        return all(_passes(value, wide.clause) for value in values)
    match narrow.clause, wide.clause:
        case (StartsWith(starts_with=text), StartsWith(starts_with=start)):
            return text.startswith(start)
        case (StartsWith(starts_with=text), Contains(contains=part)) | (
            Contains(contains=text),
            Contains(contains=part),
        ):
            return part in text
        case (StartsWith(starts_with=text), IsSet(is_set=True)) | (Contains(contains=text), IsSet(is_set=True)):
            return bool(text.strip())
    return False


def _excludes(test: Test, other: Condition) -> bool:
    values = _values(test)
    if values is None or not isinstance(other, Test) or other.column != test.column or isinstance(other.clause, bool):
        return False
    return not any(_passes(value, other.clause) for value in values)


def _values(test: Test) -> tuple[str, ...] | None:
    match test.clause:
        case Equals(equals=text):
            return (text,)
        case In(in_=texts):
            return texts
    return None


def _passes(value: str, clause: Clause) -> bool:
    match clause:
        case Equals(equals=text):
            return value == text
        case In(in_=texts):
            return value in texts
        case StartsWith(starts_with=text):
            return value.startswith(text)
        case Contains(contains=text):
            return text in value
    return bool(pl.Series([value]).to_frame("").select(clause.expr(pl.col(""))).item())
