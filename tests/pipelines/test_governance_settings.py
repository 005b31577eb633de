from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from models.errors import BadSettings
from models.sharing import Method, Pool
from models.workloads import Workload
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: Path, text: str) -> Settings:
    path = folder / "apportion.yaml"
    path.write_text(text, encoding="utf-8")
    return Settings.load(path)


def test_a_budget_is_written_as_people_write_it(tmp_path: Path) -> None:
    (budget,) = load(tmp_path, "budgets: [ { name: training, workload: training, monthly: 50000 } ]").budgets
    assert (budget.name, budget.workload, budget.monthly) == ("training", Workload.TRAINING, Decimal(50000))


def test_without_a_word_inference_is_cost_of_revenue_and_every_pool_is_shared_in_proportion(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert [condition.workload for condition in settings.cogs] == [Workload.INFERENCE]
    assert (settings.sharing.method, set(settings.sharing.pools)) == (Method.PROPORTIONAL, set(Pool))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("budgets: [ { name: a, monthly: 1 }, { name: a, monthly: 2 } ]", "budgets: .*'a' stands twice"),
        ("budgets: [ { name: a, monthly: -1 } ]", "budgets.0.monthly"),
        ("budgets: [ { name: a, workload: fun, monthly: 1 } ]", "budgets.0.workload"),
        ("budgets: [ { name: a, monthly: 1, weekly: 2 } ]", "budgets.0.weekly"),
        ("sharing: { method: fixed }", "`weights` and `method: fixed` go together"),
        ("sharing: { weights: { a: 1 } }", "`weights` and `method: fixed` go together"),
        ("sharing: { pools: [ coffee ] }", "sharing.pools.0"),
        ("closing: { coverage: 80 }", "closing.coverage"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        load(tmp_path, text)
