from __future__ import annotations

import getpass
import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.pipelines.conftest import AUGUST, JULY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.conftest import Company, Rows

pytestmark = pytest.mark.pipeline

RULE = {
    "id": "our-accelerators-train",
    "workload": "training",
    "evidence": "declared",
    "reason": "Everybody here trains.",
    "when": {"accelerator": {"is_set": True}},
    "effective_from": "2020-01-01",
    "examples": [{"service_code": "AmazonEC2", "instance_type": "p5.48xlarge"}],
}
SUMS = """
select billing_period, usage_period, provider_name,
    sum(billed_cost), sum(effective_cost), sum(net_cost), sum(list_cost), sum(charge_count)
from marts.costs_by_workload group by all order by all
"""
DECIDED = "select count(*) from computed.attributions where attribution_rule_id = 'our-accelerators-train'"


def with_our_rule(company: Company, **changed: str) -> Company:
    rule = RULE | changed
    (company.folder / "rules.yaml").write_text(yaml.safe_dump({"rules": [rule]}))
    return company.configure(rules=["rules.yaml"])


def effective_cost_of(company: Company, workload: str) -> dict[date, Decimal]:
    of = f"select billing_period, sum(effective_cost) from marts.costs_by_workload where workload = '{workload}'"
    return dict(company.ask(f"{of} group by all"))


def tags_of(company: Company, month: date) -> Rows:
    """Give what each key of a month was taken for."""
    of = f"from computed.attributions where billing_period = '{month}'"
    return company.ask(f"select key_id, workload, evidence, attribution_rule_id {of} order by key_id")


@pytest.fixture(scope="module")
def ruled(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company with our rule, run; read it, do not change it."""
    made = with_our_rule(company.copy(tmp_path_factory.mktemp("ruled") / "company"))
    made.run()
    return made


def test_a_new_rule_changes_tags_and_no_sum(company: Company, ruled: Company) -> None:
    assert ruled.ask(SUMS) == company.ask(SUMS)
    before, after = (effective_cost_of(made, "training") for made in (company, ruled))
    assert after[JULY] > before[JULY]
    assert after[AUGUST] > before[AUGUST]
    assert ruled.versions()["charges"] == company.versions()["charges"]


def test_a_rule_that_is_taken_back_leaves_the_marts_as_they_were(
    company: Company, ruled: Company, tmp_path: Path
) -> None:
    taken_back = ruled.copy(tmp_path / "copy").configure()
    taken_back.run()
    assert taken_back.marts() == company.marts()


def test_a_new_dimension_changes_no_sum(company: Company, copied: Company) -> None:
    copied.configure(dimensions={"customer": [{"tag": "owner"}], "team": [{"tag": "nobody"}]}).run()
    assert copied.ask(SUMS) == company.ask(SUMS)
    assert [owner for (owner,) in copied.ask("select distinct customer from computed.attributions order by 1")] == [
        "<script>alert('owner')<-script>",
        'ann-"the-builder"-o\'hara',
        None,
    ]
    assert copied.ask("select distinct team from marts.costs_by_team") == [(None,)]


def test_a_rule_holds_from_its_month_on(company: Company, copied: Company) -> None:
    with_our_rule(copied, effective_from="2026-08-01").run()
    before, after = (effective_cost_of(made, "training") for made in (company, copied))
    assert after[JULY] == before[JULY]
    assert after[AUGUST] > before[AUGUST]


def test_every_tagging_says_who_when_and_why(ruled: Company, tmp_path: Path) -> None:
    copied = ruled.copy(tmp_path / "copy")
    answer = copied.apportion("retag", "--why", "the auditors asked", "--period", "2026-07", "--json")
    assert answer.status == 0, answer.said
    assert json.loads(answer.out) == [{"source": "aws", "billing_period": "2026-07", "keys_changed": 0}]
    log = copied.ask(
        "select billing_period, tagged_by, reason, keys_changed, tagged_at, rules_digest "
        "from reference.attribution_log order by tagged_at, billing_period"
    )
    automatic = "new bill or changed rules of an open month"
    keys = [changed for _, _, _, changed, _, _ in log]
    assert [(month, by, why) for month, by, why, *_ in log] == [
        (JULY, "pipeline", automatic),
        (AUGUST, "pipeline", automatic),
        (JULY, "pipeline", automatic),
        (AUGUST, "pipeline", automatic),
        (JULY, getpass.getuser(), "the auditors asked"),
    ]
    assert keys[2] == copied.ask(f"{DECIDED} and billing_period = '{JULY}'")[0][0] > 0
    assert keys[4] == 0
    assert len({digest for *_, digest in log}) == 2
    assert all(at is not None for *_, at, _ in log)


def test_a_rebuilt_warehouse_keeps_the_tags_of_a_pinned_month(company: Company, copied: Company) -> None:
    copied.ledger.pin("aws", JULY, by="the controller", reason="July is closed")
    with_our_rule(copied).run("--rebuild")
    assert tags_of(copied, JULY) == tags_of(company, JULY)
    assert tags_of(copied, AUGUST) != tags_of(company, AUGUST)
    assert copied.ask(SUMS) == company.ask(SUMS)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--why", " "), 1, "needs a reason"),
        (("--why", "so", "--period", "2020-01"), 1, "no month 2020-01"),
        (("--why", "so", "--period", "July"), 2, "'July' is no month"),
        ((), 2, "--why"),
    ],
)
def test_a_retag_that_cannot_be_says_so_and_changes_nothing(
    copied: Company, arguments: tuple[str, ...], status: int, said: str
) -> None:
    before = copied.versions(), copied.publication()
    answer = copied.apportion("retag", *arguments)
    assert answer.status == status
    assert said in answer.said
    assert (copied.versions(), copied.publication()) == before
