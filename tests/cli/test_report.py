from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from models import focus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Desk

pytestmark = pytest.mark.pipeline

FILES = {"review.html", "review.xlsx", "review.json", "charges_focus.parquet", "charges_focus.csv"}


def test_a_pack_of_one_month_is_written_under_home(desk: Desk) -> None:
    answer = desk.type("report", "--period", "2026-08", "--json")
    assert answer.status == 0, answer.said
    folder = desk.folder / ".apportion" / "reports" / "2026-08"
    assert {path.name for path in folder.iterdir()} == FILES
    assert set(answer.json) == {"2026-08"}
    assert {path.rsplit("/", 1)[1] for path in answer.json["2026-08"]} == FILES
    assert json.loads((folder / "review.json").read_text())["period"] == "2026-08"


def test_an_older_focus_version_and_another_folder_can_be_asked_for(desk: Desk, tmp_path: Path) -> None:
    answer = desk.type("report", "-p", "2026-07", "--focus-version", "1.2", "--out", str(tmp_path))
    assert answer.status == 0, answer.said
    found = pl.read_parquet(tmp_path / "2026-07" / "charges_focus.parquet")
    assert focus.violations(found, "1.2").rows() == []
    assert "ProviderName" in found.columns


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--period", "2019-01"), 1, "Months there are: 2026-07, 2026-08, 2026-09"),
        (("--focus-version", "0.9"), 2, "Choose one of"),
    ],
)
def test_what_is_not_there_is_said_and_nothing_is_written(
    desk: Desk, tmp_path: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    answer = desk.type("report", "--out", str(tmp_path), *words)
    assert answer.status == status
    assert said in answer.said
    assert list(tmp_path.rglob("*.*")) == []
