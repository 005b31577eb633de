from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.accuracy.test_attribution import asked
from tests.cli.conftest import ran
from tests.once import once


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as people type at in `tests/cli`: half of it is tagged."""
    return once(tmp_path_factory, "desk", ran)


@pytest.fixture(scope="session")
def checks(company: Path) -> pl.DataFrame:
    """What the sample answers to every claim, as doubles."""
    ends = ("measured_low", "measured", "measured_high")
    doubles = ", ".join(f"{end}::double as {end}" for end in ends)
    return asked(
        company, f"select claim_id, period::varchar as period, verdict, needs, {doubles} from marts.claim_checks"
    )
