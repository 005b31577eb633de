"""Which of two conditions surely implies the other: how a rule that can never be reached is found."""

from __future__ import annotations

import polars as pl

from models.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    Contains,
    Equals,
    In,
    IsSet,
    Not,
    StartsWith,
    Test,
    leaves_of,
)


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


def values_named(condition: Condition) -> set[tuple[str, str]]:
    """Give every column and value that a condition names in an `equals` or `in`, wherever it does."""
    return {(test.column, value) for test in leaves_of(condition) for value in _values(test) or ()}


def values_required(condition: Condition) -> set[tuple[str, str]]:
    """Give columns and values without which a key surely fails: only a condition that names them all implies it."""
    parts = condition.parts if isinstance(condition, All) else (condition,)
    tests = [part for part in parts if isinstance(part, Test) and isinstance(part.clause, Equals)]
    return {(test.column, value) for test in tests for value in _values(test) or ()}


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
