"""OpenAI's costs, usage and fine-tuning jobs, from an API that speaks HTTP and from the documented bodies."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from connectors.openai import USAGE, OpenAi
from models.errors import BadInput
from models.facts import Fact
from tests.connectors.fake_provider import (
    KEY,
    FakeProvider,
    Said,
    collected,
    epoch,
    landed_pages,
    problem,
    read,
    serving,
)

EXAMPLES = Path(__file__).parents[3] / "shared" / "reference" / "tokens" / "examples"
MONTH = date(2024, 2, 1)
COMPLETIONS = "/organization/usage/completions"
COSTS = "/organization/costs"
PREFIX = "organization.usage."


def completion(**fields: Any) -> Said:
    return {
        "object": f"{PREFIX}completions.result",
        "input_tokens": 1000,
        "input_cached_tokens": 400,
        "input_cache_write_tokens": 100,
        "input_uncached_tokens": 500,
        "output_tokens": 50,
        "input_audio_tokens": 3,
        "output_audio_tokens": 2,
        "num_model_requests": 5,
        "project_id": "proj_a",
        "user_id": "user_1",
        "api_key_id": "key_1",
        "model": "gpt-5-2025-08-07",
        "batch": False,
        "service_tier": "default",
        "a_field_of_tomorrow": {"nested": [1]},
        **fields,
    }


def cost(value: object, line_item: str | None = "gpt-5, input", **fields: Any) -> Said:
    amount = {"value": value, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": line_item, **fields}


def results(path: str, day: date) -> list[Said]:
    if path == COMPLETIONS:
        return [completion(), completion(batch=True, output_tokens=day.day)]
    return [cost(0.1), cost("0.02", "gpt-5, output", project_id="proj_a")] if path == COSTS else []


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(results)


@pytest.fixture
def openai(httpserver: HTTPServer, provider: FakeProvider, tmp_path: Path) -> Callable[..., OpenAi]:
    def make(kind: type[OpenAi] = OpenAi, **options: Any) -> OpenAi:
        address = serving(httpserver, provider)
        chosen = {"api_key": KEY, "base_url": address, "since": MONTH, "until": date(2024, 2, 29), **options}
        return kind("openai", OpenAi.Options(**chosen), tmp_path / "landing", lambda _: None)

    return make


@pytest.fixture
def offline(tmp_path: Path) -> OpenAi:
    return OpenAi("openai", OpenAi.Options(api_key=KEY), tmp_path / "landing", lambda _: None)


def test_a_reader_that_says_more_reads_unchanged_months_again(openai: Callable[..., OpenAi]) -> None:
    class Later(OpenAi):
        READER = OpenAi.READER + 1

    (old,), (new,) = openai().versions(), openai(Later).versions()
    assert old.fingerprint != new.fingerprint
    assert read(openai(Later), new)[1].lines == read(openai(), old)[1].lines


def test_a_leap_month_is_read_whole_from_every_endpoint(openai: Callable[..., OpenAi], provider: FakeProvider) -> None:
    provider.page_size = 7
    source = openai()
    (version,) = source.versions()
    frames, totals = read(source, version)
    usage, charges = frames[Fact.TOKEN_USAGE], frames[Fact.CHARGES]
    assert (version.billing_period, version.is_final, totals.is_final) == (MONTH, False, False)
    assert charges["billed_cost"].sum() == Decimal("3.48")
    assert charges["usage_period"].unique().to_list() == [MONTH]
    assert usage["output_tokens"].sum() == 29 * 50 + sum(range(1, 30))
    assert usage["usage_start"].min() == datetime(2024, 2, 1, tzinfo=UTC)
    assert usage["usage_end"].max() == datetime(2024, 3, 1, tzinfo=UTC)
    assert set(provider.paths()) == {COSTS, *(f"/organization/usage/{name}" for name in USAGE)}
    # 29 days, seven a page.
    assert provider.paths().count(COMPLETIONS) == 5


def test_input_includes_cached_tokens_and_batch_is_a_flag_of_its_own(openai: Callable[..., OpenAi]) -> None:
    source = openai()
    (version,) = source.versions()
    one, batch = read(source, version)[0][Fact.TOKEN_USAGE].head(2).iter_rows(named=True)
    assert (one["uncached_input_tokens"], one["cache_read_tokens"], one["cache_write_5m_tokens"]) == (500, 400, 100)
    assert (one["is_batch"], batch["is_batch"], batch["service_tier"]) == (False, True, "default")
    assert (one["provider_name"], one["reported_by"], one["operation"]) == ("OpenAI", "usage_api", "chat")
    assert (one["project_id"], one["user_id"], one["api_key_id"]) == ("proj_a", "user_1", "key_1")
    assert (one["llm_model_id"], one["workload"], one["requests"]) == ("gpt-5-2025-08-07", None, 5)
    assert (one["source_file"], one["source_row"], batch["source_row"]) == ("2024-02/completions-00001.json", 1, 2)


def test_a_cost_is_a_charge_with_every_digit(offline: OpenAi, tmp_path: Path) -> None:
    line = cost(
        12.3456789, "gpt-6, input_tokens", project_id="p", api_key_id="key_1", quantity=7, quantity_unit="tokens"
    )
    buckets = [{"start_time": epoch(MONTH), "end_time": epoch(date(2024, 2, 2)), "results": [line, cost(-1)]}]
    landed = landed_pages(tmp_path, {"costs": {"data": buckets}}, MONTH)
    charge, back = collected(offline, landed)[0][Fact.CHARGES].iter_rows(named=True)
    assert charge["billed_cost"] == charge["effective_cost"] == charge["net_cost"] == Decimal("12.3456789")
    assert (charge["provider_name"], charge["invoice_issuer_name"]) == ("OpenAI", "OpenAI")
    assert (charge["line_item_type"], charge["charge_description"]) == ("api_costs", "gpt-6, input_tokens")
    assert (charge["sub_account_id"], charge["billing_account_id"], charge["billing_currency"]) == (
        "p",
        "openai",
        "USD",
    )
    assert (charge["consumed_quantity"], charge["pricing_unit"], charge["list_cost"]) == (7, "tokens", None)
    assert dict(charge["tags"]) == {"api_key_id": "key_1"}
    assert (charge["charge_category"], back["charge_category"]) == ("Usage", "Adjustment")


UNITS: dict[str, tuple[Said, str, int, int | None]] = {
    "images": ({"images": 2, "num_model_requests": 1, "size": "1024x1024"}, "images", 2, 1),
    "audio_speeches": ({"characters": 45, "num_model_requests": 1}, "characters", 45, 1),
    "audio_transcriptions": ({"seconds": 20, "num_model_requests": 1}, "seconds", 20, 1),
    "vector_stores": ({"usage_bytes": 1024}, "bytes", 1024, None),
    "code_interpreter_sessions": ({"num_sessions": 3}, "sessions", 3, None),
    "file_searches": ({"num_requests": 2}, "searches", 2, None),
    "web_searches": ({"num_requests": 4, "num_model_requests": 2}, "searches", 4, None),
}


@pytest.mark.parametrize("kind", UNITS)
def test_what_is_not_sold_in_tokens_has_its_own_unit(offline: OpenAi, tmp_path: Path, kind: str) -> None:
    fields, unit, quantity, requests = UNITS[kind]
    result = {"object": f"{PREFIX}{kind}.result", **fields}
    body = {"data": [{"start_time": epoch(MONTH), "end_time": epoch(date(2024, 2, 2)), "results": [result]}]}
    (row,) = collected(offline, landed_pages(tmp_path, {"images": body}, MONTH))[0][Fact.TOKEN_USAGE].iter_rows(
        named=True
    )
    assert (row["unit"], row["quantity"], row["requests"]) == (unit, quantity, requests)
    assert row["uncached_input_tokens"] is row["output_tokens"] is None
    assert row["workload"] == ("storage" if kind == "vector_stores" else None)


def test_trained_tokens_are_fine_tuning_and_usage_of_the_tuned_model_is_not(
    openai: Callable[..., OpenAi], provider: FakeProvider
) -> None:
    job = {"object": "fine_tuning.job", "model": "gpt-4o", "status": "succeeded", "organization_id": "org"}
    at = epoch(date(2024, 2, 29)) + 86_399
    provider.jobs = [
        {**job, "id": "running", "created_at": at, "finished_at": None, "trained_tokens": None},
        {**job, "id": "done", "created_at": at - 9, "finished_at": at, "trained_tokens": 5768},
        {**job, "id": "of-march", "created_at": at - 9, "finished_at": at + 1, "trained_tokens": 7},
        {**job, "id": "of-january", "created_at": 1, "finished_at": epoch(MONTH) - 1, "trained_tokens": 9},
    ]
    provider.results = lambda path, _: [completion(model="ft:gpt-4o:acme::1")] if path == COMPLETIONS else []
    source = openai(project_api_keys={"proj_ranking": KEY})
    (version,) = source.versions()
    usage = read(source, version)[0][Fact.TOKEN_USAGE]
    (tuned,) = usage.filter(unit="trained_tokens").iter_rows(named=True)
    assert (tuned["quantity"], tuned["workload"], tuned["request_id"]) == (5768, "fine_tuning", "done")
    assert (tuned["project_id"], tuned["usage_start"]) == ("proj_ranking", datetime.fromtimestamp(at, UTC))
    served = usage.filter(llm_model_id="ft:gpt-4o:acme::1")
    assert served["workload"].null_count() == len(served) == 29


def test_an_unsupported_grouping_falls_back_and_says_so(
    openai: Callable[..., OpenAi], provider: FakeProvider, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    provider.groupings = {"model", "project_id", "batch", "line_item", "user_id", "api_key_id", "size", "source"}
    (version,) = openai().versions()
    assert version.files
    (current,) = (tmp_path / "landing" / "openai").glob("*/current.json")
    said = json.loads(current.read_text())
    assert said["group_by"]["completions"] == ["model", "project_id", "batch", "api_key_id", "user_id"]
    assert said["group_by"]["file_search_calls"] == ["project_id", "api_key_id", "user_id"]
    assert any("completions: the API does not group by service_tier" in note for note in said["notes"])
    assert "the API does not group by service_tier" in caplog.text


def test_an_error_that_lists_what_is_allowed_loses_nothing_else(
    openai: Callable[..., OpenAi], provider: FakeProvider, tmp_path: Path
) -> None:
    allowed = "group_by must be one of project_id, line_item, user_id"
    provider.faults = [problem(400, allowed)]
    openai().versions()
    (current,) = (tmp_path / "landing" / "openai").glob("*/current.json")
    assert json.loads(current.read_text())["group_by"]["costs"] == ["line_item", "project_id"]


def test_a_bucket_of_another_month_counts_in_its_own(offline: OpenAi, tmp_path: Path) -> None:
    days = [date(2024, 1, 31), MONTH, date(2024, 2, 29), date(2024, 3, 1)]
    buckets = [{"start_time": epoch(day), "end_time": epoch(day) + 86_400, "results": [cost(day.day)]} for day in days]
    landed = landed_pages(tmp_path, {"costs": {"data": buckets}}, MONTH)
    charges = collected(offline, landed)[0][Fact.CHARGES]
    assert charges["billed_cost"].to_list() == [1, 29]
    assert charges["source_row"].to_list() == [2, 3]


def test_what_the_api_refuses_at_any_grouping_is_an_error_in_its_words(
    openai: Callable[..., OpenAi], provider: FakeProvider
) -> None:
    provider.faults = [problem(400, "start_time is too long ago") for _ in range(9)]
    with pytest.raises(BadInput, match=r"refuses the question.*start_time is too long ago"):
        openai().versions()


def test_an_endpoint_that_is_not_there_is_said_and_the_rest_is_read(
    openai: Callable[..., OpenAi], provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    gone = "/organization/usage/web_search_calls"
    provider.on_request = lambda path: provider.faults.append(problem(404, "no")) if path == gone else None
    source = openai()
    (version,) = source.versions()
    assert "web_search_calls: not served" in caplog.text
    assert read(source, version)[1].lines == 58


def test_a_result_of_an_unknown_kind_is_kept_and_said(
    offline: OpenAi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = {"object": f"{PREFIX}videos.result", "num_model_requests": 3, "videos": 1, "model": "sora"}
    body = {"data": [{"start_time": epoch(MONTH), "end_time": epoch(date(2024, 2, 2)), "results": [result]}]}
    with caplog.at_level(logging.WARNING):
        frames, _ = collected(offline, landed_pages(tmp_path, {"images": body}, MONTH))
    (row,) = frames[Fact.TOKEN_USAGE].iter_rows(named=True)
    assert (row["operation"], row["requests"], row["quantity"]) == (f"{PREFIX}videos.result", 3, None)
    assert "unknown kind" in caplog.text


def test_a_month_without_anything_is_two_empty_frames(offline: OpenAi, tmp_path: Path) -> None:
    body = {"data": [{"start_time": epoch(MONTH), "end_time": epoch(date(2024, 2, 2)), "results": []}]}
    frames, totals = collected(offline, landed_pages(tmp_path, {"costs": body, "completions": body}, MONTH))
    assert (len(frames[Fact.CHARGES]), len(frames[Fact.TOKEN_USAGE]), totals.lines) == (0, 0, 0)


BAD: dict[str, tuple[Said, str]] = {
    "negative": (completion(output_tokens=-1), "result 1, field output_tokens: -1 is negative"),
    "cached beyond input": (completion(input_tokens=1), "field input_tokens: 1 tokens in are fewer than the 400"),
    "text": (completion(input_tokens="many"), "field input_tokens: 'many' is no whole number"),
    "fraction": (completion(input_tokens=1.5), "is no whole number"),
    "missing": ({"object": f"{PREFIX}completions.result"}, "it is missing"),
    "huge": (completion(output_tokens=1e300), "is no whole number"),
    "endless": (completion(output_tokens=2**63), "beyond any count"),
    "flag": (completion(batch="yes"), "field batch: 'yes' is neither true nor false"),
    "model": (completion(model=["gpt"]), "field model"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_result_that_cannot_be_read_names_file_result_and_field(offline: OpenAi, tmp_path: Path, fault: str) -> None:
    result, message = BAD[fault]
    body = {"data": [{"start_time": epoch(MONTH), "end_time": epoch(date(2024, 2, 2)), "results": [result]}]}
    landed = landed_pages(tmp_path, {"completions": body}, MONTH)
    with pytest.raises(BadInput, match=message) as refused:
        offline.totals(landed)
    assert str(refused.value).startswith("2024-02/completions-00001.json, result 1")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "ten", "1e40", None, True, {}, "1_0"])
def test_an_amount_that_is_none_is_refused(offline: OpenAi, tmp_path: Path, value: object) -> None:
    body = {"data": [{"start_time": epoch(MONTH), "end_time": epoch(date(2024, 2, 2)), "results": [cost(value)]}]}
    with pytest.raises(BadInput, match=r"result 1, field amount\.value"):
        offline.totals(landed_pages(tmp_path, {"costs": body}, MONTH))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"data": [', "not JSON"),
        ('{"data": [{"start_time": NaN}]}', "NaN is no number"),
        ("[]", "no list `data`"),
        ('{"data": [7]}', "item 1: 7 is no object"),
        ('{"data": [{"results": []}]}', "item 1: it does not say when"),
        ('{"data": [{"start_time": "noon", "results": []}]}', "field start_time: 'noon' is no time"),
        ('{"data": [{"start_time": 1, "end_time": 1e3, "results": [0]}]}', "is no list of results"),
    ],
)
def test_a_page_that_cannot_be_read_is_named(offline: OpenAi, tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        offline.totals(landed_pages(tmp_path, {"costs": body}, MONTH))


@pytest.mark.real_data
def test_documented_bodies_parse_to_the_expected_buckets(offline: OpenAi, tmp_path: Path) -> None:
    if not EXAMPLES.exists():
        pytest.skip("the examples are not beside this checkout")

    def rows(name: str, month: date, fact: Fact = Fact.TOKEN_USAGE, endpoint: str = "completions") -> list[Said]:
        payload = json.loads((EXAMPLES / f"openai_{name}.json").read_text())["payload"]
        body = payload if isinstance(payload, dict) else {"data": payload}
        landed = landed_pages(tmp_path / name, {endpoint: body}, month)
        return collected(offline, landed)[0][fact].to_dicts()

    november = date(2024, 11, 1)
    (row,) = rows("usage_completions", november)
    tokens = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens", "requests")
    assert [row[name] for name in tokens] == [500, 400, 100, 500, 5]
    assert (row["input_audio_tokens"], row["output_audio_tokens"]) == (100, 50)
    first, second = rows("usage_completions_real", date(2025, 1, 1))
    # The first bucket begins in the middle of a day; the last is empty.
    assert first["usage_start"] == datetime(2025, 1, 11, 17, 31, tzinfo=UTC)
    assert [first[name] for name in tokens] == [141201, 0, 0, 9756, 470]
    assert [second[name] for name in tokens] == [3718360 - 76544, 76544, 0, 97756, 3053]
    for name in ("embeddings", "moderations"):
        (row,) = rows(f"usage_{name}", november)
        assert [row[name] for name in tokens] == [16, 0, 0, 0, 2]
    units = {
        "audio_speeches": ("characters", 45),
        "audio_transcriptions": ("seconds", 20),
        "code_interpreter_sessions": ("sessions", 1),
        "file_search_calls": ("searches", 2),
        "images": ("images", 2),
        "vector_stores": ("bytes", 1024),
        "web_search_calls": ("searches", 2),
    }
    for name, expected in units.items():
        (row,) = rows(f"usage_{name}", november)
        assert (row["unit"], row["quantity"]) == expected
    (row,) = rows("fine_tuning_job", date(2023, 8, 1))
    assert (row["unit"], row["quantity"], row["workload"]) == ("trained_tokens", 5768, "fine_tuning")
    (charge,) = rows("costs", november, Fact.CHARGES, "costs")
    assert (charge["billed_cost"], charge["charge_description"]) == (Decimal("0.06"), None)
    one, two = rows("costs_line_items", date(2025, 11, 1), Fact.CHARGES, "costs")
    assert (one["billed_cost"], one["consumed_quantity"]) == (Decimal("12.3456789"), 1234567)
    assert (two["billed_cost"], two["charge_description"]) == (Decimal("0.06"), "ft-gpt-4o-2024-08-06, input")
