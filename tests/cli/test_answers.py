from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.cli.output import interval
from pipelines.reports.wording import short

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

pytestmark = pytest.mark.pipeline

ANSWERS = ("split", "idle", "models", "claims", "unattributed", "rules")
RATIOS = {"share_of_ai"}
MONTHS = ("2026-07", "2026-08", "2026-09")


def cells(answer: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(answer, dict):
        for key, value in answer.items():
            yield from cells(value, key)
    elif isinstance(answer, list):
        for value in answer:
            yield from cells(value, name)
    else:
        yield name, answer


def total(rows: list[dict[str, Any]], column: str = "effective_cost") -> Decimal:
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


@pytest.mark.parametrize("command", ANSWERS)
def test_json_holds_money_as_exact_text(desk: Desk, command: str) -> None:
    answer = desk.type(command, "--json")
    assert answer.status == 0, answer.said
    assert answer.json
    for name, value in cells(answer.json):
        assert not isinstance(value, float) or name in RATIOS, name
        if name.endswith("_cost") and value is not None:
            assert isinstance(value, str), name
            assert -Decimal(value).as_tuple().exponent == 12, (name, value)  # type: ignore[operator]


@pytest.mark.parametrize("command", [*ANSWERS, "query"])
def test_tables_fit_a_terminal_of_80_columns(desk: Desk, command: str) -> None:
    question = ["select workload, sum(effective_cost) from marts.costs_by_workload group by all"]
    answer = desk.type(command, *(question if command == "query" else []))
    assert answer.status == 0, answer.said
    shown = answer.out.partition("The rule that would settle")[0]
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize("command", ANSWERS)
def test_no_figure_of_a_table_is_cut_or_folded(desk: Desk, command: str) -> None:
    shown = desk.type(command).out
    assert "…" not in shown
    for row in desk.type(command, "--json").json:
        cost = row.get("effective_cost")
        assert cost is None or short(Decimal(cost), "USD") in shown


@pytest.mark.parametrize("command", ANSWERS)
def test_a_pipe_gets_no_colours(desk: Desk, command: str) -> None:
    assert "\x1b" not in desk.type(command).out


@pytest.mark.parametrize("command", ["split", "idle", "models"])
def test_months_add_up_to_the_whole(desk: Desk, command: str) -> None:
    more = ("--limit", "1000") if command == "models" else ()
    whole = total(desk.type(command, "--json", *more).json)
    months = [total(desk.type(command, "--json", "--period", month, *more).json) for month in MONTHS]
    assert sum(months) == whole
    assert all(months)


@pytest.mark.parametrize(("command", "column"), [("claims", "period"), ("unattributed", "billing_period")])
def test_a_period_shows_that_month_only(desk: Desk, command: str, column: str) -> None:
    rows = desk.type(command, "--json", "--period", "2026-08").json
    assert {row[column] for row in rows} == {"2026-08-01"}
    assert desk.type(command, "--json", "--period", "2019-01").json == []


@pytest.mark.parametrize("command", ["split", "idle", "unattributed"])
def test_the_longest_bar_belongs_to_the_largest_amount(desk: Desk, command: str) -> None:
    shown = desk.type(command).out.splitlines()
    largest = max((Decimal(row["effective_cost"]) for row in desk.type(command, "--json").json), default=Decimal(0))
    (longest, *_) = sorted(shown, key=lambda line: line.count("█"), reverse=True)
    assert longest.count("█") >= 5
    assert short(largest, "USD") in longest


def test_an_interval_is_drawn_where_it_lies() -> None:
    assert interval(Decimal("0.5"), Decimal("0.69"), Decimal("0.82"), 10) == "·····━●━━·"
    assert interval(Decimal(0), None, Decimal(1), 10) == "━" * 10
    assert interval(None, None, None, 10) == ""


def test_a_month_without_bills_says_so(desk: Desk) -> None:
    answer = desk.type("split", "--period", "2019-01")
    assert (answer.status, answer.out.strip()) == (0, "Split of AI cost, 2019-01: nothing there.")


def test_the_split_is_the_ledger_to_the_last_digit(desk: Desk) -> None:
    # Loads are in the currency of each bill, answers in that of the report.
    loaded = "(select sum(billed_cost_loaded) from marts.reconciliation) as loaded"
    both = "sum(native_billed_cost) as native, sum(billed_cost) as billed"
    (ledger,) = desk.type("query", "--json", f"select {loaded}, {both} from ledger.charges_daily").json
    assert Decimal(ledger["native"]) == Decimal(ledger["loaded"]) != Decimal(ledger["billed"])
    assert total(desk.type("split", "--json").json, "billed_cost") == Decimal(ledger["billed"])


def test_shares_of_ai_add_up_to_one(desk: Desk) -> None:
    shares = [row["share_of_ai"] for row in desk.type("split", "--json").json if row["share_of_ai"] is not None]
    assert sum(shares) == pytest.approx(1)


def test_limits_are_kept(desk: Desk) -> None:
    assert len(desk.type("models", "--json", "--limit", "3").json) == 3
    assert len(desk.type("unattributed", "--json", "--limit", "2").json) == 2


def test_models_show_what_a_million_tokens_and_a_request_cost(desk: Desk) -> None:
    shown = desk.type("models", "--limit", "30").out
    assert "per M tokens" in shown
    assert "per request" in shown
    priced = [row for row in desk.type("models", "--limit", "30", "--json").json if row["cost_per_million_tokens"]]
    assert {row["hosting"] for row in priced if row["cost_per_request"]} >= {"api", "self_hosted"}


def test_rules_are_listed_in_the_order_they_are_tried(desk: Desk) -> None:
    ours = desk.type("rules", "--json").json
    (asked,) = desk.type("query", "--json", "select list(rule_id order by position) as ids from reference.rules").json
    assert [rule["id"] for rule in ours] == asked["ids"]
    assert all(date.fromisoformat(rule["checked_on"]) for rule in ours)
