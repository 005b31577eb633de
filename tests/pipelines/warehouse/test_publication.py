from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipelines.warehouse.publish import publish, published
from pipelines.warehouse.reader import NotFound, ask, report

PUBLICATIONS = 3


def fill(connection: duckdb.DuckDBPyConnection, amount: int) -> None:
    """Write the same sum into two marts, one row each cent."""
    for mart in ("costs_by_workload", "costs_by_team"):
        connection.execute(f"create or replace table marts.{mart} as select {amount} as billed_cost from range(1000)")


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse of two marts, published once."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        for schema in ("ledger", "marts", "reference"):
            connection.execute(f"create schema {schema}")
        connection.execute("create view ledger.charges as select 1 as line")
        fill(connection, 0)
        publish(tmp_path, tmp_path / "warehouse.duckdb", content="0", charges_version=0)
        yield connection


def test_a_reader_keeps_the_report_it_opened_and_the_next_one_sees_the_new(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    total = "select sum(billed_cost) from marts.costs_by_workload"
    with report(tmp_path) as before:
        fill(warehouse, 1)
        publish(tmp_path, tmp_path / "warehouse.duckdb", content="1", charges_version=1)
        with report(tmp_path) as after:
            assert after.sql(total).fetchall() == [(1000,)]
        assert before.sql(total).fetchall() == [(0,)]
    assert published(tmp_path) == "1"


def test_a_reader_outlives_the_removal_of_its_report(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with report(tmp_path) as connection:
        for number in range(1, 5):
            fill(warehouse, number)
            publish(tmp_path, tmp_path / "warehouse.duckdb", content=str(number), charges_version=number)
        assert connection.sql("select sum(billed_cost) from marts.costs_by_team").fetchall() == [(0,)]
    kept = sorted(path.name for path in tmp_path.glob("reports*"))
    assert kept == ["reports-3.duckdb", "reports-4.duckdb", "reports-5.duckdb", "reports.duckdb"]
    assert (tmp_path / "reports.duckdb").readlink() == Path("reports-5.duckdb")


def test_readers_meet_no_error_and_no_mixture_while_reports_are_published(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    both = """
    select
        (select sum(billed_cost) from marts.costs_by_workload), (select sum(billed_cost) from marts.costs_by_team),
        (select content from reference.publication)
    """
    seen: list[tuple[Decimal, Decimal, str]] = []
    errors: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                seen.extend(ask(tmp_path, both).rows())
            except Exception as error:  # noqa: BLE001 - any error at all is the finding
                errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, PUBLICATIONS + 1):
            fill(warehouse, number)
            publish(tmp_path, tmp_path / "warehouse.duckdb", content=str(number), charges_version=number)
            count = len(seen)
            while len(seen) < count + 4 and not errors:  # every publication is read
                done.wait(0.01)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert errors == []
    assert all(workloads == teams == 1000 * int(content) for workloads, teams, content in seen)
    assert {content for *_, content in seen} >= {str(number) for number in range(1, PUBLICATIONS + 1)}


@pytest.mark.usefixtures("warehouse")
def test_what_a_killed_publication_left_is_never_read_and_goes_away(tmp_path: Path) -> None:
    (tmp_path / "reports-2.part").write_bytes(b"half a report")
    (tmp_path / "reports-2.part.wal").write_bytes(b"what was to become of it")
    (tmp_path / "reports.duckdb.new").symlink_to("reports-2.part")
    assert published(tmp_path) == "0"
    publish(tmp_path, tmp_path / "warehouse.duckdb", content="1", charges_version=1)
    assert published(tmp_path) == "1"
    assert [path.name for path in tmp_path.iterdir() if path.suffix in {".part", ".wal", ".new"}] == []


def test_the_published_report_has_no_view_over_files_that_may_be_removed(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert warehouse.sql("from ledger.charges").fetchall() == [(1,)]
    assert ask(tmp_path, "select view_name from duckdb_views() where schema_name = 'ledger'").rows() == []


@pytest.mark.usefixtures("warehouse")
def test_a_home_whose_name_has_a_quote_can_be_published(tmp_path: Path) -> None:
    home = tmp_path / "ann's home"
    home.mkdir()
    publish(home, tmp_path / "warehouse.duckdb", content="quoted", charges_version=1)
    assert published(home) == "quoted"


def test_reading_before_anything_is_published_says_what_to_do(tmp_path: Path) -> None:
    assert published(tmp_path) == ""
    with pytest.raises(NotFound, match="Run `apportion run` first"):
        ask(tmp_path, "select 1")


def test_a_report_cannot_be_written_to(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    del warehouse
    with pytest.raises(duckdb.Error, match="read-only"):
        ask(tmp_path, "create table marts.mine as select 1")
    assert (tmp_path / "reports.duckdb").readlink() == Path("reports-1.duckdb")
