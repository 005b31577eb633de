from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from examples.sample import write_sample
from pipelines.cli.app import app
from pipelines.settings import Settings

pytestmark = pytest.mark.pipeline

RUN = CliRunner()


@pytest.mark.parametrize(
    ("bills", "kind", "field"),
    [
        ("s3://acme-billing/exports/prod", "aws_cur", "location"),
        ("s3://acme/focus-exports", "focus", "location"),
        ("acme-billing.export.gcp_billing_export_v1_0123AB", "gcp_billing", "table"),
    ],
)
def test_three_answers_make_a_configuration_that_loads(tmp_path: Path, bills: str, kind: str, field: str) -> None:
    config = tmp_path / "apportion.yaml"
    done = RUN.invoke(app, ["init", "--config", str(config)], input=f"{bills}\nsquad\neur\n")
    assert done.exit_code == 0, done.output
    (source,) = yaml.safe_load(config.read_text())["sources"]
    assert (source["type"], source[field]) == (kind, bills)
    settings = Settings.load(config)
    assert (settings.currency, settings.dimensions.model_dump()["team"][0]["tag"]) == ("EUR", "squad")


def test_an_answer_with_quotes_and_a_newline_breaks_nothing(tmp_path: Path) -> None:
    config = tmp_path / "apportion.yaml"
    answers = ["--bills", 'bills: "odd" #', "--team-tag", 'team"\n}', "--currency", "USD"]
    assert RUN.invoke(app, ["init", "--config", str(config), *answers]).exit_code == 0
    assert yaml.safe_load(config.read_text())["sources"][0]["location"] == 'bills: "odd" #'


def test_a_configuration_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    config = tmp_path / "apportion.yaml"
    config.write_text("home: mine\n")
    done = RUN.invoke(app, ["init", "--config", str(config), "--bills", "b", "--team-tag", "t", "--currency", "USD"])
    assert done.exit_code != 0
    assert config.read_text() == "home: mine\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_sample(tmp_path, lines=1200, gcp=False, tokens=False)
    config = tmp_path / "apportion.yaml"
    config.write_text("home: home\nsources: [{ name: aws, type: aws_cur, location: bills }]\n")
    return config


def test_doctor_finds_nothing_wrong_with_a_company_that_can_run(config: Path) -> None:
    done = RUN.invoke(app, ["doctor", "--config", str(config)])
    assert done.exit_code == 0, done.output
    assert "source aws (aws_cur): 3 months" in done.output
    assert re.search(r"the newest 2026-09: [\d,]+ lines, [\d,.]+ billed in its files; 3 not loaded yet", done.output)


def test_doctor_says_what_is_wrong_and_how_to_put_it_right(config: Path) -> None:
    config.write_text(config.read_text().replace("location: bills", "location: gone"))
    done = RUN.invoke(app, ["doctor", "--config", str(config), "--json"])
    assert done.exit_code == 1
    (broken,) = [finding for finding in json.loads(done.stdout) if not finding["works"]]
    assert broken["what"] == "source aws (aws_cur)"
    assert "gone" in broken["found"]
    assert broken["fix"]


def test_doctor_gives_the_least_permission_a_bucket_needs(config: Path) -> None:
    # A closed port: nobody answers, as when a network forbids it.
    odd = "location: s3://acme/exports, endpoint_url: 'http://127.0.0.1:9', region: us-east-1"
    config.write_text(config.read_text().replace("location: bills", odd))
    done = RUN.invoke(app, ["doctor", "--config", str(config), "--json"], env={"AWS_MAX_ATTEMPTS": "1"})
    assert done.exit_code == 1
    (broken,) = [finding for finding in json.loads(done.stdout) if not finding["works"]]
    policy = json.loads(broken["fix"].partition("\n")[2])
    assert [statement["Action"] for statement in policy["Statement"]] == ["s3:ListBucket", "s3:GetObject"]
    assert policy["Statement"][1]["Resource"] == "arn:aws:s3:::acme/exports/*"


def test_doctor_reads_the_newest_month_and_finds_damage(config: Path) -> None:
    for file in (config.parent / "bills").rglob("data/BILLING_PERIOD=2026-09/*/*.parquet"):
        file.write_bytes(file.read_bytes()[:-100])
    done = RUN.invoke(app, ["doctor", "--config", str(config)])
    assert done.exit_code == 1
    assert "FAIL source aws (aws_cur)" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("more", "what", "fix"),
    [
        ("invoices: totals.csv\n", "invoices", "Correct that file."),
        (
            "aws_invoices: [{ account_id: '777700000001', endpoint_url: 'http://127.0.0.1:9' }]\n",
            "invoices of AWS",
            "invoicing",
        ),
        ("rules: [none/*.yaml]\n", "rules", "Correct the file."),
        ("home: /dev/null/home\n", "home", "right to write"),
    ],
)
def test_doctor_tries_whatever_else_a_run_needs(config: Path, more: str, what: str, fix: str) -> None:
    text = config.read_text().replace("home: home\n", "") if more.startswith("home") else config.read_text()
    config.write_text(text + more)
    (config.parent / "totals.csv").write_text("provider,total\nAWS,1\n")
    environment = {"AWS_MAX_ATTEMPTS": "1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    done = RUN.invoke(app, ["doctor", "--config", str(config), "--json"], env=environment)
    assert done.exit_code == 1, done.output
    broken = [finding for finding in json.loads(done.stdout) if not finding["works"]]
    assert broken[0]["what"].startswith(what)
    assert fix in broken[0]["fix"]
