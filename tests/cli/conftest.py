"""The sample company, run once, and its commands as a person would type them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import pytest
import yaml

from examples.sample import write_sample
from pipelines.cli.app import main
from tests.once import once


@dataclass(frozen=True)
class Answer:
    """What a command printed, what it said beside that, and its exit status."""

    status: int
    out: str
    said: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """A folder with a configuration, and somebody who types."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "apportion.yaml"

    def type(self, *words: str, config: bool = True) -> Answer:
        """Run a command in this process; importing everything anew takes seconds."""
        out, said = io.StringIO(), io.StringIO()
        line = ["apportion", *words, *(["--config", str(self.config)] if config else [])]
        status: Any = 0
        with (
            patch.object(sys, "argv", line),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(said),
            patch.dict(os.environ, {"COLUMNS": "80", "APPORTION_REVIEW_PACKS": "0"}),
        ):
            try:
                main()
            except SystemExit as left:
                status = left.code
        return Answer(int(status or 0), out.getvalue(), said.getvalue())


def made(
    folder: Path,
    lines: int | None = None,
    tagging: Literal["half", "none"] = "half",
    sources: Collection[str] | None = None,
) -> Desk:
    """Write the sample company and its configuration; of its bills alone if sources are named."""
    shipped = files("examples") / "apportion.yaml"
    desk = Desk(folder)
    if sources is None:
        write_sample(folder, lines=lines, tagging=tagging)
        shutil.copy(str(shipped), desk.config)
        return desk
    write_sample(folder, lines=lines, tagging=tagging, gcp="gcp" in sources, tokens=False, gpu=False)
    settings = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    settings["sources"] = [source for source in settings["sources"] if source["name"] in sources]
    desk.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return desk


def ran(folder: Path) -> None:
    """Write the sample company and run the pipeline on it."""
    answer = made(folder).type("run")
    assert answer.status == 0, answer.said


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The whole sample, run; read it, do not change it."""
    return Desk(once(tmp_path_factory, "desk", ran))
