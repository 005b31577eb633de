"""Ways to damage a file, all decided by one seed: bytes, lines, cells, JSON, Parquet, and what packs them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

ODD_CELLS: Final = (
    "", " ", "-", "0", "-0", "NaN", "nan", "inf", "-Infinity", "1e400", "1e-400", "9" * 40, "-" + "9" * 25, "1e16",
    "0.0000000000005", "1.000000000000000000000000000000000001", "1,5", "1_000", "0x10", "٣", "null", "NULL", "true",
    "2026-13-01", "2026-02-30T00:00:00Z", "0000-00-00", "9999-12-31T23:59:59Z", "-0001-01-01", "1e12", "1700000000000",
    "=1+1", "\x00", "\x1b[2J", "\u202e", "\ufeff", "é" * 300, '{"a": 1}', "[1]", '{"a":', "../../etc/passwd", "a\nb",
    'say "hi"', "\U0001f600", "x" * 5_000,
)  # fmt: skip
ODD_VALUES: Final[Sequence[Any]] = (
    *ODD_CELLS, None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**40, 1.5, -0.0, 1e308, 5e-324, float("nan"),
    float("inf"), [], {}, [None], [[]], {"a": None}, {"value": "x"}, [{"key": 1}], "\ud800",
)  # fmt: skip
ENCODINGS: Final = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252", "cp500")


@dataclass(frozen=True)
class Mutant:
    """A damaged file.

    Attributes:
        content: its bytes.
        how: what was done, for the message of a failed test.
        is_text: still whole lines of the same format, so that any reader of the format agrees what they say.
    """

    content: bytes
    how: str
    is_text: bool = False


def mutant(content: bytes, name: str, seed: int) -> Mutant:
    """Damage a file in a way that its name allows."""
    dice = random.Random(f"{name} {seed}")  # noqa: S311 - every run must meet the same mutants
    if name.endswith(".parquet"):
        return _either(dice, content, [(0.5, _parquet), (0.5, _bytes)])
    if name.endswith(".gz"):
        return _either(dice, content, [(0.7, _gzipped(name)), (0.3, _bytes)])
    if name.endswith(".zip"):
        return _either(dice, content, [(0.6, _zipped), (0.4, _bytes)])
    return _either(dice, content, [(0.75, _text(name)), (0.25, _bytes)])


Way = Callable[[random.Random, bytes], Mutant]


def _either(dice: random.Random, content: bytes, ways: Sequence[tuple[float, Way]]) -> Mutant:
    (way,) = dice.choices([way for _, way in ways], [weight for weight, _ in ways])
    return way(dice, content)


def _bytes(dice: random.Random, content: bytes) -> Mutant:
    changed = bytearray(content)
    kind = dice.choice(["flip", "flip", "flip", "cut", "drop", "repeat", "insert", "zero", "tail"])
    at, length = dice.randrange(len(content)), dice.choice([1, 2, 4, 8, 64, 1000])
    match kind:
        case "flip":
            for _ in range(dice.choice([1, 1, 2, 8])):
                changed[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        case "cut":
            del changed[at:]
        case "drop":
            del changed[at : at + length]
        case "repeat":
            changed[at:at] = content[at : at + length]
        case "insert":
            changed[at:at] = dice.randbytes(length)
        case "zero":
            changed[at : at + length] = bytes(min(length, len(content) - at))
        case _:
            changed += dice.choice([b"\n", b"\x00", b"\n\n\n", b"\r", b"garbage\n", content])
    return Mutant(bytes(changed), f"bytes: {kind} at {at}, {length}")


def _gzipped(name: str) -> Way:
    def packed(dice: random.Random, content: bytes) -> Mutant:
        inner = _text(name.removesuffix(".gz"))(dice, gzip.decompress(content))
        return Mutant(gzip.compress(inner.content, 1, mtime=0), f"in gzip: {inner.how}", inner.is_text)

    return packed


def _zipped(dice: random.Random, content: bytes) -> Mutant:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = archive.namelist()[0]
        inner = _text("inner.csv")(dice, archive.read(member))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, inner.content)
        if dice.random() < 0.1:
            archive.writestr("second.csv", inner.content)
            return Mutant(out.getvalue(), "zip with a second member")
    return Mutant(out.getvalue(), f"in zip: {inner.how}", inner.is_text)


def _text(name: str) -> Way:
    if name.endswith((".csv", ".tsv", ".txt")):
        separator = "|" if name.endswith(".txt") else ","
        return lambda dice, content: _either(dice, content, [(0.5, _cells(separator)), (0.5, _lines)])
    return lambda dice, content: _either(dice, content, [(0.7, _values), (0.3, _lines)])


def _lines(dice: random.Random, content: bytes) -> Mutant:  # noqa: C901 - one way of damage a case
    lines = content.splitlines(keepends=True)
    at, to = dice.randrange(len(lines)), dice.randrange(len(lines))
    within = ["half", "blank", "join", "returns", "old returns", "encoding", "no end", "header"]
    kind = dice.choice(["repeat", "drop", "swap", *within])
    match kind:
        case "repeat":
            lines.insert(to, lines[at])
        case "drop":
            del lines[at]
        case "swap":
            lines[at], lines[to] = lines[to], lines[at]
        case "half":
            lines[at] = lines[at][: len(lines[at]) // 2] + b"\n"
        case "blank":
            lines.insert(at, dice.choice([b"\n", b"   \n", b"\r\n", b",,,\n"]))
        case "join":
            lines[at] = lines[at].rstrip(b"\n")
        case "returns":
            lines = [line.replace(b"\n", b"\r\n") for line in lines]
        case "old returns":
            lines = [line.replace(b"\n", b"\r") for line in lines]
        case "encoding":
            kind = dice.choice(ENCODINGS)
            lines = ["".join(line.decode() for line in lines).replace("search", "séarch").encode(kind, "replace")]
        case "no end":
            lines[-1] = lines[-1].rstrip(b"\n")
        case _:
            lines.append(lines[0])
    # A header that moved makes another table, of which readers need not agree.
    same = kind in {"repeat", "drop", "swap"} and min(at, to if kind != "drop" else at) > 0
    return Mutant(b"".join(lines), f"lines: {kind} at {at}, {to}", is_text=same)


def _cells(separator: str) -> Way:
    quoting: Any = csv.QUOTE_NONE if separator == "|" else csv.QUOTE_MINIMAL

    def changed(dice: random.Random, content: bytes) -> Mutant:
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator, quoting=quoting))
        row = dice.randrange(1, len(rows)) if len(rows) > 1 and dice.random() < 0.9 else 0
        column, other = dice.randrange(len(rows[row])), dice.randrange(len(rows[row]))
        kind = dice.choice(["odd", "odd", "odd", "swap", "digits", "more", "fewer", "column", "columns"])
        cells = rows[row]
        match kind:
            case "odd":
                cells[column] = dice.choice(ODD_CELLS)
            case "swap":
                cells[column], cells[other] = cells[other], cells[column]
            case "digits":
                cells[column] = "".join(str(dice.randrange(10)) if one.isdigit() else one for one in cells[column])
            case "more":
                cells.insert(column, "x")
            case "fewer":
                del cells[column]
            case "column":
                rows = [[cell for place, cell in enumerate(one) if place != column] for one in rows]
            case _:
                rows = [[*one[:column], one[other], *one[column + 1 :]] for one in rows]
        out = io.StringIO()
        if separator == "|":
            out.write("".join("|".join(one) + "\n" for one in rows))
        else:
            csv.writer(out, lineterminator="\n").writerows(rows)
        how = f"cells: {kind} in row {row}, column {column}, {other}: {cells[column % max(1, len(cells))]!r:.60}"
        return Mutant(out.getvalue().encode(), how, is_text=row > 0 and kind in {"odd", "swap", "digits"})

    return changed


def _values(dice: random.Random, content: bytes) -> Mutant:
    """Change one value somewhere inside the JSON: of the whole file, or of one of its lines."""
    text = content.decode()
    try:
        documents, is_lines = [json.loads(text)], False
    except ValueError:
        documents, is_lines = [json.loads(line) for line in text.splitlines()], True
    at = dice.randrange(len(documents))
    box = [documents[at]]
    holder, key = _somewhere(dice, box)
    before = holder[key]
    kind = dice.choice(["odd", "odd", "odd", "drop", "repeat", "wrap", "deep", "rename"])
    match kind:
        case "drop" if holder is not box:
            del holder[key]
        case "repeat" if isinstance(holder, list) and holder is not box:
            holder.append(before)
        case "wrap":
            holder[key] = dice.choice([[before], {"value": before}, str(before)])
        case "deep":
            for _ in range(dice.choice([3, 60, 400])):
                before = [before]
            holder[key] = before
        case "rename" if isinstance(holder, dict):
            holder[dice.choice([str(key).upper(), f"{key} ", "id", "type"])] = holder.pop(key)
        case _:
            kind, holder[key] = "odd", dice.choice(ODD_VALUES)
    documents[at] = box[0]
    written = [json.dumps(one) + ("\n" if is_lines else "") for one in documents]
    shown = repr(holder[key])[:60] if kind == "odd" else ""
    return Mutant("".join(written).encode(), f"json: {kind} of {key!r} in {at}: {shown}")


def _somewhere(dice: random.Random, box: list[Any]) -> tuple[Any, Any]:
    holder: Any = box
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and dice.random() < 0.95:
        holder = holder[key]
        key = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    return holder, key


def _parquet(dice: random.Random, content: bytes) -> Mutant:
    """Write the table again with a column that is another; what cannot be written is left as it is."""
    frame = pl.read_parquet(content)
    column, other = dice.choice(frame.columns), dice.choice(frame.columns)
    kind = dice.choice(["drop", "swap", "cast", "cast", "null", "odd", "odd", "none", "twice", "nest", "shuffle"])
    how = f"parquet: {kind} of {column}, {other}"
    row = dice.randrange(max(1, frame.height))
    here = pl.int_range(pl.len()) == row
    try:
        match kind:
            case "drop":
                frame = frame.drop(column)
            case "swap":
                frame = frame.with_columns(pl.col(column).alias(other), pl.col(other).alias(column))
            case "cast":
                kinds = [pl.String, pl.Int64, pl.Float32, pl.Float64, pl.Date, pl.Boolean, pl.Binary, pl.UInt8, pl.Time]
                zoned = pl.Datetime("us", "Asia/Kolkata")
                dtype: Any = dice.choice([*kinds, pl.Decimal(38, 2), pl.Datetime("ns"), zoned])
                frame = frame.with_columns(pl.col(column).cast(dtype, strict=False))
                how += f" to {dtype}"
            case "null":
                frame = frame.with_columns(pl.when(~here).then(column).alias(column))
            case "odd":
                odd: Any = dice.choice(ODD_VALUES)
                cell = pl.lit(odd).cast(frame.schema[column], strict=False)
                frame = frame.with_columns(pl.when(here).then(cell).otherwise(column).alias(column))
                how += f": {odd!r:.60}"
            case "none":
                frame = frame.head(0)
            case "twice":
                frame = pl.concat([frame, frame])
            case "nest":
                frame = frame.with_columns(pl.concat_list(column).alias(column))
            case _:
                frame = frame.reverse().select(sorted(frame.columns))
        out = io.BytesIO()
        frame.write_parquet(out)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        return _bytes(dice, content)
    return Mutant(out.getvalue(), how)
