from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.conditions import compiled, condition
from models.implication import implies
from models.rules import Rule

TEXT_COLUMNS = {"operation": pl.String, "usage_type": pl.String}
SENTENCE = {"id": "a-rule", "reason": "Because.", "effective_from": date(2026, 1, 1)}


def _holds(raw: object, operation: str | None = None, usage_type: str | None = None) -> bool:
    key = pl.DataFrame({"operation": [operation], "usage_type": [usage_type]}, schema_overrides=TEXT_COLUMNS)
    return bool(key.with_columns(holds=compiled(condition(raw), lambda test: test.expr()))["holds"].item())


@pytest.mark.parametrize(
    ("clause", "passes", "fails"),
    [
        ({"equals": "Box"}, "Box", "box"),
        ({"in": ["a", "b"]}, "b", "c"),
        ({"starts_with": "USE1-"}, "USE1-Box", "EU-Box"),
        ({"contains": "a.c"}, "xa.cx", "abc"),
        ({"matches": r"(?:^|-)Train:"}, "EU-Train:ml", "EU-Trains"),
        ({"is_set": True}, "x", "  "),
        ({"is_set": False}, "", "x"),
    ],
)
def test_each_clause_passes_and_fails(clause: dict[str, object], passes: str, fails: str) -> None:
    assert _holds({"usage_type": clause}, usage_type=passes)
    assert not _holds({"usage_type": clause}, usage_type=fails)


@pytest.mark.parametrize(
    "clause", [{"equals": "a"}, {"in": ["a"]}, {"contains": "a"}, {"matches": "."}, {"is_set": True}]
)
def test_a_missing_value_fails_every_clause_but_is_set_false(clause: dict[str, object]) -> None:
    assert not _holds({"operation": clause}, operation=None)
    assert _holds({"not": {"operation": clause}}, operation=None)
    assert _holds({"operation": {"is_set": False}}, operation=None)


def test_conditions_combine() -> None:
    raw = {
        "all": [
            {"operation": {"equals": "a"}},
            {"any": [{"usage_type": {"equals": "b"}}, {"not": {"usage_type": {"is_set": True}}}]},
        ]
    }
    assert _holds(raw, operation="a", usage_type="b")
    assert _holds(raw, operation="a")
    assert not _holds(raw, operation="a", usage_type="c")
    assert _holds({"all": []})
    assert not _holds({"any": []})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"usage_typ": {"equals": "a"}}, "unknown field `usage_typ`"),
        ({"usage_type": {"equal": "a"}}, "unknown clause `equal`"),
        ({"usage_type": {"equals": "a", "contains": "b"}}, "exactly one entry"),
        ({"usage_type": {"equals": 12}}, "valid string"),
        ({"usage_type": {"matches": "(?=a)"}}, "not a regular expression"),
        ({"usage_type": {"in": []}}, "at least 1"),
        ({"tag": {"matches": "a"}}, "takes `key`"),
        ({"ai_scope": "yes"}, "true or false"),
        ({"all": {"usage_type": {"equals": "a"}}}, "takes a list"),
        ("usage_type", "exactly one entry"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(raw: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        condition(raw)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"workload": "training"}, "go together"),
        ({}, "says nothing"),
        ({"idle_reason": "warm_pool", "effective_from": date(2026, 1, 2)}, "first of a month"),
        ({"idle_reason": "warm_pool", "examples": [{"tag:Team": "a"}]}, "unknown field `tag:Team`"),
        ({"idle_reason": "warm_pool", "examples": []}, "at least 1"),
        ({"idle_reason": "lazy"}, "idle_reason"),
        ({"idle_reason": "warm_pool", "whan": 1}, "Extra inputs"),
        ({"captures": {"llm_model": {"field": "model", "pattern": "a"}}}, "unknown field `model`"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(change: dict[str, object], says: str) -> None:
    whole = {**SENTENCE, "when": {"usage_type": {"equals": "a"}}, "examples": [{"usage_type": "a"}], **change}
    with pytest.raises(ValidationError, match=says):
        Rule.model_validate(whole)


TEXT = st.text("ab-", min_size=1, max_size=3)
CLAUSES = st.one_of(
    TEXT.map(lambda text: {"equals": text}),
    st.lists(TEXT, min_size=1, max_size=2).map(lambda texts: {"in": texts}),
    TEXT.map(lambda text: {"starts_with": text}),
    TEXT.map(lambda text: {"contains": text}),
    TEXT.map(lambda text: {"matches": f"^{text}"}),
    st.booleans().map(lambda is_set: {"is_set": is_set}),
)
CONDITIONS = st.recursive(
    st.tuples(st.sampled_from(["operation", "usage_type"]), CLAUSES).map(lambda pair: {pair[0]: pair[1]}),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda parts: {"all": parts}),
        st.lists(inner, max_size=2).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=4,
)
WORLD = pl.DataFrame(
    [{"operation": a, "usage_type": b} for a in (None, "", "a", "ab", "b-a") for b in (None, "a", "-", "bab")]
)


@given(CONDITIONS, CONDITIONS)
def test_what_is_called_implied_is_true_of_every_key(narrow: object, wide: object) -> None:
    first, second = condition(narrow), condition(wide)
    if implies(first, second):
        holds = WORLD.with_columns(
            narrow=compiled(first, lambda test: test.expr()), wide=compiled(second, lambda test: test.expr())
        )
        assert holds.filter(pl.col("narrow") & ~pl.col("wide")).is_empty()


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ({"usage_type": {"equals": "EU-Train:x"}}, {"usage_type": {"matches": "Train:"}}),
        ({"usage_type": {"starts_with": "EU-Box"}}, {"usage_type": {"starts_with": "EU"}}),
        (
            {"all": [{"operation": {"equals": "a"}}, {"usage_type": {"contains": "bc"}}]},
            {"usage_type": {"contains": "b"}},
        ),
        ({"usage_type": {"in": ["a", "b"]}}, {"any": [{"usage_type": {"in": ["a", "b", "c"]}}, {"ai_scope": True}]}),
        ({"usage_type": {"equals": "a"}}, {"not": {"usage_type": {"equals": "b"}}}),
        ({"not": {"usage_type": {"contains": "a"}}}, {"not": {"usage_type": {"contains": "ab"}}}),
        ({"operation": {"equals": "a"}}, {"all": []}),
    ],
)
def test_plain_implications_are_found(narrow: object, wide: object) -> None:
    assert implies(condition(narrow), condition(wide))
