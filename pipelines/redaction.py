"""Take secrets out of text before anybody reads it: of errors, logs, the Dagster event log and messages.

Connectors put none into their own errors; this stands behind them, for what libraries say and for mistakes of ours.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from typing import Any, Final

from pydantic import SecretStr

HIDDEN: Final = "(hidden)"
SECRET_NAME: Final = re.compile(r"key|token|secret|password|credential|authorization|header", re.IGNORECASE)
"""Names of settings whose values no message may hold; a message need not name columns and files."""
# Of what is said at a terminal less is hidden: a column that is called `token` must be named in its error.
_SURELY: Final = re.compile(
    r"(?:api_?key|token|secret|password|credentials?|authorization|access_key|headers)$", re.IGNORECASE
)
_VARIABLE: Final = re.compile(r"SECRET|TOKEN|PASSWORD|CREDENTIAL|WEBHOOK|_KEY$|APIKEY")
_USER: Final = re.compile(r"(?<=://)[^/\s@]+@")
_KEYS: Final = re.compile(r"\b(?:sk-[\w-]{12,}|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[a-z]-[\w-]+|gh[a-z]_\w{20,}|Bearer \S+)")
_SHORTEST: Final = 6

_known: set[str] = set()


def remember(settings: Any) -> None:
    """Keep the secrets of a configuration in mind, for `hidden`; the settings as a tree of plain values."""
    _known.update(secrets_in(settings, _SURELY))


def secrets_in(value: Any, named: re.Pattern[str], *, is_secret: bool = False) -> Iterator[str]:
    """Give every text of a tree that is typed as a secret or stands under a name that says so."""
    if isinstance(value, SecretStr):
        value, is_secret = value.get_secret_value(), True
    if isinstance(value, dict):
        for name, item in value.items():
            yield from secrets_in(item, named, is_secret=is_secret or bool(named.search(str(name))))
    elif isinstance(value, list):
        for item in value:
            yield from secrets_in(item, named, is_secret=is_secret)
    elif is_secret and isinstance(value, str) and len(value) >= _SHORTEST:
        yield value


def hidden(text: str) -> str:
    """Take out of a text the secrets of the configuration and the environment, passwords in addresses, and keys."""
    return without(text, {*_known, *_of_environment()})


def without(text: str, secrets: set[str]) -> str:
    """Take secrets out of a text, and what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _KEYS.sub(HIDDEN, _USER.sub(f"{HIDDEN}@", text))


def safe(error: Exception) -> Exception:
    """Give the error, or, if anything that would be printed of it is secret, another that says the rest."""
    whole = "".join(traceback.format_exception(error))
    if hidden(whole) == whole:
        return error
    return RuntimeError(f"{type(error).__name__}: {hidden(str(error))}")


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        # The name of a file is no secret, and its reader needs it.
        if _VARIABLE.search(name.upper()) and len(value) >= _SHORTEST and not value.startswith(("/", "~")):
            yield value
