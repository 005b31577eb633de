from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from models.errors import BadSettings
from pipelines.settings import Settings

SECRET = "canary-5f1d"  # noqa: S105 - it must never show up
AWS = "sources: [{ name: aws, type: aws_cur, location: bills }]\n"


def load(folder: Path, text: str) -> Settings:
    path = folder / "apportion.yaml"
    path.write_text(text, encoding="utf-8")
    return Settings.load(path)


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert (settings.currency, settings.sources, settings.lock_timeout) == ("USD", [], 600)
    assert settings.home == tmp_path / ".apportion"
    assert settings.ledger_root == str(tmp_path / ".apportion" / "ledger")


def test_relative_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules").mkdir()
    for name in ("b.yaml", "a.yaml"):
        (tmp_path / "rules" / name).write_text("rules: []")
    monkeypatch.chdir("/")
    settings = load(tmp_path, AWS + "home: deep/home\nledger: books\nrules: [rules/*.yaml]\n")
    assert settings.home == tmp_path / "deep" / "home"
    assert settings.ledger_root == str(tmp_path / "books")
    assert settings.rule_files == [tmp_path / "rules" / "a.yaml", tmp_path / "rules" / "b.yaml"]
    assert settings.sources[0].model_dump()["location"] == str(tmp_path / "bills")


def test_addresses_are_no_paths(tmp_path: Path) -> None:
    settings = load(tmp_path, "sources: [{ name: a, type: aws_cur, location: 's3://b/c' }]\nledger: s3://d/e\n")
    assert (settings.ledger_root, settings.sources[0].model_dump()["location"]) == ("s3://d/e", "s3://b/c")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPORTION_CURRENCY", "EUR")
    monkeypatch.setenv(
        "APPORTION_EXCHANGE_RATES", '[{"currency": "USD", "rate": "0.9", "effective_from": "2026-01-01"}]'
    )
    settings = load(tmp_path, "currency: GBP\nlock_timeout: 5\n")
    assert (settings.currency, settings.lock_timeout) == ("EUR", 5)
    assert settings.exchange_rates[0].rate == Decimal("0.9")


def test_variables_are_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "acme")
    settings = load(tmp_path, "sources: [{ name: a, type: aws_cur, location: 's3://${BUCKET}/x' }]\ncurrency: USD\n")
    assert settings.sources[0].model_dump()["location"] == "s3://acme/x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sorces: []\n", "sorces: Extra inputs are not permitted"),
        ("home: x\nledger: [unclosed\n", "cannot be read as YAML: line 3: did not find expected ',' or ']'"),
        ("- a list\n", "expected fields such as `sources:`, found a list"),
        ("lock_timeout: -1\n", "lock_timeout: Input should be greater than or equal to 0"),
        ("exchange_rates: [{ currency: EUR, rate: 0, effective_from: 2026-01-01 }]\n", "exchange_rates.0.rate"),
        ("ledger: ${NOT_SET_ANYWHERE}\n", "${NOT_SET_ANYWHERE} is not set in the environment"),
        (AWS[:-2] + ", { name: aws, type: aws_cur, location: b }]\n", "the name 'aws' stands twice"),
        ("sources: [{ name: ../aws, type: aws_cur, location: b }]\n", "sources.0.name: "),
        (
            "sources: [{ name: aws, type: azur, location: b }]\n",
            "there is no source type 'azur'. Known types: anthropic",
        ),
        ("sources: [{ name: aws, type: aws_cur }]\n", "sources: aws: location: Field required"),
        ("sources: [{ name: aws, type: aws_cur, location: b, bucket: c }]\n", "sources: aws: bucket: "),
        ("dimensions: { Team: [{ tag: team }] }\n", "dimensions"),
    ],
)
def test_a_wrong_configuration_names_the_file_and_the_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        load(tmp_path, text)
    assert said in str(refused.value)


def test_a_configuration_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"apportion\.yaml: there is no such file"):
        Settings.load(tmp_path / "apportion.yaml")


def test_rules_that_match_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"rules: nothing matches .*none/\*\.yaml"):
        _ = load(tmp_path, "rules: [none/*.yaml]\n").rule_files


@pytest.mark.parametrize(
    "text",
    [
        "sources: [{ name: aws, type: aws_cur, location: b, api_key: '${CANARY}' }]\n",
        "sources: [{ name: aws, type: aws_cur, location: { key: '${CANARY}' } }]\n",
        "sources: [{ name: '${CANARY} !', type: aws_cur, location: b }]\n",
        "lock_timeout: ${CANARY}\n",
        "ledger_options: [ '${CANARY}' ]\n",
        "dimensions: { team: [ { tag: '', account: '${CANARY}' } ] }\n",
        f"ledger: {SECRET}: {SECRET}\n",
    ],
)
def test_a_wrong_field_is_named_without_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CANARY", SECRET)
    with pytest.raises(BadSettings) as refused:
        load(tmp_path, text)
    assert SECRET not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_variable_may_stand_bare_within_the_braces_of_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "acme: {billing}")
    settings = load(tmp_path, "sources: [ { name: a, type: aws_cur, location: s3://${BUCKET} } ]\n")
    assert settings.sources[0].__pydantic_extra__ == {"location": "s3://acme: {billing}"}
