"""Names in a bill come from outside: whoever may tag a resource writes into a FinOps team's terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipelines.cli.output import print_frame
from tests.cli.conftest import made

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

pytestmark = pytest.mark.pipeline

EVIL = "[red]EVIL[/red]\x1b[2J\x1b]0;owned\x07\r\nsecond line\u202e[link=http://x]"
INVENTED = "USE1-Hyperscale:ml.x9.48xlarge"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = made(tmp_path_factory.mktemp("attacked"), lines=2000)
    for file in (desk.folder / "bills").rglob("data/**/*.parquet"):
        bill = pl.read_parquet(file)
        team = pl.element().struct.with_fields(value=pl.lit(EVIL))
        bill.with_columns(
            pl.col("line_item_usage_type").replace(INVENTED, INVENTED + EVIL),
            pl.col("resource_tags")
            .cast(pl.List(pl.Struct({"key": pl.String, "value": pl.String})))
            .list.eval(pl.when(pl.element().struct.field("key") == "user_team").then(team).otherwise(pl.element()))
            .cast(pl.Map(pl.String, pl.String)),
            pl.col("line_item_resource_id").str.replace("cluster/.*", f"cluster/{EVIL}"),
        ).write_parquet(file)
    ran = desk.type("run")
    assert ran.status == 0, ran.said
    return desk


def places(desk: Desk) -> list[str]:
    sql = "select key_id from computed.attributions where contains(usage_type, 'EVIL') or contains(team, 'evil')"
    keys = [row["key_id"] for row in desk.type("query", sql, "--json").json][:3]
    lines = [desk.type("explain", key, "--json", "--limit", "1").json["largest_lines"][0]["charge"] for key in keys]
    return [*keys, *lines]


def inert(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def test_hostile_text_is_kept_as_the_bill_writes_it(attacked: Desk) -> None:
    kept = attacked.type("query", "select usage_type from computed.attributions", "--json").json
    assert INVENTED + EVIL in {row["usage_type"] for row in kept}
    teams = attacked.type("query", "select team from marts.costs_by_team where contains(team, 'evil')", "--json").json
    assert teams


@pytest.mark.parametrize("command", ["split", "idle", "models", "claims", "unattributed"])
def test_tables_never_obey_it(attacked: Desk, command: str) -> None:
    shown = attacked.type(command, *(["--limit", "100"] if command == "unattributed" else []))
    assert shown.status == 0
    assert inert(shown.out)


def test_tables_show_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(pl.DataFrame({"team": ["[red]x[/red]"]}), title="[b]t[/b]", as_json=False, headings={"team": "[i]h"})
    assert capsys.readouterr().out.split() == ["[b]t[/b]", "[i]h", "[red]x[/red]"]


def test_answers_and_explanations_never_obey_it_either(attacked: Desk) -> None:
    answer = attacked.type("query", "select team, sum(effective_cost) from marts.costs_by_team group by team")
    assert "[red]evil" in answer.out
    assert inert(answer.out)
    assert any("EVIL" in attacked.type("explain", place).out for place in places(attacked))
    for place in places(attacked):
        assert inert(attacked.type("explain", place).out), place


def test_errors_repeat_hostile_arguments_without_obeying_them(attacked: Desk) -> None:
    for words in (["explain", EVIL], ["explain", f"aws/2026-07/{EVIL}#1"], ["query", f"from '{EVIL}'"]):
        answer = attacked.type(*words)
        assert answer.status == 1
        assert "\x1b" not in answer.said, words
