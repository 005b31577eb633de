from __future__ import annotations

import getpass
import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.pipelines.conftest import AUGUST, JULY
from tests.pipelines.orchestration.test_retagging import DECIDED, SUMS, tags_of, with_our_rule

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.conftest import Company

pytestmark = pytest.mark.pipeline

RESTATED = """
select sum(provider_change_cost), sum(retag_change_cost), sum(current_cost - reported_cost)
from marts.restatements where billing_period = '{month}'
"""
BY_WORKLOAD = "select workload, sum(effective_cost) from marts.costs_by_workload where billing_period = '{month}' "


def by_workload(company: Company, month: date) -> dict[str, Decimal]:
    return dict(company.ask(BY_WORKLOAD.format(month=month) + "group by all"))


def restated_by_workload(company: Company, month: date) -> dict[str, Decimal]:
    changed = "select workload, sum(current_cost - reported_cost) from marts.restatements "
    return dict(company.ask(f"{changed} where billing_period = '{month}' group by all"))


def accept_open(company: Company, month: str) -> None:
    """Close a month although its bill is not final; each of its lines covers a month, so it has not ended either."""
    gates = [word for gate in ("ended", "final", "covered") for word in ("--accept", gate)]
    answer = company.apportion("close", "--period", month, *gates, "--why", "test")
    assert answer.status == 0, answer.said


@pytest.fixture(scope="module")
def closed(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company with July closed, and our rule run since; read it, do not change it."""
    made = company.copy(tmp_path_factory.mktemp("closed") / "company")
    accept_open(made, "2026-07")
    with_our_rule(made).run()
    return made


def test_a_closed_month_is_pinned_archived_and_audited(copied: Company) -> None:
    pack = copied.home / "reports" / "2026-07"
    pack.mkdir(parents=True, exist_ok=True)
    (pack / "review.html").write_text("as reported", encoding="utf-8")
    answer = copied.apportion("close", "--period", "2026-07", "--json")
    assert answer.status == 0, answer.said
    closed = json.loads(answer.out)
    assert {gate["name"]: gate["passed"] for gate in closed["gates"]} == dict.fromkeys(
        ("ended", "final", "reconciled", "complete", "covered"),
        True,
    )
    (pin,) = copied.ledger.pins().iter_rows(named=True)
    assert (pin["source"], pin["billing_period"], pin["pinned_by"]) == ("aws", JULY, getpass.getuser())
    archive = copied.home / "closed" / "2026-07-1"
    assert closed["archive"] == str(archive)
    assert (archive / "review.html").read_text(encoding="utf-8") == "as reported"
    record = json.loads((archive / "close.json").read_text())
    assert record["loads"] == {"aws": copied.load_ids()["aws", JULY]}
    assert {row["workload"]: Decimal(row["effective_cost"]) for row in record["costs_by_workload"]} == by_workload(
        copied, JULY
    )
    assert copied.ask("select source, acted_by, reason, is_reopening, is_in_force from reference.closings") == [
        ("aws", getpass.getuser(), "monthly close", False, True)
    ]
    assert copied.ask("select count(*) from marts.restatements") == [(0,)]
    assert "Nothing changed" in copied.apportion("run").said

    again = copied.apportion("close", "--period", "2026-07")
    assert again.status == 1
    assert "was closed on" in again.said


def test_retagging_a_closed_month_is_told_apart_from_the_provider_s_changes(
    company: Company, closed: Company, tmp_path: Path
) -> None:
    copied = closed.copy(tmp_path / "copy")
    before = by_workload(company, JULY)
    assert tags_of(copied, JULY) == tags_of(company, JULY)
    assert tags_of(copied, AUGUST) != tags_of(company, AUGUST)
    assert by_workload(copied, JULY) == before
    assert copied.ask("select count(*) from marts.restatements") == [(0,)]
    assert "Nothing changed" in copied.apportion("run").said

    answer = copied.apportion("retag", "--period", "2026-07", "--why", "the cluster trains", "--json")
    assert answer.status == 0, answer.said
    (month,) = json.loads(answer.out)
    assert month["keys_changed"] == copied.ask(f"{DECIDED} and billing_period = '{JULY}'")[0][0] > 0
    assert copied.ask(SUMS) == company.ask(SUMS)
    assert "Nothing changed" in copied.apportion("run").said
    after = by_workload(copied, JULY)
    moved = {name: after.get(name, Decimal(0)) - before.get(name, Decimal(0)) for name in {*before, *after}}
    assert {name: change for name, change in moved.items() if change} == {
        name: change for name, change in restated_by_workload(copied, JULY).items() if change
    }
    assert after["training"] > before["training"]
    assert copied.ask(RESTATED.format(month=JULY)) == [(0, 0, 0)]


def test_a_restated_bill_of_a_closed_month_is_the_provider_s_change(restated: Company, company: Company) -> None:
    # The bill of August is delivered again before anybody loads it: close what was loaded first.
    before = by_workload(restated, AUGUST)
    accept_open(restated, "2026-08")
    restated.run()
    after = by_workload(restated, AUGUST)
    assert after == by_workload(company, AUGUST)
    ((provider, retagged, change),) = restated.ask(RESTATED.format(month=AUGUST))
    assert (retagged, change) == (0, provider)
    assert change == sum(after.values()) - sum(before.values()) != 0
    assert restated.ask("select count(*) from marts.restatements where retag_change_cost != 0") == [(0,)]
    moved = {name: after.get(name, Decimal(0)) - before.get(name, Decimal(0)) for name in {*before, *after}}
    found = restated_by_workload(restated, AUGUST)
    assert {name: change for name, change in found.items() if change} == {
        name: change for name, change in moved.items() if change
    }

    # Compared once: a later run that makes everything anew finds the same.
    rows = restated.ask("from marts.restatements order by all")
    restated.run("--rebuild")
    assert restated.ask("from marts.restatements order by all") == rows


def test_a_reopened_month_follows_the_rules_again_and_keeps_what_was_reported(
    company: Company, closed: Company, tmp_path: Path
) -> None:
    copied = closed.copy(tmp_path / "copy")
    before = by_workload(company, JULY)
    answer = copied.apportion("close", "--reopen", "--period", "2026-07", "--why", "wrong cluster", "--json")
    assert answer.status == 0, answer.said
    assert json.loads(answer.out) == {"billing_period": "2026-07", "reopened": ["aws"]}
    assert by_workload(copied, JULY)["training"] > before["training"]
    assert restated_by_workload(copied, JULY)["training"] == by_workload(copied, JULY)["training"] - before["training"]
    log = copied.ask("select reason, is_reopening, is_in_force from reference.closings order by acted_at")
    assert [(reason.split(" (")[0], *rest) for reason, *rest in log] == [
        ("test", False, False),
        ("wrong cluster", True, False),
    ]
    facts = [commit for commit in copied.ledger._pins.history() if "act" in commit]  # noqa: SLF001 - the audit trail
    assert [(each["act"], each["by"], each["reason"].split(" (")[0]) for each in facts] == [
        ("reopen", getpass.getuser(), "wrong cluster"),
        ("pin", getpass.getuser(), "test"),
    ]
    assert "Nothing changed" in copied.apportion("run").said

    accept_open(copied, "2026-07")
    assert copied.ask("select count(*) from marts.restatements") == [(0,)]
    assert sorted(path.name for path in (copied.home / "closed").iterdir()) == ["2026-07-1", "2026-07-2"]


@pytest.mark.parametrize(
    ("configured", "arguments", "status", "said"),
    [
        ({}, ("--period", "2020-01"), 1, "no month 2020-01"),
        ({}, (), 2, "name the month to close"),
        ({}, ("--period", "2026-07", "--accept", "fun", "--why", "so"), 1, "no gate 'fun'"),
        ({}, ("--period", "2026-07", "--accept", "final"), 1, "takes a reason"),
        ({}, ("--period", "2026-07", "--reopen"), 1, "takes a reason"),
        ({}, ("--period", "2026-07", "--reopen", "--why", "so"), 1, "is not closed"),
        ({"closing": {"coverage": 1}}, ("--period", "2026-07"), 1, "Run `apportion run` first"),
    ],
)
def test_a_close_that_cannot_be_says_so_and_changes_nothing(
    copied: Company, configured: dict[str, object], arguments: tuple[str, ...], status: int, said: str
) -> None:
    before = copied.versions(), copied.publication()
    copied.configure(**configured)
    answer = copied.apportion("close", *arguments)
    assert answer.status == status
    assert said in answer.said
    assert (copied.versions(), copied.publication()) == before
    assert copied.ledger.acts().height == 0
    assert not (copied.home / "closed").exists()


def test_gates_refuse_and_are_accepted_with_a_reason(copied: Company, tmp_path: Path) -> None:
    invoices = tmp_path / "invoices.csv"
    invoices.write_text("provider,invoice_id,billing_period,currency,total\naws,,2026-07,USD,1\n", encoding="utf-8")
    copied.configure(invoices=str(invoices), expected={"accounts": ["000000000000"]}, closing={"coverage": 1}).run()
    answer = copied.apportion("close", "--period", "2026-07")
    assert answer.status == 1
    for found in ("reconciled: differs: aws", "complete: account 000000000000 is absent", "covered: "):
        assert found in answer.said
    assert copied.ledger.acts().height == 0
    accepted = ("--accept", "reconciled", "--accept", "complete", "--accept", "covered")
    answer = copied.apportion("close", "--period", "2026-07", *accepted, "--why", "the auditors know")
    assert answer.status == 0, answer.said
    assert copied.ask("select reason from reference.closings") == [
        ("the auditors know (accepted: complete, covered, reconciled)",)
    ]


def test_what_is_shown_to_teams_sums_to_the_bill(company: Company) -> None:
    sums = "select sum(effective_cost) - sum(showback_effective_cost), sum(billed_cost) - sum(showback_billed_cost)"
    assert company.ask(f"{sums} from marts.costs_by_team") == [(0, 0)]
    assert company.ask("select count(distinct pool) > 1 from computed.shared_costs") == [(True,)]


def test_marts_of_the_review_have_rows_where_the_bill_has_data(company: Company) -> None:
    for mart in (
        "commitment_utilization",
        "spot_savings",
        "storage_by_age",
        "gpu_hour_rates",
        "cost_variance",
        "credit_burndown",
        "completeness",
        "training_runs",
        "cogs_and_rnd_costs",
        "cost_forecast",
    ):
        assert company.ask(f"select count(*) > 0 from marts.{mart}") == [(True,)], mart
