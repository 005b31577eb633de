from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from examples.sample import write_sample
from pipelines.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three months of a small company's bills, metrics and job records, and its configuration.

    Read it, do not change it. Logs of tokens are left out: they are most of what the sample costs to read.
    """
    folder = tmp_path_factory.mktemp("delivered")
    write_sample(folder, lines=2000, tokens=False)
    shutil.copy(ROOT / "examples" / "apportion.yaml", folder)
    sources = yaml.safe_load((folder / "apportion.yaml").read_text())["sources"]
    configure(
        folder,
        review_packs=0,
        sources=[source for source in sources if not source["location"].startswith("tokens/")],
    )
    return folder


@pytest.fixture
def company(delivered: Path, tmp_path: Path) -> Path:
    """Three months of bills, none loaded yet."""
    return shutil.copytree(delivered, tmp_path / "company")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def configure(folder: Path, **changes: object) -> Settings:
    """Change the configuration and read it."""
    path = folder / "apportion.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes), encoding="utf-8")
    return Settings.load(path)
