from pathlib import Path

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from dbt_like_sql.sql_model import ROOT, build_statements, load_checks, load_models, quote
from pipelines.warehouse.build import sql_checks, sql_models
from pipelines.warehouse.tables import TABLES

OUTSIDE = {"ledger.charges_daily"}
GOOD = """\
/*
Cost by day. One row per
day.
*/
with

daily as (
    select * from ledger.charges_daily
)

select
    usage_date, -- Day.
    sum(billed_cost) as billed_cost -- What it cost; the provider's price.
from daily
group by all
"""


def write(root: Path, name: str, sql: str) -> None:
    path = root / f"{name}.sql"
    path.parent.mkdir(exist_ok=True)
    path.write_text(sql, encoding="utf-8")


def test_file_says_all_there_is_to_know(tmp_path: Path) -> None:
    write(tmp_path, "marts/cost_by_day", GOOD)
    (model,) = load_models(OUTSIDE, tmp_path)
    assert model.table == "marts.cost_by_day"
    assert model.comment == "Cost by day. One row per\nday."
    assert model.grain == "One row per day."
    assert dict(model.columns) == {"usage_date": "Day.", "billed_cost": "What it cost; the provider's price."}
    assert model.depends_on == OUTSIDE


def test_subqueries_count_as_dependencies_and_common_table_expressions_do_not(tmp_path: Path) -> None:
    write(
        tmp_path,
        "marts/nested",
        "/* One row per x. */\nwith a as (select x from s.t where x in (select y from s.u))\n"
        "select\n    a.x -- X.\nfrom a\nanti join s.v as b on a.x = b.x\n",
    )
    (model,) = load_models({"s.t", "s.u", "s.v"}, tmp_path)
    assert model.depends_on == {"s.t", "s.u", "s.v"}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (GOOD.partition("*/")[2], "header"),
        (GOOD.replace("One row per", "Rows per"), "grain"),
        (GOOD.replace(" -- Day.", ""), "column usage_date has no comment"),
        (GOOD.replace("sum(billed_cost) as billed_cost", "sum(billed_cost)"), "no name"),
        (GOOD.replace("    usage_date,", "    *,"), "name its columns"),
        (GOOD.replace("    usage_date,", "    daily.*,"), "name its columns"),
        (GOOD + ";\nselect 1 as one -- One.\n", "one statement"),
        ("/* One row per x. */\ndrop table ledger.charges_daily\n", "one statement"),
        (GOOD.replace("ledger.charges_daily", "ledger.elsewhere"), "ledger.elsewhere, which nobody makes"),
        (GOOD.replace("ledger.charges_daily", "charges_daily"), "charges_daily, which nobody makes"),
        (GOOD.replace("group by all", "group by ("), "Line 15"),
    ],
)
def test_fault_is_refused_with_the_name_of_its_file(tmp_path: Path, broken: str, message: str) -> None:
    write(tmp_path, "marts/broken", broken)
    with pytest.raises(ValueError, match=message) as raised:
        load_models(OUTSIDE, tmp_path)
    assert str(raised.value).startswith(str(tmp_path / "marts/broken.sql"))


def test_file_whose_name_is_no_plain_word_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 'marts/a"b', GOOD)
    with pytest.raises(ValueError, match="lower-case name"):
        load_models(OUTSIDE, tmp_path)


def test_files_that_read_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "intermediate/int_a", GOOD.replace("ledger.charges_daily", "marts.b"))
    write(tmp_path, "marts/b", GOOD.replace("ledger.charges_daily", "intermediate.int_a"))
    with pytest.raises(ValueError, match=r"circle") as raised:
        load_models(OUTSIDE, tmp_path)
    assert "int_a.sql" in str(raised.value)
    assert "b.sql" in str(raised.value)


def test_models_come_in_an_order_in_which_they_can_be_built() -> None:
    seen = set(TABLES)
    for model in sql_models():
        assert model.depends_on <= seen
        seen.add(model.table)


def test_check_that_reads_a_table_nobody_makes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "checks/assert_it", GOOD.replace("ledger.charges_daily", "marts.gone"))
    with pytest.raises(ValueError, match=r"assert_it\.sql: reads marts\.gone"):
        load_checks(OUTSIDE, tmp_path)


def test_every_sql_file_is_a_model_or_a_check() -> None:
    known = {model.path for model in (*sql_models(), *sql_checks())}
    assert known == set(ROOT.rglob("*.sql"))


def test_comments_reach_whoever_opens_the_database(tmp_path: Path) -> None:
    write(tmp_path, "marts/cost_by_day", GOOD)
    with duckdb.connect() as connection:
        connection.execute("create schema ledger; create schema marts")
        connection.execute("create table ledger.charges_daily (usage_date date, billed_cost decimal(38, 12))")
        for model in load_models(OUTSIDE, tmp_path):
            for statement in build_statements(model) * 2:
                connection.execute(statement)
        columns = connection.sql("select comment from duckdb_columns() where schema_name = 'marts'").fetchall()
        tables = connection.sql("select comment from duckdb_tables() where schema_name = 'marts'").fetchall()
    assert columns == [("Day.",), ("What it cost; the provider's price.",)]
    assert tables == [("Cost by day. One row per\nday.",)]


def test_quoted_identifier_cannot_end_its_quotes() -> None:
    assert quote('a"; drop table b; --') == '"a""; drop table b; --"'


def test_readme_lists_every_mart_and_no_other() -> None:
    listed = {line.split("`")[1] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")}
    assert listed == {model.name for model in sql_models() if model.schema == "marts"}


def test_no_sum_is_of_doubles_because_the_order_of_rows_would_change_it() -> None:
    def is_double(summed: exp.Expression) -> bool:
        if isinstance(summed, exp.Cast):
            return summed.is_type("double")
        return any(cast.is_type("double") for cast in summed.find_all(exp.Cast))

    doubles = [
        f"{model.table}: {total.sql(dialect='duckdb')}"
        for model in sql_models()
        for total in sqlglot.parse_one(model.sql, dialect="duckdb").find_all(exp.Sum, exp.Avg)
        if is_double(total.this)
    ]
    assert doubles == []
