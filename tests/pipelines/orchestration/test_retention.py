from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.orchestration.retention import sweep
from tests.pipelines.conftest import AUGUST, Company

pytestmark = pytest.mark.pipeline


def test_what_is_current_or_pinned_stays_and_the_rest_goes(restated: Company, tmp_path: Path) -> None:
    company = restated.copy(tmp_path / "company")
    company.ledger.pin("aws", AUGUST, by="someone", reason="closed")
    pinned = company.ledger.charges.open().version()
    company.run()  # the restated August replaces the pinned one
    orphan = company.home / "ledger" / "charges" / "source=aws" / "billing_period=2026-08-01" / "crashed-00001.parquet"
    orphan.write_bytes(b"left by a crash")
    marts = company.marts()
    swept = sweep(company.settings, keep_last=1)
    assert any("crashed" in file for file in swept.ledger_files)
    assert not orphan.exists()
    assert swept.sizes["ledger"] > 0
    before = company.ledger.charges.scan(company.ledger.charges.partitions(pinned)["aws", AUGUST].files).collect()
    assert before.height > 0  # the pinned version is readable still
    company.run("--rebuild")
    assert company.marts() == marts


def test_replaced_deliveries_are_no_longer_landed(restated: Company, tmp_path: Path) -> None:
    company = restated.copy(tmp_path / "company")
    month = company.home / "landing" / "aws" / "2026-07"
    current = company.ledger.loaded_versions("aws")[AUGUST.replace(month=7)][:16]
    for name in (current, "0" * 16):
        (month / name).mkdir(parents=True)
        (month / name / "bill.parquet").write_bytes(b"12345")
    answer = company.apportion("vacuum", "--json")
    assert answer.status == 0, answer.said
    swept = json.loads(answer.out)
    assert swept["landed"] == [f"landing/aws/2026-07/{'0' * 16}"]
    assert [path.name for path in month.iterdir()] == [current]
