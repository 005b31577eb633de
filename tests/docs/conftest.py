from __future__ import annotations

import pytest

from tests.cli.conftest import Desk, ran
from tests.once import once


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The sample company, run once; each file of tests has a copy that its commands may change."""
    return Desk(once(tmp_path_factory, "desk", ran))
