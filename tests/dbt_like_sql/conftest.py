from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dbt_like_sql.test_marts import Warehouse


# One for all: building ten tables and nine relations anew for each generated example would take minutes.
@pytest.fixture(scope="module")
def shared() -> Iterator[Warehouse]:
    warehouse = Warehouse()
    warehouse.build()
    yield warehouse
    warehouse.connection.close()


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    return shared
