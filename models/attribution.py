"""Say for every distinct key of a bill what the money was for, how we know, and whose it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from models.dimensions import STANDARD_DIMENSIONS, AiScope, Dimensions
from models.facts import TAGS
from models.money import MONEY
from models.rulebook import Rulebook
from models.rules import FACTS, Rule
from models.workloads import Workload

COLUMNS: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "workload": pl.String,
    "attribution_rule_id": pl.String,
    "evidence": pl.String,
    "llm_model": pl.String,
    "accelerator": pl.String,
    "accelerator_count": MONEY,
    "idle_reason": pl.String,
    "token_bucket": pl.String,
    "tokens_per_unit": pl.Int64,
    **dict.fromkeys(STANDARD_DIMENSIONS, pl.String),
    "dimensions": TAGS,
}

# From `Claude3-5Haiku`, `anthropic.claude-opus-4-8` and `Claude Haiku 4.5` to one spelling. Order matters.
_SPELLING: Final = (
    (r"^(?:[a-z]{2}\.)?(?:anthropic|amazon|meta|mistral|openai|google|qwen|moonshotai|zai|nvidia|minimax)\.", ""),
    (r"([a-z])([A-Z])", "$1-$2"),  # NovaMicro
    (r"([0-9])([A-Za-z]{3,})", "$1-$2"),  # 3Sonnet, but not 70B
    (r"^([A-Za-z]{3,})([0-9])", "$1-$2"),  # Llama4
    (r"[\s_]+|(\.)([A-Za-z])", "-$2"),
    (r"-{2,}", "-"),
    (r"(?i)^(?:meta|amazon|anthropic|mistral-ai)-", ""),
    (r"(?i)deep-seek", "deepseek"),
    (r"-v?[0-9]+:[0-9]+$|-20[0-9]{6}\b|-20[0-9]{2}-[0-9]{2}-[0-9]{2}\b", ""),  # version and date of a model id
    (r"([0-9])-([0-9])(-|$)", "$1.$2$3"),  # 3-3-70B
    (r"^(?:canvas|reel|Canvas|Reel)$", "nova-$0"),
    (r"(?i)^(gemini-[3-9])\.0-", "$1-"),  # Vertex writes "Gemini 3.0 Pro" and AI Studio "gemini 3 pro"
)
_CLAUDE: Final = r"^claude-([0-9][0-9.]*)-([a-z]+)"


def llm_model_name(raw: pl.Expr) -> pl.Expr:
    """Give a language model one name however the bill spells it: `claude-haiku-4.5`, `nova-2.0-lite`.

    Claude's version always follows its size, although Anthropic wrote it the other way round before version 4.
    """
    name = raw.str.strip_chars()
    for pattern, replacement in _SPELLING:
        name = name.str.replace_all(pattern, replacement)
    name = name.str.to_lowercase().str.strip_chars("-")
    return name.str.replace(_CLAUDE, "claude-$2-$1")


def attribute(
    keys: pl.DataFrame, rulebook: Rulebook, dimensions: Dimensions, ai_scope: AiScope, source: str
) -> pl.DataFrame:
    """Give the keys, in their order, with `COLUMNS` beside them.

    Keys hold what they have of `KEY_COLUMNS` and the relevant tags; what is absent is null. A key without
    `usage_period` meets the rules of today. What a line counted (model, tokens) is left out of `shared` and `not_ai`.
    """
    # Without rows there is nothing to decide, but scalars in a selection would make one.
    if keys.is_empty():
        return keys.with_columns(pl.lit(None).cast(dtype).alias(name) for name, dtype in COLUMNS.items())
    scoped = pl.col("sub_account_id") if "sub_account_id" in keys.columns else pl.lit(None, pl.String)
    with_account = keys.with_columns(scoped.alias("sub_account_id"))
    prepared = rulebook.prepare(with_account, ai_scope.holds(source))
    matched = rulebook.matched(prepared)
    facts = prepared.select("accelerator", "accelerator_count")
    for fact in FACTS:
        facts = facts.hstack(_decided(rulebook, fact, rulebook.first(matched, fact), prepared))
    counted = ("llm_model", "token_bucket", "tokens_per_unit")
    ai = ~pl.col("workload").is_in([Workload.SHARED, Workload.NOT_AI])
    facts = facts.with_columns(pl.when(ai).then(pl.col(name)).alias(name) for name in counted)
    resolved = dimensions.resolve(with_account)
    whole = facts.hstack(resolved).with_columns(_as_map(resolved.columns).alias("dimensions"))
    return keys.hstack(whole.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items()))


def _decided(rulebook: Rulebook, fact: str, places: pl.Series, prepared: pl.DataFrame) -> pl.DataFrame:
    said = [(place, rule) for place, rule in enumerate(rulebook.rules) if fact in rule.says]
    if fact == "llm_model":
        return _captured(said, places, prepared)
    columns = {"workload": ("workload", "evidence", "id")}.get(fact, (fact,))
    table = pl.DataFrame(
        {
            "place": [place for place, _ in said],
            **{name: [getattr(rule, name) for _, rule in said] for name in columns},
        },
        schema_overrides={"place": pl.UInt32},
    )
    joined = places.alias("place").to_frame().join(table, on="place", how="left", maintain_order="left")
    return joined.drop("place").rename({"id": "attribution_rule_id"}, strict=False)


def _captured(said: list[tuple[int, Rule]], places: pl.Series, prepared: pl.DataFrame) -> pl.DataFrame:
    name = pl.repeat(None, places.len(), dtype=pl.String, eager=True).alias("llm_model")
    for place, rule in said:
        won = places == place
        if rule.captures and won.any():
            capture = rule.captures.llm_model
            text = prepared[capture.field]
            values = text.filter(won).unique().alias("text").to_frame()
            named = values.with_columns(llm_model_name(pl.col("text").str.extract(capture.pattern)).alias("llm_model"))
            found = text.alias("text").to_frame().join(named, on="text", how="left", maintain_order="left")["llm_model"]
            name = found.zip_with(won.fill_null(value=False), name)
    return name.to_frame()


def _as_map(names: list[str]) -> pl.Expr:
    entries = pl.concat_list(pl.struct(pl.lit(name).alias("key"), pl.col(name).alias("value")) for name in names)
    return entries.list.filter(pl.element().struct.field("value").is_not_null()).cast(TAGS)
