from __future__ import annotations

import io
import re
from datetime import date

import pytest
from rich.console import Console

from connectors.source import SourceFile, SourceVersion
from pipelines.cli.progress import Month, bars

MIB = 1 << 20


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def version(*sizes: int | None) -> SourceVersion:
    files = [SourceFile(f"{number}.parquet", size) for number, size in enumerate(sizes)]
    return SourceVersion(date(2026, 7, 1), "fingerprint", files)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def screen(clock: Clock) -> tuple[Month, io.StringIO]:
    text = io.StringIO()
    shown = bars(Console(file=text, force_terminal=True, width=80, color_system=None))
    shown.get_time = clock
    for task in shown.tasks:
        task.start_time = 0
    return Month(shown, clock), text


def look(month: Month, text: io.StringIO) -> list[str]:
    """Give the lines that stand on the screen."""
    text.truncate(0)
    shown = month._shown  # noqa: SLF001 - what a person would look at
    shown.console.print(shown.get_renderable())
    return [re.sub(r"\x1b\[[\d;?]*\w", "", line).rstrip() for line in text.getvalue().strip("\0").splitlines()]


def test_a_pull_shows_how_fast_it_is_and_how_long_it_takes_yet(screen: tuple[Month, io.StringIO], clock: Clock) -> None:
    month, text = screen
    month.begin("aws 2026-07", version(60 * MIB, 40 * MIB))
    for _ in range(5):
        month.pulled(10_000_000)
        clock.now += 1
    step, pull = look(month, text)
    assert "aws 2026-07" in step
    assert "50.0/104.9 MB" in pull
    assert "MB/s" in pull
    assert re.search(r"\d\d:\d\d", pull)
    assert len(pull) <= 80


def test_a_load_shows_lines_a_second_and_the_part_that_is_done(screen: tuple[Month, io.StringIO], clock: Clock) -> None:
    month, text = screen
    month.begin("aws 2026-07", version(10_000_000, 10_000_000, 20_000_000))
    for number in (0, 1):
        clock.now += 2
        month.loaded(number, 1_000_000)
    _, load = look(month, text)
    assert "20.0/40.0 MB" in load
    assert "500K lines/s" in load
    assert len(load) <= 80


def test_what_does_not_say_its_size_has_a_rate_and_no_end(screen: tuple[Month, io.StringIO], clock: Clock) -> None:
    month, text = screen
    month.begin("openai 2026-07", version(None))
    month.pulled(2_000_000)
    clock.now += 2
    month.pulled(2_000_000)
    month.loaded(0, 20_000)
    month.loaded(7, 20_000)  # an API's frames are not files
    _, pull, load = look(month, text)
    assert "4.0/? MB" in pull
    assert "20K lines/s" in load


def test_the_next_step_takes_the_bars_away(screen: tuple[Month, io.StringIO]) -> None:
    month, text = screen
    month.begin("aws 2026-07", version(1))
    month.pulled(1)
    month.step("building marts")
    (only,) = look(month, text)
    assert "building marts" in only
