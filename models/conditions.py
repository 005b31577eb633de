"""Conditions of rules: typed clauses over a field's text, and trees of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import polars as pl
from polars.exceptions import ComputeError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    field_validator,
)

from models.dimensions import cost_category_column, tag_column
from models.facts import KEY_COLUMNS

TEXT_FIELDS: Final = frozenset(KEY_COLUMNS) - {"usage_period"} | {"accelerator"}
AI_SCOPE: Final = "ai_scope"
Text = Annotated[StrictStr, Field(min_length=1)]


class Strict(BaseModel):
    """A part of a rule file: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


# Clauses: what a field's text must be. A null is no text, so every clause but `is_set: false` is false on it.


class Equals(Strict):
    """The text is exactly this."""

    equals: Text

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column holds the text."""
        return column == self.equals


class In(Strict):
    """The text is one of these."""

    in_: Annotated[tuple[Text, ...], Field(alias="in", min_length=1)]

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column holds one of them."""
        return column.is_in(list(self.in_))


class StartsWith(Strict):
    """The text starts so."""

    starts_with: Text

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column starts so."""
        return column.str.starts_with(self.starts_with)


class Contains(Strict):
    """The text has this in it."""

    contains: Text

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the column has it."""
        return column.str.contains(self.contains, literal=True)


class Matches(Strict):
    """A regular expression in Rust's syntax (no look-around) is found somewhere in the text."""

    matches: Text

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return regex(pattern)

    def expr(self, column: pl.Expr) -> pl.Expr:
        """Say where the pattern is found."""
        return column.str.contains(self.matches)


class IsSet(Strict):
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


def regex(pattern: str) -> str:
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
