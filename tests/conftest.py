from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put whole pipelines first: workers take files in this order, and a long file at the end leaves the other idle."""
    items.sort(key=lambda item: item.get_closest_marker("pipeline") is None)
