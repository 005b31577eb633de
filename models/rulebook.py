"""The rule book: the team's rules, then ours, checked when loaded and matched against whole frames of keys."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml
from pydantic import ValidationError

from models.accelerator_names import with_named_accelerator
from models.accelerators import Shape, catalogue, with_accelerator
from models.conditions import AI_SCOPE, All, Test, compiled, leaves_of
from models.errors import BadSettings
from models.facts import KEY_COLUMNS
from models.implication import implies, values_named, values_required
from models.rules import FACTS, Rule

# First match wins, so the order is the argument: money nobody owns, what the SKU says, what a tag says where the SKU
# does not, what names suggest, and what is left.
OUR_FILES: Final = (
    *("shared", "gcp_shared"),
    *("sagemaker", "bedrock", "ec2", "gcp_vertex", "api", "focus"),
    *("storage", "tags", "gcp_labels"),
    *("names", "last"),
)
FOLDER: Final = Path(__file__).with_name("rules")

_SHORT: Final = 1000  # Keys; below this, finding the distinct values costs more than it saves.


@dataclass(frozen=True)
class Rulebook:
    """Rules in the order they are tried, and the accelerator shapes they may ask about."""

    team: tuple[Rule, ...]
    ours: tuple[Rule, ...]
    shapes: pl.DataFrame

    @staticmethod
    def load(team_files: Sequence[Path] = (), extra_shapes: Sequence[Shape] = ()) -> Rulebook:
        """Read and check the team's rule files, in the order given, before our own.

        Raises:
            BadSettings: a rule cannot be read, can never be reached, or one of its examples is claimed by another.
        """
        return _loaded(tuple((file, _text(file)) for file in team_files), tuple(extra_shapes))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules; the last matches everything."""
        return self.team + self.ours

    @cached_property
    def digest(self) -> str:
        """Fingerprint of everything that decides an attribution here; a change means open months are tagged again."""
        content = [rule.model_dump(mode="json") for rule in self.rules]
        return hashlib.sha256((json.dumps(content, sort_keys=True) + self.shapes.write_csv()).encode()).hexdigest()

    @property
    def relevant_tags(self) -> frozenset[str]:
        """Normalized names of the tags that any rule looks at."""
        return self._named("tag:")

    @property
    def relevant_cost_categories(self) -> frozenset[str]:
        """Normalized names of the cost categories that any rule looks at."""
        return self._named("cost_category:")

    def _named(self, prefix: str) -> frozenset[str]:
        columns = {column for rule in self.rules for column in rule.columns}
        return frozenset(column.removeprefix(prefix) for column in columns if column.startswith(prefix))

    def stale(self, today: date, days: int = 180) -> list[Rule]:
        """Give the rules whose source nobody has checked within so many days; those without a source never go stale."""
        return [rule for rule in self.rules if rule.checked_on and rule.checked_on < today - timedelta(days=days)]

    def explain(self, key: Mapping[str, object]) -> list[Rule]:
        """Give every classifying rule that matches a key, the winner first, the runners-up after it.

        `ai_scope: True` in the key says that its account or bill is declared to be AI.
        """
        in_scope = key.get(AI_SCOPE) is True
        frame = pl.DataFrame({name: [value] for name, value in key.items() if name != AI_SCOPE}, strict=False)
        prepared = self.prepare(frame, pl.lit(in_scope))
        matched = self.matched(prepared).row(0)
        return [rule for rule, hit in zip(self.rules, matched, strict=True) if hit and rule.workload]

    def prepare(self, keys: pl.DataFrame, in_scope: pl.Expr) -> pl.DataFrame:
        """Give what rules may ask: absent columns as null, tags as they compare, accelerator, declared scope."""
        asked = {*KEY_COLUMNS, *(column for rule in self.rules for column in rule.columns)} - {AI_SCOPE, "accelerator"}
        schema = {name: pl.Date if name == "usage_period" else pl.String for name in sorted(asked)}
        found = set(keys.columns)
        columns = {name: (pl.col(name) if name in found else pl.lit(None)).cast(kind) for name, kind in schema.items()}
        comparable = {name: _comparable(column) if ":" in name else column for name, column in columns.items()}
        prepared = keys.select(in_scope.alias(AI_SCOPE), **comparable)
        return with_named_accelerator(with_accelerator(prepared, self.shapes))

    def matched(self, prepared: pl.DataFrame) -> pl.DataFrame:
        """Give one Boolean column per rule, named by its place: whether it matches each prepared key.

        On long frames every clause is evaluated once per distinct value of its column: columns repeat far more
        than their combinations do.
        """
        names: dict[Test, str] = {}
        by_column: defaultdict[str, list[Test]] = defaultdict(list)
        for test in (test for rule in self.rules for test in leaves_of(rule.when)):
            if test not in names:
                names[test] = f"test {len(names)}"
                by_column[test.column].append(test)
        if prepared.height < _SHORT:
            outcomes = prepared.select("usage_period", *(test.expr().alias(name) for test, name in names.items()))
        else:
            outcomes = prepared.select("usage_period")
            for column, tests in by_column.items():
                tested = _tested(prepared.select(column), {names[test]: test.expr() for test in tests})
                outcomes = outcomes.hstack(tested)
        first = outcomes["usage_period"].min()
        return outcomes.select(
            pl.all_horizontal(
                compiled(rule.when, lambda test: pl.col(names[test])),
                # A key without a month is of today, so every rule is in force.
                True
                if isinstance(first, date) and first >= rule.effective_from
                else (pl.col("usage_period") >= rule.effective_from).fill_null(value=True),
            ).alias(str(place))
            for place, rule in enumerate(self.rules)
        )

    def first(self, matched: pl.DataFrame, fact: str) -> pl.Series:
        """Give the place of the first matching rule that says `fact` for each key, null where none does."""
        undecided = pl.repeat(value=True, n=matched.height, eager=True)
        rows, places = [], []
        for place, rule in enumerate(self.rules):
            if fact in rule.says:
                won = matched[str(place)] & undecided
                undecided &= ~won
                rows.append(won.arg_true())
                places.append(pl.repeat(place, rows[-1].len(), dtype=pl.UInt32, eager=True))
        if not rows:
            return pl.repeat(None, matched.height, dtype=pl.UInt32, eager=True)
        won_by = pl.DataFrame({"row": pl.concat(rows), "place": pl.concat(places)})
        every = pl.DataFrame({"row": pl.arange(matched.height, dtype=pl.UInt32, eager=True)})
        return every.join(won_by, on="row", how="left", maintain_order="left")["place"]


@lru_cache(maxsize=4)
def _loaded(files: tuple[tuple[Path, str], ...], extra_shapes: tuple[Shape, ...]) -> Rulebook:
    # Every step of a run asks for the rule book; files that say the same are read and checked once a process.
    team = tuple(rule for file, text in files for rule in _read(file, text))
    book = Rulebook(team, _ours(), catalogue(extra_shapes))
    _check(book)
    return book


def _tested(column: pl.DataFrame, tests: Mapping[str, pl.Expr]) -> pl.DataFrame:
    values = column.unique().with_columns(**tests)
    return column.join(values, on=column.columns, how="left", nulls_equal=True, maintain_order="left").drop(
        column.columns
    )


def _comparable(tag: pl.Expr) -> pl.Expr:
    return tag.str.strip_chars().str.to_lowercase()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file}: cannot be read as YAML: {error}") from error


def _read(file: Path, text: str) -> Iterator[Rule]:
    try:
        document = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise BadSettings(f"{file}: cannot be read as YAML: {error}") from error
    # `terms` is a place for YAML anchors; the rules that use them are what counts.
    if (
        not isinstance(document, dict)
        or not isinstance(document.get("rules"), list)
        or set(document) - {"terms", "rules"}
    ):
        raise BadSettings(f"{file}: expected `rules:` with a list of rules, and at most `terms:` beside it")
    for number, raw in enumerate(document["rules"], start=1):
        name = raw.get("id", f"number {number}") if isinstance(raw, dict) else f"number {number}"
        try:
            yield Rule.model_validate(raw)
        except ValidationError as error:
            problems = "; ".join(_problem(problem) for problem in error.errors())
            raise BadSettings(f"{file}: rule {name}: {problems}") from None


def _problem(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])


@cache
def _ours() -> tuple[Rule, ...]:
    files = [FOLDER / f"{name}.yaml" for name in OUR_FILES]
    ours = tuple(rule for file in files for rule in _read(file, _text(file)))
    check_ours(ours)
    return ours


def _check(book: Rulebook) -> None:
    seen: set[str] = set()
    for rule in book.rules:
        if rule.id in seen:
            raise BadSettings(f"rule {rule.id}: id: used twice in the rule book")
        seen.add(rule.id)
        if rule is not book.rules[-1] and implies(All(()), rule.when):
            raise BadSettings(f"rule {rule.id}: when: matches everything, so nothing after it is ever reached")
    # A team's rule may well stand in front of ours: that is what it is for.
    _check_reach(book.team)
    _check_examples(book, book.team)


def check_ours(ours: tuple[Rule, ...]) -> None:
    """Refuse rules of ours without a source, never reached, or with an example that another rule claims."""
    for rule in ours:
        if rule.source_url is None or rule.checked_on is None:
            raise BadSettings(f"rule {rule.id}: our rules need `source_url` and `checked_on`")
    _check_reach(ours)
    _check_examples(Rulebook((), ours, catalogue()), ours)


def _check_reach(rules: Sequence[Rule]) -> None:
    # Thousands of rules are millions of pairs, and almost all of them differ in a value that the earlier one requires:
    # an earlier rule is filed under the one of its values that fewest rules require.
    required = [values_required(rule.when) for rule in rules]
    common = Counter(value for values in required for value in values)
    filed: defaultdict[tuple[str, str] | None, list[Rule]] = defaultdict(list)
    for later, values in zip(rules, required, strict=True):
        for earlier in (rule for value in (None, *values_named(later.when)) for rule in filed[value]):
            if (
                earlier.columns <= later.columns
                and earlier.effective_from <= later.effective_from
                and set(later.says) <= set(earlier.says)
                and implies(later.when, earlier.when)
            ):
                raise BadSettings(
                    f"rule {later.id}: when: never reached, because {earlier.id} before it matches the same"
                )
        filed[min(sorted(values), key=common.__getitem__, default=None)].append(later)


def _check_examples(book: Rulebook, rules: Iterable[Rule]) -> None:
    examples = [(rule, example) for rule in rules for example in rule.examples]
    if not examples:
        return
    columns = sorted({column for _, example in examples for column in example} - {AI_SCOPE})
    keys = pl.DataFrame(
        [
            {"usage_period": rule.effective_from, AI_SCOPE: bool(example.get(AI_SCOPE)), **example}
            for rule, example in examples
        ],
        schema={"usage_period": pl.Date, AI_SCOPE: pl.Boolean, **dict.fromkeys(columns, pl.String)},
    )
    matched = book.matched(book.prepare(keys, pl.col(AI_SCOPE)))
    winners = {fact: book.first(matched, fact) for fact in FACTS}
    for row, (rule, example) in enumerate(examples):
        for fact in rule.says:
            place = winners[fact][row]
            if place is None or book.rules[place] is not rule:
                other = "no rule" if place is None else f"rule {book.rules[place].id}"
                raise BadSettings(f"rule {rule.id}: examples: {dict(example)} is claimed for {fact} by {other}")
