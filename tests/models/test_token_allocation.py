from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.facts import COST_COLUMNS
from models.money import MONEY, from_units, largest_remainder
from models.price_settings import Authority
from models.token_allocation import PARTS, Division, divide_charges, shares
from models.token_authority import choose_authority
from models.token_estimates import covered, estimate
from models.token_pricing import COSTS
from pipelines.warehouse.tokens import DAILY

DAY = date(2026, 7, 1)
USAGE: dict[str, Any] = {"usage_date": DAY, "provider_name": "Anthropic", "source": "api", "reported_by": "usage_api"}


def daily(*rows: dict[str, Any]) -> pl.DataFrame:
    """Priced daily usage; `input`, `output` and `read` are dollars, and tokens are a million per dollar."""
    filled = []
    for number, row in enumerate(rows, 1):
        costs = {
            "uncached_input": row.pop("input", 0),
            "output": row.pop("output", 0),
            "cache_read": row.pop("read", 0),
        }
        status = row.pop("price_status", "priced")
        filled.append(
            {
                "usage_id": number,
                "price_status": status,
                "is_batch": False,
                "llm_model_is_known": True,
                "usage_records": 1,
                **{f"{name}_tokens": int(cost * 1_000_000) for name, cost in costs.items()},
                **({name: Decimal(0) for name in COSTS} if status == "priced" else {}),
                **({f"{name}_cost": Decimal(str(cost)) for name, cost in costs.items()} if status == "priced" else {}),
                **({"priced_cost": Decimal(str(sum(costs.values())))} if status == "priced" else {}),
                **USAGE,
                **row,
            }
        )
    return pl.DataFrame(filled, schema=dict(DAILY))


def bill(*rows: dict[str, Any]) -> pl.DataFrame:
    """Lines of one bill; `cost` fills all cost columns but the list cost."""
    filled = [
        {
            "charge_id": number,
            "usage_date": DAY,
            "provider_name": "Anthropic",
            **dict.fromkeys(("billed_cost", "effective_cost", "net_cost"), Decimal(str(row.pop("cost", 10)))),
            **row,
        }
        for number, row in enumerate(rows, 1)
    ]
    text = ("sub_account_id", "project_id", "workspace_id", "llm_model", "token_bucket", "service_tier", "unit")
    schema = {"charge_id": pl.Int64, "usage_date": pl.Date, "provider_name": pl.String, "tokens_per_unit": pl.Int64}
    return pl.DataFrame(
        filled, schema={**schema, **dict.fromkeys(text, pl.String), **dict.fromkeys(COST_COLUMNS, MONEY)}
    )


def by_team(division: Division, charge: int = 1) -> dict[str | None, Decimal]:
    parts = division.parts.filter(pl.col("charge_id") == charge)
    return dict(parts.group_by("team").agg(pl.col("billed_cost").sum()).iter_rows())


HAIKU = {"llm_model": "claude-haiku-4.5"}
OUTPUT = {**HAIKU, "token_bucket": "output"}


def test_a_line_is_divided_by_the_priced_usage_of_its_bucket_only() -> None:
    usage = daily({**HAIKU, "team": "a", "output": 3, "input": 100}, {**HAIKU, "team": "b", "output": 1})
    division = divide_charges(bill(OUTPUT), usage)
    assert by_team(division) == {"a": Decimal("7.5"), "b": Decimal("2.5")}
    assert division.unexplained.is_empty()


def test_usage_that_no_line_is_about_is_kept_with_its_size() -> None:
    usage = daily({**HAIKU, "team": "a", "output": 3, "input": 100}, {"llm_model": "claude-opus-5", "output": 2})
    unbilled = divide_charges(bill(OUTPUT), usage).unbilled.sort("usage_id")
    assert unbilled.select("usage_id", "token_bucket", "amount", "priced_cost").rows() == [
        (1, "uncached_input", Decimal(100_000_000), Decimal(100)),
        (2, "output", Decimal(2_000_000), Decimal(2)),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"llm_model": "claude-opus-5", "token_bucket": "output"}, "no usage beside it"),
        ({**OUTPUT, "usage_date": date(2026, 7, 2)}, "no usage beside it"),
        ({**OUTPUT, "provider_name": "OpenAI"}, "no usage beside it"),
        ({"cost": 1}, "the line says neither model nor token bucket nor unit"),
        ({"unit": "searches"}, "not all of its usage is priced"),
        (HAIKU, "its usage is counted in several units"),
        ({"llm_model": "nova-lite"}, "not all of its usage is priced"),
        ({"llm_model": "free"}, "its usage costs nothing at the rate card's prices"),
    ],
)
def test_a_line_that_usage_cannot_explain_stays_whole_and_says_why(line: dict[str, Any], reason: str) -> None:
    usage = daily(
        {**HAIKU, "team": "a", "output": 3},
        {**HAIKU, "unit": "searches", "quantity": Decimal(5), "price_status": "unpriced"},
        {"llm_model": "nova-lite", "output": 1},
        {"llm_model": "nova-lite", "output": 1, "price_status": "unpriced"},
        {"llm_model": "free", "output_tokens": 7},
    )
    division = divide_charges(bill({"cost": 10, **line}), usage)
    assert division.parts.is_empty()
    assert division.unexplained.select("reason", "billed_cost").row(0) == (
        reason,
        bill({"cost": 10, **line})["billed_cost"][0],
    )


def test_a_model_is_not_divided_beside_usage_that_may_be_its_own() -> None:
    profile = {"llm_model": "arn:…/profile", "llm_model_is_known": False, "price_status": "unpriced", "output": 1}
    usage = daily({**HAIKU, "team": "a", "output": 3, "read": 1}, profile)
    division = divide_charges(bill(OUTPUT, {**HAIKU, "token_bucket": "cache_read"}), usage)
    reason = "usage beside it may be of this model: its id names none (prices.models)"
    assert division.unexplained.select("charge_id", "reason").rows() == [(1, reason)]
    assert by_team(division, 2) == {"a": Decimal(10)}


def test_searches_are_never_spread_over_tokens_nor_tokens_over_searches() -> None:
    usage = daily(
        {**HAIKU, "team": "a", "output": 90},
        {**HAIKU, "team": "b", "unit": "searches", "quantity": Decimal(5), "unit_cost": Decimal("0.05")},
    )
    division = divide_charges(bill({"unit": "searches"}, OUTPUT), usage)
    assert by_team(division, 1) == {"b": Decimal(10)}
    assert by_team(division, 2) == {"a": Decimal(10)}


def test_a_line_that_names_a_project_meets_that_projects_usage() -> None:
    usage = daily(
        {**HAIKU, "team": "a", "project_id": "p1", "output": 1}, {**HAIKU, "team": "b", "project_id": "p2", "output": 1}
    )
    assert by_team(divide_charges(bill({**OUTPUT, "project_id": "p2"}), usage)) == {"b": Decimal(10)}


def test_what_no_usage_states_does_not_keep_lines_from_their_usage() -> None:
    usage = daily({**HAIKU, "team": "a", "output": 1}, {**HAIKU, "team": "b", "output": 3})
    lines = bill({**OUTPUT, "project_id": "p1", "service_tier": "standard"})
    assert by_team(divide_charges(lines, usage)) == {"a": Decimal("2.5"), "b": Decimal("7.5")}


def test_tiers_are_cells_of_their_own_and_default_is_standard() -> None:
    usage = daily(
        {**HAIKU, "team": "a", "service_tier": "flex", "output": 1},
        {**HAIKU, "team": "b", "service_tier": "default", "output": 1},
    )
    division = divide_charges(bill({**OUTPUT, "service_tier": "flex"}, {**OUTPUT, "service_tier": "standard"}), usage)
    assert (by_team(division, 1), by_team(division, 2)) == ({"a": Decimal(10)}, {"b": Decimal(10)})


def test_credits_and_missing_costs_keep_their_sign_and_their_absence() -> None:
    usage = daily({**HAIKU, "team": "a", "output": 1}, {**HAIKU, "team": "b", "output": 2})
    parts = divide_charges(bill({**OUTPUT, "cost": "-0.000000000001"}), usage).parts
    assert parts["billed_cost"].to_list() == [Decimal(0), Decimal("-0.000000000001")]
    assert parts["list_cost"].to_list() == [None, None]


def test_without_lines_or_usage_there_is_nothing_to_divide() -> None:
    assert divide_charges(bill(), daily()).parts.schema == pl.Schema(PARTS)
    assert divide_charges(bill(OUTPUT), daily()).unexplained.height == 1


AMOUNT = st.integers(-(10**16), 10**16)


@given(st.lists(st.tuples(AMOUNT, st.lists(st.integers(1, 10**15), min_size=1, max_size=6)), min_size=1, max_size=8))
@settings(max_examples=60)
def test_shares_are_those_of_the_largest_remainder(wholes: list[tuple[int, list[int]]]) -> None:
    rows = [(number, from_units(units), w) for number, (units, weights) in enumerate(wholes) for w in weights]
    frame = pl.DataFrame(rows, schema={"id": pl.Int64, "amount": MONEY, "w": pl.Int128}, orient="row")
    expected = [from_units(part) for units, weights in wholes for part in largest_remainder(units, weights)]
    assert shares(frame["id"], frame["amount"], frame["w"]).to_list() == expected


def test_shares_of_sums_beyond_128_bits_are_exact_too() -> None:
    whole, weights = 10**24 + 1, [10**23, 2 * 10**23 + 1, 7]
    amounts = pl.Series([from_units(whole)] * 3, dtype=MONEY)
    parts = shares(pl.Series([1, 1, 1]), amounts, pl.Series(weights, dtype=pl.Int128))
    assert parts.to_list() == [from_units(part) for part in largest_remainder(whole, weights)]


@st.composite
def months(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    models = st.sampled_from(["m1", "m2", "m3"])
    cost = st.integers(0, 10**6).map(lambda cents: cents / 100)
    usage = st.fixed_dictionaries(
        {"llm_model": models, "team": st.sampled_from(["a", "b", None]), "output": cost, "input": cost},
        optional={
            "price_status": st.sampled_from(["priced", "unpriced", "not_bought"]),
            "project_id": st.sampled_from(["p1", "p2"]),
        },
    )
    line = st.fixed_dictionaries(
        {"cost": st.decimals(-1000, 1000, places=12)},
        optional={
            "llm_model": models,
            "token_bucket": st.sampled_from(["output", "uncached_input"]),
            "project_id": st.sampled_from(["p1", "p3"]),
        },
    )
    return bill(*draw(st.lists(line, max_size=6))), daily(*draw(st.lists(usage, max_size=8)))


@given(months())
@settings(max_examples=60)
def test_the_parts_and_the_unexplained_are_the_bill_to_the_last_digit(month: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    lines, usage = month
    division = divide_charges(lines, usage)
    whole = pl.concat(
        [division.parts.select("charge_id", "billed_cost"), division.unexplained.select("charge_id", "billed_cost")]
    )
    said = whole.group_by("charge_id").agg(pl.col("billed_cost").sum()).sort("charge_id")
    assert said.rows() == lines.select("charge_id", "billed_cost").rows()
    assert set(division.parts["charge_id"]) & set(division.unexplained["charge_id"]) == set()


def test_a_bill_covers_its_account_and_its_days_and_no_further() -> None:
    days = [date(2026, 7, day) for day in (1, 3, 5)]
    usage = daily(
        *({**HAIKU, "usage_date": day, "sub_account_id": scope} for day in days for scope in ("x", "y", None))
    )
    lines = bill(
        *({**OUTPUT, "usage_date": day, "sub_account_id": "x"} for day in (date(2026, 7, 1), date(2026, 7, 4)))
    )
    assert covered(usage, lines, {}).to_list() == [True, False, True, True, False, True, False, False, False]


def test_a_bill_without_accounts_covers_the_whole_provider_and_no_other() -> None:
    usage = daily({**HAIKU, "sub_account_id": "x"}, {**HAIKU, "provider_name": "AWS"})
    assert covered(usage, bill(OUTPUT), {}).to_list() == [True, False]
    aws = bill({**OUTPUT, "provider_name": "Amazon Web Services"})
    assert covered(usage, aws, {}).to_list() == [False, True]


def test_a_tier_that_the_bill_leaves_out_stays_estimated() -> None:
    usage = daily(
        {**HAIKU, "service_tier": "priority", "output": 2}, {**HAIKU, "service_tier": "standard", "output": 3}
    )
    is_covered = covered(usage, bill(OUTPUT), {"Anthropic": ["priority"]})
    assert is_covered.to_list() == [False, True]
    assert estimate(usage.filter(~is_covered)).select("cost_basis", "estimated_cost").rows() == [
        ("estimated", Decimal(2))
    ]


def test_unpriced_usage_stands_among_the_estimates_without_a_cost() -> None:
    usage = daily(
        {**HAIKU, "output": 2, "price_status": "unpriced"}, {**HAIKU, "output": 3, "price_status": "not_bought"}
    )
    assert estimate(usage).select("output_tokens", "estimated_cost").rows() == [(2_000_000, None)]


GATEWAY = {**HAIKU, "source": "litellm", "reported_by": "gateway", "output": 5}


def test_the_providers_own_count_is_believed_before_a_gateway_and_the_rest_is_listed() -> None:
    counted, left = choose_authority(daily({**HAIKU, "output": 5}, GATEWAY))
    assert counted["usage_id"].to_list() == [1]
    assert left.select("source", "reported_by", "authority", "tokens").rows() == [
        ("litellm", "gateway", "usage_api", 5_000_000)
    ]


def test_configuration_decides_and_falls_back_where_its_records_are_missing() -> None:
    rules = [Authority(provider="Anthropic", reported_by="gateway")]
    rows = daily({**HAIKU, "output": 5}, dict(GATEWAY), {**HAIKU, "usage_date": date(2026, 7, 2), "output": 1})
    assert choose_authority(rows, rules)[0]["usage_id"].to_list() == [2, 3]
    assert choose_authority(rows, [Authority(provider="Anthropic", source="litellm")])[0]["usage_id"].to_list() == [
        2,
        3,
    ]


def test_accounts_have_authorities_of_their_own_unless_a_record_names_none() -> None:
    rows = ({**HAIKU, "sub_account_id": "x", "output": 5}, {**GATEWAY, "sub_account_id": "y"})
    assert choose_authority(daily(*(dict(row) for row in rows)))[0].height == 2
    assert choose_authority(daily(*(dict(row) for row in rows), dict(GATEWAY)))[0]["usage_id"].to_list() == [1]


def test_repeated_records_still_say_whose_a_key_is() -> None:
    rows = daily(
        {**HAIKU, "api_key_id": "k1", "output": 5},
        {**HAIKU, "api_key_id": "k2", "output": 5},
        {**GATEWAY, "api_key_id": "k1", "team": "search"},
        {**GATEWAY, "api_key_id": "k2", "team": "search"},
        {**GATEWAY, "api_key_id": "k2", "team": "ads"},
    )
    assert choose_authority(rows)[0]["team"].to_list() == ["search", None]
