"""The FinOps Foundation's own validator as a second gate. It needs Python 3.12 and old libraries, so its own place:

FOCUS_VALIDATOR=$(.ci/focus-validator) pytest tests/pipelines/reports/test_focus_validator.py
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.reports.focus_export import write_focus
from tests.pipelines.conftest import AUGUST, Company

pytestmark = pytest.mark.pipeline

CRITERIA = (
    "AVAILABILITY_ZONE_SUPPORTED",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "CAPACITY_RESERVATION_SUPPORTED",
    "COMMITMENT_DISCOUNT_SUPPORTED",
    "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
    "REGION_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "TAGGING_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
)
# Rule → why a failure of it is none of ours.
KNOWN = {
    "BilledCost-C-005-C": "takes every invoice issuer of another name than the provider for a third party",
    "EffectiveCost-C-005-C": "takes every purchase for one that covers later charges; a Capacity Block does not",
    "InvoiceId-C-004-C": "wants no invoice id on any row, and C-005 wants one on every row",
    "InvoiceId-C-005-C": "wants an invoice id on rows of open bills too",
    "CapacityReservationStatus-C-004-C": "asks rows for a status that have no reservation",
    "CommitmentDiscountStatus-C-004-C": "asks exactly the rows that have no commitment",
    "CommitmentDiscountQuantity-C-005-C": "asks every row; no bill of ours states the quantity",
    "PricingUnit-C-003-O": "units are the provider's own words",
    "ConsumedUnit-C-003-O": "units are the provider's own words",
}
# Columns it wants from whoever has commitments; no bill of ours states a commitment's quantity.
ABSENT = {"CommitmentDiscountQuantity", "CommitmentDiscountUnit"}
# `❌ BilledCost-C-005-C: FAIL  (violations=3, msg=…`; what fails for its parts or for an absent column repeats others.
FAILED = re.compile(r"^❌ (\S+): FAIL +\(violations=\d+, msg=(.*)$", re.MULTILINE)
REPEATS = re.compile(r"failed child rules|Upstream dependency failed")


@pytest.fixture
def validator() -> Path:
    found = os.environ.get("FOCUS_VALIDATOR")
    if not found:
        pytest.skip("FOCUS_VALIDATOR names no validator")
    return Path(found).absolute()


def test_the_validator_finds_nothing_but_its_own_known_faults(
    company: Company, tmp_path: Path, validator: Path
) -> None:
    parquet, _ = write_focus(company.settings, AUGUST, tmp_path, "1.2")
    # It looks for its list of currencies beside the working directory.
    (codes,) = validator.parents[1].glob("lib/*/site-packages/focus_validator/rules/currency_codes.csv")
    beside = tmp_path / "focus_validator" / "rules"
    beside.mkdir(parents=True)
    shutil.copy(codes, beside)
    command = [str(validator), "--data-file", str(parquet), "--validate-version", "1.2", "--block-download"]
    command += ["--focus-dataset", "CostAndUsage", "--applicability-criteria", ",".join(CRITERIA)]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    # It leaves with 0 whatever it finds, so its words count.
    assert re.search(r"Total: [1-9]\d* \| Pass: [1-9]\d*", answer.stdout), answer.stdout[-2000:]
    failed = {rule: why for rule, why in FAILED.findall(answer.stdout) if not REPEATS.search(why)}
    assert set(re.findall(r"Column '(\w+)' MUST be present", answer.stdout)) <= ABSENT
    assert {rule: why for rule, why in failed.items() if rule not in KNOWN} == {}
