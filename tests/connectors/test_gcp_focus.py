"""Google's FOCUS export, read from its table in BigQuery; FOCUS code reads what lands."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from pyarrow import parquet

from connectors.focus import Focus
from connectors.gcp_billing import GcpBilling
from models.errors import BadInput, Refused
from models.facts import Fact
from tests.connectors import bigquery_emulator, gcp_rows
from tests.connectors.fake_bigquery import FakeBigQuery, serving
from tests.connectors.gcp_focus_rows import AMOUNTS, SCHEMA, credit, fake_table, pairs, row, table
from tests.connectors.gcp_rows import Row, described

TABLE = "acme-billing.gcp_billing_immutable_0123AB_us.gcp_billing_export_focus_0123AB"
H100 = "compute.googleapis.com/machine_spec"
Open = Callable[..., GcpBilling]
Serve = Callable[..., tuple[FakeBigQuery, Open]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve rows as one partition, and open them."""
    stack = ExitStack()

    def make(rows: Sequence[Row], drop: Sequence[str] = ()) -> tuple[FakeBigQuery, Open]:
        fake = stack.enter_context(serving(fake_table(TABLE, rows, drop)))

        def open_table(**options: Any) -> GcpBilling:
            chosen = GcpBilling.Options(table=TABLE, api_endpoint=fake.rest, storage_endpoint=fake.storage, **options)
            return GcpBilling("gcp", chosen, tmp_path / "landing", lambda _: None)

        return fake, open_table

    with stack:
        yield make


def charges(source: GcpBilling | Focus) -> pl.DataFrame:
    """Read every month, and check that the ledger's sums are those of the native columns."""
    frames = []
    for version in source.versions():
        landed = source.fetch(version)
        totals = source.totals(landed)
        found = pl.concat([frame.collect() for frame in source.read(landed)[Fact.CHARGES]])
        assert totals.lines == found.height
        assert {name: found[name].sum() for name in totals.quantized} == totals.quantized == totals.exact
        frames.append(found.with_columns(billing_period=pl.lit(version.billing_period)))
    return pl.concat(frames)


def test_the_look_and_the_stream_ask_by_the_names_of_focus(serve: Serve) -> None:
    fake, open_table = serve([row(), row()])
    assert charges(open_table(maximum_bytes_billed=10**9)).height == 2
    look, again, estimate = fake.questions
    name = "`acme-billing`.`gcp_billing_immutable_0123AB_us`.`gcp_billing_export_focus_0123AB`"
    assert (look[0], again[0], estimate[0]) == (True, False, True)
    assert again[1] == (
        "SELECT DATE(_PARTITIONTIME) AS day, FORMAT_TIMESTAMP('%Y%m', BillingPeriodStart) AS month, "
        f"MAX(x_ExportTime) AS newest, COUNT(*) AS number FROM {name} "
        "WHERE DATE(_PARTITIONTIME) >= @since GROUP BY 1, 2"
    )
    assert again[2:] == (["since"], "1000000000")
    assert estimate[1].endswith("WHERE DATE(_PARTITIONTIME) IN UNNEST(@days) AND x_ExportTime <= @newest")
    ((_, columns, restriction),) = fake.sessions
    assert {"BilledCost", "x_Labels", "x_ExportTime"} < set(columns) < set(SCHEMA.names)
    assert "x_Project" not in columns
    assert restriction.endswith("AND x_ExportTime <= TIMESTAMP '2026-01-30 08:00:00+00:00'")


def test_what_google_says_in_its_own_columns_reaches_the_charges(serve: Serve) -> None:
    labelled = row(
        x_Labels=pairs(team="search"),
        x_ProjectLabels=pairs(env="prod"),
        x_SystemLabels=pairs(**{H100: "a3-highgpu-8g"}),
        x_Tags=[{"Key": "cost-center", "Value": "42", "x_Inherited": True, "x_Namespace": "acme"}],
    )
    _, open_table = serve([labelled])
    (found,) = charges(open_table()).to_dicts()
    assert dict(found["tags"]) == {
        "team": "search",
        "project:env": "prod",
        f"system:{H100}": "a3-highgpu-8g",
        "tag:cost-center": "42",
    }
    assert {name: found[name] for name in ("service_code", "usage_type", "line_item_type", "instance_type")} == {
        "service_code": "6F81-5844-456A",
        "usage_type": "A3 Instance Core running in Americas",
        "line_item_type": "regular",
        "instance_type": "a3-highgpu-8g",
    }
    assert (found["resource_name"], found["sub_account_id"]) == ("gke-prod-a3", "acme-train")
    assert (found["consumed_quantity"], found["pricing_unit"]) == (Decimal(2), "hour")
    assert found["contracted_cost"] == Decimal("2.75")


def test_credits_are_in_the_costs_already_and_are_not_counted_again(serve: Serve) -> None:
    given = [credit("-0.5", "COMMITTED_USAGE_DISCOUNT"), credit("-0.25", "PROMOTION")]
    _, open_table = serve([row(BilledCost="1.75", EffectiveCost="1.75", x_Credits=given)])
    (found,) = charges(open_table()).to_dicts()
    assert [found[name] for name in ("billed_cost", "effective_cost", "net_cost")] == [Decimal("1.75")] * 3


def test_commitments_are_told_as_in_the_detailed_export(serve: Serve) -> None:
    fee = row(
        ChargeDescription="Commitment - dollar based v1: GCE",
        x_SubscriptionInstanceId="sub-1",
        x_Credits=[credit("-8", "FEE_UTILIZATION_OFFSET")],
    )
    covered = row(x_SubscriptionInstanceId="sub-1", x_ConsumptionModelId="D97B-0795-975B")
    unused = row(
        x_SystemLabels=pairs(
            **{
                "compute.googleapis.com/reservation_name": "r1",
                "compute.googleapis.com/is_unused_reservation": "true",
            }
        )
    )
    _, open_table = serve([fee, covered, unused])
    found = charges(open_table()).select(
        "commitment_discount_id",
        "commitment_discount_status",
        "capacity_reservation_id",
        "capacity_reservation_status",
        "consumed_quantity",
    )
    assert found.rows() == [
        ("sub-1", "Unused", None, None, None),
        ("sub-1", "Used", None, None, Decimal(2)),
        (None, None, "r1", "Unused", Decimal(2)),
    ]


def test_the_detailed_and_the_focus_export_of_one_row_say_the_same(serve: Serve, tmp_path: Path) -> None:
    spec = {H100: "a3-highgpu-8g"}
    focus = row(
        BilledCost="2.0",
        EffectiveCost="2.0",
        x_Labels=pairs(team="search"),
        x_SystemLabels=pairs(**spec),
        x_Credits=[credit("-0.5", "SUSTAINED_USAGE_DISCOUNT")],
    )
    detailed = gcp_rows.row(
        labels=gcp_rows.pairs(team="search"),
        system_labels=gcp_rows.pairs(**spec),
        credits=[gcp_rows.credit(-0.5, "SUSTAINED_USAGE_DISCOUNT")],
        resource={"name": focus["ResourceName"], "global_name": focus["ResourceId"]},
    )
    path = gcp_rows.write(tmp_path / "detailed.parquet", [detailed])
    _, open_table = serve([focus])
    options = GcpBilling.Options(location=str(path))
    (of_focus,) = charges(open_table()).to_dicts()
    (of_detailed,) = charges(GcpBilling("files", options, tmp_path / "other", lambda _: None)).to_dicts()
    # FOCUS says more of prices and publishers, and the two rows came from elsewhere.
    both = (of_focus.keys() & of_detailed.keys()) - {"source_file"}
    assert {name: of_focus[name] for name in both} == {name: of_detailed[name] for name in both}
    said = {name for name, value in of_detailed.items() if value is not None}
    assert said - of_focus.keys() == {"invoice_issuer_name"}


def test_a_rate_is_kept_for_a_bill_in_another_currency(serve: Serve) -> None:
    _, open_table = serve([row(BillingCurrency="EUR", x_CurrencyConversionRate=0.92), row()])
    assert charges(open_table())["currency_conversion_rate"].to_list() == [Decimal("0.92"), None]


def test_the_exported_files_read_the_same(serve: Serve, tmp_path: Path) -> None:
    rows = [row(x_Labels=pairs(team="search")), row(SubAccountId=None, x_CostType="tax", ChargeCategory="Tax")]
    _, open_table = serve(rows)
    path = tmp_path / "export.parquet"
    parquet.write_table(table(rows), path)
    files = Focus("files", Focus.Options(location=str(path)), tmp_path / "other", lambda _: None)
    from_table, from_files = charges(open_table()), charges(files)
    same = [name for name in from_files.columns if not name.startswith("source_")]
    assert from_table.select(same).rows() == from_files.select(same).rows()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("EffectiveCost", "column 'EffectiveCost' is missing"),
        ("BillingPeriodStart", "column 'BillingPeriodStart' is missing"),
        ("x_ExportTime", "column 'x_ExportTime' is missing"),
    ],
)
def test_a_needed_column_is_named(serve: Serve, column: str, message: str) -> None:
    fake, open_table = serve([row()], [column])
    with pytest.raises(BadInput, match=f"{TABLE}.*{message}"):
        open_table().versions()
    assert not fake.questions


def test_a_table_may_lack_what_only_names_things(serve: Serve) -> None:
    drop = ["x_Labels", "x_Tags", "x_ProjectLabels", "x_SystemLabels", "x_ServiceId", "ResourceName", "x_CostType"]
    _, open_table = serve([row()], drop)
    (found,) = charges(open_table()).to_dicts()
    assert (found["billed_cost"], found["tags"]) == (Decimal("2.5"), None)


def test_more_bytes_than_allowed_are_not_read(serve: Serve) -> None:
    fake, open_table = serve([row()])
    fake.size = 5_000
    with pytest.raises(Refused, match="would read 5,000 bytes"):
        open_table(maximum_bytes_billed=4_999).versions()


def test_a_bad_cell_is_named_by_partition_and_row(serve: Serve) -> None:
    _, open_table = serve([row(), row(ChargeCategory="Gift")])
    gcp = open_table()
    (version,) = gcp.versions()
    with pytest.raises(BadInput, match=r"2026-01-30\.parquet.* row 2, column ChargeCategory"):
        gcp.totals(gcp.fetch(version))


def test_what_has_landed_of_a_partition_that_expired_stays_in_its_month(serve: Serve, tmp_path: Path) -> None:
    fake, open_table = serve([row()])
    expired, young = ("2024-01-10", "202401", *fake.found[0][2:]), (fake.found[0][0], "202401", *fake.found[0][2:])
    fake.found = [expired, young]
    (first,) = open_table().versions()
    open_table().fetch(first)
    memory = next((tmp_path / "landing").rglob("partitions.json"))
    memory.write_text(memory.read_text().replace('"wide": "20', '"wide": "19'))
    fake.found = [young]
    assert open_table().versions() == [first]
    assert len(open_table().fetch(first).paths) == 2


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bigquery_emulator.Emulator]:
    with bigquery_emulator.running(tmp_path_factory.mktemp("emulator") / "log") as found:
        yield found


def bill() -> list[Row]:
    """Three days of export, two invoice months, and amounts that binary fractions cannot hold."""
    february = {"BillingPeriodStart": "2026-02-01T08:00:00Z", "BillingPeriodEnd": "2026-03-01T08:00:00Z"}
    return [
        row(
            BilledCost=f"{number}.107",
            EffectiveCost=f"{number}.057",
            SubAccountId=f"p{number % 3}",
            ServiceName=f"Service {number % 4}",
            x_Labels=pairs(team="search"),
            x_Credits=[credit("-0.01", "PROMOTION")] if number % 5 == 0 else [],
            x_ExportTime=f"2026-01-{29 + number // 20}T05:00:00.123456Z",
            **(february if number >= 50 else {}),
        )
        for number in range(60)
    ]


def typed(column: dict[str, Any]) -> bigquery.SchemaField:
    """Give a column its type in BigQuery."""
    kinds = {"x_CurrencyConversionRate": "FLOAT", "x_Inherited": "BOOLEAN", "Amount": "NUMERIC"}
    name, kind = column["name"], column["type"]
    if name in AMOUNTS:
        kind = "NUMERIC"
    elif name.endswith(("Start", "End", "Time")):
        kind = "TIMESTAMP"
    inner = [typed(one) for one in column.get("fields", [])]
    return bigquery.SchemaField(name, kinds.get(name, kind), mode=column["mode"], fields=inner)


@pytest.mark.pipeline
def test_every_sum_of_the_table_is_what_duckdb_makes_of_the_raw_rows(
    emulator: bigquery_emulator.Emulator, tmp_path: Path
) -> None:
    client = bigquery.Client(
        project="acme-billing",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options=ClientOptions(api_endpoint=emulator.rest),
    )
    client.create_dataset("gcp_billing_immutable_0123AB_us", timeout=20)
    schema = [typed(described(field)) for field in SCHEMA]
    client.create_table(bigquery.Table(TABLE, schema=schema), timeout=20)
    raw = tmp_path / "raw.jsonl"
    raw.write_text("".join(json.dumps(one) + "\n" for one in bill()))
    config = bigquery.LoadJobConfig(schema=schema, source_format="NEWLINE_DELIMITED_JSON")
    client.load_table_from_file(io.BytesIO(raw.read_bytes()), TABLE, job_config=config).result(timeout=20)
    client.close()  # type: ignore[no-untyped-call]
    received: list[int] = []
    options = GcpBilling.Options(
        table=TABLE,
        partition_expression="DATE(x_ExportTime)",
        api_endpoint=emulator.rest,
        storage_endpoint=emulator.storage,
    )
    gcp = GcpBilling("gcp", options, tmp_path / "landing", received.append)
    january, february = gcp.versions()
    assert [file.name for file in january.files] == [f"2026-01-{day}.parquet" for day in (29, 30, 31)]
    assert [file.name for file in february.files] == ["2026-01-31.parquet"]
    found = charges(gcp)
    says = duckdb.execute(
        """
        select BillingPeriodStart[:7], SubAccountId, ServiceName, count(*),
            sum(BilledCost::decimal(38, 12)), sum(EffectiveCost::decimal(38, 12))
        from read_json(?, columns = {BillingPeriodStart: 'varchar', SubAccountId: 'varchar', ServiceName: 'varchar',
            BilledCost: 'varchar', EffectiveCost: 'varchar'})
        group by all order by all
        """,
        [str(raw)],
    ).fetchall()
    keys = (pl.col("billing_period").dt.strftime("%Y-%m"), "sub_account_id", "service_name")
    ours = found.group_by(keys).agg(pl.len(), pl.col("billed_cost").sum(), pl.col("effective_cost").sum())
    assert ours.sort("billing_period", "sub_account_id", "service_name").rows() == says
    assert {tuple(dict(tags).items()) for tags in found["tags"]} == {(("team", "search"),)}
    received.clear()
    assert charges(gcp).height == 60
    assert not received
