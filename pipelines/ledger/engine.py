"""Where the passes over every line run: on this machine, or on many (`spark.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import polars as pl

from models.money import known_sum

if TYPE_CHECKING:
    from pipelines.ledger.delta import Table

# Told of each file that was written: its number, counted from 0, and how many rows it has.
OnFile: TypeAlias = Callable[[int, int], None]
# From the lines of some of a table's files to what is asked of them; row-local up to a last `unique` or `group_by`.
Query: TypeAlias = Callable[[pl.LazyFrame], pl.LazyFrame]


class Written(NamedTuple):
    """A new file of a table, and how many rows it was found to have."""

    path: str
    rows: int


class UnreadableError(Exception):
    """The frame of this number could not be read; whoever made it knows the file."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Engine(Protocol):
    """What is done to every line; whatever does it, the answers are the same to the last digit."""

    def write(
        self, table: Table, paths: Sequence[str], frames: Sequence[pl.LazyFrame], on_file: OnFile
    ) -> list[Written]:
        """Write each frame into a file of its own, named by its path or by a longer name.

        Raises:
            UnreadableError: a frame's native file turned out damaged while it was streamed.
        """

    def distinct(self, table: Table, files: Sequence[str], query: Query) -> pl.DataFrame:
        """Give the distinct rows a query finds; the query itself ends in `unique`."""

    def summed(self, table: Table, files: Sequence[str], query: Query, by: Sequence[str]) -> pl.DataFrame:
        """Give the sums a query finds by groups; the query itself groups, and every other column of it adds up.

        A sum is null where every amount is. Rows are in the order of their groups, or in a few runs of that order:
        millions of them take twice their memory to be sorted whole.
        """


class OneMachine:
    """Polars streams all files here."""

    def write(
        self, table: Table, paths: Sequence[str], frames: Sequence[pl.LazyFrame], on_file: OnFile
    ) -> list[Written]:
        """Write the files one after the other; each keeps all cores busy."""
        written = []
        for number, (path, frame) in enumerate(zip(paths, frames, strict=True)):
            try:
                written.append(table.write_file(path, frame))
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise UnreadableError(number) from error
            on_file(number, written[-1].rows)
        return written

    def distinct(self, table: Table, files: Sequence[str], query: Query) -> pl.DataFrame:
        """Ask all files at once."""
        return query(table.scan(files)).collect(engine="streaming")

    def summed(self, table: Table, files: Sequence[str], query: Query, by: Sequence[str]) -> pl.DataFrame:
        """Ask some files at a time, and add up what they gave.

        Where groups are many, polars keeps what it read of all files until it ends: 14 GB for a hundred million lines.
        What is found is added up share by share, so that only a share is ever in memory twice.
        """
        found = query(table.scan(files[:_AT_ONCE])).collect(engine="streaming")
        if len(files) <= _AT_ONCE:
            return found.sort(by, nulls_last=True)
        shares = [[share] for share in _shared(found, by)]
        for start in range(_AT_ONCE, len(files), _AT_ONCE):
            found = query(table.scan(files[start : start + _AT_ONCE])).collect(engine="streaming")
            for share, more in zip(shares, _shared(found, by), strict=True):
                share.append(more)
                # To add up costs as much as there are rows: not before there are half as many new ones as old.
                if 2 * sum(sums.height for sums in share[1:]) > share[0].height:
                    share[:] = [_added(share, by)]
        return pl.concat(_added(share, by).sort(by, nulls_last=True) for share in shares)


# Files of a million lines each take 1.5 GB so.
_AT_ONCE: Final = 6
_SHARES: Final = 8


def _shared(sums: pl.DataFrame, by: Sequence[str]) -> list[pl.DataFrame]:
    """Divide groups into shares, equal groups into the same."""
    if not by:
        return [sums]
    number = sums.select(pl.struct(by).hash() % _SHARES).to_series()
    return [sums.filter(number == share) for share in range(_SHARES)]


def _added(found: Sequence[pl.DataFrame], by: Sequence[str]) -> pl.DataFrame:
    if len(found) == 1:
        return found[0]
    sums = pl.concat(found)
    amounts = [name for name in sums.columns if name not in by]
    return sums.group_by(by).agg(known_sum(name) for name in amounts).select(sums.columns)
