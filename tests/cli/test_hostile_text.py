"""Names in a bill come from outside: whoever may tag a resource writes into a FinOps team's terminal."""

from __future__ import annotations

import json
import re
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.cli.output import print_frame
from tests.cli.conftest import Desk, made

pytestmark = pytest.mark.pipeline

EVIL = "[red]EVIL[/red]\x1b[2J\x1b]0;owned\x07\r\nsecond line\u202e[link=http://x]"
# Every other way out of a place where text should stay text: of SQL, HTML, a workbook, a template, a path, a line.
CORPUS = (
    EVIL,
    "'; drop table marts.costs_by_team; --",
    "x\" union select * from read_text('/etc/passwd') --",
    "<script>window.owned = 1</script><img src=x onerror=alert(1)>",
    "]]></title></svg><script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "{{ 7 * 7 }}{% raw %}${7 * 7}",
    "../../../../etc/passwd",
    "x" * 10_000,
)
# What a gateway's log calls its models, each with a price of its own, so that their names reach every mart and chart.
MODELS = tuple(text for text in CORPUS if len(text) < 100)
LOG = {
    "name": "requests",
    "type": "generic_tokens",
    "location": "requests",
    "columns": {"usage_start": "at", "llm_model_id": "model", "input_tokens": "in", "output_tokens": "out"},
    "constants": {"provider_name": "OpenAI"},
}
INVENTED = "USE1-Hyperscale:ml.x9.48xlarge"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = made(tmp_path_factory.mktemp("attacked"), lines=2000, sources=["aws"])
    for file in (desk.folder / "bills").rglob("data/**/*.parquet"):
        bill = pl.read_parquet(file)
        tags = bill["resource_tags"].cast(pl.List(pl.Struct({"key": pl.String, "value": pl.String}))).to_list()
        for number, row in enumerate(tags):
            for tag in row or ():
                if tag["key"] == "user_team":
                    tag["value"] = CORPUS[number % len(CORPUS)]
        odd = pl.Series([CORPUS[number % len(CORPUS)] for number in range(bill.height)])
        bill.with_columns(
            pl.col("line_item_usage_type").replace(INVENTED, INVENTED + EVIL),
            pl.Series("resource_tags", tags).cast(pl.Map(pl.String, pl.String)),
            pl.col("line_item_resource_id").str.replace("cluster/.*", f"cluster/{EVIL}"),
            line_item_usage_account_name=odd,
        ).write_parquet(file)
    settings = yaml.safe_load(desk.config.read_text(encoding="utf-8"))
    settings["sources"].append(LOG)
    price = {
        "provider": "OpenAI",
        "effective_from": date(2026, 1, 1),
        "per_million": {"uncached_input": 9, "output": 9},
    }
    settings["prices"] = {"overrides": [{**price, "model": model} for model in MODELS]}
    desk.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    (desk.folder / "requests").mkdir()
    requests = [{"at": "2026-08-05T10:00:00Z", "model": model, "in": 10**9, "out": 10**9} for model in MODELS]
    log = "".join(json.dumps(request) + "\n" for request in requests)
    (desk.folder / "requests" / "log.jsonl").write_text(log, encoding="utf-8")
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


def bare(text: str) -> str:
    """Give a text as it is compared: names of teams lose case, spaces and some punctuation."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def test_the_whole_corpus_is_in_the_marts_and_every_table_and_cent_is_there(attacked: Desk) -> None:
    ask = "select team, sum(effective_cost) as effective_cost from marts.costs_by_team group by team"
    teams = {row["team"] for row in attacked.type("query", ask, "--json").json}
    assert {bare(text) for text in CORPUS} <= {bare(str(team)) for team in teams}
    sums = (
        "select (select sum(billed_cost_read) from marts.reconciliation) as bill, "
        "(select sum(native_billed_cost) from ledger.charges_daily) as daily"
    )
    (found,) = attacked.type("query", sums, "--json").json
    assert found["bill"] == found["daily"]


def test_names_of_models_in_a_log_are_kept_as_it_writes_them_and_cost_what_they_cost(attacked: Desk) -> None:
    ids = attacked.type("query", "select distinct llm_model_id from ledger.token_usage_daily", "--json").json
    assert {row["llm_model_id"] for row in ids} == set(MODELS)
    ask = "select llm_model, effective_cost from marts.llm_model_costs where cost_basis = 'estimated'"
    marts = attacked.type("query", ask, "--json").json
    assert {bare(row["llm_model"]) for row in marts} == {bare(model) for model in MODELS}
    assert {Decimal(row["effective_cost"]) for row in marts} == {18_000}
    assert inert(attacked.type("models", "--limit", "100").out)


@pytest.fixture(scope="module")
def pack(attacked: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packs")
    made = attacked.type("report", "--period", "2026-08", "--out", str(out))
    assert made.status == 0, made.said
    return out / "2026-08"


def test_nothing_of_the_corpus_acts_in_the_pack(pack: Path) -> None:
    page = (pack / "review.html").read_text(encoding="utf-8")
    assert "[red]evil" in page  # some of it is there, as text
    assert not re.search(r"<script|<img", page)
    assert "{{" in page  # not 49
    assert "drop-table-marts-costs-by-team" in page  # a model of the log
    with zipfile.ZipFile(pack / "review.xlsx") as workbook:
        sheets = [workbook.read(name).decode() for name in workbook.namelist() if "worksheets/sheet" in name]
        assert sheets
        assert not any(re.search(r"<f[ >]", sheet) for sheet in sheets)
        assert not any("hyperlink" in name for name in workbook.namelist())
    assert not list(pack.parent.rglob("passwd"))


def test_focus_files_say_what_the_bill_says_and_so_may_start_a_formula(pack: Path) -> None:
    """docs/security.md tells why, and that they are data for programs: this is what it says of them."""
    parquet = pl.read_parquet(pack / "charges_focus.parquet")
    csv = pl.read_csv(pack / "charges_focus.csv", infer_schema=False)
    assert set(CORPUS) <= set(csv["SubAccountName"])
    texts = [name for name, dtype in parquet.schema.items() if dtype == pl.String]
    assert csv.select(texts).equals(parquet.select(texts))
