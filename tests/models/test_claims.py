from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from dbt_like_sql.sql_model import ROOT
from models.claim_settings import ClaimSettings, Plan
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
  definition: inference ÷ AI.
  reading: For us.
  answered_by: any bill
"""
CLAIMS = {claim.id: claim for claim in load_claims()}


def test_eighty_twenty_is_bundled_and_read_as_a_range() -> None:
    claim = CLAIMS["inference-80-20"]
    assert (str(claim.claimed_low), str(claim.claimed_high)) == ("0.75", "0.85")


def test_every_claim_of_the_two_articles_is_there() -> None:
    ranges = {
        (claim.metric.value, str(claim.claimed_low), claim.claimed_high and str(claim.claimed_high))
        for claim in CLAIMS.values()
    }
    assert ranges >= {
        ("inference_share_of_compute", "0.7", "0.8"),
        ("inference_to_training", "3", "5.67"),
        ("inference_to_training", "5", None),
        ("inference_gpu_utilization", "0.1", "0.3"),
        ("training_gpu_utilization", "0.9", "1"),
        ("request_price", "0.001", "0.1"),
        ("production_inference", "50000", "500000"),
        ("spot_savings", "0.6", "0.9"),
        ("spot_savings", "0.6", "0.7"),
        ("response_cache_hits", "0.3", "0.6"),
        ("routing_savings", "0.4", "0.6"),
        ("serverless_multiple", "2", "3"),
        ("long_context_price", "3", "5"),
    }
    assert len(CLAIMS) >= 25
    assert {claim.metric for claim in CLAIMS.values()} == set(Metric)


def test_claims_about_list_prices_carry_the_date_of_the_price() -> None:
    about = {Metric.P5_LIST_PRICE, Metric.GPT_4O_INPUT_PRICE, Metric.GPT_4O_OUTPUT_PRICE, Metric.LONG_CONTEXT_PRICE}
    assert {claim.metric for claim in CLAIMS.values() if claim.priced_on} == about
    assert Decimal("98.32") >= CLAIMS["p5-48xlarge-lists-at-98-32"].claimed_low


def test_claims_of_the_team_follow_ours(tmp_path: Path) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(MINE)
    assert [claim.id for claim in load_claims([file])] == [*CLAIMS, "mine"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (MINE.replace("said_by", "sayd_by"), "sayd_by"),
        (MINE.replace("claimed_low: 0.9", "claimed_low: 2"), "above claimed_high"),
        (MINE.replace("claimed_low: 0.9", "claimed_low: .nan"), "claimed_low"),
        (MINE.replace("inference_share_of_ai", "vibes"), "metric"),
        (MINE.replace("id: mine", "id: Mine!"), "id"),
        (MINE.replace("id: mine", "id: inference-80-20"), "two claims `inference-80-20`"),
        (MINE.replace("inference_share_of_ai", "request_price"), "not measured in `share`. Write `unit: dollars`"),
        (MINE.replace("statement:", "statement: ["), "YAML"),
        (MINE.replace("  answered_by: any bill\n", ""), "answered_by"),
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
    sql = "".join(path.read_text() for path in (ROOT / "intermediate").glob("int_claim_*.sql"))
    assert [metric for metric in Metric if f"'{metric}'" not in sql] == []


def test_settings_of_claims_and_plan_refuse_what_cannot_be() -> None:
    for wrong in ({"routed_share": 2}, {"operations_cost": -1}, {"model_life_months": 0}, {"reserch_declared": True}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            ClaimSettings.model_validate(wrong)
    for unfit in ({"batch_discount": 1.5}, {"request_growth": -1}, {"alternatives": [{"provider": "OpenAI"}]}):
        with pytest.raises(ValidationError, match=next(iter(unfit))):
            Plan.model_validate(unfit)
