from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Desk
from tests.connectors.fake_bigquery import FakeBigQuery, serving
from tests.connectors.gcp_rows import fake_table

pytestmark = pytest.mark.pipeline

TABLE = "acme-billing.export.gcp_billing_export_resource_v1_0123AB"


@pytest.fixture
def fake() -> Iterator[FakeBigQuery]:
    with serving(fake_table(TABLE)) as found:
        found.size = 5_000
        yield found


def desk(folder: Path, fake: FakeBigQuery, most: int) -> Desk:
    source = {"name": "gcp", "type": "gcp_billing", "table": TABLE, "maximum_bytes_billed": most}
    endpoints = {"api_endpoint": fake.rest, "storage_endpoint": fake.storage}
    (folder / "apportion.yaml").write_text(yaml.safe_dump({"sources": [source | endpoints]}), encoding="utf-8")
    return Desk(folder)


def test_a_run_says_how_much_a_query_reads_before_it_reads(fake: FakeBigQuery, tmp_path: Path) -> None:
    ran = desk(tmp_path, fake, 10**9).type("run")
    assert ran.status == 0, ran.said
    said = ran.said.splitlines()
    reads = f"{TABLE}: this reads 5,000 bytes of at most 1,000,000,000"
    # The look at the partitions, before anything is loaded, and then the partition itself.
    assert said.index(reads) < said.index("gcp 2026-01: loading")
    assert reads in said[said.index("gcp 2026-01: loading") :]
    assert "gcp 2026-01: 25 lines, 300.00 USD billed" in said


def test_a_run_refuses_to_read_more_than_the_configuration_allows(fake: FakeBigQuery, tmp_path: Path) -> None:
    ran = desk(tmp_path, fake, 4_999).type("run")
    assert ran.status == 1
    assert "this would read 5,000 bytes, more than `maximum_bytes_billed` (4,999)" in ran.said
    assert all(is_dry for is_dry, *_ in fake.questions)
    assert not fake.sessions
