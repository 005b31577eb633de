"""Lines added up by a BigQuery on this machine are, to the last digit, what the same lines make here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from connectors import gcp_aggregate, gcp_totals
from connectors.gcp_aggregate import Aggregate
from connectors.gcp_billing import GcpBilling
from connectors.source import KeepsLines
from examples import gcp as google
from examples.gcp_columns import EXPORT
from models.accelerators import catalogue, with_accelerator
from models.errors import BadInput, Refused
from models.facts import Fact
from models.machines import is_flex_start, is_management_fee, is_part
from models.money import quantize, quantize_decimal
from tests.connectors import gcp_focus_rows, google_sql
from tests.connectors.bigquery_emulator import Emulator
from tests.connectors.bigquery_tables import STRUCTURE, Append, client_of, load_parquet, stand_in, typed
from tests.connectors.fake_bigquery import serving
from tests.connectors.gcp_rows import Row, credit, fake_table, pairs, row, write
from tests.pipelines.conftest import Company

pytestmark = pytest.mark.pipeline

OpenTable = Callable[..., GcpBilling]
COSTS = ("billed_cost", "effective_cost", "net_cost", "list_cost")


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)


def charges(gcp: GcpBilling) -> pl.DataFrame:
    """Read every month, and hold what is read against what the source says of its lines."""
    frames = []
    for version in gcp.versions():
        landed = gcp.fetch(version)
        totals = gcp.totals(landed)
        found = pl.concat([frame.collect() for frame in gcp.read(landed)[Fact.CHARGES]], how="diagonal")
        assert {name: found[name].sum() for name in totals.quantized} == totals.quantized
        counts = found["line_count"] if "line_count" in found.columns else pl.Series([1] * found.height)
        assert counts.sum() == totals.lines
        frames.append(found.with_columns(billing_period=pl.lit(version.billing_period), count=counts))
    return pl.concat(frames, how="diagonal")


def from_file(rows: list[Row], folder: Path) -> GcpBilling:
    path = write(folder / "file/bill.jsonl", rows)
    return GcpBilling("file", GcpBilling.Options(location=str(path)), folder / "of_file", lambda _: None)


def hours(first: str, count: int, **columns: Any) -> Iterator[Row]:
    """Give one line per hour, each with an amount that no binary fraction holds."""
    start = datetime.fromisoformat(first)
    for number in range(count):
        begin = start + timedelta(hours=number)
        times = {"usage_start_time": begin, "usage_end_time": begin + timedelta(hours=1)}
        cost = {"cost": round(0.1 + number / 7, 12), "cost_at_list": 0.3, **columns}
        yield row(**{name: f"{time:%Y-%m-%dT%H:%M:%SZ}" for name, time in times.items()}, **cost)


DISK = {"sku": {"id": "PD", "description": "Storage PD Capacity"}, "cost_at_list": None}
H100 = {"sku": {"id": "H", "description": "Nvidia H100 80GB GPU running in Americas"}}
N2 = {
    "sku": {"id": "N", "description": "N2 Instance Core running in Americas"},
    "system_labels": [{"key": "compute.googleapis.com/machine_spec", "value": "n2-standard-8"}],
}
TEAMS = ({"labels": [*pairs(team="a"), *pairs(app="x")]}, {"labels": [*pairs(app="x"), *pairs(team="a")]})


def mixed() -> list[Row]:
    """Give lines that differ in one thing each, and lines that only look as if they did."""
    day = "2026-01-10T00:00:00+00:00"
    return [
        *hours(day, 24, **DISK),
        *hours(day, 6, **H100),
        *hours(day, 12, **N2),
        *(one for team in TEAMS for one in hours(day, 2, **DISK, **team)),
        *hours(day, 2, **DISK, labels=pairs(team="b")),
        *hours(day, 3, **DISK, credits=[credit(-0.013, "DISCOUNT"), credit(-0.007, "DISCOUNT")]),
        *hours(day, 3, **DISK, credits=[credit(-0.002, "PROMOTION"), credit(-0.1, "DISCOUNT")]),
        *hours(day, 2, **DISK, usage={"amount": 7.1, "unit": "byte-seconds"}),
        *hours(day, 2, **DISK, usage=None),
        *hours(day, 2, **DISK, currency="EUR", currency_conversion_rate=0.8764),
        *hours(day, 2, **DISK, currency="EUR", currency_conversion_rate=0.9),
        *hours(day, 2, **DISK, project={"id": None, "name": None, "labels": []}),
        *hours(day, 2, **DISK, resource={"name": "disk-1", "global_name": "//compute/disk-1"}),
        *hours(day, 2, **DISK, cost_type="tax"),
        *hours("2026-01-31T22:00:00+00:00", 4, **DISK),
        *hours(day, 2, **DISK, invoice={"month": "202602", "publisher_type": "PARTNER"}),
        # Sixteen and seventeen digits, and more decimals than are kept.
        *(row(**DISK, cost=cost) for cost in (0.1 + 0.2, 1 / 3, 2.4e-13, 1e-7, 123456.123456789)),
    ]


def summed(frame: pl.DataFrame, *counts: str) -> list[tuple[Any, ...]]:
    """Sum charges by all that tells lines of a day apart."""
    # Times and rows are of several lines; tags compare as lists, in one order.
    beside = {"source_file", "source_row", "charge_period_start", "charge_period_end", "line_count", "count", "tags"}
    same = [name for name in frame.columns if name not in {*beside, *COSTS, "consumed_quantity"}]
    day = pl.col("charge_period_start").dt.date().alias("day")
    tags = pl.col("tags").map.entries().list.sort().cast(pl.List(pl.Struct({"key": pl.String, "value": pl.String})))
    keys = [*sorted(same), day, tags.list.eval(pl.element().struct.json_encode()).list.join(",").alias("told")]
    known = pl.col("list_cost", "consumed_quantity").is_not_null().any().name.suffix("_known")
    sums = frame.group_by(keys).agg(pl.col(*COSTS, "consumed_quantity", *counts).sum(), known)
    return sums.sort(pl.all(), nulls_last=True).rows()


def test_google_s_own_sql_makes_the_same_of_the_same_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The query as it is sent to BigQuery, nothing put in its place, and in a time zone that is not UTC.
    monkeypatch.undo()
    chance = Random(7)  # noqa: S311 - the same amounts every time
    # Exact halves of the last decimal that is kept, and amounts of every length.
    halves = [2.5e-12, 3.5e-12, 1.5e-12, 1234.0000000000005, -5.0000000000005]
    costs = [*halves, *(chance.uniform(-1, 1) * 10.0 ** chance.randint(-14, 9) for _ in range(300))]
    lines = [*mixed(), *(row(**DISK, cost=cost, credits=[credit(-cost / 3, "DISCOUNT")]) for cost in costs)]
    asked = Aggregate(google_sql.table(lines, STRUCTURE), kinds(STRUCTURE), "TRUE")
    rows, sums = google_sql.answers(asked.rows(), asked.sums("DATE(export_time)", "invoice.month"))
    assert sum(one["apportion_lines"] for one in rows) == len(lines)
    assert len(rows) == 22
    by_line = from_file(lines, tmp_path / "lines")
    assert summed(charges(from_file(rows, tmp_path / "rows"))) == summed(charges(by_line))
    for version in by_line.versions():
        (said,) = [one for one in sums if one["month"] == f"{version.billing_period:%Y%m}"]
        found = gcp_totals.Sums()
        found.add({name: Decimal(text) for name, text in said.items() if name not in {"day", "month"}})
        of_all, of_lines = gcp_totals.as_totals(found, is_final=True), by_line.totals(by_line.fetch(version))
        assert of_all.lines == of_lines.lines
        assert of_all.quantized == {"list_cost": Decimal(0), **of_lines.quantized}
        assert of_all.exact == {"list_cost": Decimal(0), **of_lines.exact}


def kinds(structure: dict[str, Any]) -> dict[str, Any]:
    """Give columns as `Aggregate` takes them: what a record holds whether it is repeated or not."""
    inner = {name: kind[0] if isinstance(kind, list) else kind for name, kind in structure.items()}
    return {name: kinds(kind) if isinstance(kind, dict) else kind for name, kind in inner.items()}


def test_rows_have_the_sums_of_their_lines_and_are_walked_back_to_them(
    append: Append, open_table: OpenTable, tmp_path: Path
) -> None:
    gcp = open_table(append(mixed()), push_down=True)
    lines, rows = charges(from_file(mixed(), tmp_path)), charges(gcp)
    assert summed(rows, "count") == summed(lines, "count")
    assert (lines.height, rows.height) == (79, 22)
    # One row back to its three lines.
    (row,) = rows.filter(pl.col("effective_cost") != pl.col("net_cost")).to_dicts()
    assert isinstance(gcp, KeepsLines)
    found = gcp.lines(row["source_file"], row["source_row"])
    assert found.height == row["line_count"] == found["charge_period_start"].n_unique() == 3
    assert {name: found[name].sum() for name in COSTS} == {name: row[name] or 0 for name in COSTS}
    with pytest.raises(BadInput, match=r"2026-01-10.parquet: has no row 999 any more.*Run `apportion run`"):
        gcp.lines(row["source_file"], 999)
    with pytest.raises(BadInput, match="its rows did not land on this machine"):
        gcp.lines("2026-01-11.parquet", 1)
    with pytest.raises(BadInput, match="Set `push_down` of source 'file' again"):
        from_file(mixed(), tmp_path).lines("bill.jsonl", 1)


@pytest.mark.parametrize(
    "amount", [0.1 + 0.2, 1 / 3, -1e-7, 5e-324, 1e15 - 0.1, 0.1, *(2.0**-power for power in range(1, 60))]
)
def test_the_digits_bigquery_is_asked_for_round_as_the_reader_s_do(amount: float) -> None:
    # The rule that `gcp_aggregate` writes in SQL: the fewest digits of 15, 16 and 17 that are this float.
    asked = next(text for digits in (15, 16, 17) if float(text := f"{amount:.{digits}g}") == amount)
    assert quantize_decimal(Decimal(asked)) == pl.select(quantize(pl.lit(amount))).item()


def test_whatever_counts_by_the_hour_keeps_its_hours() -> None:
    """What the models see an accelerator in, however it is named, is not cut to the day."""
    shapes = catalogue().filter(~pl.col("instance_type").str.contains(".", literal=True))["instance_type"]
    skus = [
        "Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Iowa",
        "A4 Nvidia B200 (1 gpu slice) running in Americas",
        "H200 141GB GPU running in Tokyo",
        "RTX PRO 6000 96GB running in Iowa",
        "RTX 6000 running in Iowa",
        "TpuV5e running in Americas",
        "Cloud TPU v3 in Iowa",
        "TPU7x running in Americas",
        "A3Plus Instance Core running in Americas",
        "G2 Instance Ram running in Americas",
        "A4X Max Instance Core running in Iowa",
        "Vertex AI: Training/Pipelines on A3 Instance Core in Iowa",
        "DWS Defined Duration A3 Ram running in Americas",
        "Vertex AI: Training/Pipelines management fee on e2 in Iowa",
        "Some new thing",
    ]
    services = ["6F81-5844-456A", "C7E2-9256-1C43"]
    frame = pl.DataFrame({"usage_type": skus}).join(pl.DataFrame({"instance_type": [None, *shapes]}), how="cross")
    frame = frame.join(pl.DataFrame({"service_code": services}), how="cross")
    keys = with_accelerator(frame.with_columns(charge_description="usage_type"), catalogue())
    hourly = keys.filter(pl.col("accelerator").is_not_null() | is_flex_start() | is_management_fee())
    assert hourly.height > 500
    text, machine = pl.col("usage_type"), pl.col("instance_type")
    kept = text.str.contains(gcp_aggregate.ACCELERATED) | ~machine.str.contains(gcp_aggregate.PLAIN)
    assert hourly.filter(~kept.fill_null(value=False)).is_empty()
    parts = keys.filter(is_part())
    assert parts.filter(~text.str.contains(gcp_aggregate.PART)).is_empty()


def test_an_unchanged_table_costs_one_look_and_a_changed_partition_is_added_up_again(
    append: Append, open_table: OpenTable, tmp_path: Path
) -> None:
    received: list[int] = []
    table = append([*hours("2026-01-10T00:00:00+00:00", 5, **DISK)])
    first = charges(open_table(table, received.append, push_down=True))
    assert first.select("line_count", "source_row").rows() == [(5, 1)]
    received.clear()
    again = open_table(table, received.append, push_down=True)
    assert charges(again).equals(first)
    assert not received
    append([*hours("2026-01-10T07:00:00+00:00", 2, **DISK, export_time="2026-01-10T23:00:00Z")])
    memory = next((tmp_path / "landing").rglob("partitions.json"))
    memory.write_text(memory.read_text().replace('"wide": "20', '"wide": "19'))
    changed = open_table(table, push_down=True)
    assert charges(changed)["line_count"].to_list() == [7]
    assert len(list((tmp_path / "landing").rglob("*.parquet"))) == 1
    by_line = {one.fingerprint for one in open_table(table).versions()}
    assert by_line.isdisjoint(one.fingerprint for one in changed.versions())


def test_a_line_without_a_cost_is_refused_and_so_are_rows_that_lost_one(append: Append, open_table: OpenTable) -> None:
    lines = [*hours("2026-01-10T00:00:00+00:00", 3, **DISK)]
    gcp = open_table(append([*lines, {**lines[0], "cost": None}]), push_down=True)
    landed = gcp.fetch(gcp.versions()[0])
    with pytest.raises(BadInput, match=r"row 1, column cost: None is blank"):
        gcp.totals(landed)
    # Rows that lost some lines differ from what BigQuery said of all lines at once.
    (path,) = landed.paths
    rows, said = parquet.read_table(path), parquet.read_metadata(path).metadata[b"apportion"]
    less = pa.Table.from_pylist([{**rows.to_pylist()[0], "cost": "0.1"}], rows.schema)
    with parquet.ParquetWriter(path, rows.schema) as writer:
        writer.write_table(less)
        writer.add_key_value_metadata({b"apportion": said})
    (frame,) = gcp.read(landed)[Fact.CHARGES]
    assert frame.collect()["billed_cost"].sum() == Decimal("0.1")
    assert gcp.totals(landed).quantized["billed_cost"] == sum(Decimal(str(line["cost"])) for line in lines)


def test_only_a_table_of_the_detailed_or_standard_export_is_added_up(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="`push_down` needs a `table`"):
        GcpBilling.Options(location="bills", push_down=True)
    name = "acme-billing.export.focus"
    with serving(gcp_focus_rows.fake_table(name, [gcp_focus_rows.row()])) as fake:
        chosen = GcpBilling.Options(table=name, push_down=True, api_endpoint=fake.rest, storage_endpoint=fake.storage)
        with pytest.raises(BadInput, match=r"is Google's FOCUS export, .* Leave out `push_down`"):
            GcpBilling("gcp", chosen, tmp_path, lambda _: None).versions()


def test_adding_up_reads_no_more_bytes_than_allowed(tmp_path: Path) -> None:
    name = "acme-billing.export.detailed"
    with serving(fake_table(name)) as fake:
        endpoints = {"api_endpoint": fake.rest, "storage_endpoint": fake.storage}
        chosen = GcpBilling.Options(table=name, push_down=True, maximum_bytes_billed=4_999, **endpoints)
        gcp = GcpBilling("gcp", chosen, tmp_path, lambda _: None)
        (version,) = gcp.versions()
        fake.size = 5_000
        with pytest.raises(Refused, match="this would read 5,000 bytes"):
            gcp.fetch(version)
        asked = fake.questions[-1]
    assert asked[0]
    assert "GROUP BY apportion_key" in asked[1]
    assert "BIGNUMERIC" in asked[1]
    assert asked[2] == ["days", "newest"]


def company_bill(folder: Path) -> pa.Table:
    """Give a day of the sample company's lines by the hour, as exports have them, in one partition."""
    google.write(folder, months=[date(2026, 7, 1)])
    lines = pl.concat([pl.read_parquet(path) for path in sorted((folder / "gcp").glob("*/2026-07-*.parquet"))])
    day = pl.col("usage_start_time").dt.date() == date(2026, 7, 10)
    hour, rows = timedelta(hours=1), []
    # The emulator takes ten seconds for all SKUs.
    skus = sorted({sku["id"] for sku in lines["sku"]})[::3]
    some = pl.col("sku").struct.field("id").is_in(skus)
    for line in lines.filter(day & some).to_dicts():
        for number in range(max(int((line["usage_end_time"] - line["usage_start_time"]) / hour), 1)):
            begin = line["usage_start_time"] + number * hour
            times = {"usage_start_time": begin, "usage_end_time": begin + hour}
            rows.append({**line, **times, "export_time": datetime(2026, 8, 1, 5, tzinfo=UTC)})
    return pa.Table.from_pylist(rows, EXPORT)


def test_every_mart_is_the_same_and_explain_fetches_the_lines(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill, table = company_bill(tmp_path / "company"), "acme-billing.export.one_day"
    client = client_of(emulator)
    load_parquet(client, table, bill, [typed(field) for field in EXPORT])
    parquet.write_table(bill, tmp_path / "bill.parquet")
    rates = [{"currency": "EUR", "rate": 1.141, "effective_from": "2026-01-01"}]
    endpoints = {"api_endpoint": emulator.rest, "storage_endpoint": emulator.storage}
    pushed = {"table": table, "push_down": True, "partition_expression": "DATE(export_time)", **endpoints}
    made: dict[str, Company] = {}
    where: dict[str, dict[str, Any]] = {"lines": {"location": str(tmp_path / "bill.parquet")}, "sums": pushed}
    for name, options in where.items():
        source = {"name": "gcp", "type": "gcp_billing", **options}
        made[name] = Company(tmp_path / name).configure(sources=[source], exchange_rates=rates)
        made[name].run()
    lines, sums = made["lines"], made["sums"]
    marts = sums.marts()
    assert marts == lines.marts()
    assert {mart for mart, rows in marts.items() if rows} >= {"costs_by_workload", "gpu_idle_costs", "reconciliation"}
    stands = sums.lines().collect()
    assert stands["line_count"].sum() == bill.num_rows
    assert stands.height < bill.num_rows / 2
    row = stands.sort("line_count").row(-1, named=True)
    assert row["line_count"] > 10
    place = f"gcp/2026-07/{row['source_file']}#{row['source_row']}"
    answer = sums.apportion("explain", place, "--json", "--limit", "30")
    assert answer.status == 0, answer.said
    said = json.loads(answer.out)
    assert "this reads" in answer.said
    assert len(said["lines"]) == row["line_count"]
    assert said["all_lines"]["equal_the_row"] == "yes"
    assert Decimal(said["all_lines"]["billed_cost"]) == row["billed_cost"]
    monkeypatch.setattr(GcpBilling, "lines", lambda *_: stands.head(2))
    other = json.loads(sums.apportion("explain", place, "--json").out)["all_lines"]
    assert (other["line_count"], other["equal_the_row"].partition(":")[0]) == (2, "no")
    client.close()  # type: ignore[no-untyped-call]
