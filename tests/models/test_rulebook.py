from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml

from models.errors import BadSettings
from models.rulebook import FOLDER, OUR_FILES, Rulebook, check_ours

OURS = Rulebook.load()


def _rule(rule_id: str, when: object, example: dict[str, object], **more: object) -> dict[str, object]:
    says = {"workload": "training", "evidence": "declared"} if "idle_reason" not in more else {}
    common = {"reason": "We know.", "effective_from": date(2026, 1, 1), "examples": [example]}
    return {"id": rule_id, **says, **common, "when": when, **more}


def _file(folder: Path, *rules: dict[str, object]) -> Path:
    path = folder / "team.yaml"
    path.write_text(yaml.safe_dump({"rules": list(rules)}))
    return path


SEARCH = _rule("search", {"sub_account_id": {"equals": "111122223333"}}, {"sub_account_id": "111122223333"})


def test_every_file_of_ours_is_tried() -> None:
    assert {f"{name}.yaml" for name in OUR_FILES} == {path.name for path in FOLDER.iterdir()}


def test_every_rule_of_ours_says_where_it_is_from_and_when_somebody_looked() -> None:
    assert all(rule.source_url and rule.checked_on for rule in OURS.rules)


def test_a_teams_rule_comes_before_ours(tmp_path: Path) -> None:
    book = Rulebook.load([_file(tmp_path, SEARCH)])
    key = {"sub_account_id": "111122223333", "service_code": "AmazonSageMaker", "usage_type": "Host:ml.g5.xlarge"}
    assert [rule.id for rule in book.explain({**key, "usage_period": date(2026, 1, 1)})][:2] == [
        "search",
        "sagemaker-inference",
    ]


def test_a_rule_is_not_applied_to_months_before_it(tmp_path: Path) -> None:
    newer = {**SEARCH, "id": "search-again", "workload": "inference", "effective_from": date(2026, 3, 1)}
    book = Rulebook.load([_file(tmp_path, newer, SEARCH)])
    key = {"sub_account_id": "111122223333"}
    winners = [book.explain({**key, "usage_period": date(2026, month, 1)})[0].id for month in (2, 3)]
    assert winners == ["search", "search-again"]
    assert book.explain({**key, "usage_period": date(2025, 12, 1)})[0].id == "not-ai"
    assert book.explain(key)[0].id == "search-again", "a key without a month is of today"


def test_one_of_hundreds_of_rules_that_is_never_reached_is_found(tmp_path: Path) -> None:
    keys: list[dict[str, object]] = [
        {"sub_account_id": str(number // 20), "usage_type": f"type-{number % 20}"} for number in range(400)
    ]
    rules = [
        _rule(f"rule-{number}", {"all": [{name: {"equals": said}} for name, said in key.items()]}, key)
        for number, key in enumerate(keys)
    ]
    assert len(Rulebook.load([_file(tmp_path, *rules)]).team) == 400
    narrow = {
        "all": [
            {"sub_account_id": {"in": ["7"]}},
            {"operation": {"is_set": True}},
            {"usage_type": {"equals": "type-3"}},
        ]
    }
    last = _rule("last-one", narrow, {**keys[143], "operation": "a"})
    with pytest.raises(BadSettings, match="last-one: when: never reached, because rule-143 "):
        Rulebook.load([_file(tmp_path, *rules, last)])


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([SEARCH, SEARCH], "search: id: used twice"),
        ([{**SEARCH, "id": "not-ai"}], "not-ai: id: used twice"),
        ([SEARCH, {**SEARCH, "id": "later"}], "later: when: never reached, because search"),
        (
            [
                _rule("eu", {"usage_type": {"starts_with": "EU-"}}, {"usage_type": "EU-x"}),
                _rule(
                    "eu-box",
                    {"all": [{"usage_type": {"starts_with": "EU-Box"}}, {"operation": {"is_set": True}}]},
                    {"usage_type": "EU-Box", "operation": "a"},
                ),
            ],
            "eu-box: when: never reached, because eu ",
        ),
        ([_rule("all", {"all": []}, {"usage_type": "x"})], "all: when: matches everything"),
        ([{**SEARCH, "effective_from": date(2026, 1, 15)}], "search: .*first of a month"),
        ([{**SEARCH, "when": {"account": {"equals": "1"}}}], "search: when: .*unknown field `account`"),
        (
            [{**SEARCH, "examples": [{"sub_account_id": "4"}]}],
            "search: examples: .*claimed for workload by rule not-ai",
        ),
        (
            [
                _rule("box", {"usage_type": {"contains": "Box"}}, {"usage_type": "Box"}),
                _rule("eu", {"usage_type": {"starts_with": "EU-"}}, {"usage_type": "EU-Box"}),
            ],
            "eu: examples: .*claimed for workload by rule box",
        ),
    ],
)
def test_a_book_that_cannot_be_meant_is_refused(rules: list[dict[str, object]], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=says):
        Rulebook.load([_file(tmp_path, *rules)])


def test_an_example_of_ours_that_another_rule_claims_is_refused() -> None:
    storage = next(rule for rule in OURS.ours if rule.id == "storage-tagged")
    claimed = storage.model_copy(update={"examples": ({"service_code": "AmazonS3"},)})
    ours = tuple(claimed if rule is storage else rule for rule in OURS.ours)
    with pytest.raises(BadSettings, match=r"storage-tagged: examples: .*claimed for workload by rule not-ai"):
        check_ours(ours)


@pytest.mark.parametrize("text", ["- id: a", "rules: {}", "rules: [", "rules: []\nrule: []"])
def test_a_file_that_is_no_rule_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BadSettings, match=r"mine\.yaml"):
        Rulebook.load([path])


def test_a_detail_may_stand_after_a_rule_that_matches_the_same(tmp_path: Path) -> None:
    detail = {key: value for key, value in SEARCH.items() if key not in ("workload", "evidence")}
    Rulebook.load([_file(tmp_path, SEARCH, {**detail, "id": "idle", "idle_reason": "unallocated"})])


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    first = Rulebook.load([_file(tmp_path, SEARCH)]).digest
    assert first == Rulebook.load([_file(tmp_path, SEARCH)]).digest
    assert first != OURS.digest
    assert first != Rulebook.load([_file(tmp_path, {**SEARCH, "workload": "inference"})]).digest


def test_the_book_names_the_tags_a_key_must_hold(tmp_path: Path) -> None:
    when = {"any": [{"tag": {"key": ["Cost Unit"], "equals": "a"}}, {"cost_category": {"key": "Shop", "equals": "b"}}]}
    book = Rulebook.load([_file(tmp_path, _rule("unit", when, {"tag:cost_unit": "A "}))])
    assert {"cost_unit", "workload", "name"} <= book.relevant_tags
    assert "shop" in book.relevant_cost_categories


def test_rules_nobody_has_checked_lately_are_stale(tmp_path: Path) -> None:
    book = Rulebook.load([_file(tmp_path, SEARCH)])
    assert book.stale(date(2026, 11, 23)) == []
    assert book.stale(date(2028, 1, 1)) == list(book.ours)


def test_the_runners_up_of_a_key_are_all_that_match_it() -> None:
    key = {"service_code": "AmazonSageMaker", "usage_type": "EU-Train:ml.p5.48xlarge", "tag:workload": " TRAINING "}
    assert [rule.id for rule in OURS.explain(key)] == [
        "sagemaker-training", "tagged-training", "ai-of-unknown-purpose", "not-ai",
    ]  # fmt: skip


def test_one_key_a_few_and_many_are_matched_alike() -> None:
    examples = [example for rule in OURS.rules for example in rule.examples if "ai_scope" not in example]
    keys = pl.DataFrame(examples, infer_schema_length=None)
    few = OURS.matched(OURS.prepare(keys, pl.lit(value=False)))
    many = OURS.matched(OURS.prepare(pl.concat([keys] * 20), pl.lit(value=False)))
    assert many.equals(pl.concat([few] * 20))
    places = OURS.first(few, "workload").to_list()[::5]
    assert [OURS.rules[place].id for place in places] == [OURS.explain(key)[0].id for key in examples[::5]]


def test_the_rule_in_the_readme_is_one(tmp_path: Path) -> None:
    readme = FOLDER.with_name("README.md").read_text(encoding="utf-8")
    path = tmp_path / "team.yaml"
    path.write_text(readme.split("```yaml\n")[1].split("```")[0])
    assert [rule.id for rule in Rulebook.load([path]).team] == ["search-ranking-training"]
