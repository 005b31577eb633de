import gzip
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from connectors.gcp_billing import GcpBilling
from connectors.source import Totals
from models.facts import Fact
from tests.connectors.gcp_rows import credit, pairs, row, write

Read = Callable[..., tuple[pl.DataFrame, Totals]]
FORMATS = ("bill.parquet", "bill.jsonl", "bill.csv", "bill.jsonl.gz", "bill.csv.gz")


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., GcpBilling]:
    def make(location: Path, **options: Any) -> GcpBilling:
        chosen = GcpBilling.Options(location=str(location), **options)
        return GcpBilling("gcp", chosen, tmp_path / "landing", lambda _: None)

    return make


@pytest.fixture
def read(source: Callable[..., GcpBilling]) -> Read:
    """Read one month of a location, all the way, checking what the ledger checks."""

    def read_all(location: Path, month: date = date(2026, 1, 1)) -> tuple[pl.DataFrame, Totals]:
        gcp = source(location)
        (version,) = [one for one in gcp.versions() if one.billing_period == month]
        landed = gcp.fetch(version)
        totals = gcp.totals(landed)
        charges = pl.concat([frame.collect() for frame in gcp.read(landed)[Fact.CHARGES]], how="diagonal")
        assert len(charges) == totals.lines
        assert {name: charges[name].sum() for name in totals.quantized} == totals.quantized
        return charges, totals

    return read_all


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_charges(tmp_path: Path, read: Read, name: str) -> None:
    rows = [
        row(
            labels=pairs(team="search"),
            project={"id": "p", "number": "1", "name": "P", "labels": pairs(env="prod")},
            system_labels=[{"key": "compute.googleapis.com/machine_spec", "value": "a3-highgpu-8g"}],
            tags=[{"key": "cost", "value": "ml", "namespace": "org", "inherited": True}],
            credits=[credit(-0.3, "DISCOUNT"), credit(-0.2, "PROMOTION")],
            resource={"name": "gke-prod-a3-1f2e3d4c-x7k2", "global_name": "//compute.googleapis.com/x/1"},
        ),
        row(cost=0.1 + 0.2, credits=[], project=None, cost_at_list=None),
    ]
    charges, totals = read(write(tmp_path / name, rows))
    first = charges.row(0, named=True)
    assert first["tags"] == {
        "team": "search",
        "project:env": "prod",
        "system:compute.googleapis.com/machine_spec": "a3-highgpu-8g",
        "tag:cost": "ml",
    }
    expected = {
        "usage_period": date(2026, 1, 1),
        "source_file": name,
        "source_row": 1,
        "provider_name": "Google Cloud",
        "invoice_issuer_name": "Google Cloud",
        "billing_account_id": "0123AB-456789-CDEF01",
        "sub_account_id": "p",
        "billing_currency": "USD",
        "charge_category": "Usage",
        "line_item_type": "regular",
        "service_name": "Compute Engine",
        "service_code": "6F81-5844-456A",
        "usage_type": "A3 Instance Core running in Americas",
        "sku_id": "CORE",
        "instance_type": "a3-highgpu-8g",
        "region_id": "us-central1",
        "availability_zone": "us-central1-a",
        "resource_id": "//compute.googleapis.com/x/1",
        "resource_name": "gke-prod-a3",
        "pricing_unit": "hour",
        "consumed_quantity": Decimal(2),
        "billed_cost": Decimal("2.0"),
        "effective_cost": Decimal("2.2"),
        "net_cost": Decimal("2.0"),
        "list_cost": Decimal(3),
    }
    assert {column: first[column] for column in expected} == expected
    assert charges["billed_cost"][1] == Decimal("0.3")
    assert charges["sub_account_id"][1] is None
    assert totals.exact["billed_cost"] == Decimal("2.0") + Decimal("0.30000000000000004")


@pytest.mark.parametrize("name", ["bill.jsonl", "bill.csv"])
def test_a_number_keeps_every_digit_it_is_written_with(tmp_path: Path, read: Read, name: str) -> None:
    digits = "1234567890.12345678901250000001"
    path = write(tmp_path / name, [row(cost="COST", credits=[credit("CREDIT", "DISCOUNT")])])
    path.write_text(re.sub('"*CREDIT"*', "-1e-12", re.sub('"?COST"?', digits, path.read_text())))
    charges, totals = read(path)
    assert charges["billed_cost"].to_list() == [Decimal("1234567890.123456789012")]
    assert totals.exact["billed_cost"] == Decimal("1234567890.12345678901150000001")


@pytest.mark.parametrize("name", FORMATS)
def test_petabytes_are_counted_in_byte_seconds(tmp_path: Path, read: Read, name: str) -> None:
    usage = {"amount": 5.885410865577985e18, "unit": "byte-seconds", "pricing_unit": "gibibyte month"}
    rows = [row(usage={**usage, "amount_in_pricing_units": 2114.5}), row(usage=usage)]
    charges, _ = read(write(tmp_path / name, rows))
    assert charges["consumed_quantity"].to_list() == [Decimal("2114.5"), Decimal(5885410865577985000)]


def test_a_month_reads_its_rows_of_every_file(tmp_path: Path, source: Callable[..., GcpBilling], read: Read) -> None:
    late = row(invoice={"month": "202602"}, cost=1.0)
    write(tmp_path / "bills/a.parquet", [row(cost=2.0), late, row(cost=3.0)])
    write(tmp_path / "bills/sub/b.jsonl", [late, row(cost=4.0)])
    versions = source(tmp_path / "bills").versions()
    assert [(one.billing_period.month, [file.name for file in one.files]) for one in versions] == [
        (1, ["a.parquet", "sub/b.jsonl"]),
        (2, ["a.parquet", "sub/b.jsonl"]),
    ]
    january, _ = read(tmp_path / "bills")
    assert january.select("source_file", "source_row", "billed_cost").rows() == [
        ("a.parquet", 1, Decimal(2)),
        ("a.parquet", 3, Decimal(3)),
        ("sub/b.jsonl", 2, Decimal(4)),
    ]
    february, _ = read(tmp_path / "bills", date(2026, 2, 1))
    # Used in January, asked for in February: the invoice month rules the period.
    assert february["usage_period"].to_list() == [date(2026, 1, 1)] * 2


def test_a_reader_that_says_more_reads_unchanged_months_again(tmp_path: Path) -> None:
    class Later(GcpBilling):
        READER = GcpBilling.READER + 1

    path = write(tmp_path / "bill.parquet", [row()])

    def by(reader: type[GcpBilling]) -> GcpBilling:
        return reader("gcp", GcpBilling.Options(location=str(path)), tmp_path / "landing", lambda _: None)

    (old,), (new,) = by(GcpBilling).versions(), by(Later).versions()
    assert old.fingerprint != new.fingerprint
    assert by(Later).totals(by(Later).fetch(new)).lines == 1


def test_only_months_whose_files_changed_are_new_versions(tmp_path: Path, source: Callable[..., GcpBilling]) -> None:
    write(tmp_path / "bills/a.parquet", [row()])
    write(tmp_path / "bills/b.parquet", [row(invoice={"month": "202602"})])
    before = [one.fingerprint for one in source(tmp_path / "bills").versions()]
    assert [one.fingerprint for one in source(tmp_path / "bills").versions()] == before
    write(tmp_path / "bills/b.parquet", [row(invoice={"month": "202602"}), row(invoice={"month": "202602"})])
    after = [one.fingerprint for one in source(tmp_path / "bills").versions()]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_month_is_final_once_its_invoice_must_be_out(tmp_path: Path, source: Callable[..., GcpBilling]) -> None:
    write(tmp_path / "bills/a.parquet", [row(), row(invoice={"month": "209901"})])
    assert [one.is_final for one in source(tmp_path / "bills").versions()] == [True, False]


def test_a_correction_in_a_later_month_is_kept_as_it_comes(tmp_path: Path, read: Read) -> None:
    later = {"month": "202602"}
    info = {"id": "x", "description": "Price correction", "mode": "COMPLETE_NEGATION_WITH_REMONETIZATION", "type": "P"}
    negated = row(invoice=later, cost=-2.5, cost_type="adjustment", adjustment_info=info)
    restated = row(invoice=later, cost=2.0, cost_type="adjustment", adjustment_info=info)
    write(tmp_path / "a.parquet", [row(), negated, restated, restated])
    charges, _ = read(tmp_path / "a.parquet", date(2026, 2, 1))
    assert charges["billed_cost"].sum() == Decimal("1.5")
    assert charges["charge_category"].to_list() == ["Adjustment"] * 3
    assert charges["charge_description"][0] == "Price correction"


def test_every_cost_type_counts_towards_the_invoice(tmp_path: Path, read: Read) -> None:
    kinds = {"regular": 10.0, "tax": 0.8, "adjustment": -1.0, "rounding_error": -0.004, "something new": 0.5}
    rows = [row(cost=cost, cost_type=kind) for kind, cost in kinds.items()]
    charges, totals = read(write(tmp_path / "a.parquet", rows))
    assert totals.quantized["billed_cost"] == Decimal("10.296")
    assert charges["charge_category"].to_list() == ["Usage", "Tax", "Adjustment", "Adjustment", "Adjustment"]


def test_usage_belongs_to_the_month_of_utc_and_the_invoice_to_that_of_the_bill(tmp_path: Path, read: Read) -> None:
    # 1 January 07:30 UTC is still 31 December in California, and February's first hours in UTC are January's there.
    rows = [
        row(usage_start_time="2026-01-01T07:00:00Z", invoice={"month": "202512"}),
        row(usage_start_time="2026-02-01T07:00:00Z", usage_end_time="2026-02-01T08:00:00Z"),
    ]
    write(tmp_path / "a.jsonl", rows)
    december, _ = read(tmp_path / "a.jsonl", date(2025, 12, 1))
    january, _ = read(tmp_path / "a.jsonl")
    assert december["usage_period"].to_list() == [date(2026, 1, 1)]
    assert january["usage_period"].to_list() == [date(2026, 2, 1)]


def test_another_currency_keeps_its_rate(tmp_path: Path, read: Read) -> None:
    rows = [row(), row(currency="EUR", currency_conversion_rate=0.92)]
    charges, _ = read(write(tmp_path / "a.parquet", rows))
    assert charges["billing_currency"].to_list() == ["USD", "EUR"]
    assert charges["currency_conversion_rate"].to_list() == [None, Decimal("0.92")]


def test_the_standard_export_is_read_and_said_to_name_no_resources(
    tmp_path: Path, source: Callable[..., GcpBilling], caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.parquet", [row()], drop=("resource", "subscription", "system_labels"))
    gcp = source(tmp_path / "a.parquet")
    (version,) = gcp.versions()
    landed = gcp.fetch(version)
    frames = gcp.read(landed)[Fact.CHARGES]
    gcp.read(landed)
    assert "resource_id" not in frames[0].collect_schema()
    assert [record.message for record in caplog.records] == [
        "gcp: this is the standard export, which names no resources; the detailed one does"
    ]


def test_a_reservation_says_what_it_left_unused(tmp_path: Path, read: Read) -> None:
    prefix = "compute.googleapis.com"
    held = [{"key": f"{prefix}/reservation_name", "value": "a3-block"}]
    unused = [*held, {"key": f"{prefix}/is_unused_reservation", "value": "true"}]
    charges, _ = read(write(tmp_path / "a.parquet", [row(), row(system_labels=held), row(system_labels=unused)]))
    assert charges["capacity_reservation_status"].to_list() == [None, "Used", "Unused"]
    assert charges["capacity_reservation_id"].to_list() == [None, "a3-block", "a3-block"]


def test_a_gzip_is_known_by_its_bytes(tmp_path: Path, read: Read) -> None:
    path = write(tmp_path / "a.jsonl", [row()])
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read(path)[0]) == 1


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("gke-prod-a3-1f2e3d4c-x7k2", "gke-prod-a3"),
        ("trainer-x1y2", "trainer"),
        ("worker-0012", "worker"),
        ("pvc-0b1c2d3e-0000-1111-2222-333344445555", "pvc"),
        ("projects/p/locations/l/endpoints/chat-llama-7b", "chat-llama-7b"),
        ("sft_20260105_120000", "sft"),
        ("vllm-prod", "vllm-prod"),
    ],
)
def test_a_resource_goes_by_what_a_person_called_it(tmp_path: Path, read: Read, name: str, known: str) -> None:
    charges, _ = read(write(tmp_path / "a.parquet", [row(resource={"name": name})]))
    assert charges.select("resource_id", "resource_name").row(0) == (name, known)


def test_every_sum_of_a_file_is_what_duckdb_makes_of_it(tmp_path: Path, read: Read) -> None:
    rows = [
        row(
            cost=number / 7,
            project={"id": f"p{number % 3}", "labels": []},
            service={"id": f"S{number % 5}", "description": "s"},
            credits=[credit(-number / 11, "DISCOUNT"), credit(-number / 13, "PROMOTION")] if number % 2 else [],
        )
        for number in range(500)
    ]
    path = write(tmp_path / "a.parquet", rows)
    charges, _ = read(path)
    # Doubles of this size have at most 19 decimals; DuckDB rounds half up, and no half occurs here.
    says = duckdb.execute(
        """
        select project.id, service.id, count(*),
            sum(cost::varchar::decimal(38, 12)),
            sum(coalesce(list_sum([c.amount::varchar::decimal(38, 12) for c in credits]), 0)),
            sum(coalesce(list_sum([c.amount::varchar::decimal(38, 12) for c in credits if c.type <> 'PROMOTION']), 0))
        from read_parquet(?) where invoice.month = '202601' group by all order by all
        """,
        [str(path)],
    ).fetchall()
    ours = (
        charges.group_by("sub_account_id", "service_code")
        .agg(pl.len(), pl.col("billed_cost", "effective_cost").sum())
        .sort("sub_account_id", "service_code")
    )
    expected = [(*key, count, cost + given, cost + earned) for *key, count, cost, given, earned in says]
    assert ours.rows() == expected
