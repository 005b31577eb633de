"""From any cell of any mart to lines of the bill, or to words that say why there are none."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest

from models.errors import ApportionError
from pipelines.ledger.tables import Ledger
from pipelines.settings import Settings
from pipelines.warehouse.build import sql_models
from pipelines.warehouse.cells import EVERY, Cell, require_equal
from pipelines.warehouse.lines import Row, lines_of
from pipelines.warehouse.reader import ask
from pipelines.warehouse.walks import WORDS

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

pytestmark = pytest.mark.pipeline

MARTS: Final = {model.name: model for model in sql_models() if model.schema == "marts"}
WALKED: Final = [(mart, walk) for mart, walks in EVERY.items() for walk in walks]
UNWALKED: Final = {"gpu_hour_rates": "cost_per_gpu_hour", "costs_by_team": "team", "cost_forecast": "forecast_cost"}


def asked(desk: Desk, *words: str) -> Any:
    answer = desk.type("explain", *words, "--json")
    assert answer.status == 0, answer.said
    return answer.json


def native_cost(desk: Desk, charge: str) -> Decimal:
    """Read what a line asks for straight from the row of the file it names."""
    name, _, rest = charge.partition("/")
    file, _, row = rest.partition("/")[2].rpartition("#")
    (source,) = [source for source in Settings.load(desk.config).sources if source.name == name]
    native = pl.read_parquet(desk.folder / source.model_dump()["location"] / file).row(int(row) - 1, named=True)
    if "line_item_unblended_cost" in native:
        return round(Decimal(str(native["line_item_unblended_cost"])), 12)
    if "BilledCost" in native:
        return round(Decimal(str(native["BilledCost"])), 12)
    return sum((Decimal(str(credit["amount"])) for credit in native["credits"]), Decimal(str(native["cost"])))


def test_every_mart_walks_to_lines_or_says_why_not() -> None:
    assert set(EVERY).isdisjoint(WORDS)
    assert {*EVERY, *WORDS} == set(MARTS)
    for mart, walk in WALKED:
        assert set(walk.columns) <= set(MARTS[mart].columns), mart


def test_money_of_a_mart_that_lines_sum_to_is_walked() -> None:
    assert all(
        "effective_cost" in EVERY[mart][0].columns
        for mart, made in MARTS.items()
        if "effective_cost" in made.columns and mart not in WORDS
    )


@pytest.mark.parametrize(("mart", "walk"), WALKED, ids=[f"{mart}-{walk.columns[0]}" for mart, walk in WALKED])
def test_every_row_of_the_sample_is_the_sum_of_what_it_is_walked_to(desk: Desk, mart: str, walk: Any) -> None:
    grain = f"row({', '.join(walk.grain)}, 1)"
    sums = ", ".join(f"sum({column}) as {column}" for column in walk.columns)
    beside = ", ".join(f"cells.{name}, found.{name} as walked_{name}" for name in walk.columns)
    rows = ask(
        Settings.load(desk.config).home,
        f"with cells as (select *, {grain} as grain from marts.{mart}),\n"
        f"found as (select {grain} as grain, {sums} from ({walk.rows}) group by 1)\n"
        f"select {beside} from cells left join found using (grain)",
    )
    assert rows.height or mart == "invoice_reconciliation"  # the sample has no invoice
    for name in walk.columns:
        wrong = rows.filter(pl.col(name).fill_null(0) != pl.col(f"walked_{name}").fill_null(0))
        assert wrong.is_empty(), wrong
        is_anywhere = rows[name].fill_null(0).cast(pl.Decimal(38, 12)).ne(0).any()
        assert is_anywhere or not rows.height, f"{name} is 0 everywhere: nothing is tested"


@pytest.mark.parametrize("mart", sorted(set(EVERY) - {"invoice_reconciliation"}))
def test_a_cell_stands_beside_its_parts_and_their_lines(desk: Desk, mart: str) -> None:
    answer = asked(desk, mart, "--limit", "2")
    assert Decimal(answer["value"]) == Decimal(answer["parts_value"])
    assert Decimal(answer["difference"]) == 0
    assert answer["part_count"] >= len(answer["parts"]) > 0
    for part in answer["parts"]:
        if part["place"].get("method", "direct") == "direct" and part["currency"] == "USD":
            assert abs(Decimal(part["lines_amount"])) == abs(Decimal(part["amount"]))
            assert part["line_count"] >= len(part["lines"]) > 0


def test_all_lines_of_a_cell_are_rows_of_the_native_files_and_sum_to_it(desk: Desk) -> None:
    answer = asked(
        desk, "costs_by_workload", "-w", "workload=training", "-w", "evidence=billed", "-w", "provider_name=AWS",
        "--period", "2026-08", "--column", "billed_cost", "--limit", "1000",
    )  # fmt: skip
    assert answer["part_count"] == len(answer["parts"]) > 10
    assert sum(Decimal(part["amount"]) for part in answer["parts"]) == Decimal(answer["value"])
    checked = 0
    for part in answer["parts"][::40]:
        for line in part["lines"]:
            assert native_cost(desk, line["charge"]) == Decimal(line["amount"])
            checked += 1
    assert checked > 3


def test_a_daily_row_of_any_source_has_the_lines_it_was_summed_from(desk: Desk) -> None:
    settings = Settings.load(desk.config)
    # Some of each source, without chance; machines billed in parts have rows with and without a resource.
    rows = ask(
        settings.home,
        "select * from ledger.charges_daily "
        "qualify row_number() over (partition by source, resource_id is null order by hash(key_id, daily_id)) <= 6",
    )
    assert rows["source"].n_unique() == 4
    assert rows["billing_currency"].n_unique() == 2
    for row in rows.iter_rows(named=True):
        found = lines_of(settings.home, Ledger.of(settings), Row.of(row))
        assert found.lines.height == row["charge_count"]
        assert found.lines["billed_cost"].sum() == row["native_billed_cost"]
        assert found.currency == row["billing_currency"]


def test_what_is_null_can_be_asked_for_and_the_month_chosen(desk: Desk) -> None:
    nobody = asked(desk, "costs_by_team", "-w", "team=", "--period", "2026-08", "--limit", "1")
    (mart,) = desk.type(
        "query",
        "select sum(effective_cost) as cost from marts.costs_by_team "
        "where team is null and usage_period = '2026-08-01'",
        "--json",
    ).json
    assert Decimal(nobody["value"]) == Decimal(mart["cost"]) > 0
    by_day = asked(desk, "gpu_idle_costs", "-w", "usage_period=2026-08", "--limit", "1")
    assert by_day["value"] == asked(desk, "marts.gpu_idle_costs", "--period", "2026-08", "--limit", "1")["value"]


def test_usage_that_no_bill_covers_and_shared_money_say_so(desk: Desk) -> None:
    estimated = asked(desk, "llm_model_costs", "-w", "cost_basis=estimated", "--limit", "1")["parts"][0]
    assert estimated["place"]["usage_id"]
    assert not estimated["lines"]
    europe = desk.type("explain", "costs_by_workload", "-w", "provider_name=Google Cloud", "--limit", "40").out
    assert ", in EUR" in " ".join(europe.split())
    said = desk.type("explain", "costs_by_team", "-w", "team=search", "--column", "showback_effective_cost").out
    assert "of the pool unallocated" in said


@pytest.mark.parametrize("mart", sorted(MARTS))
def test_any_mart_answers_in_80_columns(desk: Desk, mart: str) -> None:
    answer = desk.type("explain", mart, "--limit", "1")
    if mart in {"invoice_reconciliation", "restatements"}:
        assert "has no row" in answer.said  # the sample has no invoice and no closed month
        return
    assert answer.status == 0, answer.said
    assert max(map(len, answer.out.splitlines())) <= 80
    if mart in WORDS:
        assert " ".join(WORDS[mart].split()) in " ".join(answer.out.split())
    else:
        assert "0.000000000000  difference" in answer.out or " 0  difference" in answer.out


@pytest.mark.parametrize(("mart", "column"), UNWALKED.items())
def test_a_figure_that_is_no_sum_says_what_it_is_read_from(desk: Desk, mart: str, column: str) -> None:
    answer = asked(desk, mart, "--column", column, "--limit", "1")
    assert answer["why"]
    assert answer["read_from"]
    assert {relation["table"] for relation in answer["relations"]} == MARTS[mart].depends_on
    assert any(relation["row_count"] for relation in answer["relations"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("costs_by_team", "-w", "tem=search"), "has no column tem; it has billing_period"),
        (("costs_by_team", "--column", "cost"), "has no column cost"),
        (("costs_by_team", "-w", "team=nobody"), "has no row where team is nobody"),
        (("about", "--period", "2026-08"), "has no month"),
        (("cost_by_team", "-w", "team=search"), "There is no mart cost_by_team"),
        (("costs_by_team", "-w", "team=' or 1=1 --"), "has no row"),
    ],
)
def test_what_is_not_there_is_one_clear_error(desk: Desk, words: tuple[str, ...], said: str) -> None:
    answer = desk.type("explain", *words)
    assert (answer.status, answer.out) == (1, "")
    assert said in answer.said


def test_a_condition_without_a_sign_is_a_wrong_call(desk: Desk) -> None:
    assert desk.type("explain", "costs_by_team", "-w", "team").status == 2


def test_parts_that_are_not_the_cell_are_refused() -> None:
    with pytest.raises(ApportionError, match="mistake of ours"):
        require_equal(Cell("effective_cost", "", 1, Decimal(2), 1, Decimal(1), []))
