"""Logs for machines: with `APPORTION_LOG=json` every line is one JSON object that says run, source and period.

Without it nothing here is heard; what a person reads is `pipelines.cli.output`'s business. Nothing heavy is imported.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

from pipelines import redaction

METRICS: Final = logging.getLogger("apportion.metrics")
"""One line per load beside its run, source and period: lines, billed cost and its currency, seconds, bytes."""
SAID: Final = logging.getLogger("apportion")
"""What the command line would tell a person."""
# Where the environment asks for no JSON, Python would print warnings by itself.
SAID.addHandler(logging.NullHandler())

_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("about", default={})  # noqa: B039 - never changed in place
# What every record has; anything else came in by `extra`.
_USUAL: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Write a record as one line of JSON; money stays the exact text it came as."""

    def format(self, record: logging.LogRecord) -> str:
        """Give time (UTC), level, logger, message, what the work is about, and the record's own fields."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_ABOUT.get(),
            **{name: value for name, value in vars(record).items() if name not in _USUAL},
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = self.formatException(record.exc_info)
        return redaction.hidden(json.dumps(line, default=str, ensure_ascii=False))


def are_json() -> bool:
    """Tell whether the environment asks for JSON."""
    return os.environ.get("APPORTION_LOG", "").lower() == "json"


def configure() -> None:
    """Send our records to standard error as JSON if the environment asks for it; once per process."""
    if not are_json():
        return
    for name in ("apportion", "connectors", "apprise"):
        logger = logging.getLogger(name)
        if not any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
            logger.addHandler(_Stderr())
            # Below INFO, libraries write addresses with keys in them.
            logger.setLevel(logging.INFO)
            logger.propagate = False


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error as it is now, not as it was when the process began."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


@contextmanager
def about(**what: str) -> Iterator[None]:
    """Name the run, the source or the billing period in every line written inside."""
    token = _ABOUT.set({**_ABOUT.get(), **what})
    try:
        yield
    finally:
        _ABOUT.reset(token)
