"""The reference beside the checkout, which a fresh clone lacks, and the tables of words that say what we make of it."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from models.attribution import attribute
from models.dimensions import AiScope, Dimensions
from models.rulebook import Rulebook

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
BOOK = Rulebook.load()
MARKS = [
    pytest.mark.real_data,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the reference beside the checkout"),
]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def words(name: str) -> list[dict[str, str]]:
    """Read a table of words beside the tests."""
    return rows(Path(__file__).with_name(name))


def attributed(keys: pl.DataFrame, source: str) -> pl.DataFrame:
    """Say what keys are for by our own rules alone."""
    return attribute(keys, BOOK, Dimensions(), AiScope(), source)
