"""What BigQuery can answer instead of rows; each is one error that says what to do, and leaves nothing half read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from connectors.gcp_billing import GcpBilling
from models.errors import BadInput, Refused
from models.facts import Fact
from tests.connectors.fake_bigquery import FakeBigQuery, serving
from tests.connectors.gcp_rows import fake_table

TABLE = "acme-billing.export.gcp_billing_export_resource_v1_0123AB"


@pytest.fixture
def fake() -> Iterator[FakeBigQuery]:
    """Serve 25 rows of one partition."""
    with serving(fake_table(TABLE)) as found:
        yield found


@pytest.fixture
def gcp(fake: FakeBigQuery, tmp_path: Path) -> Callable[..., GcpBilling]:
    def make(**options: Any) -> GcpBilling:
        chosen = GcpBilling.Options(table=TABLE, api_endpoint=fake.rest, storage_endpoint=fake.storage, **options)
        return GcpBilling("gcp", chosen, tmp_path / "landing", lambda _: None)

    return make


def costs(source: GcpBilling) -> list[float]:
    (version,) = source.versions()
    landed = source.fetch(version)
    (frame,) = source.read(landed)[Fact.CHARGES]
    assert source.totals(landed).lines == 25
    return [float(cost) for cost in frame.collect()["billed_cost"]]


def test_every_question_is_first_a_dry_run_and_has_a_limit(fake: FakeBigQuery, gcp: Callable[..., GcpBilling]) -> None:
    assert costs(gcp(maximum_bytes_billed=10**9)) == list(range(25))
    name = "`acme-billing`.`export`.`gcp_billing_export_resource_v1_0123AB`"
    look, again, estimate = fake.questions
    assert (look[0], again[0], estimate[0]) == (True, False, True)
    assert look[1] == again[1]
    assert f"FROM {name} WHERE DATE(_PARTITIONTIME) >= @since GROUP BY 1, 2" in look[1]
    assert again[2:] == (["since"], "1000000000")
    assert estimate[1].startswith("SELECT `billing_account_id`, `service`")
    assert estimate[1].endswith(f"FROM {name} WHERE DATE(_PARTITIONTIME) IN UNNEST(@days) AND export_time <= @newest")
    assert estimate[2] == ["days", "newest"]
    ((read, columns, restriction),) = fake.sessions
    assert read == "projects/acme-billing/datasets/export/tables/gcp_billing_export_resource_v1_0123AB"
    assert "cost" in columns
    assert "cost_at_list_consumption_model" not in columns
    assert restriction == (
        "DATE(_PARTITIONTIME) = DATE '2026-01-30' AND export_time <= TIMESTAMP '2026-01-30 08:00:00+00:00'"
    )


def test_a_view_is_queried_and_its_result_streamed(fake: FakeBigQuery, gcp: Callable[..., GcpBilling]) -> None:
    fake.table["type"] = "VIEW"
    assert costs(gcp(partition_expression="DATE(export_time)")) == list(range(25))
    assert [is_dry for is_dry, *_ in fake.questions] == [True, False, True, True, False]
    assert [(read, restriction) for read, _, restriction in fake.sessions] == [
        ("projects/acme-billing/datasets/_anonymous/tables/result", "")
    ]


def test_more_bytes_than_allowed_are_not_read(fake: FakeBigQuery, gcp: Callable[..., GcpBilling]) -> None:
    fake.size = 5_000
    with pytest.raises(Refused, match=r"would read 5,000 bytes, more than `maximum_bytes_billed` \(4,999\)"):
        gcp(maximum_bytes_billed=4_999).versions()
    assert [is_dry for is_dry, *_ in fake.questions] == [True]


@pytest.mark.parametrize(
    ("where", "answer", "message"),
    [
        ("/tables/", (403, "accessDenied", "Access Denied: Table"), "permission denied .*Allow bigquery.jobs.create"),
        ("/jobs", (403, "accessDenied", "Access Denied: Project"), "permission denied .*Allow bigquery.jobs.create"),
        ("/queries/", (403, "quotaExceeded", "Quota exceeded"), "a quota is exceeded .*Run again later"),
        ("/jobs", (429, "quotaExceeded", "Too many"), "a quota is exceeded"),
        ("/tables/", (404, "notFound", "Not found: Table"), "there is no such table .*Check `table`"),
        ("/jobs", (404, "notFound", "Dataset was not found in location US"), "it is not where the query ran"),
        ("/queries/", (400, "bytesBilledLimitExceeded", "limit"), "would read more than `maximum_bytes_billed`"),
        ("/jobs", (400, "invalidQuery", "Unrecognized name: _PARTITIONTIME"), "Check .*`partition_expression`"),
        ("/jobs", (501, "notImplemented", "no"), "broke off"),
    ],
)
def test_each_refusal_is_one_error_that_says_what_to_do(
    fake: FakeBigQuery, gcp: Callable[..., GcpBilling], where: str, answer: tuple[int, str, str], message: str
) -> None:
    fake.refuses[where] = answer
    with pytest.raises(BadInput, match=rf"^{TABLE}: .*{message}"):
        gcp().versions()


def test_the_query_runs_where_the_table_is(fake: FakeBigQuery, gcp: Callable[..., GcpBilling]) -> None:
    seen: list[str] = []
    answer = fake.answer

    def watch(method: str, path: str, body: Any) -> tuple[int, Any]:
        seen.extend([body["jobReference"]["location"]] if body else [])
        return answer(method, path, body)

    fake.answer = watch  # type: ignore[method-assign]
    gcp().versions()
    assert seen == ["EU", "EU"]


def test_a_stream_cut_by_the_network_is_taken_up_where_it_broke(
    fake: FakeBigQuery, gcp: Callable[..., GcpBilling]
) -> None:
    fake.cuts = [(1, grpc.StatusCode.UNAVAILABLE)]
    assert costs(gcp()) == list(range(25))


@pytest.mark.parametrize("code", [grpc.StatusCode.DATA_LOSS, grpc.StatusCode.PERMISSION_DENIED])
def test_a_stream_that_breaks_for_good_leaves_no_half_partition(
    fake: FakeBigQuery, gcp: Callable[..., GcpBilling], tmp_path: Path, code: Any
) -> None:
    fake.cuts = [(2, code)]
    with pytest.raises(BadInput, match=f"^{TABLE}: (the query or stream broke off|permission denied)"):
        costs(gcp())
    assert not list((tmp_path / "landing").rglob("*.parquet"))
    assert costs(gcp()) == list(range(25))


def test_rows_that_are_fewer_than_counted_are_refused(fake: FakeBigQuery, gcp: Callable[..., GcpBilling]) -> None:
    fake.rows = fake.rows.slice(0, 20)
    with pytest.raises(BadInput, match=r"partition 2026-01-30 has 20 rows where 25 were counted.* run again"):
        costs(gcp())


def test_a_partition_that_turns_out_empty_is_refused(fake: FakeBigQuery, gcp: Callable[..., GcpBilling]) -> None:
    fake.rows = fake.rows.slice(0, 0)
    with pytest.raises(BadInput, match="has 0 rows where 25 were counted"):
        costs(gcp())


def test_nobody_who_does_not_answer_is_waited_for_long(
    fake: FakeBigQuery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.gcp_queries.CALL", 1.0)
    options = GcpBilling.Options(table=TABLE, api_endpoint="http://127.0.0.1:9", storage_endpoint=fake.storage)
    with pytest.raises(BadInput, match=f"^{TABLE}: BigQuery did not answer"):
        GcpBilling("gcp", options, tmp_path / "landing", lambda _: None).versions()
