"""What tells one key of a bill from another: how the bill spells a tag, how a key is named, what decides its tag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from models.attribution import attribute
from models.dimensions import AiScope, Dimensions, normalize
from models.facts import KEY_COLUMNS
from models.rulebook import Rulebook
from pipelines.ledger.engine import Query
from pipelines.ledger.tables import ATTRIBUTIONS

# Columns that hold many names → how such a name stands in a key.
MAPS: Final = {"tags": "tag:", "cost_categories": "cost_category:"}
# What an API's bill says of its tokens in fields of its own, and what names a fleet that serves models: usage of tokens
# says it too and is matched by it.
TOKEN_TAGS: Final = (
    "service_tier",
    "context_window",
    "endpoint",
    "kubernetes_namespace",
    "k8s_namespace",
    "aws_eks_namespace",
    "namespace",
)


@dataclass(frozen=True)
class Tagging:
    """Everything that decides what a key is for; `digest` changes when any of it does."""

    rulebook: Rulebook
    dimensions: Dimensions
    ai_scope: AiScope

    @property
    def relevant(self) -> tuple[str, ...]:
        """Columns of a key beside `KEY_COLUMNS`: `tag:<name>` and `cost_category:<name>`, sorted."""
        tags = {*self.rulebook.relevant_tags, *self.dimensions.relevant_tags, *TOKEN_TAGS}
        categories = {*self.rulebook.relevant_cost_categories, *self.dimensions.relevant_cost_categories}
        return tuple(sorted([f"tag:{name}" for name in tags] + [f"cost_category:{name}" for name in categories]))

    @property
    def digest(self) -> str:
        """Digest of all of it and of what a key is, short enough for file names."""
        return digest(
            [
                KEY_COLUMNS,
                TOKEN_TAGS,
                self.rulebook.digest,
                self.dimensions.model_dump_json(),
                self.ai_scope.model_dump_json(),
            ]
        )[:16]

    def attribute(self, keys: pl.DataFrame, source: str) -> pl.DataFrame:
        """Say what each key is for, with the columns of `ATTRIBUTIONS`."""
        named = [name for name in keys.columns if name.startswith(("tag:", "cost_category:"))]
        said = [name for name in named if keys[name].null_count() < keys.height]
        tagged = attribute(keys, self.rulebook, self.dimensions, self.ai_scope, source)
        return tagged.with_columns(
            tags=pl.struct(said).map_elements(_tags_text, return_dtype=pl.String) if said else pl.lit("{}"),
            relevant=pl.lit(json.dumps(sorted(named))),
        ).select(pl.col(name).cast(dtype) for name, dtype in ATTRIBUTIONS.items())


def spellings(distinct: Callable[[Query], pl.DataFrame], relevant: Sequence[str]) -> dict[str, list[str]]:
    """Find how the bill spells each relevant tag or cost category; one it does not have is spelt in no way.

    Args:
        distinct: gives the distinct rows that a query finds in the bill's lines.
        relevant: the columns of a key that are tags and cost categories.
    """
    spelt: dict[str, list[str]] = {name: [] for name in relevant}
    for column, prefix in MAPS.items():
        if any(name.startswith(prefix) for name in relevant):
            found = distinct(partial(_spelt_in, column=column)).to_series()
            for raw in sorted(found.drop_nulls()):
                spelt.get(prefix + normalize(raw), []).append(raw)
    return spelt


def _spelt_in(lines: pl.LazyFrame, column: str) -> pl.LazyFrame:
    return lines.select(pl.col(column).map.keys().explode().unique())


def tag_columns(spelt: Mapping[str, Sequence[str]]) -> list[pl.Expr]:
    """Give each relevant tag or cost category as a column; a blank value says nothing."""
    return [
        pl.coalesce(
            *(pl.col(column).map.get(raw).replace("", None) for raw in spelt[name] if name.startswith(prefix)),
            pl.lit(None, pl.String),
        ).alias(name)
        for column, prefix in MAPS.items()
        for name in spelt
        if name.startswith(prefix)
    ]


def key_ids(keys: pl.DataFrame) -> list[str]:
    """Name each key by a digest of what it says; columns that say nothing do not change the name."""
    return [
        digest({name: str(value) for name, value in row.items() if value is not None})
        for row in keys.iter_rows(named=True)
    ]


def relevant_of(attributions: pl.DataFrame) -> tuple[str, ...]:
    """Say which tag and cost category columns stored attributions were made with."""
    return tuple(json.loads(attributions["relevant"][0])) if attributions.height else ()


def keys_of(attributions: pl.DataFrame) -> pl.DataFrame:
    """Turn stored attributions back into the keys they were made from."""
    tags = [json.loads(text) for text in attributions["tags"]]
    relevant = relevant_of(attributions)
    columns = [pl.Series(name, [tag.get(name) for tag in tags], dtype=pl.String) for name in relevant]
    return attributions.select("key_id", *KEY_COLUMNS).with_columns(columns)


def _tags_text(tags: Mapping[str, str | None]) -> str:
    return _JSON.encode({name: value for name, value in tags.items() if value is not None})


# `json.dumps` would make one for each of a hundred thousand keys.
_JSON: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


def digest(content: object) -> str:
    """Digest anything JSON can write."""
    return hashlib.blake2b(_JSON.encode(content).encode(), digest_size=16).hexdigest()
