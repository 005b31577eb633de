"""What a person sees while a run works: the step, bars of what is pulled and loaded, their rates and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from pipelines import logs
from pipelines.cli.output import say
from pipelines.reports.wording import short

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from connectors.source import SourceVersion
    from pipelines.orchestration.assets import Progress


@contextmanager
def drawn(*, republish: bool) -> Iterator[Progress]:
    """Draw what the assets do; plain lines where nobody watches, the log's lines where it is JSON."""
    from rich.console import Console

    from pipelines.orchestration.assets import Progress

    console = Console(stderr=True)
    if logs.are_json():
        yield Progress(on_step=say, republish=republish)
        return
    if not console.is_terminal:
        yield Progress(on_step=lambda text: console.print(text, highlight=False), republish=republish)
        return
    with bars(console) as shown:
        month = Month(shown)
        yield Progress(
            on_step=month.step,
            on_month=month.begin,
            on_bytes=month.pulled,
            on_file=month.loaded,
            republish=republish,
        )


def bars(console: Console) -> Bars:
    """Make bars that fit 80 columns and are gone when all is done."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=10),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[lines]}"),
        console=console,
        transient=True,
    )


class Month:
    """The bars of one month at a time: bytes pulled, and bytes of native files whose lines stand in the ledger's files.

    Bytes of all files are what the time left is told by; a source that does not say its sizes has a rate only.
    """

    def __init__(self, shown: Bars, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown = shown
        self._clock = clock
        self._step = shown.add_task("starting", total=None, lines="")
        self._sizes: list[int | None] = []
        self._tasks: dict[str, TaskID] = {}
        self._lines = 0
        self._began = clock()

    def step(self, text: str) -> None:
        """Say what is done now."""
        for task in self._tasks.values():
            self._shown.remove_task(task)
        self._tasks = {}
        self._shown.update(self._step, description=text)

    def begin(self, month: str, version: SourceVersion) -> None:
        """Take up a month; its bars come with its first bytes."""
        self.step(month)
        self._sizes = [file.size for file in version.files]
        self._lines, self._began = 0, self._clock()

    def pulled(self, count: int) -> None:
        """Count bytes that came."""
        self._shown.advance(self._task("pull"), count)

    def loaded(self, number: int, rows: int) -> None:
        """Count a native file that is done, and its lines."""
        self._lines += rows
        rate = self._lines / max(self._clock() - self._began, 0.001)
        # Where frames are not files, as of an API, there is nothing to say how much is left.
        size = self._sizes[number] if number < len(self._sizes) else None
        self._shown.update(self._task("load"), advance=size or 0, lines=f"{short(Decimal(round(rate)))} lines/s")

    def _task(self, what: str) -> TaskID:
        if what not in self._tasks:
            known = [size for size in self._sizes if size is not None]
            total = sum(known) if known and len(known) == len(self._sizes) else None
            self._tasks[what] = self._shown.add_task(f"  {what}", total=total, lines="")
        return self._tasks[what]
