"""Bills that a third party's generator writes, koku-nise's: for development only, in an environment of its own.

It writes the detailed export as CSV with dotted names, but for two things that no export has: times without a zone, and
lists in Python's notation. Both are put right before our connector sees them.
"""

from __future__ import annotations

import ast
import csv
import json
import subprocess
from pathlib import Path

import duckdb
import polars as pl
import pytest

from connectors.gcp_billing import GcpBilling
from models.facts import Fact
from tests.connectors.own_environment import environment

pytestmark = pytest.mark.pipeline

LISTS = ("project.labels", "labels", "system_labels", "credits")
TIMES = ("usage_start_time", "usage_end_time", "export_time")
COMPANY = """
generators:
  - ComputeEngineGenerator:
      start_date: 2026-01-20
      end_date: 2026-02-10
      price: 2.0300417
      credit_amount: -0.10007
      currency: EUR
      labels: [{ environment: production, team: search }]
      cross_over: { month: current, overwrite: true, days: [-1] }
  - CloudStorageGenerator: { start_date: 2026-01-20, end_date: 2026-02-10, price: 0.0213, currency: EUR }
  - GCPNetworkGenerator: { start_date: 2026-01-20, end_date: 2026-02-10, price: 0.083, currency: USD }
  - GCPDatabaseGenerator: { start_date: 2026-01-20, end_date: 2026-02-10, price: 1.1e-7, currency: USD }
projects:
  - { billing_account_id: 0123AB-456789-CDEF01, project.name: train, project.id: acme-train, project.labels: [] }
  - { billing_account_id: 0123AB-456789-CDEF01, project.name: serve, project.id: acme-serve, project.labels: [] }
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have two months generated, hourly and by resource."""
    nise = environment("koku-nise-5.4.4", ["koku-nise==5.4.4"]) / "venv/bin/nise"
    folder = tmp_path_factory.mktemp("generated")
    (folder / "company.yml").write_text(COMPANY, encoding="utf-8")
    command = [str(nise), "report", "gcp", "-s", "2026-01-20", "-e", "2026-02-10", "--write-monthly"]
    command += ["--resource-level", "--static-report-file", "company.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "export").mkdir()
    for number, path in enumerate(sorted(folder.glob("*.csv"))):
        _put_right(path, folder / "export" / f"export-{number:012d}.csv")
    return folder / "export"


def _put_right(path: Path, target: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file, target.open("w", encoding="utf-8", newline="") as out:
        rows = csv.DictReader(file)
        writer = csv.DictWriter(out, rows.fieldnames or [])
        writer.writeheader()
        for row in rows:
            row |= {name: f"{row[name]}Z" for name in TIMES}
            writer.writerow(row | {name: json.dumps(ast.literal_eval(row[name] or "[]")) for name in LISTS})


def test_every_sum_of_a_generated_bill_is_what_duckdb_makes_of_its_rows(exported: Path, tmp_path: Path) -> None:
    gcp = GcpBilling("gcp", GcpBilling.Options(location=str(exported)), tmp_path / "landing", lambda _: None)
    ours = []
    for version in gcp.versions():
        landed = gcp.fetch(version)
        totals = gcp.totals(landed)
        charges = pl.concat([frame.collect() for frame in gcp.read(landed)[Fact.CHARGES]])
        assert {name: charges[name].sum() for name in totals.quantized} == totals.quantized
        month = pl.lit(f"{version.billing_period:%Y%m}").alias("month")
        ours.append(charges.select(month, "sub_account_id", "service_code", "billing_currency", "billed_cost"))
    key = ["month", "sub_account_id", "service_code", "billing_currency"]
    by_key = pl.concat(ours).group_by(key).agg(pl.len(), pl.col("billed_cost").sum()).sort(key)
    assert by_key["month"].unique().sort().to_list() == ["202601", "202602"]
    says = duckdb.execute(
        """
        with rows as (
            select "invoice.month" as month, "project.id" as project, "service.id" as service, currency, cost,
                from_json(credits, '[{"amount": "VARCHAR"}]') as given
            from read_csv(?, all_varchar = true, header = true, union_by_name = true)
        )
        select month, project, service, currency, count(*),
            sum(round_even(cost::decimal(38, 20), 12))
            + sum(coalesce(list_sum([round_even(one.amount::decimal(38, 20), 12) for one in given]), 0))
        from rows group by all order by all
        """,
        [str(exported / "*.csv")],
    ).fetchall()
    assert by_key.rows() == says
    assert by_key.filter(billing_currency="EUR").height
    assert by_key.filter(billing_currency="USD").height
