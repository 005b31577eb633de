from pathlib import Path

import pytest

from dbt_like_sql.sql_model import ROOT
from models.claims import Claim, Metric, load_claims
from models.errors import BadSettings
from pipelines.warehouse.tables import TABLES

MINE = """\
- id: mine
  statement: Inference is nearly everything.
  said_by: our CTO
  said_on: 2026-01-31
  metric: inference_share_of_ai
  claimed_low: 0.9
  claimed_high: 1
  scope: all
  reading: For us.
"""


def test_eighty_twenty_is_bundled_and_read_as_a_range() -> None:
    (claim,) = load_claims()
    assert claim.id == "inference-80-20"
    assert (str(claim.claimed_low), str(claim.claimed_high)) == ("0.75", "0.85")


def test_claims_of_the_team_follow_ours(tmp_path: Path) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(MINE)
    assert [claim.id for claim in load_claims([file])] == ["inference-80-20", "mine"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (MINE.replace("said_by", "sayd_by"), "sayd_by"),
        (MINE.replace("claimed_low: 0.9", "claimed_low: 2"), "above claimed_high"),
        (MINE.replace("claimed_low: 0.9", "claimed_low: .nan"), "claimed_low"),
        (MINE.replace("inference_share_of_ai", "vibes"), "metric"),
        (MINE.replace("id: mine", "id: Mine!"), "id"),
        (MINE.replace("id: mine", "id: inference-80-20"), "two claims `inference-80-20`"),
        (MINE.replace("statement:", "statement: ["), "YAML"),
        ("just words", "list"),
    ],
)
def test_bad_claim_is_refused_with_its_file_and_field(tmp_path: Path, broken: str, message: str) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(broken)
    with pytest.raises(BadSettings, match=message) as raised:
        load_claims([file])
    assert str(file) in str(raised.value)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"gone\.yaml"):
        load_claims([tmp_path / "gone.yaml"])


def test_claim_fills_every_column_of_its_table() -> None:
    columns = {name.replace("claim_id", "id") for name in TABLES["reference.claims"][1]}
    assert set(Claim.model_fields) == columns


def test_every_metric_is_measured_in_sql() -> None:
    sql = (ROOT / "marts" / "claim_checks.sql").read_text()
    assert all(f"'{metric}' as metric" in sql for metric in Metric)
