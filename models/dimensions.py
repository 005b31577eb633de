"""The team's own words: tag names that compare equal, dimensions resolved from tags, and what is AI by declaration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, RootModel

STANDARD_DIMENSIONS: Final = ("team", "environment", "project", "customer")

_PREFIX: Final = re.compile(r"^(?:resource_?tags?/)?(?:user[:_])?", re.IGNORECASE)
_SEPARATORS: Final = re.compile(r"[\s\-_.:/]+")


def normalize(name: str) -> str:
    """Give the form in which tag and cost category names compare: `user:Team`, `user_team` and `Team` are `team`.

    One AWS prefix is stripped, so a tag really called `user_id` is `user_user_id` in a CUR 2.0 and must be written
    so (or `user:user_id`) in rules and configuration too.
    """
    return _SEPARATORS.sub("_", _PREFIX.sub("", name.strip(), count=1).lower()).strip("_")


def tag_column(name: str) -> str:
    """Name the key column that holds a tag."""
    return f"tag:{normalize(name)}"


def cost_category_column(name: str) -> str:
    """Name the key column that holds a cost category."""
    return f"cost_category:{normalize(name)}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FromTag(_Strict):
    """Take a tag's or label's value."""

    tag: Annotated[str, Field(min_length=1)]

    @property
    def column(self) -> str:
        """The key column read."""
        return tag_column(self.tag)

    def value(self) -> pl.Expr:
        """Give the raw value, null where the bill has none."""
        return pl.col(self.column)


class FromCostCategory(_Strict):
    """Take the value of one of the bill's own cost categories."""

    cost_category: Annotated[str, Field(min_length=1)]

    @property
    def column(self) -> str:
        """The key column read."""
        return cost_category_column(self.cost_category)

    def value(self) -> pl.Expr:
        """Give the raw value, null where the bill has none."""
        return pl.col(self.column)


class FromAccount(_Strict):
    """Look up the account that used it; ids are text, so quote them in YAML or lose leading zeros."""

    account: Mapping[str, str]

    @property
    def column(self) -> str:
        """The key column read."""
        return "sub_account_id"

    def value(self) -> pl.Expr:
        """Give the value configured for the account, null for the others."""
        return pl.col(self.column).replace_strict(dict(self.account), default=None, return_dtype=pl.String)


DimensionSource = FromTag | FromCostCategory | FromAccount


class Dimensions(RootModel[dict[str, tuple[DimensionSource, ...]]]):
    """Each dimension's sources in order; the first that is not blank wins.

    A resolved value is trimmed, lower-cased and written with `-` for every run of separators, because that is what is
    grouped by. The raw text stays where it always was, in the charge's own tags; a second column here would split
    every group again.
    """

    root: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], tuple[DimensionSource, ...]] = {}

    def _sources(self) -> Iterator[DimensionSource]:
        for sources in self.root.values():
            yield from sources

    @property
    def relevant_tags(self) -> frozenset[str]:
        """Normalized names of the tags that must be in a key."""
        return frozenset(normalize(source.tag) for source in self._sources() if isinstance(source, FromTag))

    @property
    def relevant_cost_categories(self) -> frozenset[str]:
        """Normalized names of the cost categories that must be in a key."""
        return frozenset(
            normalize(source.cost_category) for source in self._sources() if isinstance(source, FromCostCategory)
        )

    def resolve(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Give one column per dimension, the standard ones always, and null where no source says."""
        absent = {source.column for source in self._sources()} - set(keys.columns)
        keys = keys.with_columns(pl.lit(None, pl.String).alias(column) for column in sorted(absent))
        names = dict.fromkeys((*STANDARD_DIMENSIONS, *self.root))
        return keys.select(
            pl.coalesce([_tidy(source.value()) for source in self.root.get(name, ())] or pl.repeat(None, pl.len()))
            .cast(pl.String)
            .alias(name)
            for name in names
        )


def _tidy(value: pl.Expr) -> pl.Expr:
    tidy = value.str.to_lowercase().str.replace_all(r"[\s\-_.:/]+", "-").str.strip_chars("-")
    return pl.when(tidy != "").then(tidy)


class AiScope(_Strict):
    """Accounts and bills that the team declares to be AI as a whole."""

    accounts: tuple[str, ...] = ()
    """Accounts, projects or subscriptions whose whole bill is AI; quote them, or YAML loses leading zeros."""
    sources: tuple[str, ...] = ()
    """Names of `sources` whose whole bill is AI."""

    def holds(self, source: str) -> pl.Expr:
        """Say for each key of this source's bill whether it is in scope."""
        if source in self.sources:
            return pl.lit(value=True)
        return pl.col("sub_account_id").is_in(list(self.accounts)).fill_null(value=False)
