"""Stop on purpose: SIGTERM and Ctrl-C leave through every `finally`, with a sentence and the status a shell expects."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_reading = -1


class Stopped(BaseException):
    """Somebody asked this process to stop."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(f"{signal.Signals(signal_number).name}")

    @property
    def status(self) -> int:
        """Give the exit status of a process that a signal ended: 143 for SIGTERM, 130 for Ctrl-C."""
        return 128 + self.signal_number


def listen() -> None:
    """Raise `Stopped` in the main thread on SIGTERM and Ctrl-C."""
    global _reading
    if _reading < 0:
        # Dagster puts handlers of its own in our place that forget which signal came; the wake-up pipe remembers.
        _reading, writing = os.pipe()
        os.set_blocking(_reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, _stop)


def last_signal() -> int:
    """Give the last signal that came, Ctrl-C if none is known."""
    try:
        received = os.read(_reading, 4096)
    except OSError:
        received = b""
    asked = [number for number in received if number in _SIGNALS]
    return asked[-1] if asked else int(signal.SIGINT)


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(number)
