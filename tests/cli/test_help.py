from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from pipelines.cli.app import app
from tests.cli.conftest import Desk

COMMANDS: dict[str, click.Command] = getattr(typer.main.get_command(app), "commands", {})
DESIGNED = {
    "demo",
    "run",
    "split",
    "idle",
    "models",
    "claims",
    "unattributed",
    "explain",
    "query",
    "rules",
    "retag",
    "dev",
}


def example(name: str) -> list[str]:
    (line,) = re.findall(r"Example: apportion (.+)", COMMANDS[name].help or "")
    return shlex.split(line)


def test_every_designed_command_is_there() -> None:
    assert set(COMMANDS) >= DESIGNED


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does_and_shows_an_example(name: str, tmp_path: Path) -> None:
    answer = Desk(tmp_path).type(name, "--help", config=False)
    assert answer.status == 0
    assert "Example: apportion " + name in " ".join(answer.out.split())
    assert len(answer.out.splitlines()) > 5


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_a_right_call(name: str) -> None:
    command, *words = example(name)
    assert command == name
    # Parses every word as the shell would hand it over, and runs nothing.
    context = COMMANDS[name].make_context(name, words)
    assert set(context.params) == {parameter.name for parameter in COMMANDS[name].params}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None) or parameter.name == "help", parameter.name


@pytest.mark.parametrize("name", ["split", "idle", "models", "claims", "unattributed", "retag"])
def test_answers_about_months_take_a_period_and_json(name: str) -> None:
    assert {"config", "period", "json"} <= {parameter.name for parameter in COMMANDS[name].params}


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    answer = Desk(tmp_path).type(config=False)
    assert all(name in answer.out + answer.said for name in DESIGNED)
