"""The files of deploy/ are checked as far as that goes without Docker, systemd and Kubernetes."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from pipelines.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def parsed(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.mark.pipeline
def test_dagster_itself_takes_the_instance(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1  # type: ignore[union-attr]
        assert not instance.telemetry_enabled


def test_the_ui_is_published_on_loopback_only() -> None:
    services = parsed("compose.yaml")["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    values = parsed("values.yaml")
    assert values["ingress"]["enabled"] is False
    assert values["dagsterWebserver"]["service"]["type"] == "ClusterIP"


def test_nothing_runs_as_root() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    users = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)
    assert users == ["10001"]
    for service in parsed("compose.yaml")["services"].values():
        assert service["cap_drop"] == ["ALL"]
    (deployment,) = parsed("values.yaml")["dagster-user-deployments"]["deployments"]
    assert deployment["podSecurityContext"]["runAsNonRoot"]
    assert unit("apportion.service")["Service"]["User"] == "apportion"


def test_what_the_image_copies_is_there_and_pinned() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
    for words in copied:
        for name in shlex.split(words)[:-1]:
            assert (ROOT / name).exists(), name
    assert "--require-hashes -r requirements.lock" in dockerfile


def test_every_variable_of_ours_is_a_setting() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DEPLOY.iterdir())
    known = {f"APPORTION_{name.upper()}" for name in Settings.model_fields} | {"APPORTION_CONFIG", "APPORTION_LOG"}
    assert set(re.findall(r"APPORTION_[A-Z_]+", text)) <= known


def test_every_module_that_is_started_exists() -> None:
    (location,) = parsed("workspace.yaml")["load_from"]
    assert location["python_module"]["module_name"] == "pipelines.definitions"
    (deployment,) = parsed("values.yaml")["dagster-user-deployments"]["deployments"]
    assert deployment["dagsterApiGrpcArgs"] == ["--module-name", "pipelines.definitions"]


def test_the_unit_starts_our_command_and_stops_it_cleanly() -> None:
    service = unit("apportion.service")["Service"]
    assert shlex.split(service["ExecStart"])[1:] == ["run", "--config", "/etc/apportion/apportion.yaml"]
    assert service["KillSignal"] == "SIGTERM"
    assert service["SuccessExitStatus"] == "143"
    assert unit("apportion.timer")["Timer"]["Persistent"] == "true"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("apportion.service", "apportion.timer"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/apportion/bin/apportion", "/bin/true"), encoding="utf-8")
    command = ["systemd-analyze", "verify", str(tmp_path / "apportion.service"), str(tmp_path / "apportion.timer")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=True, interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read(DEPLOY / name, encoding="utf-8")
    return found
