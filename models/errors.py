"""Errors that a person can act on.

ApportionError
├── BadInput       a file, row or column cannot be read: names the place, what was found, what to do
├── Refused        the input is readable but would break a promise (money lost, a path leaving its folder)
└── BadSettings    the configuration or a rule is wrong
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 600
"""Characters of one part of a message: what a damaged file holds is quoted, and may be all of it."""


class ApportionError(Exception):
    """The base of everything the command line prints without a traceback."""


class BadInput(ApportionError):  # noqa: N818 - reads as the noun it is: "bad input in file X"
    """Name the file, the place in it, what was found there and what to do.

    Args:
        file: path or URI of the file, as the user knows it.
        found: what is wrong, with the value found.
        fix: what to do about it.
        place: row or column, for example ``row 17, column line_item_unblended_cost``.
    """

    def __init__(self, file: str, found: str, fix: str, place: str = "") -> None:
        self.file = plain(file)
        self.place = plain(place)
        where = f"{self.file}, {self.place}" if place else self.file
        super().__init__(f"{where}: {plain(found)}. {plain(fix)}")


def plain(text: str) -> str:
    """Give one part of a message so that it can be printed anywhere: oddities are spelled out, what is long is cut."""
    if not text.replace("\n", "").isprintable():
        text = "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class Refused(ApportionError):  # noqa: N818 - as above
    """A load that would lose or invent money, or leave its folder; nothing was changed."""


class BadSettings(ApportionError):  # noqa: N818 - as above
    """A configuration file, rule or claim that cannot be used; names the file and the field."""
