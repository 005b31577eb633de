"""The real clients against a BigQuery on this machine."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest
from google.cloud import bigquery

from connectors.gcp_billing import GcpBilling
from examples import gcp as google
from examples.gcp_columns import EXPORT
from models.errors import BadInput
from models.facts import Fact
from tests.connectors.bigquery_emulator import Emulator
from tests.connectors.bigquery_tables import Append, client_of, typed
from tests.connectors.gcp_rows import Row, credit, pairs, row, write

pytestmark = pytest.mark.pipeline


def load_all(gcp: GcpBilling) -> pl.DataFrame:
    frames = []
    for version in gcp.versions():
        landed = gcp.fetch(version)
        totals = gcp.totals(landed)
        found = pl.concat([frame.collect() for frame in gcp.read(landed)[Fact.CHARGES]])
        assert {name: found[name].sum() for name in totals.quantized} == totals.quantized
        frames.append(found.with_columns(billing_period=pl.lit(version.billing_period)))
    return pl.concat(frames)


def bill() -> list[Row]:
    """Three days of export, two invoice months, and amounts that binary fractions cannot hold."""
    rows = []
    for number in range(60):
        month = "202602" if number >= 50 else "202601"
        rows.append(
            row(
                cost=0.1 * number,
                invoice={"month": month, "publisher_type": "GOOGLE"},
                project={"id": f"p{number % 3}", "number": "1", "name": "P", "labels": pairs(env="prod")},
                service={"id": f"S{number % 4}", "description": f"Service {number % 4}"},
                labels=pairs(team="search"),
                credits=[credit(-0.01 * number, "DISCOUNT"), credit(-0.007, "PROMOTION")] if number % 5 == 0 else [],
                export_time=f"2026-01-{29 + number // 20}T05:00:00.123456Z",
            )
        )
    return rows


def test_a_table_reads_like_its_files(append: Append, open_table: Callable[..., GcpBilling], tmp_path: Path) -> None:
    gcp = open_table(append(bill()))
    january, february = gcp.versions()
    assert [file.name for file in january.files] == [f"2026-01-{day}.parquet" for day in (29, 30, 31)]
    assert [file.name for file in february.files] == ["2026-01-31.parquet"]
    from_table = load_all(gcp)
    path = write(tmp_path / "bill.jsonl", bill())
    from_file = load_all(
        GcpBilling("files", GcpBilling.Options(location=str(path)), tmp_path / "other", lambda _: None)
    )
    same = [name for name in from_file.columns if not name.startswith("source_")]
    order = ["billing_period", "effective_cost", "sub_account_id"]
    assert from_table.select(same).sort(order).rows() == from_file.select(same).sort(order).rows()


def test_every_sum_is_what_duckdb_makes_of_the_raw_rows(
    append: Append, open_table: Callable[..., GcpBilling], tmp_path: Path
) -> None:
    charges = load_all(open_table(append(bill())))
    raw = write(tmp_path / "raw.jsonl", bill())
    says = duckdb.execute(
        """
        select invoice.month, project.id, service.id, count(*),
            sum(cost::varchar::decimal(38, 12)),
            sum(coalesce(list_sum([c.amount::varchar::decimal(38, 12) for c in credits]), 0))
        from read_json(?, columns = {invoice: 'struct("month" varchar)', project: 'struct(id varchar)',
            service: 'struct(id varchar)', cost: 'double', credits: 'struct(amount double)[]'})
        group by all order by all
        """,
        [str(raw)],
    ).fetchall()
    ours = (
        charges.group_by(pl.col("billing_period").dt.strftime("%Y%m"), "sub_account_id", "service_code")
        .agg(pl.len(), pl.col("billed_cost").sum())
        .sort("billing_period", "sub_account_id", "service_code")
    )
    assert ours.rows() == [(*key, count, cost + given) for *key, count, cost, given in says]


def test_only_a_changed_partition_is_read_again_and_whole(
    append: Append, open_table: Callable[..., GcpBilling], tmp_path: Path
) -> None:
    received: list[int] = []
    table = append(bill())
    before = load_all(open_table(table, received.append))
    first = [version.fingerprint for version in open_table(table).versions()]
    received.clear()
    load_all(open_table(table, received.append))
    assert not received
    late = row(cost=1.0, invoice={"month": "202602"}, export_time="2026-01-31T23:00:00Z")
    append([late, late])
    # The last look was at every partition; recent ones would be looked at again, older ones a week later.
    memory = next((tmp_path / "landing").rglob("partitions.json"))
    memory.write_text(memory.read_text().replace('"wide": "20', '"wide": "19'))
    gcp = open_table(table, received.append)
    second = gcp.versions()
    # January's last partition changed too: it holds rows of both months.
    assert [version.fingerprint for version in second] != first
    after = load_all(gcp)
    assert received
    added = [Decimal(str(charges["billed_cost"].sum())) for charges in (before, after)]
    assert added[1] - added[0] == Decimal(2)
    assert len(list((tmp_path / "landing").rglob("*.parquet"))) == 3
    assert not list((tmp_path / "landing").rglob("*.part"))


def test_old_partitions_are_looked_at_once_a_week(
    append: Append, open_table: Callable[..., GcpBilling], tmp_path: Path
) -> None:
    table = append(bill())
    first = [version.fingerprint for version in open_table(table).versions()]
    append([row(export_time="2026-01-31T23:00:00Z")])
    assert [version.fingerprint for version in open_table(table).versions()] == first
    memory = next((tmp_path / "landing").rglob("partitions.json"))
    memory.write_text(memory.read_text().replace('"wide": "20', '"wide": "19'))
    assert [version.fingerprint for version in open_table(table).versions()] != first


def test_a_table_without_rows_a_column_or_at_all_is_refused(
    append: Append, open_table: Callable[..., GcpBilling]
) -> None:
    table = append([])
    with pytest.raises(BadInput, match=f"{table}: the table has no rows"):
        open_table(table).versions()
    with pytest.raises(BadInput, match=f"{table}x: there is no such table .* Check `table`"):
        open_table(f"{table}x").versions()


@pytest.mark.parametrize("column", ["credits", "export_time", "cost_type"])
def test_a_table_that_lacks_a_column_is_refused(
    append: Append, open_table: Callable[..., GcpBilling], column: str
) -> None:
    table = append([], drop=[column])
    with pytest.raises(BadInput, match=rf"column '{column}.*' is missing"):
        open_table(table).versions()


def test_rows_of_no_invoice_month_are_refused(append: Append, open_table: Callable[..., GcpBilling]) -> None:
    table = append([row(), row(invoice=None)])
    with pytest.raises(BadInput, match=r"invoice\.month is null in 1 rows"):
        open_table(table).versions()


def test_the_months_edge_is_the_bills_in_california_and_ours_in_utc(
    append: Append, open_table: Callable[..., GcpBilling]
) -> None:
    edge = row(
        usage_start_time="2026-02-01T07:00:00Z",
        usage_end_time="2026-02-01T08:00:00Z",
        export_time="2026-02-01T12:00:00Z",
    )
    charges = load_all(open_table(append([edge])))
    assert charges.select("billing_period", "usage_period").row(0) == (date(2026, 1, 1), date(2026, 2, 1))


def test_the_sample_company_s_files_load_into_bigquery_and_read_back(
    open_table: Callable[..., GcpBilling], tmp_path: Path, emulator: Emulator
) -> None:
    google.write(tmp_path / "company", months=[date(2026, 7, 1)])
    (path,) = (tmp_path / "company/gcp").glob("*_017E3A_52C9D8_6B40F1/2026-07-*.parquet")
    native = pl.read_parquet(path)
    client = client_of(emulator)
    table = "acme-billing.export.meridian"
    client.create_dataset("export", exists_ok=True, timeout=20)
    client.create_table(bigquery.Table(table, schema=[typed(field) for field in EXPORT]), exists_ok=True, timeout=20)
    with path.open("rb") as file:
        config = bigquery.LoadJobConfig(source_format="PARQUET")
        client.load_table_from_file(file, table, job_config=config).result(timeout=60)
    charges = load_all(open_table(table))
    client.delete_table(table, timeout=20)
    client.close()  # type: ignore[no-untyped-call]
    assert charges.height == native.height
    given = native["credits"].explode().struct.field("amount").drop_nulls()
    asked = sum((Decimal(str(amount)) for amount in [*native["cost"], *given]), Decimal(0))
    assert charges["billed_cost"].sum() == asked
    assert set(charges["billing_currency"]) == {"EUR"}
