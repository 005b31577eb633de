from __future__ import annotations

import pytest
from hypothesis import settings

# On a busy machine an example may take as long as it likes; that is no fault of what it tests.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put whole pipelines first: workers take files in this order, and a long file at the end leaves the other idle.

    From the end of the alphabet, because its first two files would wait for the same sample.
    """
    pipelines = [item for item in items if item.get_closest_marker("pipeline")]
    quick = [item for item in items if not item.get_closest_marker("pipeline")]
    items[:] = [*sorted(pipelines, key=lambda item: str(item.path), reverse=True), *quick]
