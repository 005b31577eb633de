from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipelines.settings import Settings

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

pytestmark = pytest.mark.pipeline

BY_RULE = """
select attribution_rule_id as rule, any_value(key_id) as key from computed.attributions
where attribution_rule_id is not null group by all order by all
"""


def native(desk: Desk, place: str) -> dict[str, Any]:
    """Read the row a place names, straight from the bill."""
    name, _, rest = place.partition("/")
    file, _, row = rest.partition("/")[2].rpartition("#")
    (source,) = [source for source in Settings.load(desk.config).sources if source.name == name]
    return pl.read_parquet(desk.folder / source.model_dump()["location"] / file).row(int(row) - 1, named=True)


def asked_for(row: dict[str, Any]) -> Decimal:
    """Say what a native row asks for: Google's credits hang on the row they reduce."""
    if "line_item_unblended_cost" in row:
        return round(Decimal(str(row["line_item_unblended_cost"])), 12)
    return sum((Decimal(str(credit["amount"])) for credit in row["credits"]), Decimal(str(row["cost"])))


def largest(desk: Desk, key: str) -> str:
    return str(desk.type("explain", key, "--json", "--limit", "1").json["largest_lines"][0]["charge"])


def test_the_row_a_line_names_is_that_row_of_the_native_file(desk: Desk) -> None:
    for unknown in desk.type("unattributed", "--json", "--limit", "4").json:
        key = desk.type("explain", unknown["key_id"], "--json").json
        assert len(key["largest_lines"]) == 5
        for line in key["largest_lines"]:
            row = native(desk, line["charge"])
            assert row["line_item_usage_type"] == unknown["usage_type"]
            assert round(Decimal(str(row["line_item_unblended_cost"])), 12) == Decimal(line["billed_cost"])
            assert row["line_item_resource_id"] == (line["resource_id"] or "")


def test_the_lines_of_a_key_come_dearest_first(desk: Desk) -> None:
    (unknown,) = desk.type("unattributed", "--json", "--limit", "1").json
    costs = [
        Decimal(line["effective_cost"])
        for line in desk.type("explain", unknown["key_id"], "--json", "--limit", "50").json["largest_lines"]
    ]
    assert costs == sorted(costs, reverse=True)


def test_a_line_shows_its_rule_reason_runners_up_and_place(desk: Desk) -> None:
    with_rivals = 0
    for found in desk.type("query", BY_RULE, "--json").json[::4]:
        place = largest(desk, found["key"])
        answer = desk.type("explain", place, "--json").json
        assert answer["rule"]["id"] == answer["attribution"]["attribution_rule_id"] == found["rule"]
        assert answer["rule"]["reason"]
        assert f"{answer['line']['source_file']}#{answer['line']['source_row']}" == place.split("/", 2)[2]
        assert found["rule"] not in [rule["id"] for rule in answer["runners_up"]]
        row = native(desk, place)
        assert answer["line"]["line_item_type"] == row.get("line_item_line_item_type", row.get("cost_type"))
        assert Decimal(answer["line"]["billed_cost"]) == asked_for(row)
        said = desk.type("explain", place).out
        for text in (answer["rule"]["id"], answer["rule"]["reason"], answer["line"]["source_file"], "runners up"):
            assert text in said
        assert all(rival["id"] in said for rival in answer["runners_up"])
        with_rivals += bool(answer["runners_up"])
    assert with_rivals


def test_money_is_explained_to_the_last_digit(desk: Desk) -> None:
    (unknown,) = desk.type("unattributed", "--json", "--limit", "1").json
    line = desk.type("explain", unknown["key_id"], "--json").json["largest_lines"][0]
    assert line["billed_cost"] in desk.type("explain", line["charge"]).out


@pytest.mark.parametrize(
    "place",
    [
        "no-such-key",
        "aws/2026-07/no/such/file.parquet#1",
        "aws/2019-01/file#1",
        "gcp/2026-07/file#1",
        "aws/2026-07/file#one",
        "aws/july/file#1",
        "#",
        "' or 1=1 --",
    ],
)
def test_what_is_not_there_is_one_clear_error(desk: Desk, place: str) -> None:
    answer = desk.type("explain", place)
    assert answer.status == 1
    assert answer.out == ""
    assert answer.said.startswith("error: ")
    assert "Traceback" not in answer.said
