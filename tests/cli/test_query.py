from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

pytestmark = pytest.mark.pipeline

CHANGES = (
    "insert into marts.costs_by_team select * from marts.costs_by_team",
    "delete from marts.costs_by_team",
    "update marts.costs_by_team set team = 'x'",
    "create table mine as select 1",
    "create or replace view marts.costs_by_team as select 1",
    "drop table marts.costs_by_team",
    "select 1; drop table marts.costs_by_team",
)
REACHES = (
    "select * from read_csv('{secret}')",
    "select * from read_text('{secret}')",
    "select * from read_blob('{secret}')",
    "select * from read_parquet('{secret}')",
    "select * from read_json('{secret}')",
    "select * from sniff_csv('{secret}')",
    "select * from glob('{folder}/*')",
    "from '{secret}'",
    "attach '{folder}/other.duckdb' as other",
    "attach '{folder}/bills.duckdb' as other (read_only)",
    "copy (select 1) to '{folder}/out.csv'",
    "copy marts.costs_by_team to '{folder}/out.parquet' (format parquet)",
    "export database '{folder}/out'",
    "install httpfs",
    "load httpfs",
    "select * from read_csv('https://example.com/a.csv')",
    "select * from 's3://bucket/a.parquet'",
    "set enable_external_access = true",
    "reset enable_external_access",
    "set lock_configuration = false",
    "set python_enable_replacements = true",
    "set memory_limit = '1PB'",
    "from duckdb_secrets()",
    # Variables of this program, which DuckDB's Python API would otherwise answer from.
    "from parameters",
    "from TABLES",
)


def digest(desk: Desk) -> str:
    return hashlib.sha256((desk.folder / ".apportion" / "reports.duckdb").read_bytes()).hexdigest()


@pytest.mark.parametrize("sql", CHANGES)
def test_a_question_changes_nothing(desk: Desk, sql: str) -> None:
    before = digest(desk)
    answer = desk.type("query", sql)
    assert (answer.status, answer.out) == (1, "")
    assert answer.said.startswith("error: ")
    assert "Traceback" not in answer.said
    assert digest(desk) == before


@pytest.mark.parametrize("sql", REACHES)
def test_a_question_reaches_no_file_no_network_and_no_other_database(desk: Desk, tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("password\ncorrect horse\n", encoding="utf-8")
    answer = desk.type("query", sql.format(secret=secret, folder=tmp_path))
    assert (answer.status, answer.out) == (1, "")
    assert answer.said.startswith("error: ")
    assert "Traceback" not in answer.said
    assert "correct horse" not in answer.said
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize("sql", ["", " ", "selec 1", "select nope", "select 1 +", "select interval 1 day"])
def test_what_is_no_question_is_one_clear_error(desk: Desk, sql: str) -> None:
    answer = desk.type("query", sql)
    assert answer.status == 1
    assert answer.said.startswith("error: ")
    assert "Traceback" not in answer.said


def test_a_question_answers_exactly_and_whole(desk: Desk) -> None:
    sql = "select sum(effective_cost)::decimal(38, 12) as cost, null as nothing, true as yes from marts.costs_by_team"
    (row,) = desk.type("query", sql, "--json").json
    assert row["cost"] in desk.type("query", sql).out
    assert (row["nothing"], row["yes"]) == (None, True)


def test_what_is_no_number_is_null_in_json(desk: Desk) -> None:
    sql = "select 'nan'::double as a, -'inf'::double as b, [1.5, 'nan'::double] as c, {'d': 'inf'::float} as e"
    text = desk.type("query", sql, "--json").out
    (row,) = json.loads(text, parse_constant=pytest.fail)
    assert row == {"a": None, "b": None, "c": [1.5, None], "e": {"d": None}}


def test_every_type_of_answer_has_a_form(desk: Desk) -> None:
    sql = (
        "select date '2026-07-01' as d, timestamp '2026-07-01 10:00' as t, [1, 2] as l, {'a': 1.5::decimal(4, 1)} as s,"
        " map {'k': 'v'} as m, 'x'::blob as b, time '10:00' as o, 1e300 as f, uuid() as u,"
        " 170141183460469231731687303715884105727::hugeint as h"
    )
    for options in ((), ("--json",)):
        answer = desk.type("query", sql, *options)
        assert answer.status == 0, answer.said
