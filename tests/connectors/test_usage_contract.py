"""What every connector of token usage in files must do, shown on small files of each: add yours to `USAGE_FILES`."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.source import Landed, Source, Totals, connector
from models.errors import ApportionError, BadInput
from models.facts import TOKEN_USAGE, Fact
from models.token_buckets import ADDITIVE
from tests.connectors.usage_files import KEY, USAGE_FILES, UsageFile, otel, put, without, write

BUCKETS = {
    "uncached_input_tokens": 10,
    "cache_read_tokens": 20,
    "cache_write_5m_tokens": 30,
    "output_tokens": 5,
    "requests": 1,
}
HOSTILE = (
    'it\'s "said"',
    "one\ntwo\r\nthree",
    "<script>alert('x')</script>",
    "=cmd|' /C calc'!A0",
    "'; drop table token_usage; --",
    "../../etc/passwd",
    "\u202egnp.exe\u202c",
    "x" * 10_240,
    "{{7*7}}",
)
FORMATS = [(kind, name) for kind, usage in USAGE_FILES.items() for name in usage.formats]
Open = Callable[..., Source]


@pytest.fixture(params=sorted(USAGE_FILES))
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def usage(kind: str) -> UsageFile:
    return USAGE_FILES[kind]


@pytest.fixture
def opened(tmp_path: Path, kind: str) -> Open:
    return opener(tmp_path, kind)


def opener(tmp_path: Path, kind: str) -> Open:
    def make(location: object, **options: Any) -> Source:
        chosen = connector(kind)
        said = {"location": str(location), **USAGE_FILES[kind].options, **options}
        return chosen("usage", chosen.Options(**said), tmp_path / "landing", lambda _: None)

    return make


def read(source: Source, landed: Landed | None = None) -> tuple[pl.DataFrame, Totals]:
    if landed is None:
        (version,) = source.versions()
        landed = source.fetch(version)
    totals = source.totals(landed)
    frames = [frame.collect(engine="streaming") for frame in source.read(landed)[Fact.TOKEN_USAGE]]
    return pl.concat(frames), totals


def assert_reconciles(found: pl.DataFrame, totals: Totals) -> None:
    said = totals.usage[Fact.TOKEN_USAGE]
    assert said == {"rows": found.height, **{name: found[name].sum() for name in ADDITIVE}}


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_every_format_says_the_same(tmp_path: Path, kind: str, name: str) -> None:
    usage = USAGE_FILES[kind]
    path = write(tmp_path / "in" / name, *(usage.row(n) for n in range(3)))
    found, totals = read(opener(tmp_path, kind)(path.parent))
    assert found.select(*BUCKETS).unique().to_dicts() == [BUCKETS]
    assert found.select("source_file", "source_row").rows() == [(name, 1), (name, 2), (name, 3)]
    assert found["llm_model_id"].str.contains("claude-sonnet").all()
    assert found["provider_name"].unique().to_list() == ["AWS" if kind == "bedrock_logs" else "Anthropic"]
    assert found["usage_start"].dt.date().unique().to_list() == [date(2026, 1, 10)]
    assert found["usage_end"].equals(found["usage_start"].rename("usage_end"))
    assert found["request_id"].n_unique() == 3
    assert_reconciles(found, totals)


def test_columns_are_those_declared_and_all_that_are_required(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    found, _ = read(opened(write(tmp_path / "usage.jsonl", usage.row(1))))
    assert all(found.schema[column] == TOKEN_USAGE[column].dtype for column in found.columns)
    required = [column for column, fact in TOKEN_USAGE.items() if fact.required]
    assert found.select(required).null_count().sum_horizontal().item() == 0


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_an_unknown_field_changes_nothing(tmp_path: Path, kind: str, name: str) -> None:
    usage, opened = USAGE_FILES[kind], opener(tmp_path, kind)
    known, _ = read(opened(write(tmp_path / "known" / name, usage.row(1))))
    unknown, _ = read(opened(write(tmp_path / "unknown" / name, {**usage.row(1), "x_brand_new": {"a": [1]}})))
    assert unknown.equals(known)


def test_a_missing_field_is_named_with_its_line(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    path = write(tmp_path / "usage.jsonl", usage.row(1), without(usage.row(2), usage.required))
    with pytest.raises(BadInput) as raised:
        read(opened(path))
    assert "usage.jsonl, line 2: " in str(raised.value)
    assert "is missing or blank" in str(raised.value)


def test_a_field_that_may_be_missing_may_be_missing(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    assert read(opened(write(tmp_path / "usage.jsonl", without(usage.row(1), usage.optional))))[0].height == 1


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_a_truncated_file_is_named(tmp_path: Path, kind: str, name: str) -> None:
    path = write(tmp_path / name, *(USAGE_FILES[kind].row(n) for n in range(300)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - len(whole) // 3 - 7])
    with pytest.raises(BadInput) as raised:
        read(opener(tmp_path, kind)(path))
    assert name in str(raised.value)


def test_an_empty_file_is_named(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "usage.jsonl").write_bytes(b"\n")
    with pytest.raises(BadInput, match=r"usage\.jsonl: the file is empty"):
        read(opened(tmp_path / "usage.jsonl"))


def test_nowhere_is_no_usage(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(ApportionError, match="no such file or folder"):
        list(opened(tmp_path / "nowhere").versions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ApportionError, match="there is no usage here"):
        list(opened(tmp_path / "empty").versions())


def test_a_line_that_is_no_json_is_named(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    path = write(tmp_path / "usage.jsonl", *(usage.row(n) for n in range(10)))
    path.write_text(path.read_text() + "Traceback (most recent call last):\n")
    with pytest.raises(BadInput, match=r"usage\.jsonl, line 11: 'Traceback .* is no JSON"):
        read(opened(path))


def test_a_share_of_bad_lines_may_be_tolerated_and_is_said(
    tmp_path: Path, usage: UsageFile, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "usage.jsonl", *(usage.row(n) for n in range(9)))
    path.write_text("{half\n" + path.read_text())
    found, totals = read(opened(path, tolerated_bad_lines=0.1))
    assert found["source_row"].to_list() == list(range(2, 11))
    assert "1 of 10 lines are no JSON, the first: usage.jsonl, line 1" in caplog.text
    assert_reconciles(found, totals)
    with pytest.raises(BadInput, match=r"`tolerated_bad_lines` is 0\.09"):
        read(opened(path, tolerated_bad_lines=0.09))


def test_a_count_that_is_none_is_named(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    for bad, problem in ((-1, "negative"), ("many", "no count"), (1.5, "no count"), (10**17, "impossibly large")):
        path = write(tmp_path / "usage.jsonl", usage.row(1), put(usage.row(2), usage.tokens, bad))
        with pytest.raises(BadInput, match=rf"usage\.jsonl, line 2: .*{problem}"):
            opened(path).versions()


def test_more_cached_than_went_in_is_named(tmp_path: Path, kind: str, usage: UsageFile, opened: Open) -> None:
    path = write(tmp_path / "usage.jsonl", usage.row(1), put(usage.row(2), usage.tokens, 7))
    if kind in {"bedrock_logs", "langfuse"}:  # cached tokens stand beside the input there
        assert read(opened(path))[0]["uncached_input_tokens"].to_list() == [10, 7]
        return
    with pytest.raises(BadInput, match=r"usage\.jsonl, line 2: more tokens are said to be cached than went in"):
        read(opened(path))


def test_a_time_in_the_future_is_named(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    path = write(tmp_path / "usage.jsonl", put(usage.row(1), usage.start, later))
    with pytest.raises(BadInput, match=r"usage\.jsonl, line 1: .* lies in the future"):
        read(opened(path))


def test_what_is_no_time_is_named(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    for bad in ("yesterday", "2026-13-01T00:00:00Z", "0"):
        path = write(tmp_path / "usage.jsonl", put(usage.row(1), usage.start, bad))
        with pytest.raises(BadInput, match=r"usage\.jsonl, line 1: .*(no date and time|too far in the past)"):
            opened(path).versions()


def test_a_model_id_of_ten_kilobytes_is_refused_shortly(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    text = json.dumps(usage.row(1))
    for model in ("us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4-5-20250929"):
        text = text.replace(model, "m" * 10_240)
    (tmp_path / "usage.jsonl").write_text(text)
    with pytest.raises(BadInput, match=r"line 1: the model id 'mmm.*has 10,240 characters") as raised:
        read(opened(tmp_path / "usage.jsonl"))
    assert len(str(raised.value)) < 300


def test_a_request_that_is_there_twice_counts_once_and_is_said(
    tmp_path: Path, usage: UsageFile, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "in" / "a.jsonl", usage.row(1), usage.row(2), usage.row(1))
    write(tmp_path / "in" / "b.jsonl", usage.row(2), usage.row(3))
    found, totals = read(opened(tmp_path / "in"))
    assert found.select("source_file", "source_row").rows() == [("a.jsonl", 1), ("a.jsonl", 2), ("b.jsonl", 2)]
    assert "2 records repeat a request id and are counted once, the first: " in caplog.text
    assert_reconciles(found, totals)


def test_a_file_of_two_months_is_a_version_of_each(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    edges = ["2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z", "2026-02-01T00:30:00+01:00", "2024-02-29T12:00:00Z"]
    write(tmp_path / "usage.jsonl", *(put(usage.row(n), usage.start, at) for n, at in enumerate(edges)))
    source = opened(tmp_path / "usage.jsonl")
    by_month = {}
    for version in source.versions():
        found, totals = read(source, source.fetch(version))
        assert_reconciles(found, totals)
        by_month[version.billing_period] = found["source_row"].to_list()
    assert by_month == {date(2024, 2, 1): [4], date(2026, 1, 1): [1, 3], date(2026, 2, 1): [2]}
    assert list(by_month) == sorted(by_month)


def test_listing_twice_gives_the_same_versions(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    path = write(tmp_path / "usage.jsonl", usage.row(1))
    first, second = ([version.fingerprint for version in opened(path).versions()] for _ in range(2))
    assert first == second
    assert read(opened(path))[0].equals(read(opened(path))[0])


def test_restated_content_of_the_same_size_is_another_version(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    path = tmp_path / "usage.jsonl"
    (before,) = opened(write(path, put(usage.row(1), usage.tokens, 61))).versions()
    old = opened(path)
    (after,) = opened(write(path, put(usage.row(1), usage.tokens, 62))).versions()
    assert before.fingerprint != after.fingerprint
    with pytest.raises(BadInput, match="changed while reading"):
        old.fetch(before)
    assert read(opened(path))[0]["uncached_input_tokens"].item() in {12, 62}


def test_a_version_is_read_by_whoever_holds_it(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    path = write(tmp_path / "usage.jsonl", usage.row(1))
    (version,) = opened(path).versions()
    elsewhere = opened(path)
    assert read(elsewhere, elsewhere.fetch(version))[0].height == 1


def test_hostile_text_is_only_data(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    native, column = usage.text
    rows = [put(usage.row(n), native, text) for n, text in enumerate(HOSTILE)]
    found, totals = read(opened(write(tmp_path / "usage.jsonl", *rows)))
    assert found[column].to_list() == list(HOSTILE)
    assert_reconciles(found, totals)
    assert not any((tmp_path / "landing").rglob("passwd"))


def test_no_api_key_is_kept_or_shown(tmp_path: Path, usage: UsageFile, opened: Open) -> None:
    native, _ = usage.text
    row = put(usage.row(1), native, f"search {KEY}")
    found, totals = read(opened(write(tmp_path / "usage.jsonl", row)))
    with pytest.raises(BadInput) as raised:
        read(opened(write(tmp_path / "bad.jsonl", put(row, usage.start, KEY))))
    said = [found.write_json(), repr(totals), str(raised.value), repr(raised.value.__cause__)]
    said += [path.read_bytes().decode("latin-1") for path in (tmp_path / "landing").rglob("*") if path.is_file()]
    assert not [text for text in said if KEY in text]


def test_s3_is_read_like_a_folder(tmp_path: Path, upload: Callable[[Path], None], s3_server: str) -> None:
    usage, opened = USAGE_FILES["bedrock_logs"], opener(tmp_path, "bedrock_logs")
    write(tmp_path / "in" / "a" / "usage.jsonl.gz", usage.row(1), usage.row(2))
    upload(tmp_path / "in")
    here, _ = read(opened(tmp_path / "in"))
    there, totals = read(opened("s3://acme-billing/exports", endpoint_url=s3_server))
    assert there.equals(here)
    assert_reconciles(there, totals)


def test_spans_of_an_otlp_request_are_counted_without_their_agent(tmp_path: Path) -> None:
    path = write(tmp_path / "spans.json", otel(1))
    path.write_text("".join(json.dumps(otel(n)) + "\n" for n in range(3)))
    found, totals = read(opener(tmp_path, "otel_genai")(path))
    assert found["uncached_input_tokens"].to_list() == [10, 10, 10]
    assert found["feature"].unique().to_list() == ["answers"]
    assert_reconciles(found, totals)
