from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import yaml

from examples.sample import write_sample
from pipelines.definitions import definitions
from pipelines.settings import Settings

ROOT = Path(__file__).parents[2]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


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


@dataclass(frozen=True)
class Ran:
    """A company's folder and what Dagster says of the run in it."""

    folder: Path
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="session")
def ran(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The company after the run that the sensor of new bills asked for; read it, do not change it."""
    folder = shutil.copytree(delivered, tmp_path_factory.mktemp("ran") / "company")
    with dg.DagsterInstance.ephemeral() as instance:
        (request,) = look(folder, "new_bills", instance).run_requests or []
        job = definitions(Settings.load(folder / "apportion.yaml")).resolve_job_def("refresh")
        return Ran(folder, job.execute_in_process(instance=instance, tags=dict(request.tags), run_config=QUIET))


@pytest.fixture
def company(delivered: Path, tmp_path: Path) -> Path:
    """Three months of bills, none loaded yet."""
    return shutil.copytree(delivered, tmp_path / "company")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def look(folder: Path, name: str, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorExecutionData:
    """Evaluate a sensor as a daemon that has just started would."""
    repository = definitions(Settings.load(folder / "apportion.yaml")).get_repository_def()
    context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository, sensor_name=name)
    return repository.get_sensor_def(name).evaluate_tick(context)


def configure(folder: Path, **changes: object) -> Settings:
    """Change the configuration and read it."""
    path = folder / "apportion.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes), encoding="utf-8")
    return Settings.load(path)
